"""Shapes drawn as class numbers, by the rules of each format's own tools.

labelme and its converter to COCO draw with Pillow: coordinates are truncated to integers, and the outline's pixels
belong to the shape. CVAT (through pycocotools) fills the pixels whose centre is inside; the first centre is at
(0.5, 0.5). For the same polygon the two differ by half a pixel along the border.
"""
import io
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from src.console import InputError
from src.data.annotations.item import (
    BACKGROUND,
    IGNORE,
    Item,
    class_numbers,
    find_picture,
    image_size,
    missing_picture,
    shown,
)

LINE_WIDTH = 10    # pixels; labelme's own (shape_to_mask), its files do not say
GRID = 5    # steps a pixel, of pycocotools
CROSSINGS = 1 << 22    # the most in an array of fill_area: limits its memory


class Shape(NamedTuple):
    """Something to draw: a key of KINDS, the class name, its parts, and its place for errors."""

    kind: str
    label: str
    parts: list    # (N, 2) float64 points x, y in pixels, Bitmaps or Pngs; they are united
    place: str


class Bitmap(NamedTuple):
    """A mask as alternating runs of pixels outside and inside, with its upper left corner at (left, top)."""

    runs: np.ndarray    # (N,) int64, sum width * height
    left: int
    top: int
    width: int
    height: int
    by_columns: bool    # True (COCO): down the columns; False (CVAT): along the rows


class Png(NamedTuple):
    """A mask as an encoded picture with its upper left corner at (left, top); pixels that are not black are inside."""

    content: bytes
    left: int
    top: int
    width: int
    height: int


def draw_polygon(canvas, points, number: int) -> None:
    """A polygon with its outline, as in labelme."""
    ImageDraw.Draw(canvas).polygon(as_tuples(points), fill=number, outline=number)


def draw_rectangle(canvas, points, number: int) -> None:
    corners = [tuple(points.min(0)), tuple(points.max(0))]
    ImageDraw.Draw(canvas).rectangle(corners, fill=number, outline=number)


def draw_circle(canvas, points, number: int) -> None:
    """A filled circle; `points` are its centre and a point on it."""
    radius = np.hypot(*(points[1] - points[0]))
    corners = [tuple(points[0] - radius), tuple(points[0] + radius)]
    ImageDraw.Draw(canvas).ellipse(corners, fill=number, outline=number)


def draw_line(canvas, points, number: int) -> None:
    joint = "curve" if len(points) > 2 else None    # round corners of a linestrip, as labelme draws them
    ImageDraw.Draw(canvas).line(as_tuples(points), fill=number, width=LINE_WIDTH, joint=joint)


def draw_area(canvas, points, number: int) -> None:
    """A polygon filled where pixel centres are inside."""
    left, top, inside = fill_area(points, *canvas.size)
    paste(canvas, inside, left, top, number)


def draw_bitmap(canvas, bitmap: Bitmap, number: int) -> None:
    paste(canvas, decode_runs(bitmap), bitmap.left, bitmap.top, number)


def draw_png(canvas, png: Png, number: int) -> None:
    with Image.open(io.BytesIO(png.content)) as picture:
        paste(canvas, np.asarray(picture.convert("L")) > 0, png.left, png.top, number)


KINDS = {"polygon": draw_polygon, "area": draw_area, "rectangle": draw_rectangle, "circle": draw_circle,
         "line": draw_line, "bitmap": draw_bitmap, "png": draw_png}


def as_tuples(points) -> list:
    return [tuple(point) for point in points.tolist()]


def paste(canvas, inside: np.ndarray, left: int, top: int, number: int) -> None:
    """Set the pixels of `inside` (h, w) bool to a number; parts outside the canvas are cut off."""
    box = left, top, left + inside.shape[1], top + inside.shape[0]
    if inside.size:
        canvas.paste(number, box, Image.fromarray(inside * np.uint8(255)))


def decode_runs(bitmap: Bitmap) -> np.ndarray:
    """(height, width) bool of a Bitmap."""
    pixels = np.repeat(np.arange(len(bitmap.runs)) % 2 == 1, bitmap.runs)
    if bitmap.by_columns:
        return np.ascontiguousarray(pixels.reshape(bitmap.width, bitmap.height).T)
    return pixels.reshape(bitmap.height, bitmap.width)


def fill_area(points: np.ndarray, width: int, height: int) -> tuple:
    """(left, top, (h, w) bool): the same pixels of a polygon as in pycocotools, cut to width x height.

    Its rule (maskApi.c, rlefrPoly): points are rounded to fifths of a pixel and joined by lines on that grid. Down each
    column of pixels, every line that crosses the column's middle switches between outside and inside (even-odd). A line
    exactly between two grid points may be rounded differently: one pixel in one of 150 polygons.
    """
    left, top = np.clip(np.floor(points.min(0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0)) + 1, (left, top), (width, height)).astype(int)
    starts = np.trunc(points * GRID + 0.5).astype(int) - (left * GRID, top * GRID)
    ends = np.roll(starts, -1, axis=0)
    turns = np.zeros((bottom - top + 1, right - left), np.uint8)
    step = max(1, CROSSINGS // max(right - left, 1))
    for first in range(0, len(points), step):
        mark_crossings(turns, starts[first:first + step], ends[first:first + step])
    return int(left), int(top), np.cumsum(turns[:-1], axis=0, dtype=np.uint8) % 2 == 1


def mark_crossings(turns: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    """Add 1 to `turns` (rows + 1, columns) at the first pixel below each crossing of a line with a column's middle.

    `starts`, `ends`: (N, 2) on the grid of fifths, where the middle lies between 5 * column + 2 and 5 * column + 3.
    """
    rows, columns = turns.shape[0] - 1, turns.shape[1]
    low, high = np.sort([starts[:, 0], ends[:, 0]], axis=0)
    first, after = np.clip([(low + 2) // GRID, (high + 2) // GRID], 0, columns)    # columns first ... after - 1
    counts = after - first
    edge = np.repeat(np.arange(len(starts)), counts)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    y = np.where(*crossing(starts[edge], ends[edge], GRID * column + 2))
    row = np.clip(np.ceil((y + 0.5) / GRID - 0.5), 0, rows).astype(int)
    np.add.at(turns, (row, column), 1)


def crossing(starts: np.ndarray, ends: np.ndarray, x: np.ndarray) -> tuple:
    """(whether flat, y if so, y if not): the upper of the two points of a grid line between x and x + 1.

    A flat line has a point for every x, y rounded; a steep one has a point for every y, x rounded.
    """
    across, down = (ends - starts).T
    flat = np.abs(across) >= np.abs(down)
    backwards = np.where(flat, across, down) < 0    # a line is drawn from left to right, or from top to bottom
    starts = np.where(backwards[:, None], ends, starts).astype(float)
    across, down = np.where(backwards, -across, across), np.where(backwards, -down, down)
    slope = down / across
    at_x, after_x = (np.floor(starts[:, 1] + slope * (x + side - starts[:, 0]) + 0.5) for side in (0, 1))
    exact = starts[:, 1] + (x + 0.5 - starts[:, 0]) / (across / np.where(flat, 1, down))
    return flat, np.minimum(at_x, after_x), np.where(across > 0, np.ceil(exact) - 1, np.floor(exact))


def extent(shape: Shape) -> tuple:
    """(left, top, right, bottom) of a shape's parts."""
    if shape.kind in ("bitmap", "png"):
        mask, = shape.parts
        return mask.left, mask.top, mask.left + mask.width, mask.top + mask.height
    points = np.concatenate(shape.parts)
    around = np.hypot(*(points[1] - points[0])) if shape.kind == "circle" else 0
    return (*(points.min(0) - around), *(points.max(0) + around))


def check_extent(shape: Shape, width: int, height: int, place: str) -> None:
    """Raises InputError for a shape completely outside a picture, and for a mask or circle far larger than it."""
    left, top, right, bottom = extent(shape)
    if left >= width or top >= height or right < 0 or bottom < 0:
        raise InputError(f"{place}: is completely outside the picture of {width}x{height}; delete it, or check whether "
                         "the annotations belong to another picture")
    if shape.kind == "circle" and right - left > 2 * (width + height):    # Pillow would take minutes
        raise InputError(f"{place}: its radius {(right - left) / 2:.0f} is larger than the picture; draw it again")
    if shape.kind in ("bitmap", "png") and (right - left > width or bottom - top > height):
        raise InputError(f"{place}: its mask of {right - left}x{bottom - top} is larger than the picture of "
                         f"{width}x{height}; draw it again")


def draw_on(width: int, height: int, shapes, numbers: dict, where: str) -> np.ndarray:
    """(height, width) uint8: background, then the shapes in order, each over those before. `numbers`: class_numbers."""
    canvas = Image.new("L", (width, height), numbers[BACKGROUND])
    for shape in shapes:
        place = f"{where}, {shape.place}"
        if shape.label not in numbers:
            raise InputError(f"{place}: the class {shown(shape.label)} is not among those of the data set; add it to "
                             f"--class_names, or name the shape {IGNORE}")
        check_extent(shape, width, height, place)
        try:
            for part in shape.parts:
                KINDS[shape.kind](canvas, part, numbers[shape.label])
        except (OSError, SyntaxError, ValueError, EOFError) as error:    # of an encoded mask
            raise InputError(f"{place}: its mask is damaged ({error}); draw it again") from None
    return np.array(canvas)


def draw_shapes(image, size, shapes, where: str, classes, ignore_label: int) -> np.ndarray:
    """Item.draw of the formats with shapes: (H, W) uint8 class numbers.

    `size` (width, height) is the picture's size in the annotation file, None if it has none; `where` begins errors.
    """
    width, height = image_size(image)
    if size is not None and size != (width, height):
        fix = ("they were drawn without its EXIF rotation: remove that tag"
               if size == (height, width) else "take the picture that was annotated")
        raise InputError(f"{where}: the annotations are for {size[0]}x{size[1]}, but the picture {image} is "
                         f"{width}x{height}; {fix}")
    return draw_on(width, height, shapes, class_numbers(classes, ignore_label), where)


def make_item(text, roots: list, size, shapes: list, place: str) -> Item:
    """The Item of the picture that an annotation file names `text`, in one of `roots`; see find_picture, draw_shapes.
    """
    found = find_picture(text, roots, place)
    if not found:
        raise missing_picture(text, roots, place)
    image, relative = found
    return Item(image, relative.with_suffix("").as_posix(), partial(draw_shapes, image, size, shapes, place))
