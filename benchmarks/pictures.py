"""Pictures to class maps: the evaluator with every engine, compared with a simply written one."""
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.networks import keep, load_kept, open_side, torch_network
from benchmarks.prepare import Job, onnx_file, pairs, voc
from src.data.labels import Labels
from src.data.lists import read_list
from src.data.masks import read_pair
from src.evaluation.inference import evaluate
from src.evaluation.letterbox import FIVE_SCALES, Settings, letterbox, letterbox_size
from src.evaluation.metrics import ConfusionMatrix
from src.evaluation.planes import add_resized, argmax_map
from src.evaluation.results import none_if_nan


def settings_of(job: Job, batch: int = 1, scales=(1.0,), flip: bool = False) -> Settings:
    return Settings(job.crop, tuple(scales), flip, batch)


def loader(job: Job):
    return partial(read_pair, voc(job), labels=Labels(job.classes, 255, ()))


def evaluator(job: Job, stride: str, engine: str = "onnxruntime", precision: str = "float32", batch: int = 1,
              images: int = 12, five: bool = False, flip: bool = False):
    """The work of eval.py, from pictures on disk to the confusion matrix."""
    predict = open_side(job, stride, engine, precision).predict
    settings = settings_of(job, batch, FIVE_SCALES if five else (1.0,), flip)
    chosen = pairs(job, job.fewer(images))
    return partial(evaluate_once, job, predict, chosen, settings)


def evaluate_once(job: Job, predict, chosen: list, settings: Settings) -> dict:
    maps, labels = [], Labels(job.classes, 255, ())
    matrix = evaluate(predict, chosen, loader(job), settings, labels, [lambda *given: maps.append(given[3].ravel())])
    keep(job, {"maps": np.concatenate(maps), "counts": matrix.counts})
    return {"images": len(chosen), "mean_iou": none_if_nan(matrix.mean_iou)}


def plain_input(image, side, settings):
    """The picture's resized, normalised and padded input (1, 3, S, S), and its size there, in simple code."""
    height, width = image.shape[:2]
    rows, columns = (side, int(side * width / height)) if height > width else (int(side * height / width), side)
    small = cv2.resize(image, (columns, rows)).astype(np.float32)
    small = (small - np.float32(settings.mean)) / np.float32(settings.std)
    padded = cv2.copyMakeBorder(small, 0, side - rows, 0, side - columns, cv2.BORDER_CONSTANT, value=0)
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None]), (rows, columns)


def plain_sum(total, probs, size, shape):
    probs = probs[:, :size[0], :size[1]].transpose(1, 2, 0)
    return total + cv2.resize(np.ascontiguousarray(probs), (shape[1], shape[0]))


def plain_counts(mask, found, classes):
    kept = mask < classes
    return np.bincount(classes * mask[kept].astype(int) + found[kept], minlength=classes ** 2).reshape(classes, classes)


def plain(job: Job, stride: str, images: int = 12):
    """PyTorch eager in an evaluator without threads, tables or shortcuts."""
    predict, load, settings = torch_network(job, stride)[1], loader(job), settings_of(job)
    chosen = pairs(job, job.fewer(images))

    def turn():
        counts, maps = np.zeros((job.classes, job.classes), np.int64), []
        for pair in chosen:
            image, mask = load(pair)
            total = np.zeros((*image.shape[:2], job.classes), np.float32)
            inputs, size = plain_input(image, settings.crop_size, settings)
            found = plain_sum(total, predict(inputs)[0], size, image.shape[:2]).argmax(2)
            counts += plain_counts(mask, found, job.classes)
            maps.append(found.ravel())
        keep(job, {"maps": np.concatenate(maps).astype(np.uint8), "counts": counts})
        return {"images": len(chosen)}
    return turn


def alone(job: Job, stride: str, engine: str = "onnxruntime", batch: int = 1, images: int = 12, five: bool = False):
    """Only the network passes of `evaluator` for as many pictures; with `five`, mirrored too."""
    predict, settings = open_side(job, stride, engine).predict, settings_of(job, batch)
    scales = [scale for scale in FIVE_SCALES for _ in range(2)] if five else [1.0]
    sides = [settings.input_size(scale) for scale in scales]
    inputs = {side: np.random.RandomState(0).randn(batch, 3, side, side).astype(np.float32) for side in set(sides)}
    count = job.fewer(images)

    def turn():
        for side in sides * -(-count // batch):
            predict(inputs[side])
        return {"images": count}
    return turn


def around(job: Job, images: int = 12):
    """The evaluator without the network: picture to input, and probabilities to counts."""
    settings, loaded, probs = around_inputs(job, images)
    side, table = settings.crop_size, settings.normalisation()

    def turn():
        matrix = ConfusionMatrix(job.classes, 255)
        for image, mask in loaded:
            valid = letterbox(image, side, table, np.zeros((3, side, side), np.float32))
            matrix.update(mask, argmax_map(add_resized(None, probs, valid, image.shape[:2])))
        return {"images": len(loaded)}
    return turn


def plain_around(job: Job, images: int = 12):
    """The same in simple code."""
    settings, loaded, probs = around_inputs(job, images)

    def turn():
        for image, mask in loaded:
            plain_input(image, settings.crop_size, settings)
            total = np.zeros((*image.shape[:2], job.classes), np.float32)
            size = letterbox_size(*image.shape[:2], settings.crop_size)
            plain_counts(mask, plain_sum(total, probs, size, image.shape[:2]).argmax(2), job.classes)
        return {"images": len(loaded)}
    return turn


def around_inputs(job: Job, images: int) -> tuple:
    """(settings, pictures with masks, probabilities). One thread on both sides; reading is the same and left out."""
    cv2.setNumThreads(1)
    settings, load = settings_of(job), loader(job)
    probs = np.random.RandomState(0).rand(job.classes, settings.crop_size, settings.crop_size).astype(np.float32)
    return settings, [load(pair) for pair in pairs(job, job.fewer(images))], probs


def exported(job: Job, precision: str, engine: str = "onnxruntime", arithmetic: str = "float32", images: int = 60):
    """The network exported by export.py, run in `arithmetic`: seconds per picture of the crop's size, and class maps.

    With --ckpt_file a trained network, --data_lst its pictures and --calibration_lst those that int8 is calibrated on.
    """
    root = Path(job.data_root) if job.data_lst else voc(job)
    chosen = read_list(root / job.data_lst)[:images] if job.data_lst else pairs(job, job.fewer(images))
    calibrate = ("--data_root", root, "--data_lst", root / (job.calibration_lst or "voc_train_lst.txt"),
                 "--calibration_images", job.fewer(32))
    path = onnx_file(job, "s16", "--precision", precision, *(calibrate if precision == "int8" else ()),
                     source=job.ckpt_file or None)
    model = open_side(job, "s16", engine, arithmetic, path)
    mean_iou = evaluate_exported(job, model, root, chosen)
    image = np.random.RandomState(0).randn(1, 3, job.crop, job.crop).astype(np.float32)

    def turn():
        model.predict(image)
        return {"mean_iou": mean_iou, "scored": len(chosen), "file_mb": path.stat().st_size / 1e6}
    return turn


def evaluate_exported(job: Job, model, root, chosen: list):
    """mIoU of the pairs; their class maps are kept."""
    maps, labels = [], Labels(model.num_classes, model.facts["ignore_label"], ())
    matrix = evaluate(model.predict, chosen, partial(read_pair, root, labels=labels),
                      Settings(model.crop_size, batch_size=1, mean=model.mean, std=model.std), labels,
                      [lambda *given: maps.append(given[3].ravel())])
    keep(job, {"maps": np.concatenate(maps), "counts": matrix.counts})
    return none_if_nan(matrix.mean_iou)


def agreement(job: Job, keys: list):
    """Share of the pixels to which a side gives the same class as the first."""
    def turn():
        first = load_kept(job, keys[0])["maps"]
        return {"compared": {key: {"equal_pixels": float((load_kept(job, key)["maps"] == first).mean())}
                             for key in keys[1:]}}
    return turn
