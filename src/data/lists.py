"""List files: a line "image mask" for each pair, paths relative to data_root."""
from pathlib import Path
from typing import NamedTuple

from src.console import InputError
from src.files import write_whole


class Pair(NamedTuple):
    """One line of a list file, paths as they stand there."""

    image: str
    mask: str


def read_text(path, what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")    # some editors begin with a mark
    except OSError as error:
        raise InputError(f"{what} {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} {path}: is not a text file") from None


def read_list(path) -> list:
    """Pairs of a list file: lines `image mask`, separated by a tab where a name has blanks; empty lines are skipped.

    Raises InputError for a missing or empty file and for a line with another number of fields.
    """
    if not str(path):
        raise InputError("--data_lst is not given; src/data/get_dataset_lst.py writes list files")
    pairs = []
    for number, line in enumerate(read_text(path, "list file").splitlines(), 1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
        if len(fields) != 2 or not all(fields):
            raise InputError(f"{path}, line {number}: {len(fields)} fields where 'image mask' is expected; "
                             "names with blanks are separated by a tab")
        pairs.append(Pair(*fields))
    if not pairs:
        raise InputError(f"list file {path}: is empty")
    return pairs


def check_files(pairs: list, data_root, data_lst) -> None:
    """Raises InputError that names the first file of `pairs` that does not exist, and their number."""
    missing = [path for pair in pairs for path in pair if not Path(data_root, path).is_file()]
    if missing:
        raise InputError(f"{Path(data_root, missing[0])}: no such file, though {data_lst} lists it "
                         f"({len(missing)} files missing); paths are relative to --data_root")


def format_pair(pair: Pair) -> str:
    """The line of a list file for a pair, its end of line included."""
    separator = "\t" if any(" " in name for name in pair) else " "
    return separator.join(pair) + "\n"


def write_list(root: Path, name: str, pairs: list) -> None:
    """Write the list file aside and rename it; every picture must exist."""
    for pair in pairs:
        if not (root / pair.image).is_file():
            raise InputError(f"{root / pair.image}: no such file, though {name} would list it")
    write_whole(root / name, "".join(map(format_pair, pairs)).encode())
    print(f"{name}: {len(pairs)} pairs")
