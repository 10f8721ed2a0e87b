"""The colours of the classes: VOC's colour map."""
import numpy as np


def palette() -> np.ndarray:
    """VOC's colour map: (256, 3) uint8, red green blue, row = class number.

    Bit k of the colours' high end comes from bits 3k, 3k+1, 3k+2 of the number (VOC development kit, VOClabelcolormap).
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for k in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * k + channel) & 1) << (7 - k)).astype(np.uint8)
    return colours
