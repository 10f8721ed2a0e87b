"""The colours of the classes: VOC's colour map, and class maps as PNGs that carry it."""
import functools

import numpy as np
from PIL import Image

from src.drawing.encoding import png_bytes


@functools.lru_cache(1)
def palette() -> np.ndarray:
    """VOC's colour map: (256, 3) uint8, red green blue, row = class number; read only.

    Bit k of the colours' high end comes from bits 3k, 3k+1, 3k+2 of the number (VOC development kit, VOClabelcolormap).
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for k in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * k + channel) & 1) << (7 - k)).astype(np.uint8)
    colours.flags.writeable = False
    return colours


def palette_png(class_map: np.ndarray) -> bytes:
    """(H, W) uint8 class numbers as a PNG file of mode P in VOC's colours."""
    image = Image.fromarray(class_map)
    image.putpalette(palette().tobytes())
    return png_bytes(image)
