"""Pictures made smaller, encoded, and written whole."""
from pathlib import Path

import cv2
import numpy as np

from src.console import RunError
from src.files import write_whole


def fit(image: np.ndarray, side: int) -> np.ndarray:
    """The picture made smaller, if need be, so that its long side is at most `side`."""
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return image
    size = [max(1, round(length * factor)) for length in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def encode(image: np.ndarray, name, *parameters) -> bytes:
    """(H, W, 3) uint8 blue green red as a file's bytes, its format that of the ending of `name`.

    Args:
        parameters: OpenCV's, such as cv2.IMWRITE_JPEG_QUALITY, 92.

    Raises:
        RunError: names the file; OpenCV cannot write this picture, as a JPEG of more than 65,500 pixels a side.
    """
    try:
        whole, data = cv2.imencode(Path(name).suffix, image, parameters)
    except cv2.error:
        whole = False
    if not whole:
        height, width = image.shape[:2]
        raise RunError(f"{name}: OpenCV cannot write {width}x{height} pixels in this format")
    return data.tobytes()


def write_picture(path, image: np.ndarray, *parameters) -> None:
    """`encode` into the file `path`. Raises RunError."""
    write_whole(path, encode(image, path, *parameters))
