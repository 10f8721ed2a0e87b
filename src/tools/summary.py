"""A table of several evaluation results: python src/tools/summary.py [--published] RESULT.json ..."""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.arguments import Parser
from src.console import InputError, run_program
from src.drawing.style import percent
from src.files import LARGEST_JSON
from src.foreign import printable, read_bounded, reason

# The model zoo's mIoU on VOC 2012 val, percent, by output stride, number of scales and flip.
VOC_CLASSES = 21
SHARE = (float, int, type(None))    # null where no class occurs
FORM = {"network": str, "settings": dict, "mean_iou": SHARE, "pixel_accuracy": SHARE, "images_per_s": (float, int)}
PUBLISHED = {(16, 1, False): 77.37, (8, 1, False): 78.84, (8, 5, False): 79.70, (8, 5, True): 79.89}


def read_result(path) -> dict:
    """The result of an evaluation. Raises InputError for a file of another form, which may come from anybody."""
    try:
        result = json.loads(read_bounded(path, LARGEST_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not an evaluation result ({printable(reason(error), 200)})") from None
    for name, kind in FORM.items():
        value = result.get(name) if isinstance(result, dict) else None
        if not isinstance(value, kind):
            raise InputError(f"{path}: has no {name} as evaluations write it; evaluate again")
    if not (isinstance(result["settings"].get("scales"), list) and isinstance(result["settings"].get("flip"), bool)):
        raise InputError(f"{path}: has no settings as evaluations write them; evaluate again")
    return result


def format_summary(results: list, published: bool = False) -> str:
    """One row for each result: network, engine, scales, flip, mIoU in percent, pixel accuracy, images a second.

    With `published` a column has the model zoo's mIoU of the same mode; windows ("tiled") are not a published mode.
    """
    rows = [("network", "engine", "scales", "flip", "mIoU", *(["published"] if published else []), "pixel acc.",
             "images/s")]
    for result in results:
        settings, network = result["settings"], result["network"]
        scales = "tiled" if result.get("tiled") else len(settings["scales"])
        mode = (result.get("output_stride"), scales, settings["flip"])
        is_published = mode in PUBLISHED and len(result.get("class_names", ())) == VOC_CLASSES
        zoo = [f"{PUBLISHED[mode]:.2f}" if is_published else "-"] if published else []
        rows.append((printable(network), printable(result.get("engine", "-")), str(mode[1]), "yes" if mode[2] else "no",
                     percent(result["mean_iou"]), *zoo, percent(result["pixel_accuracy"]),
                     f"{result['images_per_s']:.2f}"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join([f"{row[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:]))])
             for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def main(argv=None):
    parser = Parser("summary.py", description=__doc__)
    parser.add_argument("--published", action="store_true", help="add the model zoo's mIoU of the same mode")
    parser.add_argument("results", nargs="+", metavar="RESULT.json", help="result files of eval.py and eval_onnx.py")
    given = parser.parse_args(argv)
    print(format_summary([read_result(path) for path in given.results], given.published))


if __name__ == "__main__":
    sys.exit(run_program(main))
