"""List files: a line "image mask" for each pair, paths relative to data_root.

Names in them may be anything, so os.path looks for the files: Path.exists raises for names that are too long.
"""
import hashlib
import os
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from src.console import InputError, number_of, warn
from src.files import check_output, kind_of_file, read_bytes, write_whole

BLANKS = " \t\r"    # between the fields of a line; Unicode's other blanks belong to names
UTF16 = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}    # byte order marks


class Pair(NamedTuple):
    """One line of a list file, with its paths unchanged."""

    image: str
    mask: str


def read_text(path, what: str) -> str:
    """A text file in UTF-8. Raises InputError for a missing file, and for another encoding, with its name."""
    data = read_bytes(path, what)
    try:
        return data.decode("utf-8-sig")    # some editors write a byte order mark
    except UnicodeDecodeError:
        raise InputError(f"{what} {path}: {encoding_hint(data)}") from None


def read_lines(path, what: str) -> list:
    """The lines of a text file in UTF-8, stripped, without empty ones."""
    return [line.strip() for line in read_text(path, what).splitlines() if line.strip()]


def read_names(path, what: str) -> str:
    """A file of file names, like read_text. Names need not be UTF-8: other bytes become Python's surrogates, which
    open() understands. Raises InputError for a file that is not text."""
    return decode_names(read_bytes(path, what), f"{what} {path}")


def decode_names(data: bytes, where: str) -> str:
    """Bytes with file names -> text, see read_names; `where` begins errors."""
    if b"\0" in data or data[:2] in UTF16:
        raise InputError(f"{where}: {encoding_hint(data)}")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def encoding_hint(data: bytes) -> str:
    """Error text: the probable encoding of bytes that are not UTF-8, and how to convert them."""
    start = data[:1 << 16]
    if data[:2] in UTF16 or 3 * start.count(0) > len(start):    # UTF-16 has a zero byte in each Latin letter
        code = UTF16.get(data[:2]) or (
            "UTF-16BE" if start[::2].count(0) > start[1::2].count(0) else "UTF-16LE")
        if len(data) % 2 == 0:
            return f"is {code} text; save it as UTF-8 (iconv -f {code} -t UTF-8)"
    if b"\0" in start:
        return "is not a text file"
    return ("is not UTF-8 but another encoding, such as GB18030 (GBK) or ISO-8859-1 (Latin-1); save it as UTF-8 "
            "(iconv -f GB18030 -t UTF-8)")


def escaped(name) -> str:
    """A file name as valid UTF-8: other bytes as backslash escapes."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def read_list(path, data_root=None) -> list:
    """Pairs of a list file: lines `image mask`, separated by a tab where a name has blanks; empty lines are skipped.

    Args:
        data_root: folder that the names are relative to. If given, names that begin with a slash are searched there
            too, and names as other systems write them, with a warning, and the list must have the encoding of the
            files' names.

    Raises InputError: a missing or empty file, a line with another number of fields.
    """
    if not str(path):
        raise InputError("--data_lst is not given; src/data/get_dataset_lst.py writes list files")
    pairs = []
    for number, line in enumerate(lines_of(read_names(path, "list file")), 1):
        fields = fields_of(line)
        if not fields:
            continue
        if len(fields) != 2 or not all(fields):
            raise InputError(f"{path}, line {number}: {len(fields)} fields where 'image mask' is expected; "
                             "names with blanks are separated by a tab")
        pairs.append(Pair(*fields))
    if not pairs:
        raise InputError(f"list file {path}: is empty")
    if data_root is not None:
        check_encoding(pairs, data_root, path)
        pairs = with_names_of_files(pairs, data_root, path)
    return pairs


def lines_of(text: str) -> list:
    """The lines of a list, with line ends of Unix, Windows or old Macs; other Unicode line ends may be part of a name.
    """
    return re.split("\r\n|\n|\r", text)


def fields_of(line: str) -> list:
    """The names of a line, separated by tabs if it has any, else by blanks; [] for an empty line."""
    line = line.strip(BLANKS)
    if "\t" in line:
        return [field.strip(BLANKS) for field in line.split("\t")]
    return [field for field in line.split(" ") if field]


def spellings(name: str) -> list:
    """The name of a file, and how another system would write it: / for the backslash of Windows, and both of Unicode's
    forms of accented letters, of which macOS writes the longer one."""
    plain = name.replace("\\", "/")
    return list(dict.fromkeys([name, plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD"))]))


def with_names_of_files(pairs: list, data_root, path) -> list:
    """The pairs; where there is no such file, but one of another of its `spellings`, or without the leading slash (in
    widely copied lists of VOC), that one's name is taken, with a warning."""
    taken = []

    def found(name: str) -> str:
        known = dict.fromkeys([*spellings(name), *spellings(name.lstrip("/\\"))])
        if len(known) == 1:    # most names: the files need not be looked for
            return name
        other = next((other for other in known if os.path.exists(Path(data_root, other))), name)
        if other != name:
            taken.append(f"{name}, read as {other}")
        return other
    pairs = [Pair(*map(found, pair)) for pair in pairs]
    if taken:
        warn(f"list file {path}: {number_of(len(taken), 'name')} with other slashes, or another Unicode form of "
             f"accents, than in --data_root {data_root}, such as {taken[0]}")
    return pairs


def check_encoding(pairs: list, data_root, path) -> None:
    """Raises InputError where a name finds a file only when its bytes are read in another encoding. GBK text may be
    valid UTF-8 by chance."""
    for name in (name for pair in pairs for name in pair):
        if not name.isascii() and not os.path.exists(Path(data_root, name)):
            data = name.encode("utf-8", "surrogateescape")
            for code in ("gb18030", "latin-1", "cp1252", "big5", "shift-jis", "euc-kr"):
                if os.path.exists(Path(data_root, data.decode(code, "replace"))):
                    raise InputError(f"list file {path}: is {code.upper()} text, and the files have names in UTF-8; "
                                     f"save it as UTF-8 (iconv -f {code.upper()} -t UTF-8)")


def check_files(pairs: list, data_root, data_lst) -> None:
    """Raises InputError with the first missing file of `pairs` and the number of missing files."""
    missing = [path for pair in pairs for path in pair if not os.path.isfile(Path(data_root, path))]
    if not missing:
        return
    path = Path(data_root, missing[0])
    if os.path.exists(path):
        raise InputError(f"{path}: is {kind_of_file(path.stat().st_mode)}, not a file, though {data_lst} lists it")
    root = "begins with a slash, so --data_root is not used" if path.is_absolute() and missing[0][:1] == "/" else (
        "paths are relative to --data_root")
    raise InputError(f"{path}: no such file, though {data_lst} lists it ({len(missing)} files missing); {root}")


def format_pair(pair: Pair) -> str:
    """The line of a list file for a pair, its end of line included."""
    separator = "\t" if any(" " in name for name in pair) else " "
    return separator.join(pair) + "\n"


def check_list_name(path) -> None:
    """Raises InputError for a path that a line of a list file cannot hold: with a tab, a line end, or a blank at either
    end."""
    text = str(path)
    if text != text.strip(BLANKS) or any(letter in text for letter in "\t\n\r"):
        raise InputError(f"{text!r}: a list file cannot name it, since it holds a tab or a line end, or begins or ends "
                         "with a blank; rename it")


def check_lists(paths, written: dict, overwrite: bool) -> None:
    """Raises InputError for a list that is there and not as get_dataset_lst.py left it: somebody edited it, it is
    another's, or damaged; unless `overwrite` is given, or it is empty. `written`: name -> SHA-256 of what was written,
    as dataset.yaml says."""
    for path in paths:
        check_output(path)
        content = read_bytes(path, "list file") if path.exists() and not overwrite else b""
        if content and hashlib.sha256(content).hexdigest() != written.get(path.name):
            raise InputError(f"{path}: exists, and is not as this program wrote it (edited, another's or "
                             "damaged); --overwrite replaces it, or move it away")


def write_list(root: Path, name: str, pairs: list) -> str:
    """Write the list file aside and rename it; every picture must exist, and no name hold what lists cannot say.
    Returns its SHA-256."""
    for pair in pairs:
        for path in pair:
            check_list_name(path)
        if not os.path.isfile(root / pair.image):
            raise InputError(f"{root / pair.image}: no such file, though {name} would list it")
    content = "".join(map(format_pair, pairs)).encode("utf-8", "surrogateescape")
    write_whole(root / name, content)
    print(f"{name}: {number_of(len(pairs), 'pair')}")
    return hashlib.sha256(content).hexdigest()
