"""Class maps as shapes for correction by hand: simplified outlines for labelme and COCO.

Every 4-connected region of one class becomes a shape; regions with a larger outline come first. labelme has no holes: a
hole is a region of its own and is drawn later. COCO's readers take each shape alone, so a region with holes is written
there as run lengths.
"""
import json
from typing import NamedTuple

import cv2
import numpy as np

from src.console import InputError
from src.data.annotations.item import BACKGROUND_NAMES, IGNORE, class_numbers
from src.data.annotations.raster import Bitmap, Shape, draw_on
from src.data.labels import count_values
from src.files import sealed, write_whole

TOLERANCES = (1.0, 0.5, 0.25, 0.0)    # largest distance of a simplified outline from the true one, pixels
AGREEMENT = 0.99    # share of the picture's pixels that must keep their class when the shapes are drawn again


class Region(NamedTuple):
    """A 4-connected region of one class; `inside` (h, w) bool are its pixels, with its corner at (left, top)."""

    value: int
    left: int
    top: int
    inside: np.ndarray
    outline: np.ndarray    # (N, 1, 2) int32 pixels of `inside` enlarged twice: through the middle of quarter pixels
    has_holes: bool

    def points(self, tolerance: float) -> np.ndarray:
        """(N, 2) float64 corners of the outline in the picture's pixels, N >= 4.

        They are a quarter of a pixel inside the region's edge: truncated to integers they are its border pixels
        (labelme), and the centres of these are inside (COCO).
        """
        simple = cv2.approxPolyDP(self.outline, 2 * tolerance, True)
        outline = simple if len(simple) > 3 else self.outline
        return outline[:, 0] / 2 + 0.25 + (self.left, self.top)


def values_of(labels: np.ndarray) -> list:
    """The numbers in a class map, each once."""
    return np.flatnonzero(count_values(labels)).tolist()


def regions(labels: np.ndarray) -> list:
    """The regions of a class map (H, W) uint8, by the area within their outline, largest first."""
    found = []
    for value in values_of(labels):
        is_value = cv2.inRange(labels, value, value)
        x, y, width, height = cv2.boundingRect(is_value)    # most classes fill a part of the picture only
        _, numbers, boxes, _ = cv2.connectedComponentsWithStats(is_value[y:y + height, x:x + width], connectivity=4)
        for number, (left, top, width, height, _) in enumerate(boxes[1:].tolist(), 1):
            inside = numbers[top:top + height, left:left + width] == number
            twice = inside.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
            contours, _ = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
            outer = max(contours, key=cv2.contourArea)    # the others are holes
            found.append(Region(value, x + left, y + top, inside, outer, len(contours) > 1))
    return sorted(found, key=lambda region: cv2.contourArea(region.outline), reverse=True)


def names_of(labels: np.ndarray, classes, ignore_label: int) -> dict:
    """Number -> labelme's name, for the numbers in a class map. Raises InputError for a number without a name."""
    names = dict(enumerate("_background_" if name in BACKGROUND_NAMES else name for name in classes))
    names[ignore_label] = IGNORE
    unknown = [value for value in values_of(labels) if value not in names]
    if unknown:
        raise InputError(f"the class map holds {unknown[0]}, but there are {len(classes)} classes; give --class_names")
    return names


def simplest(labels: np.ndarray, shapes_of, numbers: dict) -> list:
    """The shapes of shapes_of(tolerance) at the coarsest tolerance that keeps AGREEMENT of the pixels."""
    height, width = labels.shape
    for tolerance in TOLERANCES:
        shapes = shapes_of(tolerance)
        if np.mean(draw_on(width, height, shapes, numbers, "class map") == labels) >= AGREEMENT:
            break
    return shapes


def visible_regions(labels: np.ndarray, names: dict) -> list:
    """The regions to draw: all except background that touches the picture's border, which is inside no other region."""
    height, width = labels.shape
    return [region for region in regions(labels) if names[region.value] != "_background_" or (
        region.left > 0 and region.top > 0 and region.left + region.inside.shape[1] < width
        and region.top + region.inside.shape[0] < height)]


def write_labelme(path, labels: np.ndarray, classes, image: str, ignore_label: int = 255) -> None:
    """Write a class map (H, W) uint8 as the labelme file of the picture `image`, a path relative to the file.

    Raises InputError for a number that is neither a class nor ignore_label, RunError if the file cannot be written.
    """
    names = names_of(labels, classes, ignore_label)
    found = visible_regions(labels, names)

    def shapes_of(tolerance):
        return [Shape("polygon", names[region.value], [region.points(tolerance)], "") for region in found]

    shapes = simplest(labels, shapes_of, class_numbers(classes, ignore_label))
    content = {"version": "5.0.0", "flags": {},
               "shapes": [{"label": shape.label, "points": shape.parts[0].tolist(), "group_id": None,
                           "description": "", "shape_type": "polygon", "flags": {}} for shape in shapes],
               "imagePath": image, "imageData": None, "imageHeight": labels.shape[0], "imageWidth": labels.shape[1]}
    write_whole(path, sealed(json.dumps(content, ensure_ascii=False)))


class CocoFile:
    """A COCO file in the making: class maps come in any order and from any thread, and are kept as encoded shapes.

    Categories keep the classes' numbers; pixels to ignore become the category __ignore__ with iscrowd. Pictures stand
    in the order of their names.
    """

    def __init__(self, classes, ignore_label: int = 255):
        self.classes, self.ignore_label = classes, ignore_label
        self.found = {}    # name of a picture -> ((H, W), its annotations as JSON, without their ids)

    def add(self, name: str, labels: np.ndarray) -> None:
        """Add the class map (H, W) uint8 of the picture called `name`. Raises InputError as write_labelme does."""
        entries = coco_annotations(labels, self.classes, self.ignore_label)
        self.found[name] = labels.shape, [json.dumps(entry) for entry in entries]

    def write(self, path) -> None:
        """Write the file. Raises RunError if it cannot be written."""
        images, annotations = [], []
        for image, (name, ((height, width), entries)) in enumerate(sorted(self.found.items()), 1):
            images.append({"id": image, "file_name": name, "width": width, "height": height})
            annotations += [f'{{"id": {number}, "image_id": {image}, {entry[1:]}'
                            for number, entry in enumerate(entries, len(annotations) + 1)]
        names = [(number, name) for number, name in enumerate(self.classes)
                 if name not in BACKGROUND_NAMES and number != self.ignore_label]
        names += [(self.ignore_label, IGNORE)] * any('"iscrowd": 1' in entry for entry in annotations)
        head = {"images": images, "categories": [{"id": number, "name": name} for number, name in names]}
        text = json.dumps(head, ensure_ascii=False)[:-1]
        write_whole(path, sealed(f'{text}, "annotations": [{", ".join(annotations)}]}}'))


def coco_annotations(labels: np.ndarray, classes, ignore_label: int) -> list:
    """Annotations of one class map without their ids: a polygon, or run lengths where a region has holes."""
    names = names_of(labels, classes, ignore_label)
    found = [region for region in regions(labels) if names[region.value] != "_background_"]

    def shapes_of(tolerance):
        return [Shape("bitmap", names[region.value], [as_bitmap(region, labels.shape)], "") if region.has_holes
                else Shape("polygon", names[region.value], [region.points(tolerance)], "") for region in found]

    entries = []
    for region, shape in zip(found, simplest(labels, shapes_of, class_numbers(classes, ignore_label))):
        height, width = region.inside.shape
        segmentation = ({"size": list(labels.shape), "counts": shape.parts[0].runs.tolist()} if region.has_holes
                        else [part.ravel().tolist() for part in shape.parts])
        entries.append({"category_id": region.value, "segmentation": segmentation,
                        "bbox": [region.left, region.top, width, height], "area": int(region.inside.sum()),
                        "iscrowd": int(region.value == ignore_label)})
    return entries


def as_bitmap(region: Region, size: tuple) -> Bitmap:
    """The region in a picture of size (H, W), as COCO counts it: down the columns."""
    left, (rows, columns) = region.left, region.inside.shape
    strip = np.zeros((columns, size[0]), np.uint8)    # the columns that the region reaches, as rows
    strip[:, region.top:region.top + rows] = region.inside.T
    turns = np.flatnonzero(np.diff(strip.ravel(), prepend=np.uint8(0), append=np.uint8(0))) + left * size[0]
    ends = [0, *turns[turns < size[0] * size[1]].tolist(), size[0] * size[1]]    # the first run may be empty
    return Bitmap(np.diff(ends), 0, 0, size[1], size[0], True)
