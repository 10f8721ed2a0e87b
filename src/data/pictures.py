"""Pictures: read and decoded upright, the same way everywhere."""
import io
import struct
import warnings
import zlib
from functools import partial

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from src.console import InputError
from src.data.jpeg import decode_listening, is_cut, is_jpeg, jpeg_size

Image.MAX_IMAGE_PIXELS = None    # --max_pixels is the limit, for Pillow and OpenCV alike
# What matters about a file is raised, with its name; the libraries' own lines name none.
warnings.filterwarnings("ignore", module=r"PIL\.")
cv2.setLogLevel(0)
PNG = b"\x89PNG\r\n\x1a\n"
KEPT = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")    # chunks of a PNG: transparency, orientation, animation
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, OverflowError, struct.error)    # raised by Pillow
ORIENTATION = 0x0112    # EXIF tag: 1 upright, 2 to 8 mirrored or turned
TRANSPOSED = (5, 6, 7, 8)    # orientations that swap rows and columns
FLIPPED = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}    # axes, after the transposition if any
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")    # brands of ISO/IEC 23008-12
AVIF = (b"avif", b"avis")
FULL_RANGE = 1 << 12    # 16-bit pictures whose brightest value is below hold 10 or 12 bits
limit = {"pixels": 200_000_000}    # see limit_pixels


def limit_pixels(pixels: int) -> None:
    """From now on refuse pictures and masks of more pixels in this process (--max_pixels)."""
    limit["pixels"] = pixels


def size_text(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


def header_size(data: bytes):
    """(width, height) from an encoded picture's header, as stored; None if it is not known."""
    if is_jpeg(data):
        return jpeg_size(data)
    if data[:8] == PNG and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    try:
        with Image.open(io.BytesIO(data)) as opened:
            return opened.size
    except (*DAMAGED, MemoryError):
        return None


def check_pixels(size, name) -> None:
    """Raises InputError if a (width, height) is above the limit of limit_pixels; called before decoding."""
    if size and size[0] * size[1] > limit["pixels"]:
        raise InputError(f"{name}: {size[0]}x{size[1]}, {size[0] * size[1] / 1e6:.0f} megapixels, but --max_pixels is "
                         f"{limit['pixels']}; give a higher one if the picture is right")


def decode_image(data: bytes, name, strict: bool = True) -> np.ndarray:
    """Encoded picture -> (H, W, 3) uint8, blue green red, upright as its EXIF orientation says.

    OpenCV rotates JPEG, PNG and TIFF itself, but not WebP (4.11; later ones may): WebP is read as stored and rotated
    here. HEIC and AVIF are read with Pillow. OpenCV refuses truncated and damaged files of most kinds; the missing part
    of a truncated JPEG it fills with grey.

    Args:
        strict: also look for damage in the middle of a JPEG or TIFF, which OpenCV ignores. JPEGs are then decoded one
            at a time. Not needed for files that were checked before.

    Raises InputError: it is not a picture, is damaged, has more than --max_pixels or uses only 10 or 12 of 16 bits.
    """
    if is_jpeg(data) and data[-2:] != b"\xff\xd9" and is_cut(data):    # a complete file mostly ends in FF D9
        raise InputError(f"{name}: the JPEG ends too early")
    check_pixels(header_size(data), name)
    try:
        brand = data[8:12] if data[4:8] == b"ftyp" else b""
        if brand in HEIC + AVIF:
            return decode_with_pillow(data, name, brand)
        image = decode_with_opencv(data, name, strict) if data else None
        if image is not None:
            return eight_bits(image, name)
        Image.open(io.BytesIO(data))    # raises if Pillow does not know the format either
    except UnidentifiedImageError:
        raise InputError(f"{name}: is not a picture that OpenCV can read") from None
    except cv2.error as error:
        raise InputError(f"{name}: OpenCV cannot read it ({error.err})") from None    # more pixels than its limit
    except MemoryError:
        raise InputError(f"{name}: too large for the free memory") from None
    except DAMAGED as error:
        raise InputError(f"{name}: damaged picture ({error})") from None
    raise InputError(f"{name}: damaged, or in a format that OpenCV cannot read")


def pixels_of_png(data: bytes, name) -> bytes:
    """The PNG without what OpenCV does not use, for libpng prints a line if it dislikes that: the colour profiles of
    well-known programs, a damaged comment. Raises InputError where what is needed is cut or its checksum wrong.
    """
    kept, place, kind = [PNG], len(PNG), b""
    while kind != b"IEND":
        end = place + 12 + int.from_bytes(data[place:place + 4], "big")
        kind, chunk = data[place + 4:place + 8], data[place:end]
        is_sound = end <= len(data) and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if not (is_sound or kind[:1].islower()):    # a small letter: decoders can do without it
            raise InputError(f"{name}: damaged picture (the PNG is cut, or a checksum wrong)")
        if kind[:1].isupper() or kind in KEPT and is_sound:
            kept.append(chunk)
        place = end
    return b"".join(kept)


def decode_with_opencv(data: bytes, name, strict: bool):
    """(H, W, 3) of any depth, upright, or None."""
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if data[:8] == PNG:
        data = pixels_of_png(data, name)
    more = 0 if is_jpeg(data) else cv2.IMREAD_IGNORE_ORIENTATION if webp else cv2.IMREAD_ANYDEPTH
    decode = partial(cv2.imdecode, np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | more)
    image, complaint = decode_listening(decode, data) if strict and is_jpeg(data) else (decode(), "")
    if image is None:
        return None
    if strict and data[:4] in (b"II*\0", b"MM\0*"):
        complaint = tiff_complaint(data)
    if complaint:
        raise InputError(f"{name}: damaged picture ({complaint})")
    return upright(image, Image.open(io.BytesIO(data))) if webp else image


def tiff_complaint(data: bytes) -> str:
    """Pillow's error for a TIFF that it cannot decode, else "". OpenCV leaves damaged strips black."""
    try:
        Image.open(io.BytesIO(data)).load()
    except UnidentifiedImageError:
        return ""
    except DAMAGED as error:
        return str(error) or "strips cannot be read"
    return ""


def decode_with_pillow(data: bytes, name, brand: bytes) -> np.ndarray:
    """HEIC and AVIF -> (H, W, 3) uint8, blue green red, upright."""
    if brand in HEIC:
        try:
            import pillow_heif  # optional: only pictures of some phones need it
        except ImportError:
            raise InputError(f"{name}: is HEIC, as phones write it; pip install pillow-heif, or convert it to JPEG"
                             ) from None
        pillow_heif.register_heif_opener()
    with Image.open(io.BytesIO(data)) as opened:
        check_pixels(opened.size, name)
        return upright(np.asarray(opened.convert("RGB"))[:, :, ::-1], opened)


def eight_bits(image: np.ndarray, name) -> np.ndarray:
    """(H, W, 3) uint8 of 8 or 16 bits a channel. Raises InputError for 10 and 12 bits in 16, and for floats.

    The number of bits could only be guessed from one picture, and the guess would differ for a darker one.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype != np.uint16:
        raise InputError(f"{name}: holds {image.dtype} values; save it with 8 or 16 bits a channel")
    brightest = int(image.max())
    if 0 < brightest < FULL_RANGE:
        raise InputError(f"{name}: has 16 bits a channel, but no value above {brightest}, as from a 10- or 12-bit "
                         "camera; scale the values to 0 to 65535, or save it with 8 bits a channel")
    return (image >> 8).astype(np.uint8)


def upright(pixels: np.ndarray, opened: Image.Image) -> np.ndarray:
    """`pixels` (H, W, ...) as stored, rotated by the EXIF orientation of their file.

    Pillow rotates TIFF while decoding and then removes the orientation. Damaged EXIF is ignored, as in OpenCV.
    """
    try:
        orientation = opened.getexif().get(ORIENTATION)
    except DAMAGED:
        return pixels
    if orientation in TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(np.flip(pixels, FLIPPED.get(orientation, ())))


def picture_size(opened: Image.Image) -> tuple:
    """(width, height) of an opened picture after its EXIF rotation; nothing is decoded."""
    try:
        orientation = opened.getexif().get(ORIENTATION)
    except DAMAGED:
        return opened.size
    return opened.size[::-1] if orientation in TRANSPOSED else opened.size
