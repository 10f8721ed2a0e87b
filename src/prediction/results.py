"""What predict.py writes: class maps as palette PNGs, overlays, and the coverage of each class as CSV and JSON."""
import csv
import io
import itertools
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from src.console import InputError, RunError
from src.data.pictures import png_bytes, size_text
from src.drawing.overlay import overlay
from src.drawing.palette import palette
from src.drawing.panels import legend_entries, panels, percent
from src.drawing.sheets import fit
from src.evaluation.metrics import ConfusionMatrix
from src.files import write_whole

DEFAULT_FOLDER = "predictions"
JPEG_QUALITY = 92
LONGEST = 65500    # pixels of a side that libjpeg writes


def free_folder(given: str) -> Path:
    """The folder to write to: the given one, or the first of predictions, predictions_2, ... that is not there."""
    if given:
        return Path(given)
    names = itertools.chain([DEFAULT_FOLDER], (f"{DEFAULT_FOLDER}_{number}" for number in itertools.count(2)))
    return next(Path(name) for name in names if not Path(name).exists())


def check_targets(paths, overwrite: bool) -> None:
    """Raises InputError for a file that is there already, unless it may be replaced."""
    taken = next((path for path in paths if path.exists()), None)
    if taken and not overwrite:
        raise InputError(f"--output_dir: {taken} is there already; --overwrite replaces it, another --output_dir keeps "
                         "it")
    for path in paths:
        if not path.exists():
            nearest = next(parent for parent in path.absolute().parents if parent.exists())
            if not nearest.is_dir():
                raise InputError(f"--output_dir: {nearest} is no folder")


def coverage(class_map: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of the picture that each class covers, (num_classes,) float64."""
    return np.bincount(class_map.reshape(-1), minlength=num_classes)[:num_classes] / class_map.size


def palette_png(class_map: np.ndarray) -> bytes:
    """(H, W) uint8 class numbers as a PNG of mode P in VOC's colours."""
    image = Image.fromarray(class_map)
    image.putpalette(palette().tobytes())
    return png_bytes(image)


class Results:
    """Files of one call of predict.py.

    Attributes:
        folder: where they go: masks/NAME.png, overlays/NAME.jpg, videos/NAME.mp4, coverage.csv, coverage.json.
        entries: what coverage.json says of each picture or video.
        matrix: confusion matrix over the pictures that have a mask.
    """

    def __init__(self, folder: Path, names: list, alpha: float, ignore_label: int):
        self.folder, self.names, self.alpha = folder, names, alpha
        self.entries, self.rows = [], []
        self.matrix = ConfusionMatrix(len(names), ignore_label)

    def targets(self, sources) -> list:
        """Every file that will be written."""
        tables = [self.folder / "coverage.csv", self.folder / "coverage.json"]
        pictures = [path for picture in sources.pictures for path in self.files_of(picture)]
        return [*tables, *pictures, *(self.video_path(name) for _, name in sources.videos)]

    def files_of(self, picture) -> tuple:
        return self.folder / "masks" / f"{picture.name}.png", self.folder / "overlays" / f"{picture.name}.jpg"

    def video_path(self, name: str) -> Path:
        return self.folder / "videos" / f"{name}.mp4"

    def add(self, picture, shares: np.ndarray, size: tuple, iou) -> None:
        """Note a picture's coverage, and its mean IoU where it has a mask."""
        files = dict(zip(("class_map", "overlay"), (str(path.relative_to(self.folder))
                                                    for path in self.files_of(picture))))
        truth = {"mask": str(picture.mask), "mean_iou": iou} if picture.mask else {}
        self.entries.append({"picture": str(picture.image), **files, "width": size[1], "height": size[0], **truth,
                             "coverage": self.by_name(shares)})
        self.rows.append([str(picture.image), size[1], size[0], *(f"{share:.6f}" for share in shares)])

    def add_video(self, path, name: str, frames: list, size: tuple) -> None:
        """Note a video's mean coverage, and that of each frame as a row of the table."""
        self.entries.append({"video": str(path), "overlay": str(self.video_path(name).relative_to(self.folder)),
                             "width": size[1], "height": size[0], "frames": len(frames),
                             "coverage": self.by_name(np.mean(frames, 0))})
        self.rows += [[f"{path}#{number}", size[1], size[0], *(f"{share:.6f}" for share in shares)]
                      for number, shares in enumerate(frames)]

    def by_name(self, shares) -> dict:
        return {name: round(float(share), 6) for name, share in zip(self.names, shares) if share > 0}

    def write_picture(self, picture, image, truth, class_map, shares, iou) -> None:
        """The class map, and the overlay: beside picture and truth where there is a mask."""
        mask_path, overlay_path = self.files_of(picture)
        write_whole(mask_path, palette_png(class_map))
        drawn, captions, occurring = [overlay(image, class_map, self.alpha)], [], shares > 0
        if truth is not None:
            drawn = [image, overlay(image, truth, self.alpha, self.matrix.ignore_label), *drawn]
            captions = ["picture", "truth", "prediction" if iou is None else f"IoU {percent(iou)}"]
            occurring |= coverage(truth, len(self.names)) > 0
        canvas = fit(panels(drawn, captions, legend_entries(shares, occurring, self.names)), LONGEST)
        whole, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not whole:
            raise RunError(f"{overlay_path}: OpenCV cannot write {size_text(canvas)} as JPEG")
        write_whole(overlay_path, data.tobytes())

    def write_tables(self, about: dict) -> None:
        """coverage.csv, a row a picture or frame, and coverage.json with `about` at its head."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["picture", "width", "height", *self.names])
        writer.writerows(self.rows)
        write_whole(self.folder / "coverage.csv", text.getvalue().encode())
        scored = {"mean_iou": self.matrix.mean_iou} if self.matrix.counts.any() else {}
        result = {**about, **scored, "pictures": self.entries}
        write_whole(self.folder / "coverage.json", json.dumps(result, indent=1, ensure_ascii=False).encode())
