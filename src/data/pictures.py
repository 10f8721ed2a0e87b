"""Pictures and masks, decoded the same way everywhere, with errors that name the file."""
import io
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from src.console import InputError
from src.data.labels import check_labels
from src.data.lists import Pair

Image.MAX_IMAGE_PIXELS = None    # lists name the user's own pictures, and OpenCV has a limit of its own
PNG, GRAY_8 = b"\x89PNG\r\n\x1a\n", bytes((8, 0))    # signature; bit depth and colour type, bytes 24 and 25
ROTATED = (5, 6, 7, 8)    # values of the EXIF orientation that swap width and height


def png_bytes(image: Image.Image) -> bytes:
    """The picture as a PNG file's content."""
    data = io.BytesIO()
    image.save(data, "png")
    return data.getvalue()


def read_bytes(path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def is_cut(data: bytes) -> bool:
    """Whether a JPEG has a scan (FF DA) without an end (FF D9) after it.

    No scan holds the end's two bytes; the segments before it may, as thumbnails do, and phones append what they like.
    """
    place = 2
    while data[place:place + 1] == b"\xff":    # a segment: FF, kind, length, content; FF may fill before the kind
        kind = data[place + 1:place + 2]
        if kind == b"\xda":
            return data.find(b"\xff\xd9", place) < 0
        place += 1 if kind == b"\xff" else 2 + int.from_bytes(data[place + 2:place + 4], "big")
    return False


def decode_image(data: bytes, name) -> np.ndarray:
    """Encoded picture -> (H, W, 3) uint8, blue green red. Raises InputError for what is no picture or ends too early.

    OpenCV fills what is missing of a truncated JPEG with grey.
    """
    if data[:2] == b"\xff\xd8" and data[-2:] != b"\xff\xd9" and is_cut(data):    # a whole file mostly ends in FF D9
        raise InputError(f"{name}: the JPEG ends too early")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise InputError(f"{name}: is not a picture that OpenCV can read")
    return image


def is_whole_gray_png(data: bytes) -> bool:
    """Whether `data` is a PNG of 8-bit gray numbers to its end, every chunk with its right checksum."""
    if data[:8] != PNG or data[24:26] != GRAY_8:
        return False
    start = 8
    while start + 12 <= len(data):    # a chunk: length, name, content, checksum of name and content
        end = start + 12 + int.from_bytes(data[start:start + 4], "big")
        if zlib.crc32(data[start + 4:end - 4]) != int.from_bytes(data[end - 4:end], "big"):
            return False
        if data[start + 4:start + 8] == b"IEND":
            return True
        start = end
    return False


def decode_mask(data: bytes, name) -> np.ndarray:
    """Encoded mask -> (H, W) uint8 class numbers.

    A palette PNG gives its indices, never its colours (OpenCV would give the colours' luminance: wrong labels
    without any error). Raises InputError for colour or 16-bit masks and for damaged files.
    """
    if is_whole_gray_png(data):    # there OpenCV agrees, and is quicker; what is damaged is left to Pillow to explain
        mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if mask is not None and mask.ndim == 2 and mask.dtype == np.uint8:
            return mask
    try:
        with Image.open(io.BytesIO(data)) as mask:
            if mask.mode not in ("P", "L"):
                raise InputError(f"{name}: mode {mask.mode} is no class mask of 8-bit palette or gray numbers; "
                                 "src/data/get_dataset_lst.py --images --masks writes such")
            return np.array(mask)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"{name}: damaged mask ({error})") from None


def picture_size(image: Image.Image) -> tuple:
    """(width, height) of an opened picture once it is turned as its EXIF orientation says."""
    return image.size[::-1] if image.getexif().get(0x0112) in ROTATED else image.size


def read_pair(data_root, pair: Pair, num_classes: int, ignore_label: int):
    """Picture (H, W, 3) uint8 BGR and class numbers (H, W) uint8 of a pair, checked against each other."""
    image_path, mask_path = Path(data_root, pair.image), Path(data_root, pair.mask)
    image = decode_image(read_bytes(image_path), image_path)
    mask = decode_mask(read_bytes(mask_path), mask_path)
    if image.shape[:2] != mask.shape:
        raise InputError(f"{mask_path}: {size_text(mask)} where its picture {image_path} has {size_text(image)}")
    check_labels(mask, num_classes, ignore_label, mask_path)
    return image, mask


def size_text(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


