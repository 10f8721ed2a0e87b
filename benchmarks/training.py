"""A training step beside PyTorch eager: time in turns within one run; memory, and time again, in a process each.

    python benchmarks/training.py step [--batch_sizes 2 8]      # also needs: pip install torch
    python benchmarks/training.py memory [--batch_sizes 2 8]

Both sides take uint8 pictures, normalise, run forward and back, and update with momentum and weight decay; dropout and
BatchNorm's statistics are on. MindSpore's step is the one that train.py builds.
"""
import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)    # in place of this folder, whose onnx.py would hide the package

import numpy as np

from src.config import parse_args
from src.data.labels import Labels
from src.device import open_device

MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.120, 58.395)


def batch_of(size, crop):
    rng = np.random.RandomState(0)
    return (rng.randint(0, 256, (size, 3, crop, crop)).astype(np.uint8),
            rng.randint(0, 21, (size, crop, crop)).astype(np.uint8))


def mindspore_step(options):
    """(step(image, label) -> loss, network): what train.py runs."""
    device = open_device("CPU")
    import mindspore as ms

    from src.training.model import build_model
    config = parse_args("train", "", ["--device_target", "CPU", "--model", options.model, "--base_lr", "0.001"])
    model, network = build_model(config, Labels(21, 255, ()), device, np.full(1000, 0.001))
    cell = model.train_network
    cell.set_train()

    def step(image, label):
        keys = np.arange(len(image), dtype=np.int32)
        out = cell(ms.Tensor(image), ms.Tensor(label), ms.Tensor(keys))
        return float((out[0] if isinstance(out, tuple) else out).asnumpy())
    return step, network


def torch_step(network):
    import torch

    from benchmarks.torch_network import DeepLabV3
    module = DeepLabV3(network).train().requires_grad_(True)
    optimizer = torch.optim.SGD(module.parameters(), 0.001, momentum=0.9, weight_decay=1e-4)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))

    def step(image, label):
        logits = module.logits((torch.from_numpy(image).float() - mean) / std)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(label).long(), ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())
    return step, module


def step_part(options):
    import torch

    from benchmarks.torch_network import multiply_rate, operations
    ours, network = mindspore_step(options)
    theirs, module = torch_step(network)
    print("| batch | MindSpore s | PyTorch s | ratio | floor s |\n| --- | --- | --- | --- | --- |")
    for size in options.batch_sizes:
        batch = batch_of(size, options.crop_size)
        seconds = ([], [])
        for _ in range(options.rounds + 1):    # the first compiles and warms up
            for step, kept in zip((ours, theirs), seconds):
                start = time.perf_counter()
                step(*batch)
                kept.append(time.perf_counter() - start)
        a, b = (float(np.median(kept[1:])) for kept in seconds)
        module.eval()
        # Gradients of weights and of inputs take as many operations each as the forward pass.
        floor = 3 * size * operations(module, torch.zeros(1, 3, options.crop_size, options.crop_size)) / multiply_rate()
        module.train()
        print(f"| {size} | {a:.2f} | {b:.2f} | {a / b:.2f} | {floor:.2f} |", flush=True)


def memory_part(options):
    print("| batch | MindSpore GB | PyTorch GB | ratio | MindSpore s | PyTorch s | ratio |\n"
          "| --- | --- | --- | --- | --- | --- | --- |")
    for size in options.batch_sizes:
        sides = []
        for side in ("mindspore", "torch"):
            command = [sys.executable, __file__, "memory", "--side", side, "--batch_sizes", str(size), "--model",
                       options.model, "--crop_size", str(options.crop_size)]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            sides.append([float(word) for word in printed.split()])
        (ours_gb, ours_s), (theirs_gb, theirs_s) = sides
        print(f"| {size} | {ours_gb:.2f} | {theirs_gb:.2f} | {ours_gb / theirs_gb:.2f} | {ours_s:.2f} | {theirs_s:.2f} "
              f"| {ours_s / theirs_s:.2f} |", flush=True)


def one_side(options):
    """Print the peak memory, in GB, of a process that only builds and runs this side's step three times, and the
    seconds of the faster of the last two.

    PyTorch's side reads the weights from a MindSpore network, whose import it would not have; so what stands before its
    first step is the less precise figure, and a process that imported both is what MindSpore's side has too.
    """
    step, network = mindspore_step(options)
    if options.side == "torch":
        step, _ = torch_step(network)
    else:
        import torch  # noqa: F401  as much is loaded as on the other side
    batch, seconds = batch_of(options.batch_sizes[0], options.crop_size), []
    for _ in range(3):    # the first compiles
        start = time.perf_counter()
        step(*batch)
        seconds.append(time.perf_counter() - start)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, min(seconds[1:]))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("step", "memory"))
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--crop_size", type=int, default=513)
    parser.add_argument("--model", default="deeplab_v3_s16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=("mindspore", "torch"), help="used by memory itself")
    options = parser.parse_args(argv)
    if options.side:
        return one_side(options)
    print(f"{len(os.sched_getaffinity(0))} cores, {options.model}, crop {options.crop_size}")
    (step_part if options.part == "step" else memory_part)(options)


if __name__ == "__main__":
    main()
