"""Resize, encode and write pictures; files are marked as made by this project."""
import io
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from src.console import RunError
from src.files import MADE_BY, write_whole

LONGEST = 65500    # pixels of a side that libjpeg writes
JPEG_QUALITY = 92


def fit(image: np.ndarray, side: int) -> np.ndarray:
    """The picture, reduced if necessary so that its long side is at most `side`."""
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return image
    size = [max(1, round(length * factor)) for length in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def encode(image: np.ndarray, name, *parameters) -> bytes:
    """(H, W, 3) uint8 blue green red as a file's bytes, in the format of the extension of `name`; `parameters` are
    OpenCV's. Raises RunError that names the file where OpenCV cannot write it, such as a JPEG of more than 65,500
    pixels a side."""
    try:
        whole, data = cv2.imencode(Path(name).suffix, image, parameters)
    except cv2.error:
        whole = False
    if not whole:
        height, width = image.shape[:2]
        raise RunError(f"{name}: OpenCV cannot write {width}x{height} pixels in this format")
    return marked(data.tobytes())


def png_bytes(image: Image.Image, mark: bytes = MADE_BY) -> bytes:
    """Pillow's picture as the content of a PNG file, see `marked`."""
    data = io.BytesIO()
    image.save(data, "png")
    return marked(data.getvalue(), mark)


def marked(data: bytes, mark: bytes = MADE_BY) -> bytes:
    """The bytes of a PNG or JPEG with `mark` added as its software or comment. Other formats are unchanged.

    Source: PNG specification 11.3.4.3 (tEXt), ITU T.81 B.2.4.5 (COM).
    """
    if data.startswith(b"\x89PNG"):
        place = 33    # after the header, which comes first
        body = b"tEXtSoftware\0" + mark
        chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    elif data.startswith(b"\xff\xd8\xff\xe0"):
        place = 4 + int.from_bytes(data[4:6], "big")    # after JFIF's own segment
        chunk = b"\xff\xfe" + (len(mark) + 2).to_bytes(2, "big") + mark
    else:
        return data
    return data[:place] + chunk + data[place:]


def write_picture(path, image: np.ndarray, *parameters, option: str = "", kind: str = "") -> None:
    """`encode` into the file `path`; for `option` and `kind` see src.files.writing. Raises RunError."""
    write_whole(path, encode(image, path, *parameters), option, kind)


def write_jpeg(path, image: np.ndarray) -> None:
    """The picture (H, W, 3) uint8 blue green red as the JPEG file `path`, made smaller where that takes no such size.
    Raises RunError."""
    write_picture(path, fit(image, LONGEST), cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
