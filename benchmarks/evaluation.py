"""Evaluation beside PyTorch and a plainly written evaluator, both sides in turns within one run.

    python benchmarks/evaluation.py network                      # also needs: pip install torch
    python benchmarks/evaluation.py evaluator --data_root DIR --data_lst FILE [--images 12]
    python benchmarks/evaluation.py around --data_root DIR --data_lst FILE
    python benchmarks/evaluation.py scales --data_root DIR --data_lst FILE [--images 2]

network: one pass; evaluator: pictures on disk to mIoU, and what the network alone takes of it; around: picture to input
and probabilities to counts, for one picture and scale on one core; scales: five scales and flip against the sum of
their ten passes. The weights are made from the parameters' names (tests/golden.py).
"""
import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)    # in place of this folder, whose onnx.py would hide the package

import cv2
import numpy as np

from src.data.labels import Labels
from src.data.lists import read_list
from src.data.pictures import read_pair
from src.device import open_device
from src.evaluation.inference import (
    FIVE_SCALES,
    Settings,
    add_resized,
    argmax_map,
    evaluate,
    letterbox,
    letterbox_size,
)
from src.evaluation.metrics import ConfusionMatrix


def in_turns(rounds: int, runs: dict) -> dict:
    """Name -> median seconds; each function is called once to warm up, then all in turns."""
    for run in runs.values():
        run()
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def networks(stride, batch_size=1):
    """MindSpore's predict as eval.py makes it, PyTorch's of the same weights, and PyTorch's module."""
    import torch

    from benchmarks.torch_network import DeepLabV3
    cell = golden_cell(stride)
    module = DeepLabV3(cell.network)

    def eager(inputs):
        with torch.inference_mode():
            return module(torch.from_numpy(inputs)).numpy()
    return mindspore_predict(cell, batch_size), eager, module


def golden_cell(stride):
    from src.nets.net_factory import InferenceNetwork, create_network
    from tests.golden import DATA, set_golden
    cell = InferenceNetwork(create_network(f"deeplab_v3_{stride}"))
    set_golden(cell, {"network.aspp.conv2.bias": np.load(DATA / "eval_modes.npz")[f"{stride}_conv2_bias"]})
    return cell


def mindspore_predict(cell, batch_size=1):
    from src.models.mindspore_engine import make_predict
    from src.nets.layers import fold_batch_norm
    fold_batch_norm(cell)
    return make_predict(cell, batch_size)


def random_input(side):
    return np.random.RandomState(0).randn(1, 3, side, side).astype(np.float32)


def plain_input(image, side, settings):
    """The picture's resized, normalised and padded input (1, 3, S, S), and its size there, as one writes it."""
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


def plain_evaluate(predict, pairs, load, settings):
    """The evaluator without threads, tables or shortcuts."""
    counts = np.zeros((settings.num_classes, settings.num_classes), np.int64)
    for pair in pairs:
        image, mask = load(pair)
        total = np.zeros((*image.shape[:2], settings.num_classes), np.float32)
        for scale in settings.scales:
            inputs, size = plain_input(image, settings.input_size(scale), settings)
            total = plain_sum(total, predict(inputs)[0], size, image.shape[:2])
        counts += plain_counts(mask, total.argmax(2), settings.num_classes)
    return counts


def network_part(options):
    import torch

    from benchmarks.torch_network import multiply_rate, operations
    print(f"batch {options.batch_size}")
    print("| network | MindSpore s | PyTorch s | ratio | floor s | difference |\n| --- | --- | --- | --- | --- | --- |")
    images = np.repeat(random_input(options.crop_size), options.batch_size, 0)
    for stride in options.strides:
        ours, eager, module = networks(stride, options.batch_size)
        worst = np.abs(ours(images) - eager(images)).max()
        times = in_turns(options.rounds, {"ours": partial(ours, images), "eager": partial(eager, images)})
        floor = operations(module, torch.from_numpy(images)) / multiply_rate()
        print(f"| {stride} | {times['ours']:.3f} | {times['eager']:.3f} | {times['ours'] / times['eager']:.2f} | "
              f"{floor:.3f} | {worst:.1e} |", flush=True)


def evaluator_part(options):
    pairs, load = pictures(options)
    settings = Settings(options.crop_size, batch_size=options.batch_size)
    images = np.repeat(random_input(options.crop_size), options.batch_size, 0)
    print("| network | pictures | eval s an image | plain PyTorch | ratio | network alone | eval / network | equal |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- |")
    for stride in options.strides:
        ours, eager, _ = networks(stride, options.batch_size)
        counts = evaluate(ours, pairs, load, settings).counts, plain_evaluate(eager, pairs, load, settings)
        equal = 1 - np.abs(counts[0] - counts[1]).sum() / 2 / counts[0].sum()
        times = in_turns(options.rounds, {
            "ours": partial(evaluate, ours, pairs, load, settings),
            "plain": partial(plain_evaluate, eager, pairs, load, settings),
            "alone": partial(repeat, ours, [images] * (len(pairs) // options.batch_size))})
        ours_s, plain_s, alone = (times[name] / len(pairs) for name in ("ours", "plain", "alone"))
        print(f"| {stride} | {len(pairs)} | {ours_s:.3f} | {plain_s:.3f} | {ours_s / plain_s:.2f} | {alone:.3f} | "
              f"{ours_s / alone:.3f} | {equal:.5f} |", flush=True)


def repeat(predict, inputs):
    for images in inputs:
        predict(images)


def around_part(options):
    """One thread on both sides; reading the picture is the same on both and left out."""
    cv2.setNumThreads(1)
    pairs, load = pictures(options)
    loaded = [load(pair) for pair in pairs]
    settings = Settings(options.crop_size)
    side, table = settings.crop_size, settings.normalisation()
    probs = np.random.RandomState(0).rand(settings.num_classes, side, side).astype(np.float32)

    def ours_before():
        for image, _ in loaded:
            letterbox(image, side, table, np.zeros((3, side, side), np.float32))

    def plain_before():
        for image, _ in loaded:
            plain_input(image, side, settings)

    def ours_after():
        matrix = ConfusionMatrix(settings.num_classes, 255)
        for image, mask in loaded:
            valid = letterbox_size(*image.shape[:2], side)
            matrix.update(mask, argmax_map(add_resized(None, probs, valid, image.shape[:2])))

    def plain_after():
        for image, mask in loaded:
            total = np.zeros((*image.shape[:2], settings.num_classes), np.float32)
            total = plain_sum(total, probs, letterbox_size(*image.shape[:2], side), image.shape[:2])
            plain_counts(mask, total.argmax(2), settings.num_classes)

    times = in_turns(options.rounds, {"ours before": ours_before, "plain before": plain_before,
                                      "ours after": ours_after, "plain after": plain_after})
    ours, plain = ([1e3 * times[f"{who} {when}"] / len(loaded) for when in ("before", "after")]
                   for who in ("ours", "plain"))
    print("| ms a picture, one core | before | after | both | ratio |\n| --- | --- | --- | --- | --- |")
    print(f"| this evaluator | {ours[0]:.1f} | {ours[1]:.1f} | {sum(ours):.1f} | {sum(ours) / sum(plain):.2f} |")
    print(f"| plainly written | {plain[0]:.1f} | {plain[1]:.1f} | {sum(plain):.1f} | 1 |")


def scales_part(options):
    pairs, load = pictures(options)
    settings = Settings(options.crop_size, FIVE_SCALES, True, 1)
    passes = [random_input(settings.input_size(scale)) for scale in FIVE_SCALES for _ in range(2)]
    print("| network | pictures | eval s an image | ten passes | ratio |\n| --- | --- | --- | --- | --- |")
    for stride in options.strides:
        predict = mindspore_predict(golden_cell(stride))
        times = in_turns(options.rounds, {"ours": partial(evaluate, predict, pairs, load, settings),
                                          "passes": partial(repeat, predict, passes)})
        ours = times["ours"] / len(pairs)
        print(f"| {stride} | {len(pairs)} | {ours:.2f} | {times['passes']:.2f} | {ours / times['passes']:.3f} |",
              flush=True)


def pictures(options):
    if not options.data_lst:
        raise SystemExit(f"{options.part}: --data_root and --data_lst are needed")
    pairs = read_list(options.data_lst)[:options.images]
    return pairs, partial(read_pair, options.data_root, labels=Labels(21, 255, ()))


PARTS = {"network": network_part, "evaluator": evaluator_part, "around": around_part, "scales": scales_part}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--data_root", default="", help="folder that the list's paths are relative to")
    parser.add_argument("--data_lst", default="", help="list file of pictures with masks")
    parser.add_argument("--images", type=int, default=12, help="pictures of the list to take")
    parser.add_argument("--strides", nargs="*", default=["s16", "s8"])
    parser.add_argument("--batch_size", type=int, default=1, help="of network and evaluator; divides --images")
    parser.add_argument("--crop_size", type=int, default=513)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    open_device("CPU")
    print(f"{len(os.sched_getaffinity(0))} cores")
    PARTS[options.part](options)


if __name__ == "__main__":
    main()
