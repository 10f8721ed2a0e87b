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
from src.files import write_whole

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


def regions(labels: np.ndarray) -> list:
    """The regions of a class map (H, W) uint8, by the area within their outline, largest first."""
    found = []
    for value in np.unique(labels).tolist():
        _, numbers, boxes, _ = cv2.connectedComponentsWithStats((labels == value).astype(np.uint8), connectivity=4)
        for number, (left, top, width, height, _) in enumerate(boxes[1:].tolist(), 1):
            inside = numbers[top:top + height, left:left + width] == number
            twice = inside.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
            contours, _ = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
            outer = max(contours, key=cv2.contourArea)    # the others are holes
            found.append(Region(value, left, top, inside, outer, len(contours) > 1))
    return sorted(found, key=lambda region: cv2.contourArea(region.outline), reverse=True)


def names_of(labels: np.ndarray, classes, ignore_label: int) -> dict:
    """Number -> labelme's name, for the numbers in a class map. Raises InputError for a number without a name."""
    names = dict(enumerate("_background_" if name in BACKGROUND_NAMES else name for name in classes))
    names[ignore_label] = IGNORE
    unknown = [value for value in np.unique(labels).tolist() if value not in names]
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
        return [Shape("polygon", names[region.value], region.points(tolerance), "") for region in found]

    shapes = simplest(labels, shapes_of, class_numbers(classes, ignore_label))
    content = {"version": "5.0.0", "flags": {},
               "shapes": [{"label": shape.label, "points": shape.data.tolist(), "group_id": None,
                           "description": "", "shape_type": "polygon", "flags": {}} for shape in shapes],
               "imagePath": image, "imageData": None, "imageHeight": labels.shape[0], "imageWidth": labels.shape[1]}
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=1).encode())


def write_coco(path, pictures, classes, ignore_label: int = 255) -> None:
    """Write class maps as one COCO file. `pictures` is an iterable of (file name, (H, W) uint8).

    Categories keep the classes' numbers; ignored pixels become the category __ignore__ with iscrowd. Raises the errors
    of write_labelme.
    """
    images, annotations, ignored = [], [], False
    for number, (name, labels) in enumerate(pictures, 1):
        images.append({"id": number, "file_name": name, "width": labels.shape[1], "height": labels.shape[0]})
        for entry in coco_annotations(labels, classes, ignore_label):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **entry})
            ignored = ignored or bool(entry["iscrowd"])
    categories = [{"id": number, "name": name} for number, name in enumerate(classes)
                  if name not in BACKGROUND_NAMES and number != ignore_label]
    categories += [{"id": ignore_label, "name": IGNORE}] if ignored else []
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_whole(path, json.dumps(content, ensure_ascii=False).encode())


def coco_annotations(labels: np.ndarray, classes, ignore_label: int) -> list:
    """Annotations of one class map without their ids: a polygon, or run lengths where a region has holes."""
    names = names_of(labels, classes, ignore_label)
    found = [region for region in regions(labels) if names[region.value] != "_background_"]

    def shapes_of(tolerance):
        return [Shape("bitmap", names[region.value], as_bitmap(region, labels.shape), "") if region.has_holes
                else Shape("outlines", names[region.value], [region.points(tolerance)], "") for region in found]

    entries = []
    for region, shape in zip(found, simplest(labels, shapes_of, class_numbers(classes, ignore_label))):
        height, width = region.inside.shape
        segmentation = ({"size": list(labels.shape), "counts": shape.data.runs.tolist()} if region.has_holes
                        else [part.ravel().tolist() for part in shape.data])
        entries.append({"category_id": region.value, "segmentation": segmentation,
                        "bbox": [region.left, region.top, width, height], "area": int(region.inside.sum()),
                        "iscrowd": int(region.value == ignore_label)})
    return entries


def as_bitmap(region: Region, size: tuple) -> Bitmap:
    """The region in a picture of size (H, W) as run lengths, down the columns as in COCO."""
    whole = np.zeros(size, np.uint8)
    whole[region.top:region.top + region.inside.shape[0],
          region.left:region.left + region.inside.shape[1]] = region.inside
    pixels = whole.T.ravel()
    turns = np.flatnonzero(np.diff(pixels, prepend=0))    # the first run is outside the region, so it may be empty
    return Bitmap(np.diff([0, *turns.tolist(), pixels.size]), 0, 0, size[1], size[0], True)
