"""CVAT's exports: "CVAT for images 1.1" (annotations.xml) and "Segmentation mask 1.1" (colour masks and labelmap.txt).

Source: docs.cvat.ai, "XML annotation format" and "Segmentation Mask"; cvat/apps/dataset_manager/formats/cvat.py and
mask.py. Polygons cover the same pixels as in CVAT's own mask export (through pycocotools).
"""
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

import numpy as np

from src.console import InputError
from src.data.annotations.coco import check_runs
from src.data.annotations.item import (
    Annotations,
    Item,
    class_list,
    class_numbers,
    missing_picture,
    read_whole_text,
    shown,
    to_points,
    to_size,
    visible,
)
from src.data.annotations.label_map import LabelMap
from src.data.annotations.raster import Bitmap, Shape, make_item
from src.data.folders import PICTURES
from src.data.labels import check_name
from src.data.mask_values import read_classes

LABELMAP = "labelmap.txt"
CORNERS = 100    # of an ellipse
MAX_DEPTH = 50    # of XML elements; CVAT's have 8
NO_SHAPES = ("tag", "attribute")    # elements of an image that are not shapes


def read_xml(path):
    """Root element of an XML file. Raises InputError for broken files, deep ones, and those that declare a DTD.

    A DTD can define entities that expand without limit or read other files; CVAT writes none.
    """
    builder, parser, depth = TreeBuilder(), expat.ParserCreate("utf-8"), [0]

    def start(tag, attributes):
        depth[0] += 1
        if depth[0] > MAX_DEPTH:
            raise InputError(f"{path}, line {parser.CurrentLineNumber}: elements nested too deeply for annotations")
        builder.start(tag, attributes)

    def end(tag):
        depth[0] -= 1
        builder.end(tag)

    def refuse(*_):
        raise InputError(f"{path}, line {parser.CurrentLineNumber}: a DTD (<!DOCTYPE>) is not accepted; delete it")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse
    try:
        parser.Parse(read_whole_text(path).encode(), True)
    except expat.ExpatError as error:
        raise InputError(f"{path}, line {error.lineno}: is not XML ({expat.errors.messages[error.code]}); "
                         "export it again") from None
    return builder.close()


def read_cvat_xml(path: Path, images) -> Annotations:
    """Annotations of "CVAT for images 1.1": classes in the order of the task's labels, shapes drawn by z_order.

    Pictures are searched in `images`, or in the folder `images` beside the file and beside the file itself.
    """
    root = read_xml(path)
    if root.tag != "annotations" or root.find("track") is not None:
        raise InputError(f"{path}: is not 'CVAT for images 1.1' (a video's tracks, or another XML file); choose that "
                         "format when exporting")
    labels = [check_name(label.findtext("name"), f"{path}, label {number} of the task")
              for number, label in enumerate(root.iterfind("./meta/*/labels/label"), 1)
              if not label.findtext("parent")]    # the points of skeletons are labels with a parent
    if not labels:
        raise InputError(f"{path}: lists no labels (meta/task/labels); export the whole task")
    roots = [Path(images)] if images else [path.parent / "images", path.parent]
    items = {}
    for picture in root.iterfind("image"):
        item = read_image(picture, path, labels, roots)
        if item.name in items:
            raise InputError(f"{path}: two images have the name {shown(item.name)} without its extension; rename one")
        items[item.name] = item
    return Annotations(class_list(labels, str(path)), list(items.values()))


def read_image(element, path: Path, labels: list, roots: list) -> Item:
    name, subset = element.get("name"), element.get("subset")
    place = f"{path}, image {shown(name)}"
    size = to_size(whole(element.get("width"), place), whole(element.get("height"), place), place)
    drawn = [child for child in element if child.tag not in NO_SHAPES]
    shapes = [read_shape(child, number, labels, place) for number, child in enumerate(drawn, 1)]
    orders = [whole(child.get("z_order", "0"), place) for child in drawn]
    shapes = [shapes[number] for number in np.argsort(orders, kind="stable")]
    if subset and "/" not in subset and subset != "..":    # a project's export has a folder for each subset
        roots = [root / subset for root in roots] + roots
    return make_item(name, roots, size, shapes, place)


def whole(text, place: str) -> int:
    try:
        return int(str(text)[:20])
    except ValueError:
        raise InputError(f"{place}: {shown(text)} is not a complete number; export it again") from None


def numbers(element, names, place: str) -> list:
    """The attributes `names` of an element as floats."""
    try:
        return [float(element.get(name)) for name in names]
    except (TypeError, ValueError):
        raise InputError(f"{place}: {' '.join(names)} are not all numbers; export it again") from None


def read_shape(element, number: int, labels: list, image: str) -> Shape:
    """A Shape of a child of an image element, checked. Raises InputError that names image and shape."""
    label = check_name(element.get("label"), f"{image}, shape {number}")
    name = f"shape {number} ({shown(label)})"
    place = f"{image}, {name}"
    if label not in labels:
        raise InputError(f"{place}: its label is not among those of the task ({', '.join(labels)[:100]})")
    if element.tag not in READERS:
        raise InputError(f"{place}: a shape of type {shown(element.tag)} has no area to learn; known types are "
                         f"{', '.join(READERS)}; delete it, or draw a polygon")
    kind, part = READERS[element.tag](element, place)
    return Shape(kind, label, [part], name)


def read_polygon(element, place: str) -> tuple:
    try:
        points = [[float(side) for side in point.split(",")] for point in element.get("points", "").split(";") if point]
    except ValueError:
        raise InputError(f"{place}: its points are not pairs of numbers; draw it again") from None
    return "area", to_points(points, place, 3)


def read_box(element, place: str) -> tuple:
    left, top, right, bottom = numbers(element, ("xtl", "ytl", "xbr", "ybr"), place)
    return turned(element, [[left, top], [right, top], [right, bottom], [left, bottom]], place)


def read_ellipse(element, place: str) -> tuple:
    """An ellipse as a polygon of many corners, rotated as a box is."""
    values = numbers(element, ("cx", "cy", "rx", "ry"), place)
    centre, radii = to_points(np.reshape(values, (2, 2)), place, 2)
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    return turned(element, centre + radii * np.stack([np.cos(angles), np.sin(angles)], 1), place)


def turned(element, corners, place: str) -> tuple:
    """An area with these corners, rotated around their centre by `rotation` degrees clockwise."""
    corners = to_points(corners, place, len(corners))
    degrees = numbers(element, ("rotation",), place) if element.get("rotation") else [0]
    angle = np.radians(to_points([[*degrees, 0]], place, 1)[0, 0])
    centre = corners.mean(0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])    # y points down
    return "area", to_points((corners - centre) @ turn + centre, place, len(corners))


def read_runs(element, place: str) -> tuple:
    """Run lengths along the rows of the box left, top, width, height."""
    left, top, width, height = (whole(element.get(name), place) for name in ("left", "top", "width", "height"))
    to_size(width, height, place)
    to_points([[left, top]], place, 1)
    runs = [whole(run, place) for run in element.get("rle", "").split(",")]
    return "bitmap", Bitmap(check_runs(runs, width * height, place), left, top, width, height, False)


READERS = {"polygon": read_polygon, "box": read_box, "ellipse": read_ellipse, "mask": read_runs}


def read_cvat_masks(path: Path, images) -> Annotations:
    """Annotations of a folder with labelmap.txt and SegmentationClass/ of colour masks.

    Pictures are searched in `images`, or in the folders JPEGImages and images of `path`; a mask has the name of its
    picture. Pictures without a mask are ignored.
    """
    colors = read_labelmap(path / LABELMAP)
    folders = [Path(images)] if images else [path / "JPEGImages", path / "images"]
    pictures = {file.relative_to(folder).with_suffix("").as_posix(): file for folder in reversed(folders)
                for file in visible(folder, "*") if file.suffix.lower() in PICTURES}
    items = []
    masks = path / "SegmentationClass"
    for mask in visible(masks, "*.png"):
        name = mask.relative_to(masks).with_suffix("").as_posix()
        if name not in pictures:
            raise missing_picture(name, folders, str(mask))
        items.append(Item(pictures[name], name, partial(draw_colors, pictures[name], mask, colors)))
    if not items:
        raise InputError(f"{masks}: holds no masks (.png); choose 'Segmentation mask 1.1' when exporting")
    return Annotations(class_list(colors.values(), str(path / LABELMAP)), items)


def read_labelmap(path: Path) -> dict:
    """(R, G, B) -> class name of the lines `name:R,G,B:parts:actions`; # begins a comment line."""
    colors = {}
    for number, line in enumerate(read_whole_text(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{path}, line {number}"
        name, *fields = line.rsplit(":", 3 if line.count(":") > 2 else 1)
        values = fields[0].split(",") if fields else []
        if len(values) != 3 or not all(value.strip().isdecimal() and int(value[:9]) < 256 for value in values):
            raise InputError(f"{place}: {shown(line.strip())} is not 'name:R,G,B::' with numbers up to 255")
        color = tuple(map(int, values))
        if color in colors:
            raise InputError(f"{place}: the colour {color} occurs twice; give each label its own")
        colors[color] = check_name(name, place)
    if not colors:
        raise InputError(f"{path}: holds no label; its lines are 'name:R,G,B::'")
    return colors


def draw_colors(image: Path, mask: Path, colors: dict, classes, ignore_label: int) -> np.ndarray:
    """Item.draw of colour masks: (H, W) uint8. Raises InputError for a colour that labelmap.txt does not list."""
    names = class_numbers(classes, ignore_label)
    unknown = [name for name in colors.values() if name not in names]
    if unknown:
        raise InputError(f"{mask}: the class {shown(unknown[0])} of labelmap.txt is not among those of the data set; "
                         "add it to --class_names")
    numbers = {color: names[name] for color, name in colors.items()}
    return read_classes(image, mask, LabelMap({}, numbers, []), LABELMAP)
