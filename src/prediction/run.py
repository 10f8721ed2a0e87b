"""Run predict.py: pictures, folders, lists and videos -> class maps, overlays, annotated videos and tables."""
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from src.console import InputError, number_of, progress, warn
from src.data.dataset_yaml import check_classes
from src.data.labels import Labels, make_labels
from src.data.lists import Pair
from src.data.masks import read_pair
from src.data.pictures import decode_image, limit_pixels
from src.drawing.style import percent
from src.evaluation.inference import Segmenter
from src.evaluation.letterbox import Settings
from src.evaluation.run import OF_THE_NETWORK, headline, settings_of
from src.files import read_bytes
from src.models.model import open_with
from src.prediction.probabilities import FILES
from src.prediction.results import Results, check_targets, take_folder
from src.prediction.sources import check_videos, find_sources
from src.prediction.video import annotate, open_video
from src.weights.checkpoint import digest

FRAMES = 1 << 10    # of videos: as many as any batch takes
FEW = 10    # pictures whose classes the console tells
BLANK = np.zeros((1, 1, 3), np.uint8)    # in place of a picture that cannot be read


def run(config) -> None:
    """Predict all that was given, write it, and tell. Raises InputError, RunError."""
    limit_pixels(config.max_pixels)
    sources = find_sources(config.sources, config.data_root)    # before the model, which may take a while to load
    kept = [name for name in FILES if getattr(config, name)]
    check_videos(kept + ["polygons"] * (config.polygons != "none"), sources)
    if sources.count == len(sources.videos) == 1:
        open_video(sources.videos[0][0]).release()
    config, model = open_with(config, config.model_file, "--model")
    names = model.facts.get("class_names", ())
    for path in sources.lists if any(picture.mask for picture in sources.pictures) else ():
        check_classes(config, path, model.num_classes, names, model.where)
    labels = make_labels(model.num_classes, config.ignore_label, config.class_names, names)
    settings = settings_of(config, model, config.predict_batch, FRAMES if sources.videos else len(sources.pictures))
    model.check(settings)
    folder = take_folder(config.output_dir)
    results = Results(folder, labels, config.alpha, kept, settings.passes, config.polygons)
    inputs = [config.model_file, config.class_names, *sources.files]
    check_targets(results.targets(sources), results.folder, config.overwrite, inputs)
    print(headline(model, settings), flush=True)
    rate, bad = predict_pictures(sources, model.predict, settings, results) if sources.pictures else (0, [])
    good = len(sources.pictures) - len(bad)
    bad += predict_videos(sources, model.predict, settings, results)
    if len(bad) == sources.count:
        raise bad[0] if len(bad) == 1 else InputError(f"none of the {len(bad)} {sources.kinds} can be read")
    about = {"network": model.title, "engine": model.engine, "model": str(model.path),
             "model_sha256": digest(model.path), "class_names": list(labels.names),
             "settings": dataclasses.asdict(settings)}
    results.write_tables(about | ({"tiled": str(settings.tile)} if settings.tile else {}))
    say(results, good, rate)
    if bad:
        raise InputError(f"{len(bad)} of {sources.count} {sources.kinds} cannot be read; the others are done")


def read_picture(labels: Labels, bad: dict, picture):
    """(image, truth or None) of a picture; one that cannot be read is noted in `bad`, and BLANK stands for it."""
    try:
        if picture.mask is None:
            return decode_image(read_bytes(picture.image), picture.image), None
        return read_pair("", Pair(picture.image, picture.mask), labels, OF_THE_NETWORK)
    except InputError as error:
        bad[picture] = error
        return BLANK, None


def predict_pictures(sources, predict, settings: Settings, results: Results) -> tuple:
    """Predict and write all pictures; returns (pictures a second, errors of those that cannot be read)."""
    pictures, bad, start = sources.pictures, {}, time.perf_counter()

    def watch(picture, size, place, planes):
        return planes if picture in bad else results.probabilities(picture, size, place, planes)
    with ThreadPoolExecutor() as pool, progress(len(pictures), "predict", "image") as bar:
        writing = []
        load = partial(read_picture, results.labels, bad)
        for batch in Segmenter(predict, settings, watch).run(pictures, load):
            for done in writing:    # of the batch before, so that no more than two are kept
                done.result()
            writing = []
            for item in batch:
                picture, read = item.sample, (item.image, item.mask, item.class_map)
                bar.update()
                if picture not in bad:
                    writing.append(pool.submit(results.write_picture, picture, *read, *results.add(picture, *read)))
                elif sources.count > 1:
                    bar.clear()
                    warn(str(bad[picture]))
        for done in writing:
            done.result()
    return len(pictures) / (time.perf_counter() - start), list(bad.values())


def predict_videos(sources, predict, settings: Settings, results: Results) -> list:
    """Predict and write all videos, and say how fast; returns the errors of those that cannot be read."""
    bad = []
    for path, name in sources.videos:
        try:
            shares, size, rate = annotate(path, results.video_path(name), predict, settings, results.labels,
                                          results.alpha)
        except InputError as error:
            bad.append(error)
            if sources.count > 1:
                warn(str(error))
            continue
        results.add_video(path, name, shares, size)
        print(f"{path}: {number_of(len(shares), 'frame')}, {rate:.2f} images/s")
    return bad


def say(results: Results, pictures: int, rate: float) -> None:
    """What was found and where it is."""
    if len(results.entries) <= FEW:
        for entry in results.entries:
            found = sorted(entry["coverage"].items(), key=lambda item: -item[1])
            print(f"{entry.get('picture', entry.get('video'))}: "
                  + ", ".join(f"{name} {percent(share, 1)} %" for name, share in found))
    if results.matrix.counts.any():
        print(f"mean IoU {results.matrix.mean_iou:.6f} over the pictures with a mask")
    if pictures:
        print(f"{number_of(pictures, 'picture')}, {rate:.2f} images/s")
    kinds = {Path(entry["overlay"]).parts[0] for entry in results.entries} | ({"masks"} if pictures else set())
    kinds |= set(results.outlines.said if results.outlines else ())
    kinds |= {folder for folder, _ in results.probabilities.kinds.values()}
    print(f"results are in {results.folder}: {', '.join(sorted(kinds))}, coverage.csv, coverage.json")
