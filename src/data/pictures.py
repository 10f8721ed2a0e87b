"""Pictures and masks: read, decoded upright and checked against each other, the same way everywhere."""
import io
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from src.console import InputError
from src.data.labels import HINT, Labels
from src.data.lists import Pair

Image.MAX_IMAGE_PIXELS = None    # lists name the user's own pictures, and OpenCV has a limit of its own
CLASS_MODES = ("P", "L")    # Pillow's: numbers into a palette, gray; 8 bit
ORIENTATION = 0x0112    # EXIF tag: 1 upright, 2 to 8 mirrored or turned
TRANSPOSED = (5, 6, 7, 8)    # orientations that swap rows and columns
FLIPPED = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}    # axes, after the transposition if any


def png_bytes(image: Image.Image) -> bytes:
    """The picture as a PNG file's content."""
    data = io.BytesIO()
    image.save(data, "png")
    return data.getvalue()


def size_text(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


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
    """Encoded picture -> (H, W, 3) uint8, blue green red, upright as its EXIF orientation says.

    OpenCV turns JPEG, PNG and TIFF by itself, but not WebP (4.11; later ones may): that is read as it is stored and
    turned here. Raises InputError for what is not a picture, is damaged or cut: OpenCV refuses cut files of every
    kind but JPEG, of which it fills what is missing with grey.
    """
    if data[:2] == b"\xff\xd8" and data[-2:] != b"\xff\xd9" and is_cut(data):    # a whole file mostly ends in FF D9
        raise InputError(f"{name}: the JPEG ends too early")
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION if webp else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if image is not None:
            return upright(image, Image.open(io.BytesIO(data))) if webp else image
        Image.open(io.BytesIO(data))    # does Pillow at least know what it is?
    except UnidentifiedImageError:
        raise InputError(f"{name}: is not a picture that OpenCV can read") from None
    except cv2.error as error:
        raise InputError(f"{name}: OpenCV cannot read it ({error.err})") from None    # more pixels than it takes
    except (OSError, SyntaxError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: damaged picture ({error})") from None
    raise InputError(f"{name}: damaged, or of a kind that OpenCV cannot read")


def upright(pixels: np.ndarray, opened: Image.Image) -> np.ndarray:
    """`pixels` (H, W, ...) as they are stored, turned as the EXIF orientation of their file says.

    Pillow turns TIFF as it decodes, and forgets the orientation then. Damaged EXIF turns nothing, as in OpenCV.
    """
    try:
        orientation = opened.getexif().get(ORIENTATION)
    except (SyntaxError, ValueError, OSError, struct.error):
        return pixels
    if orientation in TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(np.flip(pixels, FLIPPED.get(orientation, ())))


def picture_size(opened: Image.Image) -> tuple:
    """(width, height) of an opened picture once it is upright; nothing is decoded."""
    try:
        orientation = opened.getexif().get(ORIENTATION)
    except (SyntaxError, ValueError, OSError, struct.error):
        return opened.size
    return opened.size[::-1] if orientation in TRANSPOSED else opened.size


def decode_mask(data: bytes, name) -> np.ndarray:
    """Encoded mask -> (H, W) uint8 class numbers, upright as its EXIF orientation says.

    A palette PNG gives its indices, never its colours (OpenCV would give the colours' luminance: wrong labels
    without any error). Raises InputError for colour or 16-bit masks and for damaged files.
    """
    with open_mask(data, name) as mask:
        if mask.mode not in CLASS_MODES:
            raise InputError(f"{name}: mode {mask.mode} is no class mask of 8-bit palette or gray numbers; "
                             "src/data/get_dataset_lst.py --images --masks writes such")
        return upright(np.array(mask), mask)


def open_mask(data: bytes, name) -> Image.Image:
    """The mask, decoded in full. Raises InputError for a damaged file."""
    try:
        mask = Image.open(io.BytesIO(data))
        mask.load()
        return mask
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError) as error:
        raise InputError(f"{name}: damaged mask ({str(error) or 'too large'})") from None


def check_sizes(image: np.ndarray, mask: np.ndarray, image_name, mask_name) -> None:
    """Raises InputError if picture and mask differ in height or width."""
    if image.shape[:2] != mask.shape:
        raise InputError(f"{mask_name}: {size_text(mask)} where its picture {image_name} has {size_text(image)}")


def decode_pair(data: tuple, names: tuple, labels: Labels, hint: str = HINT) -> tuple:
    """Picture (H, W, 3) uint8 BGR and class numbers (H, W) uint8 of an encoded pair, checked against each other.

    Args:
        data: (picture, mask) as bytes.
        names: (picture, mask) as errors name them.
        hint: what to do about a value of the mask that is neither a class nor ignored.

    Raises:
        InputError: one is damaged, their sizes differ, or a value of the mask is neither a class nor ignored.
    """
    image, mask = decode_image(data[0], names[0]), decode_mask(data[1], names[1])
    check_sizes(image, mask, *names)
    labels.check(mask, names[1], hint)
    return image, mask


def read_pair(data_root, pair: Pair, labels: Labels, hint: str = HINT) -> tuple:
    """decode_pair of the files that `pair` names, relative to data_root."""
    paths = Path(data_root, pair.image), Path(data_root, pair.mask)
    return decode_pair(tuple(map(read_bytes, paths)), paths, labels, hint)
