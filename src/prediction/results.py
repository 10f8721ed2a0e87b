"""Files of predict.py: class maps as palette PNGs, overlays, and the coverage of each class as CSV and JSON."""
import csv
import io
import itertools
import json
import os
from pathlib import Path

import numpy as np

from src.claims import claim_folder
from src.console import InputError
from src.data.labels import Labels, count_values
from src.drawing.encoding import write_jpeg
from src.drawing.fonts import drawable
from src.drawing.legend import legend_entries
from src.drawing.overlay import overlay
from src.drawing.palette import palette_png
from src.drawing.panels import panels
from src.drawing.style import percent
from src.evaluation.metrics import ConfusionMatrix
from src.files import check_folder, check_output, identities, recognised, write_whole
from src.prediction.polygons import Outlines
from src.prediction.probabilities import Probabilities

OPTION, DEFAULT_FOLDER = "--output_dir", "predictions"


def take_folder(given: str) -> Path:
    """The folder to write to, claimed: the given one, or the first of predictions, predictions_2, ... that was not
    there. Raises InputError."""
    if given:
        claim_folder(given, OPTION)
        return Path(given)
    check_folder(Path.cwd(), f"{OPTION} {DEFAULT_FOLDER}")
    for name in itertools.chain([DEFAULT_FOLDER], (f"{DEFAULT_FOLDER}_{number}" for number in itertools.count(2))):
        try:
            Path(name).mkdir()    # of two runs at once one alone makes it
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(f"{OPTION} {name}: cannot be made ({error.strerror})") from None
        claim_folder(name, OPTION, is_new=True)
        return Path(name)


def check_targets(paths, folder: Path, overwrite: bool, inputs=()) -> None:
    """Raises InputError for a file that may not be replaced.

    Without `overwrite` that is any; with it one that is read, a class map that predict.py did not write (a folder
    "masks" may be the truth of a data set), and outlines that were corrected.
    """
    taken = [path for path in paths if os.path.lexists(path)]
    if taken and not overwrite:
        raise InputError(f"{OPTION}: {taken[0]} exists; --overwrite replaces it, another {OPTION} keeps it")
    inputs = identities(inputs) if taken else {}
    for path in paths:
        check_output(path, OPTION, inputs=inputs)
    for path in taken:
        if path.suffix == ".png" and not recognised(path, "drawn"):
            raise InputError(f"{OPTION} {folder}: {path} is not a class map of predict.py; it may be the truth of a "
                             f"data set, so it is not replaced; give another {OPTION}")
        if path.suffix == ".json" and path != folder / "coverage.json" and not recognised(path, "outlines"):
            raise InputError(f"{OPTION} {folder}: {path} was corrected, or is of another program, so it is not "
                             f"replaced; give another {OPTION}")


def coverage(class_map: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of the picture that each class covers, (num_classes,) float64."""
    return count_values(class_map)[:num_classes] / class_map.size


class Results:
    """Files of one call of predict.py. `kept` and `passes`: see Probabilities; `polygons`: see Outlines, or none.

    Attributes:
        folder: where they go: masks/NAME.png, overlays/NAME.jpg, videos/NAME.mp4, coverage.csv, coverage.json, and
            those of Probabilities and Outlines.
        entries: what coverage.json says of each picture or video.
        matrix: confusion matrix over the pictures that have a mask.
    """

    def __init__(self, folder: Path, labels: Labels, alpha: float, kept=(), passes: int = 1, polygons: str = "none"):
        self.folder, self.labels, self.alpha = folder, labels, alpha
        self.probabilities = Probabilities(kept, folder, labels.names, passes)
        self.outlines = Outlines(polygons, folder, labels) if polygons != "none" else None
        self.entries, self.rows = [], []
        self.matrix = ConfusionMatrix(labels.num_classes, labels.ignore_label)
        drawable(labels.names)    # warns now, not in one of the threads that draw

    def targets(self, sources) -> list:
        """Every file that will be written."""
        tables = [self.folder / "coverage.csv", self.folder / "coverage.json"]
        pictures = [path for picture in sources.pictures for path in self.files_of(picture).values()]
        outlines = self.outlines.targets(sources.pictures) if self.outlines else []
        return [*tables, *pictures, *(self.video_path(name) for _, name in sources.videos), *outlines]

    def files_of(self, picture) -> dict:
        """Kind -> path of what is written of a picture, but for its outlines."""
        return {"class_map": self.folder / "masks" / f"{picture.name}.png",
                "overlay": self.folder / "overlays" / f"{picture.name}.jpg", **self.probabilities.files_of(picture)}

    def video_path(self, name: str) -> Path:
        return self.folder / "videos" / f"{name}.mp4"

    def add(self, picture, image, truth, class_map) -> tuple:
        """Note a picture; returns (coverage of each class, mean IoU or None where nothing is scored)."""
        shares, iou, scored = coverage(class_map, self.labels.num_classes), None, {}
        if truth is not None:
            own = self.matrix.update(truth, class_map)
            iou = own.mean_iou if own.counts.any() else None
            scored = {"mask": str(picture.mask), "mean_iou": iou}
        files = {kind: str(path.relative_to(self.folder)) for kind, path in self.files_of(picture).items()}
        height, width = class_map.shape
        self.entries.append({"picture": str(picture.image), **files,
                             "width": width, "height": height, **scored, "coverage": self.by_name(shares)})
        self.rows.append([str(picture.image), width, height, *(f"{share:.6f}" for share in shares)])
        return shares, iou

    def add_video(self, path, name: str, frames: list, size: tuple) -> None:
        """Note a video's mean coverage, and that of each frame as a row of the table."""
        height, width = size
        self.entries.append({"video": str(path), "overlay": str(self.video_path(name).relative_to(self.folder)),
                             "width": width, "height": height, "frames": len(frames),
                             "coverage": self.by_name(np.mean(frames, 0))})
        self.rows += [[f"{path}#{number}", width, height, *(f"{share:.6f}" for share in shares)]
                      for number, shares in enumerate(frames)]

    def by_name(self, shares) -> dict:
        return {name: round(float(share), 6) for name, share in zip(self.labels.names, shares) if share > 0}

    def write_picture(self, picture, image, truth, class_map, shares, iou) -> None:
        """The class map, and the overlay: beside picture and truth where there is a mask."""
        files = self.files_of(picture)
        write_whole(files["class_map"], palette_png(class_map))
        if self.outlines:
            self.outlines.add(picture, class_map)
        drawn, captions, occurring = [overlay(image, class_map, self.alpha)], [], shares > 0
        if truth is not None:
            drawn = [image, overlay(image, truth, self.alpha, self.labels.ignore_label), *drawn]
            captions = ["picture", "truth", "prediction" if iou is None else f"IoU {percent(iou, 1)} %"]
            occurring |= coverage(truth, self.labels.num_classes) > 0
        write_jpeg(files["overlay"], panels(drawn, captions, legend_entries(shares, occurring, self.labels.names)))
        self.probabilities.write(picture, image, self.alpha)

    def write_tables(self, about: dict) -> None:
        """coverage.csv, a row a picture or frame, and coverage.json with `about` at its head."""
        if self.outlines:
            self.outlines.finish()
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["picture", "width", "height", *self.labels.names])
        writer.writerows(self.rows)
        write_whole(self.folder / "coverage.csv", text.getvalue().encode("utf-8", "backslashreplace"))
        scored = {"mean_iou": self.matrix.mean_iou} if self.matrix.counts.any() else {}
        result = {**about, **scored, "pictures": self.entries}
        text = json.dumps(result, indent=1, ensure_ascii=False)    # names that are no UTF-8 as \\udc.. escapes
        write_whole(self.folder / "coverage.json", text.encode("utf-8", "backslashreplace"))
