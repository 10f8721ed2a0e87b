"""predict.py --confidence and --save_probs: a picture's probabilities, kept while its class map is made."""
import math
import shutil
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np

from src.console import RunError
from src.drawing.encoding import write_jpeg, write_picture
from src.drawing.heat import heat_map
from src.files import writing

# Option -> what it writes: key in coverage.json -> (folder, ending).
FILES = {"confidence": {"confidence": ("confidence", ".png"), "heat_map": ("heat_maps", ".jpg")},
         "save_probs": {"probabilities": ("probabilities", ".npz")}}
FLOAT16 = np.dtype("<f2")
PIECE = 1 << 24    # bytes that are packed at a time


class Probabilities:
    """A `watch` of src.evaluation.inference.Segmenter: probabilities pass through it on their way to a class map.

    In memory are one byte for each pixel of a picture, and one plane. All probabilities are collected in a temporary
    file: a strip of a large picture has all classes, and the array that is written has the class as its first axis.

    Args:
        options: those of FILES that are given; empty keeps nothing.
        folder: that of the results.
        names: of the classes.
        passes: how many probabilities of a pixel are summed; its classes sum to 1 after the division.
    """

    def __init__(self, options: list, folder: Path, names, passes: int):
        self.folder, self.names, self.passes = folder, names, passes
        self.kinds = {kind: place for name in options for kind, place in FILES[name].items()}
        self.highest, self.waiting = {}, {}    # picture -> (H, W) uint8; (open file, (C, H, W))

    def files_of(self, picture) -> dict:
        """Kind -> path of what is written of a picture."""
        return {kind: self.folder / folder / f"{picture.name}{ending}"
                for kind, (folder, ending) in self.kinds.items()}

    def __call__(self, picture, size: tuple, place: tuple, planes):
        """`planes`, noted while they are taken; see Segmenter's watch."""
        if "confidence" in self.kinds:
            highest = self.highest.setdefault(picture, np.zeros(size, np.uint8))[place]
            planes = self.note_highest(planes, highest)
        if "probabilities" in self.kinds:
            planes = self.store(planes, picture, size, place)
        return planes

    def note_highest(self, planes, highest: np.ndarray):
        """Raise `highest` (H, W) uint8 to 255 times each plane."""
        for plane in planes:
            cv2.max(highest, cv2.convertScaleAbs(plane, alpha=255 / self.passes), dst=highest)
            yield plane

    def store(self, planes, picture, size: tuple, place: tuple):
        """Write each plane to its place in the temporary file. Raises RunError if it cannot be written."""
        shape = (len(self.names), *size)
        rows, columns = (range(length)[part] for part, length in zip(place, size))
        for number, plane in enumerate(planes):
            lines = (plane / np.float32(self.passes)).astype(FLOAT16)
            try:
                if picture not in self.waiting:
                    self.waiting[picture] = tempfile.TemporaryFile(dir=self.folder), shape
                file, _ = self.waiting[picture]
                for row, line in zip(rows, lines) if len(columns) < size[1] else [(rows[0], lines)]:
                    file.seek(FLOAT16.itemsize * ((number * size[0] + row) * size[1] + columns[0]))
                    file.write(line)
            except OSError as error:
                needed = 2 * FLOAT16.itemsize * math.prod(shape) / 1e9    # GB: the temporary file and the .npz
                raise RunError(f"--save_probs: {self.folder}: cannot be written ({error.strerror}); {size[1]}x{size[0]}"
                               f" pixels of {shape[0]} classes take {needed:.1f} GB there") from None
            yield plane

    def write(self, picture, image: np.ndarray, alpha: float) -> None:
        """Write the files of a picture, and forget it."""
        files = self.files_of(picture)
        if picture in self.highest:
            highest = self.highest.pop(picture)
            write_picture(files["confidence"], highest)
            write_jpeg(files["heat_map"], heat_map(image, highest, alpha))
        if picture in self.waiting:
            file, shape = self.waiting.pop(picture)
            with file:
                write_npz(files["probabilities"], file, shape, self.names)


def write_npz(path, file, shape: tuple, names) -> None:
    """Write the float16 numbers of an open file as an .npz of `probabilities` (C, H, W) and `class_names`."""
    with writing(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("probabilities.npy", "w", force_zip64=True) as target:
            header = {"descr": FLOAT16.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(target, header)
            file.seek(0)
            shutil.copyfileobj(file, target, PIECE)
        with archive.open("class_names.npy", "w") as target:
            np.lib.format.write_array(target, np.array(names), allow_pickle=False)
