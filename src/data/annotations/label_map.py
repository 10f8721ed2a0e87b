"""Label maps: text files that give the class of each number or colour in a mask; published ones are in labels/.

A line is `value class name` or `R G B class name`: integers, then a name, which is optional. `ignore` in place of the
class number means ignored pixels. # begins a comment. A file may have lines of both kinds, for data sets with numbers
and with colours. All lines of a class have the same name.
"""
import re
from pathlib import Path
from typing import NamedTuple

from src.console import InputError
from src.data.labels import check_name, unnamed
from src.data.lists import read_text
from src.foreign import shown

FOLDER = Path(__file__).parent / "labels"
LINE = "'value class name' or 'R G B class name', the class a number up to 255 or 'ignore'"


class LabelMap(NamedTuple):
    """values: {(number,): class}; colors: {(R, G, B): class}; classes: names by number, [] if the file has none."""

    values: dict
    colors: dict
    classes: list

    def table(self, mode: str) -> dict:
        """The table for a mask of a Pillow mode: colors for RGB and RGBA, else values; the other one if it is empty."""
        return (self.colors or self.values) if mode in ("RGB", "RGBA") else (self.values or self.colors)


def known_label_maps() -> list:
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def read_label_map(name, ignore_label: int = 255, option: str = "--labels") -> LabelMap:
    """The label map of a published data set (one of known_label_maps) or of a file; `option` is its name in errors.

    Ignored pixels get the class `ignore_label`. Raises InputError with the line.
    """
    if str(name) in known_label_maps():
        path = FOLDER / f"{name}.txt"
    elif Path(name).is_file():
        path = Path(name)
    else:
        raise InputError(f"{option} {name}: neither a file nor one of {', '.join(known_label_maps())}")
    tables, names, where = {1: {}, 3: {}}, {}, f"{option} {path}"
    for number, line in enumerate(read_text(path, option).splitlines(), 1):
        fields = re.split(r"(?:^|\s)#", line)[0].split()    # C# is a name
        if fields:
            value, label, title = read_line(fields, f"{where}, line {number}")
            add_line(tables[len(value)], names, value, label, title, f"{where}, line {number}")
            tables[len(value)][value] = ignore_label if label is None else label
    if not tables[1] and not tables[3]:
        raise InputError(f"{where}: has no line {LINE}")
    numbers = {label for table in tables.values() for label in table.values()} - {ignore_label}
    count = max(numbers, default=-1) + 1 if names else 0
    names.pop(ignore_label, None)    # a file may write the number instead of the word
    return LabelMap(tables[1], tables[3], name_classes(names, count, where))


def read_line(fields: list, place: str) -> tuple:
    """(value as a tuple of one or three numbers, class or None to ignore, name or "") of a line's fields."""
    count = next((number for number, field in enumerate(fields) if not is_number(field)), len(fields))
    ignored = fields[count:count + 1] == ["ignore"] and count in (1, 3)
    if not ignored and count not in (2, 4):
        raise InputError(f"{place}: {shown(' '.join(fields))} is not {LINE}; a name does not begin with a number")
    *value, label = map(int, fields[:count]) if not ignored else (*map(int, fields[:count]), None)
    if max([*value, 0] if len(value) == 3 else [0]) > 255 or (label or 0) > 255:
        raise InputError(f"{place}: {shown(' '.join(fields))} has a number above 255")
    title = " ".join(fields[count + ignored:])
    return tuple(value), label, check_name(title, place) if title else ""


def is_number(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 8


def add_line(table: dict, names: dict, value: tuple, label, title: str, place: str) -> None:
    """Add a value and the name of its class. Raises InputError for a repeated value and for a class with two names."""
    if value in table:
        raise InputError(f"{place}: {' '.join(map(str, value))} occurs twice; keep one line")
    if label is None:
        return
    if title and names.setdefault(label, title) != title:
        raise InputError(f"{place}: class {label} has the name {shown(names[label])} above and {shown(title)} here; "
                         "give both the same name")


def name_classes(names: dict, count: int, where: str) -> list:
    """The names of `count` classes, class_N for one that has none. Raises InputError for a repeated name."""
    classes = [names.get(number, name) for number, name in enumerate(unnamed(count))]
    twice = [name for number, name in enumerate(classes) if name in classes[:number]]
    if twice:
        raise InputError(f"{where}: two classes have the name {shown(twice[0])}; rename one")
    return classes
