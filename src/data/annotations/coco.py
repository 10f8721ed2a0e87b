"""COCO's JSON: one file for all pictures, with polygons and run-length masks.

Source: cocodataset.org/#format-data; pycocotools (mask.py, maskApi.c) for the run lengths. They are read here: 40 lines
replace a compiled dependency, and a user's file has to be checked in any case.

Polygons are drawn as in labelme's converter, with their outlines, so that neighbours with a common line leave no gap.
pycocotools fills the pixels whose centre is inside, half a pixel less along every border; on three VOC pictures 0.3 to
0.6 % of the pixels differ.
"""
from pathlib import Path

import numpy as np

from src.console import InputError
from src.data.annotations.item import IGNORE, Annotations, class_list, shown, to_points, to_size
from src.data.annotations.raster import Bitmap, Shape, make_item
from src.data.labels import check_name


def read_coco(path: Path, images, content) -> Annotations:
    """Annotations of a COCO file: classes in the order of `categories`, not of their ids; later shapes cover earlier.

    Pictures are searched in `images`, or beside the file and in its folder `images`. A crowd (iscrowd) becomes
    ignore_label. `content` is the parsed file.
    """
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list)
                                                for key in ("images", "annotations", "categories")):
        raise InputError(f"{path}: is not a COCO file of masks (images, annotations and categories); export it again")
    names = read_categories(content["categories"], path)
    pictures = by_id(content["images"], path, "image")
    shapes = {number: [] for number in pictures}
    for number, entry in enumerate(content["annotations"], 1):
        picture, shape = read_annotation(entry, number, path, pictures, names)
        shapes[picture].append(shape)
    roots = [Path(images)] if images else [path.parent, path.parent / "images"]
    items = {}
    for number, entry in pictures.items():
        place = f"{path}, image {shown(entry['id'])}"
        size = to_size(entry.get("width"), entry.get("height"), place)
        item = make_item(entry.get("file_name"), roots, size, shapes[number], place)
        if item.name in items and items[item.name].image != item.image:    # x.png beside x.jpg
            item = item._replace(name=item.name + item.image.suffix)
        if item.name in items:
            raise InputError(f"{path}: the image {shown(item.name)} stands there twice; delete one")
        items[item.name] = item
    return Annotations(class_list(names.values(), str(path)), list(items.values()))


def by_id(entries: list, path: Path, what: str) -> dict:
    """id -> entry, in the file's order. Raises InputError for an entry without a unique id."""
    table = {}
    for number, entry in enumerate(entries, 1):
        key = entry.get("id") if isinstance(entry, dict) else None
        if type(key) not in (int, str) or key in table:
            raise InputError(f"{path}: {what} {number} has no unique id ({shown(key)})")
        table[key] = entry
    return table


def read_categories(entries: list, path: Path) -> dict:
    """id -> class name."""
    return {key: check_name(entry.get("name"), f"{path}, category {shown(key)}")
            for key, entry in by_id(entries, path, "category").items()}


def read_annotation(entry, number: int, path: Path, pictures: dict, names: dict) -> tuple:
    """(id of the picture, Shape) of an entry of `annotations`, checked."""
    if not isinstance(entry, dict):
        raise InputError(f"{path}, annotation {number}: is not a COCO annotation")
    name = f"annotation {shown(entry.get('id', number))}"
    place = f"{path}, {name}"
    picture, category = entry.get("image_id"), entry.get("category_id")
    for what, key, table in (("image", picture, pictures), ("category", category, names)):
        if type(key) not in (int, str) or key not in table:
            known = ", ".join(shown(key) for key in list(table)[:10]) + (", ..." if len(table) > 10 else "")
            raise InputError(f"{place}: unknown {what}_id {shown(key)}; the file has {known or 'no ' + what}")
    if entry.get("iscrowd") not in (0, 1, None):
        raise InputError(f"{place}: iscrowd is {shown(entry['iscrowd'])}, not 0 or 1; correct it")
    label = IGNORE if entry.get("iscrowd") else names[category]
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        size = to_size(pictures[picture].get("width"), pictures[picture].get("height"), place)
        return picture, Shape("bitmap", label, [read_runs(segmentation, size, place)], name)
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError(f"{place}: has no segmentation (a box is not a mask); draw one, or delete it")
    parts = [to_part(part, place) for part in segmentation]
    return picture, Shape("polygon", label, parts, name)


def to_part(values, place: str) -> np.ndarray:
    """(N, 2) points of a flat list x, y, x, y, ..."""
    if not isinstance(values, list) or len(values) % 2:
        raise InputError(f"{place}: a polygon is not a list of x, y, x, y, ...; draw it again")
    return to_points(list(zip(values[::2], values[1::2])), place, 3)


def read_runs(segmentation: dict, size: tuple, place: str) -> Bitmap:
    """A run-length mask, its counts a list or COCO's compressed text, checked against the picture's size."""
    width, height = size
    if segmentation.get("size") != [height, width]:
        raise InputError(f"{place}: its mask has the size {shown(segmentation.get('size'))} (height, width), its "
                         f"picture [{height}, {width}]; export it again")
    counts = segmentation.get("counts")
    runs = decompress(counts, place) if isinstance(counts, str) else counts
    return Bitmap(check_runs(runs, width * height, place), 0, 0, width, height, True)


def check_runs(counts, pixels: int, place: str) -> np.ndarray:
    """(N,) int64 run lengths. Raises InputError unless they are whole numbers >= 0 that sum to `pixels`."""
    try:
        runs = np.asarray(counts)
    except ValueError:
        runs = np.empty((0, 0))
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise InputError(f"{place}: its run lengths are not whole numbers; export it again")
    if not np.all((runs >= 0) & (runs <= pixels)) or runs.sum(dtype=np.int64) != pixels:
        raise InputError(f"{place}: its run lengths do not sum to the mask's {pixels} pixels, or one is negative; "
                         "export it again")
    return runs.astype(np.int64)


def decompress(text: str, place: str) -> list:
    """Run lengths of COCO's compressed text.

    A number is written in groups of five bits, the low ones first, as characters from "0" on. 32 is added where more
    groups follow; 16 in the last group means a negative number. From the fourth number on the difference to the number
    two places before is written.
    """
    counts, value, shift = [], 0, 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift > 60:
            raise InputError(f"{place}: its compressed run lengths are damaged; export it again")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise InputError(f"{place}: its compressed run lengths end within a number; export it again")
    return counts
