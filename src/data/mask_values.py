"""Mask values -> class numbers: unchanged, or by a table of numbers or colours."""
from pathlib import Path

import numpy as np
from PIL import Image

from src.console import InputError
from src.data.annotations.label_map import LabelMap, is_number
from src.data.lists import read_text
from src.data.pictures import check_headers, open_mask, read_bytes, upright
from src.foreign import printable

NUMBERS = ("P", "L", "1", "I", "I;16", "I;16B")    # modes whose pixels are numbers


def read_colors(path) -> dict:
    """Table of mask values: lines `R G B class` or, for masks of numbers, `value class`; # begins a comment.

    Returns (R, G, B) or (value,) -> class, 0 to 255. Raises InputError with the line.
    """
    table = {}
    for number, line in enumerate(read_text(path, "--colors").splitlines(), 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        if len(fields) not in (2, 4) or not all(map(is_number, fields)) or int(fields[-1]) > 255:
            raise InputError(f"--colors {path}, line {number}: '{printable(line.strip())}' is neither 'R G B class' "
                             "nor 'value class' in integers, the class up to 255")
        *value, label = map(int, fields)
        if tuple(value) in table:
            raise InputError(f"--colors {path}, line {number}: {printable(' '.join(fields[:-1]))} occurs twice")
        table[tuple(value)] = label
    if len({len(value) for value in table}) != 1:
        raise InputError(f"--colors {path}: one kind of line is needed, either 'R G B class' or 'value class'")
    return table


def decode_values(mask: Image.Image, path, colors: bool, option: str) -> np.ndarray:
    """Opened mask -> (H, W) int32: its numbers, or with `colors` red * 65536 + green * 256 + blue."""
    if colors:
        rgb = np.asarray(mask.convert("RGB"))
        red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
        return upright(red << 16 | green << 8 | blue, mask)
    if mask.mode not in NUMBERS:
        raise InputError(f"{path}: a mask of mode {mask.mode}, colours and not class numbers; {option} FILE "
                         "gives the class of each colour")
    return upright(np.asarray(mask).astype(np.int32), mask)


def class_map(data: bytes, path, table, option: str = "--colors") -> np.ndarray:
    """Encoded mask -> (H, W) uint8 class numbers by `table` (of read_colors, or a LabelMap; None: unchanged).

    Raises InputError with the first value that has no class, and its position.
    """
    with open_mask(data, path) as mask:
        table = table.table(mask.mode) if isinstance(table, LabelMap) else table
        colors = table is not None and len(next(iter(table))) == 3
        values = decode_values(mask, path, colors, option)
    known = {(number,): number for number in range(256)} if table is None else table
    keys = [key[0] << 16 | key[1] << 8 | key[2] if colors else key[0] for key in known]
    classes = np.full(max(keys) + 2, -1, np.int16)    # a place for each value; the last is for all larger ones
    classes[keys] = list(known.values())
    labels = classes[np.minimum(values.view(np.uint32), len(classes) - 1)]    # negative values count as larger, too
    if labels.min(initial=0) < 0:
        row, column = np.unravel_index(np.argmax(labels < 0), labels.shape)
        value = int(values[row, column])
        shown = f"{value >> 16} {value >> 8 & 255} {value & 255}" if colors else value
        hint = ("class numbers go up to 254; --colors FILE can map other values" if table is None
                else f"{option} has no line for it")
        raise InputError(f"{path}: value {shown} at row {row}, column {column}: {hint}")
    return labels.astype(np.uint8)


def read_mask(image: Path, mask: Path, table, option: str) -> np.ndarray:
    """class_map of a file; the headers are compared first, so that a mask of another size is not decoded."""
    data = read_bytes(mask)
    check_headers((read_bytes(image), data), (image, mask))
    return class_map(data, mask, table, option)
