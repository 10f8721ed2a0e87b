"""Masks and pairs: decoded, checked against their pictures, and written, the same way everywhere."""
import contextlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from src.console import InputError
from src.data.labels import HINT, Labels
from src.data.lists import Pair
from src.data.pictures import DAMAGED, check_pixels, decode_image, header_size, picture_size, size_text, upright
from src.drawing.encoding import png_bytes
from src.files import GRAY_MASK, check_output, read_bytes, write_whole

CLASS_MODES = ("P", "L")    # Pillow's: numbers into a palette, gray; 8 bit
SPREAD = {2: 85, 4: 17}    # bits of a gray PNG -> what Pillow multiplies its numbers by


def decode_mask(data: bytes, name) -> np.ndarray:
    """Encoded mask -> (H, W) uint8 class numbers, upright as its EXIF orientation says.

    Of a palette PNG the indices are read, not the colours (OpenCV would return the colours' luminance: wrong labels
    without an error). Raises InputError for colour or 16-bit masks and for damaged files.
    """
    with open_mask(data, name) as mask:
        return numbers_of(mask, name)


def numbers_of(mask: Image.Image, name) -> np.ndarray:
    """The pixels of an opened mask as decode_mask returns them. Raises InputError where they are no 8-bit numbers."""
    if mask.mode not in CLASS_MODES:
        raise InputError(f"{name}: mode {mask.mode} is no class mask of 8-bit palette or gray numbers; "
                         "src/data/get_dataset_lst.py --images --masks writes such")
    return upright(np.array(mask), mask)


def open_mask(data: bytes, name) -> Image.Image:
    """The mask, decoded in full. Raises InputError for a damaged file, and for more than --max_pixels."""
    try:
        mask = Image.open(io.BytesIO(data))
        check_pixels(mask.size, name)
        mask.load()
        return unscaled(mask, data)
    except MemoryError:
        raise InputError(f"{name}: damaged mask (too large)") from None
    except DAMAGED as error:
        raise InputError(f"{name}: damaged mask ({error})") from None


def unscaled(mask: Image.Image, data: bytes) -> Image.Image:
    """The mask with the numbers of its file: Pillow spreads a gray PNG of 2 or 4 bits over 0 to 255. A GIF has only a
    palette, which its writer may have renumbered; if it is gray, its levels are the numbers."""
    if mask.format == "GIF" and mask.mode == "P":
        colours = np.frombuffer(mask.convert("RGB").tobytes(), np.uint8).reshape(-1, 3)
        return mask.convert("L") if (colours == colours[:, :1]).all() else mask
    if mask.format == "PNG" and mask.mode == "L" and data[24] in SPREAD:
        return mask.point([level // SPREAD[data[24]] for level in range(256)])
    return mask


def colours_held(mask: Image.Image, counts: np.ndarray) -> dict:
    """Number -> (red, green, blue) of the numbers that an opened palette mask holds by their `counts`; {} for others.
    """
    if mask.mode != "P":
        return {}
    colours = np.frombuffer(bytes(mask.getpalette("RGB")), np.uint8).reshape(-1, 3)
    return {number: tuple(colours[number].tolist()) for number in np.flatnonzero(counts[:len(colours)]).tolist()}


def write_mask(mask: np.ndarray, target: Path, kind: str, inputs=(), aside=None) -> bool:
    """Write class numbers (H, W) uint8 as a gray PNG, unless `target` holds them already; returns whether it did. With
    `aside`, a path, it is written there, to become `target` later.

    Raises InputError where `target` is an input, or was made or changed by another program: `kind` "gray" allows only
    those that this function wrote, see files.check_output.
    """
    if target.exists():
        with contextlib.suppress(InputError, OSError):    # it is damaged, or no mask
            if np.array_equal(decode_mask(target.read_bytes(), target), mask):
                return False
    check_output(target, "", kind, inputs)
    write_whole(aside or target, png_bytes(Image.fromarray(mask), GRAY_MASK))
    return True


def check_headers(data: tuple, names: tuple) -> None:
    """Raises InputError if the headers of an encoded picture and mask state different sizes, in any orientation, so
    that a mask that unpacks to gigabytes is not decoded."""
    sizes = [header_size(one) for one in data]
    for size, name in zip(sizes, names):
        check_pixels(size, name)
    if None not in sizes and sorted(sizes[0]) != sorted(sizes[1]):
        try:
            width, height = picture_size(Image.open(io.BytesIO(data[0])))
        except DAMAGED:    # a header that Pillow cannot read
            width, height = sizes[0]
        raise InputError(f"{names[1]}: {sizes[1][0]}x{sizes[1][1]} but its picture {names[0]} has {width}x{height}")


def check_sizes(image: np.ndarray, mask: np.ndarray, image_name, mask_name) -> None:
    """Raises InputError if picture and mask differ in height or width."""
    if image.shape[:2] != mask.shape:
        raise InputError(f"{mask_name}: {size_text(mask)} but its picture {image_name} has {size_text(image)}")


def decode_pair(data: tuple, names: tuple, labels: Labels, hint: str = HINT, strict: bool = True) -> tuple:
    """Picture (H, W, 3) uint8 BGR and class numbers (H, W) uint8 of an encoded pair, checked against each other.

    Args:
        data, names: (picture, mask) as bytes, and what errors call them.
        hint: how to fix a value of the mask that is neither a class nor ignored.
        strict: see decode_image.

    Raises InputError: one is damaged, their sizes differ, or a value of the mask is neither a class nor ignored.
    """
    check_headers(data, names)
    image, mask = decode_image(data[0], names[0], strict), decode_mask(data[1], names[1])
    check_sizes(image, mask, *names)
    labels.check(mask, names[1], hint)
    return image, mask


def read_pair(data_root, pair: Pair, labels: Labels, hint: str = HINT, strict: bool = True) -> tuple:
    """decode_pair of the files that `pair` names, relative to data_root."""
    paths = Path(data_root, pair.image), Path(data_root, pair.mask)
    return decode_pair(tuple(map(read_bytes, paths)), paths, labels, hint, strict)
