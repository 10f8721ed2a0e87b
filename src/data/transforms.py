"""Transforms of training pictures and masks: pure functions, every random draw an argument."""
import math
from typing import NamedTuple

import cv2
import numpy as np

GRID_TOLERANCE = 1 / 64    # source pixels that the sampling grid of a cut may lie off the whole picture's


class Draw(NamedTuple):
    """The random choices for one training sample."""

    scale: float
    offset_h: int    # rows of the padded, resized picture above the crop
    offset_w: int
    flip: bool


def scaled_size(height: int, width: int, scale: float) -> tuple:
    """Height and width after the random resize, truncated as the zoo's transform does."""
    return max(1, int(scale * height)), max(1, int(scale * width))


def draw_transform(rng: np.random.Generator, height: int, width: int, crop_size: int,
                   min_scale: float, max_scale: float) -> Draw:
    """Draw scale, crop offsets and flip for a picture of this size; all three uniform (paper section 4.1)."""
    scale = rng.uniform(min_scale, max_scale)
    rows, columns = scaled_size(height, width, scale)
    return Draw(scale,
                int(rng.integers(0, max(rows, crop_size) - crop_size + 1)),
                int(rng.integers(0, max(columns, crop_size) - crop_size + 1)),
                bool(rng.random() < 0.5))


def train_transform(image: np.ndarray, mask: np.ndarray, draw: Draw, out: tuple, fill, ignore_label: int,
                    recolour=None) -> tuple:
    """Random resize (bicubic, nearest for the mask), padding, crop and flip of one sample, as in the zoo's dataset;
    written to `out`, which is returned.

    Only the part of the resized picture that the crop keeps is computed. Normalisation is left to the network:
    pictures stay uint8, a quarter of the bytes to move.

    Args:
        image: (H, W, 3) uint8, blue green red.
        mask: (H, W) uint8 class numbers.
        out: arrays to write to, such as a sample's place in a batch: image (3, crop, crop) and mask (crop, crop) uint8.
        fill: three uint8 values for the padding right and below, the rounded mean (0 once normalised).
        ignore_label: the mask's padding.
        recolour: what is done to the part that the crop keeps, (rows, columns, 3) uint8, before it is padded.
    """
    out_image, out_mask = out
    crop_size = len(out_mask)
    size = scaled_size(*mask.shape, draw.scale)
    rows = min(crop_size, size[0] - draw.offset_h)
    columns = min(crop_size, size[1] - draw.offset_w)
    window = (draw.offset_h, draw.offset_w, rows, columns)
    left = crop_size - columns if draw.flip else 0    # the padding is mirrored too

    part = resize_window(image, size, window)
    if recolour:
        part = recolour(part)
    cv2.split(cv2.flip(part, 1) if draw.flip else part, list(out_image[:, :rows, left:left + columns]))
    resize_mask_window(mask, size, window, draw.flip, out_mask[:rows, left:left + columns])
    for plane, value in zip((*out_image, out_mask), (*fill, ignore_label)):
        plane[rows:] = value
        plane[:rows, :left] = value
        plane[:rows, left + columns:] = value
    return out


def resize_window(image: np.ndarray, size: tuple, window: tuple) -> np.ndarray:
    """The window (top, left, rows, columns) of `image` resized bicubically to `size` (rows, columns).

    Equal to resizing the whole picture and cutting the window out, except that the sampling grid may lie up to
    GRID_TOLERANCE source pixels off: OpenCV starts its grid at a corner, so the cut begins where
    both grids nearly meet.
    """
    (cut_h, first_h, step_h), (cut_w, first_w, step_w) = (
        cut_axis(length, target, start, count)
        for length, target, start, count in zip(image.shape[:2], size, window[:2], window[2:]))
    part = cv2.resize(image[cut_h, cut_w], None, fx=step_w, fy=step_h, interpolation=cv2.INTER_CUBIC)
    return part[first_h:first_h + window[2], first_w:first_w + window[3]]


def cut_axis(length: int, target: int, start: int, count: int) -> tuple:
    """The part of an axis of `length` pixels that must be resized to get `count` pixels from `start` at size `target`.

    Returns the slice of the source, the window's first pixel in the resized cut, and the factor target / length.
    """
    ratio = length / target    # source pixels a resized pixel
    margin = math.ceil(3 / ratio) + 1    # bicubic looks 2 source pixels to each side
    positions = np.arange(max(0, start - margin) + 1) * ratio
    begin = int(np.flatnonzero(np.abs(positions - np.round(positions)) <= GRID_TOLERANCE)[-1])    # 0 always fits
    first = round(begin * ratio)
    last = min(length, first + math.ceil((start - begin + count) * ratio) + 3)
    return slice(first, last), start - begin, target / length


def resize_mask_window(mask: np.ndarray, size: tuple, window: tuple, flip: bool, out: np.ndarray) -> None:
    """Write the window of `mask` resized to `size` by nearest neighbour, mirrored if `flip`, to `out` (rows, columns).

    Equal to cv2.INTER_NEAREST on every pixel. Whole rows are picked, of the mask and of its transpose: copying rows
    is several times quicker than picking pixels.
    """
    rows, columns = (nearest_indices(*axis) for axis in zip(mask.shape, size, window[:2], window[2:]))
    turned = cv2.transpose(mask[rows])[columns[::-1] if flip else columns]
    cv2.transpose(turned, dst=out)


def nearest_indices(length: int, target: int, start: int, count: int) -> np.ndarray:
    """Source pixels of the `count` pixels from `start` of an axis of `length` resized to `target`."""
    step = 1.0 / (target / length)    # in this order: OpenCV rounds the same way
    return np.minimum(np.floor(np.arange(start, start + count) * step).astype(np.intp), length - 1)
