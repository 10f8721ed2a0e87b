"""The pictures of --overlay_dir: each with truth and prediction drawn over, side by side."""
import itertools
from pathlib import Path

import numpy as np

from src.drawing.encoding import write_picture
from src.drawing.overlay import overlay


class OverlayWriter:
    """An observer of the evaluation that writes the list's first `most` pictures as NUMBER_NAME.png.

    Of several devices each writes those that are its own, under the names that one device would give them.

    Args:
        folder: where they go; made when it is needed.
        ignore_label: mask value that is not painted.
        rank, size: this device and their number; it evaluates each size-th picture of the list.
    """

    def __init__(self, folder, most: int, ignore_label: int, rank: int = 0, size: int = 1):
        self.folder, self.most, self.ignore_label = Path(folder), most, ignore_label
        self.numbers = itertools.count(rank + 1, size)

    def __call__(self, sample, image, mask, class_map) -> None:
        """Raises RunError: the file cannot be written."""
        if (number := next(self.numbers)) <= self.most:
            strip = [image, overlay(image, mask, ignore_label=self.ignore_label), overlay(image, class_map)]
            write_picture(self.folder / f"{number:04d}_{Path(sample.image).stem}.png", np.hstack(strip))
