"""Output of an evaluation: progress and table on the console, the JSON file."""
import json
import math
import os
import time

import numpy as np

from src.claims import claim_file
from src.console import InputError, RunError, number_of, progress, styled, warn
from src.files import check_output, write_whole
from src.foreign import printable

OPTION = "--result_file"


def kind_to_replace(config, kind: str) -> str:
    """The files that may be replaced, see src.files.check_output: those of `kind`, or any with --overwrite."""
    return "" if config.overwrite else kind


def prepare_result(config, inputs) -> None:
    """Find before the work what would prevent the result and the table of the pictures, and claim their files; `inputs`
    are the files that are read. Raises InputError."""
    for path, option, kind in ((config.result_file, OPTION, "result"),
                               (config.per_image_file, "--per_image_file", "per_image")):
        if path or kind == "result":
            check_output(path, option, kind_to_replace(config, kind), inputs)
            claim_file(path, option)
    if config.per_image_file and os.path.realpath(config.per_image_file) == os.path.realpath(config.result_file):
        raise InputError(f"--per_image_file {config.per_image_file}: is the {OPTION} too; give another name")


def format_table(matrix, names) -> str:
    """IoU, Dice, precision and recall of each class and their means, `mean IoU` and pixel accuracy, in 80 columns."""
    width = min(max(len("class"), *map(len, names)), 21)
    names = [name if len(name) <= width else name[:width - 3] + "..." for name in names]
    lines = [f"{'class':<{width}}     IoU    Dice  precision  recall      truth pixels"]
    for name, pixels, *figures in zip(names, matrix.truth, *(getattr(matrix, figure) for figure in matrix.FIGURES)):
        cells = f"{'never occurs: not in the means':>35}" if math.isnan(figures[0]) else format_figures(figures)
        lines.append(f"{name:<{width}}{cells} {pixels:17,d}")
    return "\n".join([*lines, f"{'mean':<{width}}{format_figures(map(matrix.mean, matrix.FIGURES))}",
                      styled(f"mean IoU {matrix.mean_iou:.6f}", "strong"),
                      f"pixel accuracy {matrix.pixel_accuracy:.6f}"])


def format_figures(figures) -> str:
    """A class's figures as cells of the table."""
    return " {:>7} {:>7} {:>10} {:>7}".format(*("-" if math.isnan(share) else f"{share:.4f}" for share in figures))


def write_figures(config, pairs: list, matrix, labels, table, about: dict) -> None:
    """Write the result and, if it was kept, the `table` of the pictures (per_image.PerImage), and say so.

    The result is JSON: mean_F and per_class_F for F of ConfusionMatrix.FIGURES (null where a class never occurs),
    pixel_accuracy, class_names, confusion_matrix (rows = truth, pixels) and `about`. Raises RunError.
    """
    figures = matrix.FIGURES
    result = {f"mean_{figure}": none_if_nan(matrix.mean(figure)) for figure in figures}
    result |= {"pixel_accuracy": none_if_nan(matrix.pixel_accuracy), "class_names": list(labels.names)}
    result |= {f"per_class_{figure}": list(map(none_if_nan, getattr(matrix, figure).tolist())) for figure in figures}
    result |= {"confusion_matrix": matrix.counts.tolist(), **about}
    write_whole(config.result_file, json.dumps(result, indent=1, allow_nan=False).encode(), OPTION,
                kind_to_replace(config, "result"))
    print(f"result written to {config.result_file}")
    if table:
        table.write(config.per_image_file, pairs, kind_to_replace(config, "per_image"))
        print(f"figures of each picture written to {config.per_image_file}")


def warn_of_unpredicted(matrix, names) -> None:
    """Warn of classes of the truth that are nowhere predicted, as where a network has not learnt anything yet."""
    missed = [name for name, truth, found in zip(names, matrix.truth, matrix.found) if truth and not found]
    if missed:
        held = number_of(np.count_nonzero(matrix.truth), "class")
        warn(f"never predicted: {printable(', '.join(missed), 300)} ({len(missed)} of the {held} in the masks); "
             "docs/troubleshooting.md says what to try if the network learns nothing")


def check_scored(matrix) -> None:
    """Raises RunError where no pixel could be scored: this is not a result."""
    if not matrix.counts.any():
        raise RunError(f"no pixel could be scored, so there is no mean IoU: the masks contain only the ignored "
                       f"label {matrix.ignore_label}; src/data/check_data.py checks them")


def none_if_nan(value: float):
    return None if math.isnan(value) else value


class EvaluationLog:
    """An observer that shows an evaluation's progress: a bar on a terminal, elsewhere a line every ten seconds."""

    def __init__(self, total: int):
        self.bar, self.total, self.done = progress(total, "evaluate", "image"), total, 0
        self.start = self.said = time.perf_counter()

    def __call__(self, *_):
        self.done += 1
        self.bar.update()
        if self.bar.disable and time.perf_counter() - self.said > 10:
            self.said = time.perf_counter()
            print(f"processed {self.done} of {self.total} images, {self.rate():.2f} images/s", flush=True)

    def rate(self) -> float:
        return self.done / max(time.perf_counter() - self.start, 1e-9)

    def close(self):
        self.bar.close()
        print(f"processed {self.done} images, {self.rate():.2f} images/s", flush=True)
