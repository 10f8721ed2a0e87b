"""Three steps of train.py compared with PyTorch in float64: all numbers must be equal.

Only stable interfaces are used, so the test survives changes inside: the command line, the published parameter names,
checkpoints and metrics.jsonl. One batch holds every picture, each its own mirror image, at scale 1 and of the crop's
size: whatever train.py draws, it trains on these pixels.
"""
import json
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT, load_script
from tests.golden import golden_weight, save_checkpoint

torch = pytest.importorskip("torch")

MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.120, 58.395)    # blue green red, as published
MOMENTUM, WEIGHT_DECAY, BASE_LR = 0.9, 1e-4, 3e-4
STEPS, COUNT, SIDE, CLASSES, VOID = 3, 6, 65, 6, 255
BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}

# How far float32 may be from float64, relative. Six sets of pictures in both modes came to 5e-7, 3e-3, 2e-3 and 7e-7.
# Most momenta were within 1e-5, but rounding can take an activation across a ReLU's corner and change its gradient.
LIMITS = {"losses": 3e-6, "momenta": 1e-2, "weights": 1e-2, "statistics": 1e-5}


class Run(NamedTuple):
    """Options of train.py that both sides follow."""

    freeze_bn: bool = False
    classifier_lr_factor: float = 1.0
    freeze_backbone: int = 0
    warmup_steps: int = 0
    dice: float = 0.0

    def arguments(self) -> list:
        return [f"--{name}={value}" for name, value in self._asdict().items() if value != Run()._asdict()[name]]


RUNS = {"trained": Run(), "frozen": Run(freeze_bn=True), "small sets": Run(False, 10.0, 2, 2, 0.5)}


def mirrored(half):
    """(N, H, W / 2, ...) -> (N, H, W, ...), W odd: the halves share the middle column."""
    return np.concatenate([half, half[:, :, -2::-1]], 2)


def make_pairs():
    """Pictures (N, H, W, 3) uint8 blue green red, coloured by class; labels (N, H, W) uint8, each with more void."""
    rng, half = np.random.default_rng(1), SIDE // 2 + 1
    blocks = rng.integers(0, CLASSES, (COUNT, 9, 5)).repeat(8, 1).repeat(8, 2)[:, :SIDE, :half]
    tint = rng.integers(0, 200, (CLASSES, 3))[blocks]
    void = rng.random(blocks.shape) < np.linspace(0, 0.6, COUNT).reshape(-1, 1, 1)
    images = tint + rng.integers(0, 56, tint.shape)
    return mirrored(images.astype(np.uint8)), mirrored(np.where(void, VOID, blocks).astype(np.uint8))


def make_network():
    """The tiny network of docs/deeplab_v3_torch.py, float64, with reference weights; its tensors by published name."""
    module = load_script(ROOT / "docs/deeplab_v3_torch.py")
    network, tensors = module.DeepLabV3((1, 1, 1, 3), 8, 32, CLASSES, 16, (6, 12, 18)).double(), {}
    for cell, layer in network.named_modules():
        for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
            if name != "num_batches_tracked":
                ours = BATCH_NORM[name] if isinstance(layer, torch.nn.BatchNorm2d) else name
                tensors[f"network.{cell}.{ours}"] = tensor
    for name, tensor in tensors.items():
        tensor.data.copy_(torch.from_numpy(golden_weight(name, tuple(tensor.shape))))
    return network, tensors


def set_mode(network, run):
    """Training mode without dropout; with freeze_bn BatchNorm keeps its statistics and trains its factors, what
    freeze_backbone counts keeps everything."""
    network.train()
    network.aspp.training = False    # of its own forward pass, where dropout is, not of its layers
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.train(not run.freeze_bn)
    backbone = network.resnet
    for part in (backbone.conv1, backbone.bn1, *list(backbone.children())[2:2 + run.freeze_backbone]):
        if run.freeze_backbone:
            part.eval().requires_grad_(False)


def torch_loss(logits, labels, dice):
    """Cross entropy and `dice` times the Dice loss of the classes that are there."""
    counted = labels != VOID
    probabilities = logits.softmax(1).permute(0, 2, 3, 1)[counted]    # (pixels, C)
    truth = torch.nn.functional.one_hot(labels[counted], CLASSES).double()
    overlap = 2 * (probabilities * truth).sum(0) / ((probabilities ** 2).sum(0) + truth.sum(0))
    return (torch.nn.functional.cross_entropy(logits, labels, ignore_index=VOID)
            + dice * (1 - overlap)[truth.sum(0) > 0].mean())


def train_torch(network, tensors, images, labels, run):
    """Losses of the three steps, as the recipe is published; and the optimizer's momenta by published name."""
    set_mode(network, run)
    pixels = (torch.from_numpy(images).double() - torch.tensor(MEAN).double()) / torch.tensor(STD).double()
    pixels, labels = pixels.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long()
    trained = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    optimizer = torch.optim.SGD([{"params": [tensor],
                                  "weight_decay": 0 if name.endswith((".gamma", ".beta")) else WEIGHT_DECAY,
                                  "factor": run.classifier_lr_factor if ".aspp.conv2." in name else 1}
                                 for name, tensor in trained.items()],
                                lr=BASE_LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    losses = []
    for step in range(STEPS):
        rate = BASE_LR / 2 * (1 + np.cos(np.pi * step / STEPS)) * min(1, (step + 1) / max(1, run.warmup_steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        loss = torch_loss(network(pixels), labels, run.dice)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: optimizer.state[tensor]["momentum_buffer"] for name, tensor in trained.items()}


def train_mindspore(folder, start, images, labels, run):
    """What a user does: list file, MindRecord, train.py. Losses of its steps, values of its last checkpoint by name."""
    import mindspore as ms

    import train
    from src.data import build_seg_data
    pairs = []
    for number, (image, label) in enumerate(zip(images, labels)):
        pairs.append((f"{number}.png", f"{number}_mask.png"))
        assert all(cv2.imwrite(str(folder / name), array) for name, array in zip(pairs[-1], (image, label)))
    (folder / "list.txt").write_text("".join(" ".join(pair) + "\n" for pair in pairs))
    build_seg_data.main(["--data_root", str(folder), "--data_lst", str(folder / "list.txt"), "--num_shards", "1",
                         "--dst_path", str(folder / "a.mindrecord"), "--num_classes", str(CLASSES)])
    save_checkpoint(folder / "start.ckpt", start)
    train.main(["--device_target", "CPU", "--model", "deeplab_v3_tiny_s16", "--num_classes", str(CLASSES),
                "--data_file", str(folder / "a.mindrecord"), "--crop_size", str(SIDE), "--batch_size", str(COUNT),
                "--min_scale", "1", "--max_scale", "1", "--train_epochs", str(STEPS), "--base_lr", str(BASE_LR),
                *run.arguments(), "--ckpt_pre_trained", str(folder / "start.ckpt"),
                "--train_dir", str(folder / "run")])
    lines = (folder / "run/metrics.jsonl").read_text().splitlines()
    last = ms.load_checkpoint(str(folder / f"run/deeplab_v3_tiny_s16-{STEPS}_1.ckpt"))
    return [json.loads(line)["loss"] for line in lines], {name: value.asnumpy() for name, value in last.items()}


def apart(got, expected):
    """Distance of two arrays as a share of the expected one's length."""
    return np.linalg.norm(np.subtract(got, expected)) / np.linalg.norm(expected)


def moved_apart(got, expected, start):
    """The same for the displacements from `start`, less what rounding to float32 after every step may add.

    Weights that stay where they are come to nearly 1.
    """
    rounding = STEPS * 2 ** -24 * np.linalg.norm(expected) / np.linalg.norm(expected - start)
    return max(0, apart(got.astype(np.float64) - start, expected - start) - rounding)


@pytest.mark.parametrize("name", RUNS)
def test_three_steps(tmp_path, monkeypatch, name):
    monkeypatch.setattr("src.nets.deeplab_v3.aspp.DROPOUT", 0.0)    # its draws cannot be the same on both sides
    (images, labels), run = make_pairs(), RUNS[name]
    network, tensors = make_network()
    start = {name: tensor.detach().numpy().astype(np.float32) for name, tensor in tensors.items()}
    expected, momenta = train_torch(network, tensors, images, labels, run)
    losses, last = train_mindspore(tmp_path, start, images, labels, run)
    ends = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    assert len(losses) == STEPS
    assert {name for name in last if name.startswith("moments.")} == {f"moments.{name}" for name in momenta}
    found = {"losses": np.abs(np.divide(losses, expected) - 1).max(),
             "momenta": max(apart(last[f"moments.{name}"], momenta[name].numpy()) for name in momenta),
             "weights": max(moved_apart(last[name], ends[name], start[name]) for name in momenta),
             "statistics": max(apart(last[name], ends[name]) for name in ends if name not in momenta)}
    assert all(found[part] <= LIMITS[part] for part in LIMITS), found
