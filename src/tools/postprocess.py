"""Compute the mIoU of a list from the probabilities that ascend310_infer --dump_probs wrote, one file at a time."""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.config import parse_args
from src.console import InputError, counted, run_program
from src.data.dataset_yaml import facts_beside, labels_of
from src.data.lists import Pair, read_list
from src.data.masks import check_headers, decode_mask
from src.evaluation.letterbox import letterbox_size
from src.evaluation.metrics import ConfusionMatrix
from src.evaluation.per_image import PerImage
from src.evaluation.planes import add_resized, argmax_map
from src.evaluation.results import check_scored, format_table, prepare_result, write_figures
from src.files import read_bytes


def read_probs(path: Path, num_classes: int, crop_size: int) -> np.ndarray:
    """(num_classes, crop_size, crop_size) float32 from a .bin file. Raises InputError with its name."""
    try:
        values = np.fromfile(path, np.float32)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; run_infer_cpp.sh --dump_probs writes it") from None
    if values.size != num_classes * crop_size ** 2:
        raise InputError(f"{path}: holds {values.size} numbers, not {num_classes} x {crop_size} x {crop_size}; "
                         "give the --num_classes and --crop_size of the model")
    return values.reshape(num_classes, crop_size, crop_size)


def read_mask(data_root, pair: Pair, labels) -> np.ndarray:
    """The mask (H, W) uint8 of a pair; of the picture only the header is read. Raises InputError."""
    paths = [Path(data_root, name) for name in pair]
    data = [read_bytes(path) for path in paths]
    check_headers(data, paths)    # the probabilities are of a picture of the mask's size
    mask = decode_mask(data[1], paths[1])
    labels.check(mask, paths[1])
    return mask


def main(argv=None):
    config = parse_args("postprocess", __doc__, argv)
    if not config.result_path:
        raise InputError("--result_path is not given: the folder result_Files of run_infer_cpp.sh")
    pairs = read_list(config.data_lst, config.data_root)
    prepare_result(config, [config.data_lst, config.class_names])
    labels = labels_of(config, *facts_beside(config.data_lst, config.data_root))
    matrix = ConfusionMatrix(labels.num_classes, labels.ignore_label)
    table = PerImage(labels) if config.per_image_file else None
    for pair in counted(pairs, "score", "image"):
        mask = read_mask(config.data_root, pair, labels)
        probs = read_probs(Path(config.result_path, f"{Path(pair.image).stem}_0.bin"), labels.num_classes,
                           config.crop_size)
        valid = letterbox_size(*mask.shape, config.crop_size)
        class_map = argmax_map(add_resized(None, probs, valid, mask.shape))
        own = matrix.update(mask, class_map)
        if table:
            table(pair, None, mask, class_map, own)
    print(format_table(matrix, labels.names))
    write_figures(config, pairs, matrix, labels, table, {"images": len(pairs)})
    check_scored(matrix)


if __name__ == "__main__":
    sys.exit(run_program(main))
