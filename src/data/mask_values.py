"""Mask values -> class numbers: unchanged, or by a label map."""
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from src.console import InputError
from src.data.annotations.label_map import LabelMap
from src.data.masks import check_headers, open_mask
from src.data.pictures import upright
from src.files import read_bytes

COLOURS = "--labels FILE, with lines 'R G B class name', gives the class of each colour"
HINTS = dict.fromkeys(("F", "LA"), "save it as an 8-bit PNG")
NUMBERS = ("P", "L", "1", "I", "I;16", "I;16B")    # modes whose pixels are numbers


def decode_values(mask: Image.Image, path, colors: bool, option: str) -> np.ndarray:
    """Opened mask -> (H, W) int32: its numbers, or with `colors` red * 65536 + green * 256 + blue."""
    if colors:
        rgb = np.asarray(mask.convert("RGB"))
        red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
        return upright(red << 16 | green << 8 | blue, mask)
    if mask.mode not in NUMBERS or mask.format == "GIF" and mask.mode == "P":
        why = {"P": "a GIF, whose writer may have renumbered its palette", "F": "of floating-point numbers",
               "LA": "gray with transparency"}.get(mask.mode, "colours and not class numbers")
        raise InputError(f"{path}: a mask of mode {mask.mode}, {why}; {HINTS.get(mask.mode, COLOURS)}")
    return upright(np.asarray(mask).astype(np.int32), mask)


def class_map(data: bytes, path, table: Optional[LabelMap], option: str = "--labels") -> np.ndarray:
    """Encoded mask -> (H, W) uint8 class numbers by `table`, None: unchanged; `option` is its name in errors.

    Raises InputError with the first value that has no class, and its position.
    """
    with open_mask(data, path) as mask:
        if mask.format == "JPEG":
            raise InputError(f"{path}: is a JPEG by its content, which changes class numbers at edges; save the mask "
                             "as PNG where it was drawn")
        known = table.table(mask.mode) if table else {(number,): number for number in range(256)}
        colors = len(next(iter(known))) == 3
        values = decode_values(mask, path, colors, option)
    keys = [key[0] << 16 | key[1] << 8 | key[2] if colors else key[0] for key in known]
    classes = np.full(max(keys) + 2, -1, np.int16)    # a place for each value; the last is for all larger ones
    classes[keys] = list(known.values())
    labels = classes[np.minimum(values.view(np.uint32), len(classes) - 1)]    # negative values count as larger, too
    if labels.min(initial=0) < 0:
        row, column = np.unravel_index(np.argmax(labels < 0), labels.shape)
        value = int(values[row, column])
        shown = f"{value >> 16} {value >> 8 & 255} {value & 255}" if colors else value
        hint = ("class numbers go up to 254; --labels FILE can map other values" if table is None
                else f"{option} has no line for it")
        raise InputError(f"{path}: value {shown} at row {row}, column {column}: {hint}")
    return labels.astype(np.uint8)


def read_classes(image: Path, mask: Path, table, option: str) -> np.ndarray:
    """class_map of a file; the headers are compared first, so that a mask of another size is not decoded."""
    data = read_bytes(mask)
    check_headers((read_bytes(image), data), (image, mask))
    return class_map(data, mask, table, option)
