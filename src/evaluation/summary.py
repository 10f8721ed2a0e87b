"""A table of several evaluation results: `python -m src.evaluation.summary RESULT.json ...`."""
import json
import sys
from pathlib import Path

from src.utils.log import InputError, run_program


def read_result(path) -> dict:
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no result of an evaluation ({error})") from None


def format_summary(results: list) -> str:
    """One row for each result: network, scales, flip, mIoU in percent, pixel accuracy, images a second."""
    rows = [("network", "scales", "flip", "mIoU", "pixel acc.", "images/s")]
    for result in results:
        settings = result["settings"]
        rows.append((result["network"], str(len(settings["scales"])), "yes" if settings["flip"] else "no",
                     percent(result["mean_iou"]), percent(result["pixel_accuracy"]), f"{result['images_per_s']:.2f}"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
                       for i, (cell, width) in enumerate(zip(row, widths))) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def percent(value) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def main(argv=None):
    paths = sys.argv[1:] if argv is None else argv
    if not paths or "--help" in paths:
        raise InputError("usage: python -m src.evaluation.summary RESULT.json ...")
    print(format_summary([read_result(path) for path in paths]))


if __name__ == "__main__":
    sys.exit(run_program(main))
