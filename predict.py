"""Predict the classes of pictures and videos: class maps, overlays and the coverage of each class.

python predict.py photo.jpg --model deeplabv3.onnx
"""
import dataclasses
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from src.config import parse_args
from src.console import InputError, progress, run_program, warn
from src.data.labels import check_labels, class_names
from src.data.pictures import decode_image, decode_mask, read_bytes, size_text
from src.drawing.panels import percent
from src.evaluation.inference import Segmenter, Settings
from src.evaluation.metrics import ConfusionMatrix
from src.evaluation.run import chosen_scales
from src.models.model import open_model
from src.prediction.results import Results, check_targets, coverage, free_folder
from src.prediction.sources import find_sources
from src.prediction.video import annotate, open_video
from src.weights.checkpoint import digest

MOST_PIXELS = 1 << 20    # 1 megapixel: 21 planes of a 12-megapixel photo would take 1 GB
FEW = 10    # pictures whose classes the console tells
BLANK = np.zeros((1, 1, 3), np.uint8)    # in place of a picture that cannot be read


def settings_of(config, model, count: int) -> Settings:
    """The evaluator's settings, from the options and the model."""
    return Settings(config.crop_size, chosen_scales(config), config.flip, min(config.predict_batch, max(1, count)),
                    model.num_classes, config.ignore_label, tuple(config.image_mean), tuple(config.image_std),
                    MOST_PIXELS)


def read_picture(num_classes: int, ignore_label: int, bad: dict, picture):
    """(image, truth or None) of a picture; one that cannot be read is noted in `bad`, and BLANK stands for it."""
    try:
        image = decode_image(read_bytes(picture.image), picture.image)
        if picture.mask is None:
            return image, None
        truth = decode_mask(read_bytes(picture.mask), picture.mask)
        if truth.shape != image.shape[:2]:
            raise InputError(f"{picture.mask}: {size_text(truth)} where its picture {picture.image} has "
                             f"{size_text(image)}")
        check_labels(truth, num_classes, ignore_label, picture.mask,
                     "mend the mask, or take a network of its classes")
        return image, truth
    except InputError as error:
        bad[picture] = error
        return BLANK, None


def predict_pictures(sources, predict, settings: Settings, results) -> tuple:
    """Predict and write all pictures; returns (pictures a second, errors of those that cannot be read)."""
    pictures, bad, start = sources.pictures, {}, time.perf_counter()
    load = partial(read_picture, settings.num_classes, settings.ignore_label, bad)
    with ThreadPoolExecutor() as pool, progress(len(pictures), "predict", "image") as bar:
        writing = []
        for batch in Segmenter(predict, settings).run(pictures, load):
            for done in writing:    # of the batch before, so that no more than two are kept
                done.result()
            writing = []
            for picture, image, truth, class_map in zip(batch.samples, batch.images, batch.masks, batch.maps):
                bar.update()
                if picture in bad:
                    if sources.count > 1:
                        bar.clear()
                        warn(str(bad[picture]))
                    continue
                shares = coverage(class_map, settings.num_classes)
                iou = None if truth is None else score(results.matrix, truth, class_map)
                results.add(picture, shares, class_map.shape, iou)
                writing.append(pool.submit(results.write_picture, picture, image, truth, class_map, shares, iou))
        for done in writing:
            done.result()
    return len(pictures) / (time.perf_counter() - start), list(bad.values())


def score(matrix: ConfusionMatrix, truth, class_map):
    """Add a picture to the matrix; its own mean IoU, None where nothing is scored."""
    own = ConfusionMatrix(matrix.num_classes, matrix.ignore_label)
    own.counts = matrix.update(truth, class_map)
    return own.mean_iou if own.counts.any() else None


def predict_videos(sources, predict, settings: Settings, results) -> list:
    """Predict and write all videos, and say how fast; returns the errors of those that cannot be read."""
    bad = []
    for path, name in sources.videos:
        try:
            shares, size, rate = annotate(path, results.video_path(name), predict, settings, results.names,
                                          results.alpha)
        except InputError as error:
            bad.append(error)
            if sources.count > 1:
                warn(str(error))
            continue
        results.add_video(path, name, shares, size)
        print(f"{path}: {len(shares)} frames, {rate:.2f} images/s")
    return bad


def say(results, pictures: int, rate: float) -> None:
    """What was found and where it is."""
    if len(results.entries) <= FEW:
        for entry in results.entries:
            found = sorted(entry["coverage"].items(), key=lambda item: -item[1])
            print(f"{entry.get('picture', entry.get('video'))}: "
                  + ", ".join(f"{name} {percent(share)}" for name, share in found))
    if results.matrix.counts.any():
        print(f"mean IoU {results.matrix.mean_iou:.6f} over the pictures with a mask")
    if pictures:
        print(f"{pictures} picture{'s' * (pictures > 1)}, {rate:.2f} images/s")
    kinds = {Path(entry["overlay"]).parts[0] for entry in results.entries} | ({"masks"} if pictures else set())
    print(f"results are in {results.folder}: {', '.join(sorted(kinds))}, coverage.csv, coverage.json")


def run(config, model, sources) -> None:
    """Predict all that was given, write it, and tell."""
    settings = settings_of(config, model, len(sources.pictures) or config.predict_batch)
    model.check(settings)
    own = model.names and len(model.names) == model.num_classes and not config.class_names
    names = model.names if own else class_names(model.num_classes, config.class_names)
    results = Results(free_folder(config.output_dir), names, config.alpha, config.ignore_label)
    check_targets(results.targets(sources), config.overwrite)
    print(f"{model.network}: {model.num_classes} classes, on {model.device}")
    predict = model.make_predict(settings)
    rate, bad = predict_pictures(sources, predict, settings, results) if sources.pictures else (0, [])
    good = len(sources.pictures) - len(bad)
    bad += predict_videos(sources, predict, settings, results)
    if len(bad) == sources.count:
        raise bad[0] if len(bad) == 1 else InputError(f"none of the {len(bad)} {sources.kinds} can be read")
    results.write_tables({"network": model.network, "model": str(model.path), "model_sha256": digest(model.path),
                          "class_names": names, "settings": dataclasses.asdict(settings)})
    say(results, good, rate)
    if bad:
        raise InputError(f"{len(bad)} of {sources.count} {sources.kinds} cannot be read; the others are done")


def main(argv=None):
    config = parse_args("predict", __doc__, argv)
    sources = find_sources(config.sources, config.data_root)    # before the model, which may take a while to load
    if sources.count == len(sources.videos) == 1:
        open_video(sources.videos[0][0]).release()
    run(*open_model(config), sources)


if __name__ == "__main__":
    sys.exit(run_program(main))
