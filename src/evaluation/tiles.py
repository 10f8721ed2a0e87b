"""Large pictures in windows of the crop size: where the windows lie, and their probabilities averaged in strips.

The windows are those of mmsegmentation's slide mode: equal steps, the last one shifted inwards. It averages them and
sums the probabilities of the complete picture. Here a window counts most in its middle, as in nnU-Net (Isensee et al.
2021), or straight edges would show where windows meet; and only a strip is in memory, as wide as one row of windows.
"""
import math
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Tile:
    """How windows cover a picture."""

    overlap: float = 0.5    # share of a window's side that the next one covers too, below 1
    scale: float = 1.0    # factor on the picture's height and width beneath the windows

    def size(self, height: int, width: int) -> tuple:
        """Height and width of a picture beneath the windows."""
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))

    def windows(self, height: int, width: int, side: int) -> int:
        """How many windows of `side` cover a picture."""
        return math.prod(len(starts(length, side, self.overlap)) for length in self.size(height, width))

    def __str__(self):
        return f"tiled at scale {self.scale:g}, overlap {self.overlap:g}"


def starts(length: int, side: int, overlap: float) -> list:
    """First pixels of the windows of `side` over `length`, the last one shifted inwards; [0] where one covers it all.

    Source: mmsegmentation, EncoderDecoder.slide_inference, with a stride of side * (1 - overlap).
    """
    step = max(1, round(side * (1 - overlap)))
    return [*range(0, length - side, step), max(0, length - side)]


def fade(firsts: list, side: int) -> np.ndarray:
    """Weight of each pixel of a window along an axis, (side,) float32: its distance to the nearer border of the window;
    1 where there is only one window."""
    rising = np.arange(1, side + 1, dtype=np.float32)
    return np.minimum(rising, rising[::-1]) / side if len(firsts) > 1 else np.ones(side, np.float32)


def cover(firsts: list, weight: np.ndarray, length: int) -> np.ndarray:
    """Sum of the weights of the windows that cover each pixel, (length,) float32."""
    total = np.zeros(length, np.float32)
    for first in firsts:
        total[first:first + len(weight)] += weight[:length - first]
    return total


def strips(image: np.ndarray, predict, side: int, tile: Tile, most: int):
    """Yield the probabilities of a picture, averaged where windows overlap, strip by strip.

    The strips go across the shorter side, so that a panorama takes no more memory than a square of its pixels.

    Args:
        image: (H, W, 3) uint8.
        predict: list of windows (h, w, 3) uint8, h and w at most `side` -> probabilities (N, C, side, side) float32
            with each window in the upper left corner.
        most: windows that are predicted together.

    Yields:
        (place, planes): (rows, columns) of the strip as slices, and its C planes (rows, columns) float32, made one
        by one; they are to be taken before the next strip.
    """
    height, width = image.shape[:2]
    rows, columns = tile.size(height, width)
    scaled = image if (rows, columns) == (height, width) else cv2.resize(image, (columns, rows))
    if height >= width:
        for place, planes in stretched(averaged(scaled, predict, side, tile.overlap, most), rows, (height, width)):
            yield (place, slice(None)), planes
        return

    def predict_turned(windows):
        return predict([window.swapaxes(0, 1) for window in windows]).swapaxes(2, 3)
    turned = averaged(scaled.swapaxes(0, 1), predict_turned, side, tile.overlap, most)
    for place, planes in stretched(turned, columns, (width, height)):
        yield (slice(None), place), (np.ascontiguousarray(plane.T) for plane in planes)


def averaged(image: np.ndarray, predict, side: int, overlap: float, most: int):
    """Yield (top, (C, rows, W) float32): the rows of a picture (H, W, 3) that no window below reaches, averaged over
    the windows that cover them. The array is valid until the next one is asked for."""
    height, width = image.shape[:2]
    tops, lefts = starts(height, side, overlap), starts(width, side, overlap)
    fades = fade(tops, side), fade(lefts, side)
    down, across, sums = cover(tops, fades[0], height), cover(lefts, fades[1], width), None
    weight = np.outer(*fades)
    for top, below in zip(tops, [*tops[1:], height]):
        for number in range(0, len(lefts), most):
            some = lefts[number:number + most]
            probs = predict([image[top:top + side, left:left + side] for left in some])
            if sums is None:
                sums = np.zeros((probs.shape[1], min(side, height), width), np.float32)
            for left, one in zip(some, probs):
                window = sums[:, :, left:left + side]
                rows, columns = window.shape[1:]
                for plane, probability in zip(window, one):
                    plane += probability[:rows, :columns] * weight[:rows, :columns]
        step = below - top
        done = sums[:, :step]
        done /= np.outer(down[top:below], across)
        yield top, done
        for plane in sums:    # plane by plane, for NumPy copies what overlaps
            plane[:-step] = plane[step:]
            plane[-step:] = 0


def stretched(found, rows: int, size: tuple):
    """Yield the strips of a picture as (slice of rows, planes) of one of another size: bilinear, as cv2.resize.

    Args:
        found: (top, (C, h, w) float32) in order, of a picture of `rows` rows.
        size: height and width.
    """
    centres = np.clip((np.arange(size[0]) + 0.5) * rows / size[0] - 0.5, 0, rows - 1)
    low = centres.astype(int)    # the row above each centre; the one below it is the next, or the last itself
    share = (centres - low).astype(np.float32)[:, None]
    done, above = 0, None
    for top, planes in found:
        bottom = top + planes.shape[1]
        if (rows, planes.shape[2]) == size:
            yield slice(top, bottom), iter(planes)
            continue
        first = top if above is None else top - 1
        end = size[0] if bottom == rows else int(np.searchsorted(low, bottom - 1))
        if end > done:
            known = planes if above is None else map(np.concatenate, zip(above, planes))
            upper = low[done:end] - first
            lower = np.minimum(upper + 1, bottom - first - 1)
            yield slice(done, end), (blend(plane, upper, lower, share[done:end], size[1]) for plane in known)
        done, above = end, planes[:, -1:].copy()


def blend(plane: np.ndarray, upper, lower, share, width: int) -> np.ndarray:
    """Rows `upper` and `lower` of a plane made `width` wide, mixed; `share` is that of the lower ones."""
    wide = cv2.resize(plane, (width, len(plane)))
    mixed = wide[lower]
    mixed -= wide[upper]
    mixed *= share
    mixed += wide[upper]
    return mixed
