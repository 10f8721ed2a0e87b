"""Output of an evaluation: progress and table on the console, the JSON file."""
import json
import math
import time

from src.claims import claim_file
from src.console import RunError, progress, styled
from src.files import check_output, write_whole

OPTION = "--result_file"


def kind_to_replace(config, kind: str) -> str:
    """The files that may be replaced, see src.files.check_output: those of `kind`, or any with --overwrite."""
    return "" if config.overwrite else kind


def prepare_result(config, inputs) -> None:
    """Before the work starts, check that the result can be written, and claim its file. Raises InputError.

    Args:
        inputs: files that are read.
    """
    check_output(config.result_file, OPTION, kind_to_replace(config, "result"), inputs)
    claim_file(config.result_file, OPTION)


def format_table(matrix, names) -> str:
    """Per-class IoU with names, then `mean IoU` and pixel accuracy; classes that never occur are marked."""
    width = min(max(map(len, names)), 21)    # 80 columns with the longest note
    names = [name if len(name) <= width else name[:width - 3] + "..." for name in names]
    lines = [f"{'class':<{width}}     IoU      truth pixels"]
    for name, iou, row in zip(names, matrix.iou, matrix.counts):
        value = "      -" if math.isnan(iou) else f"{iou:7.4f}"
        note = "  (never occurs: not in the mean)" if math.isnan(iou) else ""
        lines.append(f"{name:<{width}} {value} {row.sum():17,d}{note}")
    return "\n".join([*lines, styled(f"mean IoU {matrix.mean_iou:.6f}", "strong"),
                      f"pixel accuracy {matrix.pixel_accuracy:.6f}"])


def write_result(config, matrix, names, extra: dict) -> None:
    """Write the result as JSON to --result_file: mean_iou, per_class_iou (null where a class never occurs),
    pixel_accuracy, class_names, confusion_matrix (rows = truth, pixels) and `extra`. Raises RunError."""
    result = {"mean_iou": none_if_nan(matrix.mean_iou), "pixel_accuracy": none_if_nan(matrix.pixel_accuracy),
              "class_names": list(names), "per_class_iou": [none_if_nan(iou) for iou in matrix.iou.tolist()],
              "confusion_matrix": matrix.counts.tolist(), **extra}
    write_whole(config.result_file, json.dumps(result, indent=1, allow_nan=False).encode(), OPTION,
                kind_to_replace(config, "result"))


def check_scored(matrix, ignore_label: int) -> None:
    """Raises RunError where no pixel could be scored: this is not a result."""
    if not matrix.counts.any():
        raise RunError(f"no pixel could be scored, so there is no mean IoU: the masks contain only the ignored "
                       f"label {ignore_label}; src/data/check_data.py checks them")


def none_if_nan(value: float):
    return None if math.isnan(value) else value


class EvaluationLog:
    """An observer that shows an evaluation's progress: a bar on a terminal, elsewhere a line every ten seconds."""

    def __init__(self, total: int):
        self.bar, self.total, self.done = progress(total, "evaluate", "image"), total, 0
        self.start = self.said = time.perf_counter()

    def __call__(self, sample, image, mask, class_map):
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
