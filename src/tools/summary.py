"""A table of several evaluation results: `python -m src.tools.summary [--published] RESULT.json ...`."""
import json
import re
import sys
from pathlib import Path

from src.console import InputError, run_program

# The model zoo's mIoU on VOC 2012 val, percent, by output stride, number of scales and flip.
PUBLISHED = {("16", 1, False): 77.37, ("8", 1, False): 78.84, ("8", 5, False): 79.70, ("8", 5, True): 79.89}


def read_result(path) -> dict:
    try:
        result = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no result of an evaluation ({error})") from None
    missing = {"network", "settings", "mean_iou", "pixel_accuracy", "images_per_s"} - set(result)
    if missing:
        raise InputError(f"{path}: has no {sorted(missing)[0]}, so it is no result of this version; evaluate again")
    return result


def format_summary(results: list, published: bool = False) -> str:
    """One row for each result: network, scales, flip, mIoU in percent, pixel accuracy, images a second.

    With `published` the model zoo's mIoU of the same mode stands beside it.
    """
    rows = [("network", "scales", "flip", "mIoU", *(["published"] if published else []), "pixel acc.", "images/s")]
    for result in results:
        settings, network = result["settings"], result["network"]
        stride = re.search(r"_s(\d+)", network)
        mode = (stride and stride[1], len(settings["scales"]), settings["flip"])
        zoo = [f"{PUBLISHED[mode]:.2f}" if mode in PUBLISHED else "-"] if published else []
        rows.append((network, str(mode[1]), "yes" if mode[2] else "no", percent(result["mean_iou"]), *zoo,
                     percent(result["pixel_accuracy"]), f"{result['images_per_s']:.2f}"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
                       for i, (cell, width) in enumerate(zip(row, widths))) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def percent(value) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def main(argv=None):
    arguments = sys.argv[1:] if argv is None else argv
    paths = [argument for argument in arguments if argument != "--published"]
    usage = ("usage: python -m src.tools.summary [--published] RESULT.json ...; --published adds the model zoo's "
             "mIoU")
    if {"--help", "-h"} & set(paths):
        return print(usage)
    if not paths:
        raise InputError(usage)
    print(format_summary([read_result(path) for path in paths], "--published" in arguments))


if __name__ == "__main__":
    sys.exit(run_program(main))
