"""What an evaluation tells: its progress and the table on the console, the JSON file."""
import json
import math
import time

from src.console import progress, styled
from src.files import write_whole


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


def write_result(path, matrix, names, extra: dict) -> None:
    """Write the result as JSON, aside first: mean_iou, per_class_iou (null where a class never occurs),
    pixel_accuracy, class_names, confusion_matrix (rows = truth, pixels) and `extra`. Raises RunError."""
    result = {"mean_iou": none_if_nan(matrix.mean_iou), "pixel_accuracy": none_if_nan(matrix.pixel_accuracy),
              "class_names": list(names), "per_class_iou": [none_if_nan(iou) for iou in matrix.iou.tolist()],
              "confusion_matrix": matrix.counts.tolist(), **extra}
    write_whole(path, json.dumps(result, indent=1).encode(), "--result_file")


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
