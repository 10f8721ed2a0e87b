"""The pictures of --overlay_dir: each with truth and prediction drawn over, side by side."""
import itertools
from pathlib import Path

import numpy as np

from src.claims import claim_folder
from src.console import InputError, RunError
from src.drawing.encoding import write_picture
from src.drawing.overlay import overlay
from src.files import check_output

OPTION = "--overlay_dir"


class OverlayWriter:
    """An observer of the evaluation that writes the list's first `most` pictures as NUMBER_NAME.png.

    With several devices each writes the pictures of its own share, under the same names as with one device. An error
    does not stop the evaluation: it is kept in `error`, and no more pictures are written.

    Args:
        pairs: pairs that this device evaluates, in order.
        ignore_label: mask value that is not painted.
        kind: the files that may be replaced, see src.files.check_output.
        rank, size: this device and their number; it evaluates each size-th picture of the list.

    Raises InputError, before the work, where a file cannot be written.
    """

    def __init__(self, folder, most: int, pairs: list, ignore_label: int, kind: str, rank: int = 0, size: int = 1):
        self.ignore_label, self.kind, self.error = ignore_label, kind, None
        numbers = itertools.takewhile(lambda number: number <= most, itertools.count(rank + 1, size))
        paths = [Path(folder, f"{number:04d}_{Path(pair.image).stem}.png") for number, pair in zip(numbers, pairs)]
        if rank == 0:
            claim_folder(folder, OPTION)
        for path in paths:
            check_output(path, OPTION, kind)
        self.paths = iter(paths)

    def __call__(self, sample, image, mask, class_map, *_) -> None:
        path = next(self.paths, None)
        if path is None or self.error:
            return
        strip = [image, overlay(image, mask, ignore_label=self.ignore_label), overlay(image, class_map)]
        try:
            write_picture(path, np.hstack(strip), option=OPTION, kind=self.kind)
        except (InputError, RunError) as error:
            self.error = error
