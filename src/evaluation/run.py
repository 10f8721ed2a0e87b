"""An evaluation, from options and a list file to the table and the result file; the same for every kind of model."""
import dataclasses
from functools import partial

from src.config import believe
from src.console import InputError
from src.data.facts import check_classes
from src.data.labels import make_labels
from src.data.lists import check_files, read_list
from src.data.pictures import read_pair
from src.device import Device, gather, open_device, resolve_target, sum_over_ranks
from src.evaluation.inference import FIVE_SCALES, Settings, evaluate
from src.evaluation.results import EvaluationLog, format_table, write_result
from src.metadata import facts_in
from src.models.model import open_model, with_facts
from src.report.gallery import Gallery
from src.report.overlays import OverlayWriter
from src.report.page import prepare_report, write_report
from src.weights.checkpoint import digest


def run(config, path, option: str) -> None:
    """Evaluate the model at `path` on --data_lst; `option` is what errors call the path."""
    pairs = read_list(config.data_lst, config.data_root)
    check_files(pairs, config.data_root, config.data_lst)
    config = with_facts(config, path, option)
    is_distributed = getattr(config, "is_distributed", False)
    device = open_device(config.device_target, config.device_id, True) if is_distributed else Device(
        resolve_target(config.device_target), 0, 1)
    model = open_model(path, config.engine, config.device_target, config.device_id, config.engine_precision, option,
                       **facts_in(config))
    settings = settings_of(config, model, config.batch_size, len(pairs))
    model.check(settings)
    facts = check_classes(config.data_lst, config.data_root, model.num_classes, model.where)
    config = believe(config, {"ignore_label": facts.get("ignore_label", config.ignore_label)}, config.data_lst)
    labels = make_labels(model.num_classes, config.ignore_label, config.class_names, model.facts.get("class_names", ()))
    if device.rank == 0:
        print(f"{model.title}: {model.num_classes} classes, {model.engine} on {model.device}")
    evaluate_pairs(config, pairs, model, settings, labels, device)


def settings_of(config, model, batch_size: int, count: int) -> Settings:
    """The evaluator's settings for `count` pictures. Raises InputError for --scales_type 1 beside --scales."""
    if config.scales_type == 1 and config.scales != [1.0]:
        raise InputError(f"--scales_type 1 stands for the scales {FIVE_SCALES}; give it or --scales, not both")
    scales = FIVE_SCALES if config.scales_type else tuple(config.scales)
    crop_size = config.crop_size if "crop_size" in config.given else model.crop_size    # a fixed input has but one
    return Settings(crop_size, scales, config.flip, max(1, min(batch_size, count)), model.mean, model.std)


def evaluate_pairs(config, pairs: list, model, settings: Settings, labels, device: Device) -> None:
    """Evaluate this device's share; the first device prints the table and writes result_file."""
    own = pairs[device.rank::device.size]
    log = EvaluationLog(len(own))
    observers = [log]
    if config.overlay_dir:
        observers.append(OverlayWriter(config.overlay_dir, config.overlay_max, labels.ignore_label, device.rank,
                                       device.size))
    if config.report:
        prepare_report(config.report)
        gallery = Gallery(labels)
        observers.append(gallery)
    load = partial(read_pair, config.data_root, labels=labels)
    matrix = evaluate(model.predict, own, load, settings, labels, observers)
    log.close()
    matrix.counts = sum_over_ranks(matrix.counts, device)
    if config.report:
        gallery.merge(gather(gallery.to_bytes(), device))
    if device.rank:
        return
    print(format_table(matrix, labels.names))
    about = {"network": model.title, "output_stride": model.facts.get("output_stride"), "engine": model.engine,
             "images": len(pairs), "images_per_s": round(log.rate() * device.size, 3),
             "settings": dataclasses.asdict(settings), "options": dataclasses.asdict(config),
             "checkpoint_sha256": digest(model.path)}
    edges = gallery.boundary.summary() if config.report else {}
    write_result(config.result_file, matrix, labels.names, about | edges)
    print(f"result written to {config.result_file}")
    if config.report:
        more = {"model": str(model.path), "list_sha256": digest(config.data_lst)}
        print(f"report written to {write_report(config.report, matrix, gallery, labels, about | more, device)}")
