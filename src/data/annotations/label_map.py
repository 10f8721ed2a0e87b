"""Label maps: which class a mask's number or colour means, as text files; published ones stand in labels/.

A line is `value class name` or `R G B class name`, all whole numbers but the name, which may be left out. `ignore` in
place of the class number means pixels that do not count. # begins a comment. A file may hold lines of both kinds, for
data that come as numbers and as colours. Every line of one class has the same name.
"""
from pathlib import Path
from typing import NamedTuple

from src.console import InputError
from src.data.annotations.item import check_name, shown
from src.data.lists import read_text

FOLDER = Path(__file__).parent / "labels"
LINE = "'value class name' or 'R G B class name', the class a number up to 255 or 'ignore'"


class LabelMap(NamedTuple):
    """values: {(number,): class}; colors: {(R, G, B): class}; classes: names by number, empty if the file has none."""

    values: dict
    colors: dict
    classes: list

    def table(self, mode: str) -> dict:
        """The table for a mask of a Pillow mode: colours for RGB and RGBA, numbers for others, else what there is."""
        return (self.colors or self.values) if mode in ("RGB", "RGBA") else (self.values or self.colors)


def known_label_maps() -> list:
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def read_label_map(name, ignore_label: int = 255) -> LabelMap:
    """The label map of a published data set (a name of known_label_maps) or of a file.

    Pixels to ignore get the class `ignore_label`. Raises InputError that names the line.
    """
    if str(name) in known_label_maps():
        path = FOLDER / f"{name}.txt"
    elif Path(name).is_file():
        path = Path(name)
    else:
        raise InputError(f"--labels {name}: neither a file nor one of {', '.join(known_label_maps())}")
    tables, names = {1: {}, 3: {}}, {}
    for number, line in enumerate(read_text(path, "label map").splitlines(), 1):
        fields = line.split("#")[0].split()
        if fields:
            value, label, title = read_line(fields, f"{path}, line {number}")
            add_line(tables[len(value)], names, value, label, title, f"{path}, line {number}")
            tables[len(value)][value] = ignore_label if label is None else label
    if not tables[1] and not tables[3]:
        raise InputError(f"{path}: holds no line {LINE}")
    if names:    # of some classes; the others get one
        names = {**{label: f"class_{label}" for table in tables.values() for label in table.values()}, **names}
    names.pop(ignore_label, None)    # a file may write the number instead of the word
    return LabelMap(tables[1], tables[3], name_classes(names, path))


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
    """Enter the name of a class. Raises InputError for a value that stands twice, and for a class with two names."""
    if value in table:
        raise InputError(f"{place}: {' '.join(map(str, value))} stands there twice; keep one line")
    if label is None:
        return
    if title and names.setdefault(label, title) != title:
        raise InputError(f"{place}: class {label} is called {shown(names[label])} above and {shown(title)} here; "
                         "give both one name")


def name_classes(names: dict, path) -> list:
    """Names by number, class_N for one without; [] if the file has none. Raises InputError for a name twice."""
    classes = [names.get(number, f"class_{number}") for number in range(max(names, default=-1) + 1)]
    twice = [name for number, name in enumerate(classes) if name in classes[:number]]
    if twice:
        raise InputError(f"{path}: two classes are called {shown(twice[0])}; rename one")
    return classes
