"""What eval.py and eval_onnx.py have in common: from options and a list file to the table and the result file."""
import dataclasses
from functools import partial
from pathlib import Path

from src.console import InputError
from src.data.labels import Labels
from src.data.lists import check_files, read_list
from src.data.pictures import read_pair
from src.device import Device, gather, sum_over_ranks
from src.evaluation.inference import FIVE_SCALES, Settings, evaluate
from src.evaluation.results import EvaluationLog, format_table, write_result
from src.report.gallery import Gallery
from src.report.page import write_report
from src.weights.checkpoint import digest


def read_pairs(config) -> list:
    """The pairs of data_lst. Raises InputError if a file that it names is missing."""
    pairs = read_list(config.data_lst)
    check_files(pairs, config.data_root, config.data_lst)
    return pairs


def chosen_scales(config) -> tuple:
    """The scales of --scales or --scales_type."""
    if config.scales_type == 1 and config.scales != [1.0]:
        raise InputError(f"--scales_type 1 stands for the scales {FIVE_SCALES}; give it or --scales, not both")
    return FIVE_SCALES if config.scales_type else tuple(config.scales)


def settings_of(config, count: int) -> Settings:
    """The evaluator's settings for `count` pictures, from the options."""
    return Settings(config.crop_size, chosen_scales(config), config.flip,
                    min(config.batch_size, count), config.num_classes, config.ignore_label,
                    tuple(config.image_mean), tuple(config.image_std))


def prepare_report(folder: str) -> None:
    """Make the folder before the work. Raises InputError if there can be none."""
    try:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--report {folder}: {error.strerror}") from None


def evaluate_pairs(config, pairs: list, settings: Settings, predict, names: list, network: str, model_path,
                   device: Device) -> None:
    """Evaluate this device's share; the first device prints the table and writes result_file.

    Args:
        predict: see src.evaluation.inference.
        network: its name in tables.
        model_path: the file whose digest the result keeps.
    """
    own = pairs[device.rank::device.size]
    prepare_report(config.report)
    log = EvaluationLog(len(own), config.overlay_dir, config.overlay_max, config.ignore_label, device)
    gallery = Gallery(settings.num_classes, settings.ignore_label) if config.report else None

    def on_image(*result):
        log(*result)
        if gallery:
            gallery(*result)

    load = partial(read_pair, config.data_root, labels=Labels(config.num_classes, config.ignore_label, tuple(names)))
    matrix = evaluate(predict, own, load, settings, on_image)
    log.close()
    matrix.counts = sum_over_ranks(matrix.counts, device)
    if gallery:
        gallery.merge(gather(gallery.to_bytes(), device))
    if device.rank == 0:
        print(format_table(matrix, names))
        extra = {"network": network, "images": len(pairs), "images_per_s": round(log.rate() * device.size, 3),
                 "settings": dataclasses.asdict(settings), "options": dataclasses.asdict(config),
                 "checkpoint_sha256": digest(model_path)}
        edges = gallery.boundary.summary() if gallery else {}
        write_result(config.result_file, matrix, names, extra | edges)
        print(f"result written to {config.result_file}")
        if gallery:
            more = {"model": str(model_path), "list_sha256": digest(config.data_lst)}
            print(f"report written to {write_report(config.report, matrix, gallery, names, extra | more, device)}")
