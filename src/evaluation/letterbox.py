"""How a picture becomes a network's input: its size at each scale, letterboxed and normalised."""
from dataclasses import dataclass
from typing import Optional

import cv2
import numpy as np

from src.evaluation.tiles import Tile

FIVE_SCALES = (0.5, 0.75, 1.0, 1.25, 1.75)    # the published multi-scale evaluation


@dataclass(frozen=True)
class Settings:
    """How a picture becomes network inputs."""

    crop_size: int = 513
    scales: tuple = (1.0,)
    flip: bool = False
    batch_size: int = 16
    mean: tuple = (103.53, 116.28, 123.675)    # blue green red
    std: tuple = (57.375, 57.120, 58.395)
    tile: Optional[Tile] = None    # pictures larger than the crop size in windows of it, at scale 1; else letterboxed

    @property
    def passes(self) -> int:
        """How many probabilities of each pixel are summed."""
        return len(self.scales) * (1 + self.flip)

    def input_size(self, scale: float) -> int:
        """Side of the square input at a scale: (crop_size - 1) * scale + 1, truncated."""
        return int((self.crop_size - 1) * scale) + 1

    def normalisation(self) -> np.ndarray:
        """(3, 256) float32: the network's input for each channel and byte; exact, and quicker than arithmetic."""
        levels = np.arange(256, dtype=np.float64)
        return ((levels - np.reshape(self.mean, (3, 1))) / np.reshape(self.std, (3, 1))).astype(np.float32)


def letterbox_size(height: int, width: int, side: int) -> tuple:
    """Height and width of a picture whose long side becomes `side`; the short one truncated, at least 1."""
    if height > width:
        return side, max(1, side * width // height)
    return max(1, side * height // width), side


def letterbox(image: np.ndarray, side: int, table: np.ndarray, out: np.ndarray) -> tuple:
    """Resize (H, W, 3) uint8 to long side `side`, normalise by `table`, write into the corner of `out` (3, side, side).

    The rest of `out` must be 0. Returns the height and width that the picture takes there.
    """
    rows, columns = letterbox_size(*image.shape[:2], side)
    normalise(cv2.resize(image, (columns, rows)), table, out)
    return rows, columns


def normalise(image: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """Write (H, W, 3) uint8, normalised by `table`, into the corner of `out` (3, S, S)."""
    for channel, plane in enumerate(cv2.split(image)):
        out[channel, :image.shape[0], :image.shape[1]] = cv2.LUT(plane, table[channel])
