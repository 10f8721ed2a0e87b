"""Code that the readers of annotation formats share: annotated pictures, and checks whose errors name the place."""
import base64
import binascii
import io
import json
import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Callable, NamedTuple, Union

import numpy as np
from PIL import Image

from src.console import InputError
from src.data.lists import read_text, spellings
from src.data.pictures import picture_size
from src.files import read_bytes
from src.foreign import has_control, shown

BACKGROUND, IGNORE = "background", "__ignore__"
BACKGROUND_NAMES = (BACKGROUND, "_background_", "__background__")    # labelme's and torchvision's spellings
MAX_FILE = 1 << 30       # bytes; instances_train2017.json of COCO has 0.45e9
MAX_SIDE, MAX_PIXELS = 1 << 20, 1 << 30    # OpenCV's limits: larger pictures could not be read for training either
MAX_COORDINATE = 1e6
FOREIGN_BYTES = re.compile("[\udc80-\udcff]")    # of file names that are no UTF-8, as Python keeps them


class Embedded(NamedTuple):
    """A picture inside a labelme file, as base64 in its imageData; `path` is the labelme file."""

    path: Path

    def __str__(self):
        return f"{self.path}, imageData"


class Item(NamedTuple):
    """One annotated picture.

    draw(classes, ignore_label) -> (H, W) uint8 class numbers; H x W is the picture's size after its EXIF rotation.
    `classes` are the names by number. Pixels without annotation get the number of the background, or ignore_label where
    `classes` has no background. It raises InputError for shapes that do not fit the picture. Items can be pickled.
    """

    image: Union[Path, Embedded]
    name: str    # relative path without extension, separated by /
    draw: Callable


class Annotations(NamedTuple):
    """classes: names by number, "background" first; items: list of Item in the file's order."""

    classes: list
    items: list


def image_bytes(image) -> bytes:
    """The encoded picture of an Item, from its file or from the labelme file."""
    if isinstance(image, Path):
        return read_bytes(image)
    try:
        return base64.b64decode(read_json(image.path)["imageData"])
    except (binascii.Error, ValueError, TypeError, KeyError):
        raise InputError(f"{image.path}: imageData is not a picture in base64; put the picture beside the file"
                         ) from None


def image_size(image) -> tuple:
    """(width, height) of an Item's picture after its EXIF rotation. Raises InputError."""
    try:
        with Image.open(image if isinstance(image, Path) else io.BytesIO(image_bytes(image))) as picture:
            width, height = picture_size(picture)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"{image}: is not a picture that can be read ({error})") from None
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(f"{image}: {width}x{height} is larger than the limit of 2^30 pixels; cut it into parts")
    return width, height


def read_whole_text(path) -> str:
    """The text of an annotation file of at most MAX_FILE bytes."""
    if os.path.isfile(path) and os.path.getsize(path) > MAX_FILE:
        raise InputError(f"{path}: {os.path.getsize(path)} bytes, more than {MAX_FILE}; split the annotations")
    text = read_text(path, "annotations")
    if not text.strip():
        raise InputError(f"{path}: is empty; export it again")
    return text


def read_json(path):
    """The content of a JSON file. Raises InputError that names the line where it is broken."""
    try:
        return json.loads(read_whole_text(path))
    except RecursionError:
        raise InputError(f"{path}: its lists are nested too deeply for annotations") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: is not JSON ({error.msg}); export it again") from None
    except ValueError as error:    # an integer of thousands of digits
        raise InputError(f"{path}: is not JSON of annotations ({error})") from None


def class_list(names, place: str) -> list:
    """"background" and the other names in their order. Raises InputError for a repeated name."""
    names = [BACKGROUND if name in BACKGROUND_NAMES else name for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{place}: the class name {shown(twice[0])} occurs twice; rename one")
    return [BACKGROUND] + [name for name in names if name not in (BACKGROUND, IGNORE)]


def class_numbers(classes, ignore_label: int) -> dict:
    """Name -> number in a mask, labelme's special names included."""
    numbers = {name: number for number, name in enumerate(classes)}
    background = next((numbers[name] for name in BACKGROUND_NAMES if name in numbers), ignore_label)
    return {**numbers, **dict.fromkeys(BACKGROUND_NAMES, background), IGNORE: ignore_label}


def to_points(values, place: str, least: int) -> np.ndarray:
    """(N, 2) float64 points (x, y) in pixels, N >= least. Raises InputError for anything else, NaN and huge numbers."""
    try:
        points = np.asarray(values)
    except ValueError:    # lists of different lengths
        points = np.empty(0)
    if points.size and (points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf"):
        raise InputError(f"{place}: its points are not pairs of numbers; draw it again")
    if not points.size or len(points) < least:
        raise InputError(f"{place}: {len(points)} points where at least {least} are needed; draw it again or delete it")
    if not np.all(np.abs(points) <= MAX_COORDINATE):    # false for NaN
        raise InputError(f"{place}: a coordinate is NaN or beyond {MAX_COORDINATE:.0f}; draw it again or delete it")
    return points.astype(np.float64)


def to_size(width, height, place: str) -> tuple:
    """(width, height) as integers, in pixels. Raises InputError for anything else."""
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in (width, height)):
        raise InputError(f"{place}: width {shown(width)} and height {shown(height)} are not a picture's size in pixels")
    return width, height


def find_picture(text, roots, place: str):
    """(path, relative path) of the picture that an annotation file names `text`, or None.

    A relative path is searched in each of `roots`, then its file name alone, since files copied to another machine keep
    the paths of the old one. Of a path that is absolute or leads upwards only the file name is used, so nothing outside
    `roots` is opened. Raises InputError for an impossible file name.
    """
    if not isinstance(text, str) or not text.strip() or has_control(FOREIGN_BYTES.sub("", text)):
        raise InputError(f"{place}: {shown(text)} is not the file name of a picture")
    relative = PurePosixPath(text.replace("\\", "/"))    # Windows writes backslashes
    alone = PurePosixPath(relative.name)
    outside = relative.is_absolute() or ".." in relative.parts or re.match("[A-Za-z]:(/|$)", str(relative))
    for root in roots:
        for candidate in dict.fromkeys([alone] if outside else [relative, alone]):
            for name in spellings(str(candidate)):
                if os.path.isfile(Path(root, name)):    # false, unlike Path.is_file, for a name that is too long
                    return Path(root, name), PurePosixPath(name)
    return None


def visible(folder: Path, pattern: str) -> list:
    """Files of a pattern under a folder, sorted, without hidden ones (macOS leaves such files in archives)."""
    return [path for path in sorted(folder.rglob(pattern)) if not path.name.startswith(".") and path.is_file()]


def missing_picture(text, roots, place: str) -> InputError:
    where = " and ".join(str(root) for root in dict.fromkeys(map(Path, roots)))
    return InputError(f"{place}: no picture {shown(text)} in {where}; give its folder with --images")
