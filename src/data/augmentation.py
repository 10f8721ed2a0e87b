"""Colours and rotation of training pictures, for small data sets: off by default, drawn after what is published."""
import math
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from src.data.transforms import Draw, scaled_size, train_transform

LEVELS = np.arange(256, dtype=np.float64)
MARGIN = 2    # source pixels around a cut that bilinear sampling looks at


class Extra(NamedTuple):
    """The further random choices for one training sample; the colours are those of torchvision's ColorJitter."""

    angle: float = 0.0    # degrees, counter-clockwise
    brightness: float = 1.0    # factor on every value
    contrast: float = 1.0    # factor on the distance to the mean of the gray picture
    saturation: float = 1.0    # factor on the distance to the gray picture
    hue: float = 0.0    # turn of the colour circle, 1 is a full one
    order: tuple = (0, 1, 2, 3)    # of the four changes of colours


def draw_extra(rng: np.random.Generator, photometric, rotate: float) -> Extra:
    """Draw an Extra, every number uniform about its neutral value.

    As many numbers are drawn whatever the strengths, so one option does not change the draws of the other.

    Args:
        photometric: brightness, contrast, saturation, hue: how far each goes, 0 to 1.
        rotate: largest angle in degrees.
    """
    angle, *colours = rng.uniform(-1, 1, 5) * (rotate, *photometric)
    neutral = Extra()[1:5]
    return Extra(angle, *(value + offset for value, offset in zip(neutral, colours)), tuple(rng.permutation(4)))


def augment(image, mask, draw: Draw, extra: Extra, out: tuple, fill, ignore_label: int) -> tuple:
    """train_transform, which says what the arguments are, with colours changed and turned by extra.angle."""
    transform = train_transform if not extra.angle else partial(rotated_transform, angle=extra.angle)
    return transform(image, mask, draw, out, fill, ignore_label, recolour=partial(recolour, extra=extra))


def recolour(image: np.ndarray, extra: Extra) -> np.ndarray:
    """Colours of (H, W, 3) uint8, blue green red, changed in the drawn order; each change rounds and clips."""
    for number in extra.order:
        change, neutral = CHANGES[number]
        value = extra[1 + number]
        image = image if value == neutral else change(image, value)
    return image


def mix(image: np.ndarray, level: float, factor: float) -> np.ndarray:
    """factor * image + (1 - factor) * level, looked up."""
    table = np.rint(np.clip(factor * LEVELS + (1 - factor) * level, 0, 255))
    return cv2.LUT(image, table.astype(np.uint8))


def adjust_brightness(image, factor):
    return mix(image, 0, factor)


def adjust_contrast(image, factor):
    return mix(image, cv2.mean(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))[0], factor)


def adjust_saturation(image, factor):
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(image, factor, gray, 1 - factor, 0)


def adjust_hue(image, turn):
    hue, *rest = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL))    # bytes; floats take ten times as long
    hue += np.uint8(round(turn * 256) % 256)    # wraps around
    return cv2.cvtColor(cv2.merge([hue, *rest]), cv2.COLOR_HSV2BGR_FULL)


# Each change of colours in ColorJitter's order, and its neutral value.
CHANGES = ((adjust_brightness, 1), (adjust_contrast, 1), (adjust_saturation, 1), (adjust_hue, 0))


def rotated_transform(image, mask, draw: Draw, out: tuple, fill, ignore_label: int, recolour, angle: float) -> tuple:
    """train_transform with the picture turned by `angle` degrees about the middle of what the crop sees of it.

    One sampling does all of it (bilinear, nearest for the mask), so a corner shows what the picture has there; beyond
    the picture is padding.
    """
    out_image, out_mask = out
    crop_size = len(out_mask)
    to_source = crop_to_source(mask.shape, draw, angle, crop_size)
    window, to_window = cut_to_crop(mask.shape, to_source, crop_size)
    sample = partial(cv2.warpAffine, M=to_window, dsize=(crop_size, crop_size), borderMode=cv2.BORDER_CONSTANT)
    turned = sample(recolour(image[window]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderValue=[float(value) for value in fill])
    cv2.split(turned, list(out_image))
    sample(mask[window], dst=out_mask, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=ignore_label)
    return out


def crop_to_source(shape: tuple, draw: Draw, angle: float, crop_size: int) -> np.ndarray:
    """2x3 matrix from (x, y, 1) of a pixel of the crop to (x, y) in the picture of `shape`, in pixels."""
    rows, columns = scaled_size(*shape, draw.scale)
    seen = [min(crop_size, length - offset) for length, offset in ((columns, draw.offset_w), (rows, draw.offset_h))]
    middle = [(length - 1) / 2 for length in seen]
    ratios = shape[1] / columns, shape[0] / rows
    steps = (cv2.getRotationMatrix2D(middle, -angle, 1), axes(1, draw.offset_w, 1, draw.offset_h),
             axes(ratios[0], (ratios[0] - 1) / 2, ratios[1], (ratios[1] - 1) / 2))    # pixels are squares
    matrix = axes(-1, crop_size - 1, 1, 0) if draw.flip else axes(1, 0, 1, 0)
    for step in steps:
        matrix = step @ np.vstack([matrix, (0, 0, 1)])
    return matrix


def axes(factor_x, offset_x, factor_y, offset_y) -> np.ndarray:
    """2x3 matrix that scales and moves each axis."""
    return np.array([(factor_x, 0, offset_x), (0, factor_y, offset_y)], np.float64)


def cut_to_crop(shape: tuple, to_source: np.ndarray, crop_size: int) -> tuple:
    """(slices of the picture that the crop needs, matrix from the crop to what they cut)."""
    last = crop_size - 1
    corners = to_source @ np.array([(0, 0, 1), (last, 0, 1), (0, last, 1), (last, last, 1)]).T    # (x y, 4)
    size = shape[::-1]
    begin = [int(np.clip(math.floor(least) - MARGIN, 0, most - 1)) for least, most in zip(corners.min(1), size)]
    end = [int(np.clip(math.ceil(largest) + 1 + MARGIN, 1, most)) for largest, most in zip(corners.max(1), size)]
    to_window = to_source - [(0, 0, begin[0]), (0, 0, begin[1])]
    return (slice(begin[1], end[1]), slice(begin[0], end[0])), to_window
