"""Run an evaluation of any kind of model, from options and a list file to the table and the result file."""
import dataclasses
from functools import partial
from pathlib import Path

from src.console import InputError
from src.data.dataset_yaml import believe_ignore_label, check_classes
from src.data.findings import tell
from src.data.labels import make_labels
from src.data.lists import check_files, read_list
from src.data.masks import read_pair
from src.data.pictures import limit_pixels
from src.data.survey import survey_list
from src.device import Device, gather, open_device, resolve_target, sum_over_ranks
from src.evaluation.boundary import BoundaryScore
from src.evaluation.inference import evaluate
from src.evaluation.letterbox import FIVE_SCALES, Settings
from src.evaluation.per_image import PerImage
from src.evaluation.results import (
    EvaluationLog,
    check_scored,
    format_table,
    kind_to_replace,
    prepare_result,
    warn_of_unpredicted,
    write_figures,
)
from src.evaluation.tiles import Tile
from src.models.model import open_with
from src.report.gallery import Gallery
from src.report.overlays import OverlayWriter
from src.report.page import prepare_report, write_report
from src.weights.checkpoint import digest

OF_THE_NETWORK = "correct the mask, or take a network of its classes"


def run(config, path, option: str) -> None:
    """Evaluate the model at `path` on --data_lst; `option` is the path's name in errors."""
    limit_pixels(config.max_pixels)
    pairs = read_list(config.data_lst, config.data_root)
    check_files(pairs, config.data_root, config.data_lst)
    inputs = [path, config.data_lst, config.class_names,
              *(Path(config.data_root, name) for pair in pairs for name in pair)]
    is_distributed = getattr(config, "is_distributed", False)
    device = open_device(config.device_target, config.device_id, True) if is_distributed else Device(
        resolve_target(config.device_target), 0, 1)
    config, model = open_with(config, path, option)
    config = believe_ignore_label(config, config.data_lst, config.data_root)
    settings = settings_of(config, model, config.batch_size, len(pairs))
    if device.rank == 0:
        prepare_result(config, inputs)
    model.check(settings)
    names = model.facts.get("class_names", ())
    of_data, _ = check_classes(config, config.data_lst, model.num_classes, names, model.where)
    labels = make_labels(model.num_classes, config.ignore_label, config.class_names,
                         names or of_data.get("class_names", ()))
    if device.rank == 0:
        print(headline(model, settings), flush=True)
        tell(survey_list(pairs, config.data_root, config.data_lst, labels)[1], config.ignore_findings)
    evaluate_pairs(config, pairs, model, settings, labels, device)


def settings_of(config, model, batch_size: int, count: int) -> Settings:
    """The evaluator's settings for `count` pictures. Raises InputError for options that contradict each other."""
    if config.scales_type == 1 and config.scales != [1.0]:
        raise InputError(f"--scales_type 1 stands for the scales {FIVE_SCALES}; give it or --scales, not both")
    scales = FIVE_SCALES if config.scales_type else tuple(config.scales)
    crop_size = config.crop_size if "crop_size" in config.given else model.crop_size    # a fixed input has only one
    tile = tile_of(config)
    batch_size = batch_size if tile else max(1, min(batch_size, count))    # of windows, not pictures
    return Settings(crop_size, scales, config.flip, batch_size, model.mean, model.std, tile=tile)


def tile_of(config):
    """src.evaluation.tiles.Tile of the options, None without --tile. Raises InputError for what does not go together.
    """
    if not config.tile:
        for name in ("tile_overlap", "tile_scale"):
            if name in config.given:
                raise InputError(f"{config.given[name]}: has no effect without --tile; add that, or leave it out")
        return None
    if config.scales_type or config.scales != [1.0]:
        raise InputError("--tile: takes a picture at one scale; give --tile_scale in place of --scales and "
                         "--scales_type")
    return Tile(config.tile_overlap, config.tile_scale)


def headline(model, settings: Settings) -> str:
    """What computes, and whether in windows, for the console."""
    text = f"{model.title}: {model.num_classes} classes, {model.engine} on {model.device}"
    return f"{text}, {settings.tile}" if settings.tile else text


def make_sinks(config, own: list, labels, device: Device) -> tuple:
    """(EvaluationLog, OverlayWriter, Gallery, PerImage), which look at each of this device's pairs `own`; None for what
    was not asked for. Raises InputError where they cannot write."""
    drawn, overlays = kind_to_replace(config, "drawn"), None
    if config.overlay_dir:
        overlays = OverlayWriter(config.overlay_dir, config.overlay_max, own, labels.ignore_label, drawn, device.rank,
                                 device.size)
    if config.report and device.rank == 0:
        prepare_report(config.report, drawn)
    gallery = Gallery(labels, BoundaryScore(labels.num_classes, labels.ignore_label)) if config.report else None
    return EvaluationLog(len(own)), overlays, gallery, PerImage(labels) if config.per_image_file else None


def evaluate_pairs(config, pairs: list, model, settings: Settings, labels, device: Device) -> None:
    """Evaluate this device's share; the first device prints the table and writes the files."""
    own = pairs[device.rank::device.size]
    sinks = make_sinks(config, own, labels, device)
    log, overlays, gallery, table = sinks
    load = partial(read_pair, config.data_root, labels=labels, hint=OF_THE_NETWORK, strict=False)
    matrix = evaluate(model.predict, own, load, settings, labels, list(filter(None, sinks)))
    log.close()
    matrix.counts = sum_over_ranks(matrix.counts, device)
    for kept in filter(None, (gallery, table)):
        kept.merge(gather(kept.to_bytes(), device))
    if device.rank == 0:
        print(format_table(matrix, labels.names))
        warn_of_unpredicted(matrix, labels.names)
        about = about_run(config, model, settings, len(pairs), log.rate() * device.size)
        if settings.tile:
            print(f"{settings.tile}: not a published mode")
        write_figures(config, pairs, matrix, labels, table, about | (gallery.boundary.summary() if gallery else {}))
    if gallery and device.rank == 0:
        more = {"model": str(model.path), "list_sha256": digest(config.data_lst)}
        page = write_report(config.report, matrix, gallery, labels, about | more, device,
                            kind_to_replace(config, "drawn"))
        print(f"report written to {page}")
    if overlays and overlays.error:    # only now, when the figures are safe
        raise overlays.error
    check_scored(matrix)


def about_run(config, model, settings: Settings, images: int, rate: float) -> dict:
    """What the result file and the report say of a run, at `rate` images/s, beside its figures."""
    about = {"network": model.title, "output_stride": model.facts.get("output_stride"), "engine": model.engine,
             "images": images, "images_per_s": round(rate, 3), "settings": dataclasses.asdict(settings),
             "options": dataclasses.asdict(config), "checkpoint_sha256": digest(model.path)}
    return about | ({"tiled": str(settings.tile)} if settings.tile else {})
