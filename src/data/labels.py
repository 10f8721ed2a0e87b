"""The meaning of mask values: number of classes, ignored value, class names."""
from typing import NamedTuple

import cv2
import numpy as np

from src.console import InputError
from src.data.lists import read_lines
from src.foreign import has_control, shown

CLASSES = ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
           "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor")
HINT = "correct the mask, or num_classes in dataset.yaml; without such a file give --num_classes"
EXACT = 1 << 24    # counts of float32
MOST_CLASSES, MOST_LETTERS = 255, 200    # of a data set; of a class name
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"    # of the writing direction: a disguise


class Labels(NamedTuple):
    """The names of the classes 0 to num_classes - 1; pixels of ignore_label are neither trained nor scored."""

    num_classes: int
    ignore_label: int
    names: tuple

    def check(self, mask: np.ndarray, name, hint: str = HINT) -> None:
        """Raises InputError if `mask` (H, W) uint8 holds a value that is neither a class nor ignore_label."""
        low, ignored = self.num_classes, self.ignore_label
        wrong = ((low, ignored - 1), (max(low, ignored + 1), 255))    # inclusive ranges
        if any(first <= last and cv2.countNonZero(cv2.inRange(mask, first, last)) for first, last in wrong):
            value = mask[(mask >= low) & (mask != ignored)].min()
            raise InputError(f"{name}: mask {self.no_class(value)}; {hint}")

    def no_class(self, value: int) -> str:
        """Error text for a value that is neither a class nor ignore_label."""
        return f"value {value} is neither a class (0 to {self.num_classes - 1}) nor ignore_label {self.ignore_label}"


def count_values(mask: np.ndarray) -> np.ndarray:
    """(256,) int64 pixels of each value of a (H, W) uint8 mask. OpenCV counts in float32: exact up to 2 ** 24."""
    if not mask.size:
        return np.zeros(256, np.int64)
    rows = max(1, EXACT // mask.shape[1])
    parts = [cv2.calcHist([mask[start:start + rows]], [0], None, [256], [0, 256])
             for start in range(0, len(mask), rows)]
    return np.sum(parts, 0, dtype=np.float64).astype(np.int64).reshape(-1)


def check_name(name, place) -> str:
    """A class name, stripped. Raises InputError that begins with `place` for anything but 1 to MOST_LETTERS characters,
    and for control characters."""
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{place}: the class name {shown(name)} is not a text; give one, in YAML in quotes")
    if len(name) > MOST_LETTERS:
        raise InputError(f"{place}: a class name of {len(name)} characters; {MOST_LETTERS} at most: shorten it")
    if has_control(name) or set(name) & set(TURNS):
        raise InputError(f"{place}: the class name {shown(name)} holds a control character; rename it")
    return name.strip()


def check_names(names: list, num_classes: int, source) -> None:
    """Raises InputError if `names` are not num_classes different names, see check_name."""
    if not isinstance(names, (list, tuple)):
        raise InputError(f"{source}: class_names takes a list, not {shown(names)}")
    if len(names) > MOST_CLASSES:
        raise InputError(f"{source}: {len(names)} class names; {MOST_CLASSES} at most")
    if len(names) != num_classes:
        raise InputError(f"{source}: {len(names)} names for num_classes {num_classes}")
    for name in names:
        check_name(name, source)
        if names.count(name) > 1:
            raise InputError(f"{source}: the class name {shown(name)} occurs twice")


def unnamed(num_classes: int) -> list:
    """Names for classes that have none."""
    return [f"class_{number}" for number in range(num_classes)]


def make_labels(num_classes: int, ignore_label: int, path="", known=()) -> Labels:
    """Labels with names from the lines of the text file `path`, else `known`, else VOC's for 21 classes,
    else class_0, ...

    Raises InputError for names in the file that check_names refuses.
    """
    names = tuple(known)
    if path:
        names = tuple(read_lines(path, "--class_names"))
        check_names(names, num_classes, f"--class_names {path}")
    if len(names) != num_classes:
        names = CLASSES if num_classes == len(CLASSES) else tuple(unnamed(num_classes))
    return Labels(num_classes, ignore_label, names)
