"""labelme's files: one JSON file for each picture, with polygons, rectangles, circles, lines and masks.

Source: labelme's label_file.py and utils/shape.py (github.com/wkentaro/labelme), versions 2 to 7. labelme applies the
EXIF orientation before it shows a picture, so points are in the rotated picture.
"""
import base64
import binascii
import io
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from src.console import InputError
from src.data.annotations.item import (
    BACKGROUND_NAMES,
    IGNORE,
    Annotations,
    Embedded,
    Item,
    class_list,
    find_picture,
    missing_picture,
    read_json,
    shown,
    to_points,
    to_size,
    visible,
)
from src.data.annotations.raster import Png, Shape, draw_shapes
from src.data.labels import check_name

# shape_type -> kind of Shape, least and largest number of points; no shape_type (labelme 2) means polygon
TYPES = {None: ("polygon", 3, None), "polygon": ("polygon", 3, None), "oriented_rectangle": ("polygon", 4, 4),
         "rectangle": ("rectangle", 2, 2), "circle": ("circle", 2, 2), "line": ("line", 2, 2),
         "linestrip": ("line", 2, None), "mask": ("png", 2, 2)}


def read_labelme(path: Path, images) -> Annotations:
    """Annotations of a labelme file, or of all .json files under a folder.

    Classes are in the order of their first use in the files, sorted by name. The picture is searched in `images` (a
    folder with the same subfolders as the files, or flat), beside the file, and last inside it (imageData).
    """
    files = visible(path, "*.json") if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    items, names, annotated = [], {}, {}
    for file in files:
        item, labels = read_file(file, root, images)
        if item.image in annotated:
            raise InputError(f"{file}: annotates {item.image}, as {annotated[item.image]} does; keep one of them")
        annotated[item.image] = file
        items.append(item)
        names.update(dict.fromkeys(labels))
    special = (*BACKGROUND_NAMES, IGNORE)
    return Annotations(class_list([name for name in names if name not in special], str(path)), items)


def read_file(file: Path, root: Path, images) -> tuple:
    """(Item, class names in their order) of one labelme file under `root`."""
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise InputError(f"{file}: is not a labelme file (it has no list of shapes); move other files elsewhere")
    sides = content.get("imageWidth"), content.get("imageHeight")    # labelme 2 did not write them
    size = None if sides == (None, None) else to_size(*sides, str(file))
    shapes = [read_shape(shape, number, str(file)) for number, shape in enumerate(content["shapes"], 1)]
    relative = file.relative_to(root).with_suffix("")
    image = picture_of(content, file, relative.parent, images)
    return (Item(image, relative.as_posix(), partial(draw_shapes, image, size, shapes, str(file))),
            [shape.label for shape in shapes])


def picture_of(content: dict, file: Path, folder: Path, images):
    """The picture's Path, or Embedded where only the labelme file holds it."""
    roots = ([Path(images, folder), Path(images)] if images else []) + [file.parent]
    name = content.get("imagePath")
    found = find_picture(name, roots, f"{file}, imagePath") if name or not content.get("imageData") else None
    if found:
        return found[0]
    if content.get("imageData"):
        return Embedded(file)
    raise missing_picture(name, roots, f"{file}, imagePath")


def read_shape(shape, number: int, file: str) -> Shape:
    """A Shape of an entry of `shapes`, checked. Raises InputError that names file and shape."""
    if not isinstance(shape, dict):
        raise InputError(f"{file}, shape {number}: is not a labelme shape")
    label = check_name(shape.get("label"), f"{file}, shape {number}")
    place = f"shape {number} ({shown(label)})"
    kind_of = shape.get("shape_type")
    if not (kind_of is None or isinstance(kind_of, str)) or kind_of not in TYPES:
        raise InputError(f"{file}, {place}: a shape of type {shown(kind_of)} has no area to learn; known types are "
                         f"{', '.join(filter(None, TYPES))}; delete it, or draw a polygon")
    kind, least, most = TYPES[kind_of]
    points = to_points(shape.get("points"), f"{file}, {place}", least)
    if most and len(points) > most:
        raise InputError(f"{file}, {place}: {len(points)} points, but a {kind_of} has {most}; draw it again")
    part = read_png(shape.get("mask"), points, f"{file}, {place}") if kind == "png" else points
    return Shape(kind, label, [part], place)


def read_png(text, points: np.ndarray, place: str) -> Png:
    """The mask of a shape of type mask: a PNG in base64, its corners at the two points.

    Integers are the first and last pixel. labelme may also write fractions; then the PNG's size is used.
    """
    try:
        content = base64.b64decode(text)
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
    except (binascii.Error, TypeError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"{place}: its mask is not a PNG in base64 ({error}); draw it again") from None
    if np.array_equal(points, np.trunc(points)) and not np.array_equal(points[1] - points[0] + 1, (width, height)):
        raise InputError(f"{place}: its mask has {width}x{height} pixels, but its points span another size; draw it "
                         "again")
    left, top = np.rint(points[0]).astype(int).tolist()
    return Png(content, left, top, width, height)
