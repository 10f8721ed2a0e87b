"""Text, YAML and JSON from untrusted files: their size is checked before they are parsed; values are safe to print.

One YAML loader and one JSON loader serve recipes, dataset.yaml, checkpoints.json, facts and metadata.
They check size, depth, the length of scalars and that numbers are finite. The caller checks the meaning of the values.
"""
import json
import math
import os
import stat
import unicodedata

import yaml

MOST_BYTES = 1 << 20    # of a YAML or JSON text: 255 class names of 200 escaped letters fit twice
MOST_DEPTH = 4    # of a JSON text: facts hold the options of a recipe, which may be lists
MOST_LETTERS = 4096    # of a YAML scalar, as long as a path; base-60 numbers take quadratic time
PLAIN = "'key: value' lines and lists of values are expected, no YAML aliases and nothing nested deeper"
SHOWN = 60    # characters of a foreign value in a message

# libyaml where the wheel has it: 1 MB takes it a tenth of a second, and PyYAML's own parser ten seconds.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(ValueError):
    """A text is malformed or too large; the message says why and, where it is known, in which line."""


def reason(error: Exception):
    """Why a file could not be read: what the system says, without number and path, or what the error itself says."""
    return getattr(error, "strerror", None) or error


def printable(text, most: int = SHOWN) -> str:
    """Foreign text on one line: control characters replaced, shortened to `most` characters."""
    text = str(text)
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:most])
    return shown if len(text) <= most else shown + "..."


def shown(value) -> str:
    """An untrusted value for a message, text in quotes; see printable."""
    try:
        return printable(repr(value))
    except (ValueError, RecursionError):    # thousands of digits, or of levels
        return f"a {type(value).__name__} too large to print"


def has_control(text: str) -> bool:
    """Whether `text` has a control character, a line end or a lone surrogate, which no line of a text file can hold."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def read_bounded(path, most: int = MOST_BYTES) -> str:
    """The text of a regular file. Raises OSError; Unreadable if it is not a file, not UTF-8 or larger than `most`."""
    with open(path, "rb", opener=without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable("is not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"is larger than {most >> 20} MB")
    try:
        return data.decode("utf-8-sig")    # some editors write a byte order mark
    except UnicodeDecodeError:
        raise Unreadable("is not a text file") from None


def without_waiting(path, flags: int) -> int:
    """An opener for open() that does not wait for a writer when the path is a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def load_yaml(text: str):
    """The value of a YAML text of keys, values and lists of values. Raises Unreadable.

    Aliases, deeper nesting, long scalars and repeated keys are refused: a few lines of aliases can expand to
    gigabytes, and the first of two equal keys would be lost without a message.
    """
    if len(text) > MOST_BYTES:
        raise Unreadable(f"is larger than {MOST_BYTES >> 20} MB")
    try:
        check_events(text)
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            check_keys(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except Unreadable:
        raise
    except yaml.MarkedYAMLError as error:
        raise Unreadable(explain(error, text)) from None
    except Exception as error:    # for tags and dates PyYAML raises the errors of int(), dicts and datetime
        raise Unreadable(printable(" ".join(str(error).split()) or type(error).__name__, 120)) from None


def explain(error, text: str) -> str:
    """Error text for a YAML text, with the line."""
    what, mark = error.problem or error.context or "", error.problem_mark
    if mark is None:
        return printable(what, 120)
    if "nesting" in what:    # libyaml's own limit, reached before the events show how deep it is
        return f"line {mark.line + 1}: {PLAIN}"
    lines = text.splitlines()
    tab = "\t" in lines[mark.line][:mark.column + 1] if mark.line < len(lines) else False
    return f"line {mark.line + 1}: {printable(what, 120)}" + (r" ('\t'; YAML indents with blanks)" if tab else "")


def check_events(text: str) -> None:
    """Raises Unreadable for constructs that make a short text expensive; reads events only, builds no values."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = f"line {event.start_mark.line + 1}: "
        if isinstance(event, yaml.AliasEvent) or depth > 2:
            raise Unreadable(line + PLAIN)
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MOST_LETTERS:
            raise Unreadable(f"{line}a value of {len(event.value)} characters, more than {MOST_LETTERS}")


def check_keys(node) -> None:
    """Raises Unreadable if a key occurs twice."""
    seen = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key.value, str) and key.value in seen:
            raise Unreadable(f"line {key.start_mark.line + 1}: {shown(key.value)} occurs twice")
        seen.add(str(key.value))


def load_json(text):
    """The value of a JSON text (str or UTF-8 bytes) of at most MOST_BYTES and MOST_DEPTH, None in place of NaN. Raises
    Unreadable."""
    if len(text) > MOST_BYTES:
        raise Unreadable(f"is larger than {MOST_BYTES >> 20} MB")
    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=finite, parse_float=finite)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:    # not JSON, not UTF-8, thousands of digits
        raise Unreadable(f"is not JSON: {printable(error, 120)}") from None
    if not is_flat(value, MOST_DEPTH):
        raise Unreadable("is nested too deeply")
    return value


def unique(pairs: list) -> dict:
    """The object of `pairs`; a repeated name is an error (json would take the last)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a name occurs twice")
    return found


def finite(text: str):
    """A number; None for NaN, infinity and numbers too large for a float, so that type checks catch them."""
    value = float(text)
    return value if math.isfinite(value) else None


def is_flat(value, depth: int) -> bool:
    """Whether lists and objects are nested at most `depth` deep."""
    if not isinstance(value, (dict, list)):
        return True
    return depth > 0 and all(is_flat(part, depth - 1) for part in
                             (value.values() if isinstance(value, dict) else value))
