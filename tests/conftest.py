"""Fixtures: the real pictures, a small drawn sample, a trained tiny network, and ways to run the programs."""
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
# MindSpore asks for protobuf's Python implementation, which must be settled before onnx is imported; programs import
# MindSpore first, tests in any order.
PROTOBUF = "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"
os.environ[PROTOBUF] = "python"
sys.path.insert(0, str(ROOT))

from src.console import run_program
from src.device import prepare_environment

prepare_environment()    # as programs do, before any test imports MindSpore


def entries(folder) -> list:
    """Sorted names in a folder, without the lock files that a program holds until its process ends."""
    return sorted(path.name for path in Path(folder).iterdir() if not path.name.endswith(".deeplab_v3.lock"))


def metrics(folder) -> list:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def figures(folder, name="loss") -> dict:
    """step -> loss, or another figure, of a run."""
    return {line["global_step"]: line[name] for line in metrics(folder) if name in line}


@contextlib.contextmanager
def no_hang(seconds=10):
    """Fail if the block keeps a processor busy for so long; what else the machine does is not counted."""
    start = time.thread_time()
    yield
    assert time.thread_time() - start < seconds


def wait_until(condition, seconds=300):
    """Only something that never comes takes as long: the machine may be slow and busy."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def wait_for_lines(folder, count, process):
    """Wait until the process of a run has written this many lines of metrics."""
    path = folder / "metrics.jsonl"

    def is_there():
        assert process.poll() is None, "it ended before"
        return path.exists() and len(path.read_bytes().splitlines()) >= count
    wait_until(is_there)


def cut_after(folder, step, target):
    """A copy of a run that was interrupted after `step`: without later checkpoints, but with their metrics."""
    from src.weights.manifest import MANIFEST, read_manifest
    target.mkdir()
    kept = {name: entry for name, entry in read_manifest(folder).items() if entry["step"] <= step}
    for name in kept:
        (target / name).write_bytes((folder / name).read_bytes())
    (target / "metrics.jsonl").write_bytes((folder / "metrics.jsonl").read_bytes())
    (target / MANIFEST).write_text(json.dumps(kept))
    return target


def write_pairs(folder, masks, image="{}.jpg", mask="{}.png"):
    """Pictures of noise with these masks, (H, W) uint8, under their numbers; returns the list file of them."""
    rng, lines = np.random.default_rng(0), []
    for number, labels in enumerate(masks):
        names = image.format(number), mask.format(number)
        for name, pixels in zip(names, (rng.integers(0, 255, (*labels.shape, 3), dtype=np.uint8), labels)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name), pixels)
        lines.append(" ".join(names) + "\n")
    (folder / "list.txt").write_text("".join(lines))
    return folder / "list.txt"


FOLDERS = ("images/{}.png", "masks/{}.png")    # places for write_pairs


def write_clip(path, frames):
    """A video of these pictures of one size, 7 a second."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 7, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def load_script(path):
    """A Python file outside the packages as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def empty_pair(crop_size):
    """Arrays that a transform of training pictures writes to."""
    return np.empty((3, crop_size, crop_size), np.uint8), np.empty((crop_size, crop_size), np.uint8)


def fake_predict(inputs):
    """A network of three planes that depend on each pixel and on the mean of the input, as with image pooling."""
    mean = inputs.mean((2, 3), keepdims=True)
    return np.stack([inputs[:, 0], inputs[:, 1] * 2 + mean[:, 0], 0.5 - inputs[:, 2]], 1)


class Result(NamedTuple):
    """Exit code and output of a program."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def signals():
    """Restore the tests' signal handlers after a run in this process."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def run(capfd):
    """run(main, *arguments) -> Result, in this process: fast, with the same code as the command line."""
    def call(main, *arguments):
        capfd.readouterr()
        code = run_program(main, [str(argument) for argument in arguments])
        return Result(code, *capfd.readouterr())
    return call


@pytest.fixture
def shell(tmp_path):
    """shell(command, ...) -> Result of a new process, in an empty folder with this Python."""
    def call(*command, cwd=tmp_path, timeout=600, **environment):
        inherited = {name: value for name, value in os.environ.items() if name != PROTOBUF}
        done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=timeout,
                              env={**inherited, "PYTHON": sys.executable, **environment})
        return Result(done.returncode, done.stdout, done.stderr)
    return call


@pytest.fixture(scope="session")
def voc_sample():
    """The folder of real VOC and SBD pictures beside the checkout; only read."""
    folder = SHARED / "voc_sample"
    if not folder.is_dir():
        pytest.skip(f"no real VOC pictures in {folder}")
    return folder


@pytest.fixture(scope="session")
def annotations():
    """The folder of real labelme and COCO annotations and their masks beside the checkout; only read."""
    folder = SHARED / "annotations"
    if not folder.is_dir():
        pytest.skip(f"no real annotations in {folder}")
    return folder


@pytest.fixture(scope="session")
def camvid_sample():
    """The folder of real CamVid pictures and masks, already split, beside the checkout; only read."""
    folder = SHARED / "camvid_sample"
    if not folder.is_dir():
        pytest.skip(f"no real CamVid pictures in {folder}")
    return folder


@pytest.fixture(scope="session")
def voc_root(voc_sample, tmp_path_factory):
    """A writable data root with links to the real pictures."""
    root = tmp_path_factory.mktemp("voc")
    for folder in ("VOCdevkit/VOC2012", "benchmark_RELEASE/dataset"):
        (root / folder).mkdir(parents=True)
        for part in (voc_sample / folder).iterdir():
            (root / folder / part.name).symlink_to(part)
    return root


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A drawn sample of 24 + 6 pictures with list files, gray masks and a MindRecord of two shards."""
    from src.data import build_seg_data, get_dataset_lst
    from src.data.sample import write_sample
    root = tmp_path_factory.mktemp("drawn sample")    # with a blank, as in users' paths
    write_sample(root, 1, 24, 6)
    get_dataset_lst.main(["--data_root", str(root)])
    build_seg_data.main(["--data_root", str(root), "--data_lst", str(root / "voc_train_lst.txt"),
                         "--dst_path", str(root / "train.mindrecord"), "--num_shards", "2", "--num_classes", "6"])
    return root


@pytest.fixture
def drawn_voc(drawn, tmp_path):
    """tmp_path as a VOC2012 folder, of links to that of the drawn sample."""
    for part in ("JPEGImages", "SegmentationClass", "ImageSets"):
        (tmp_path / part).symlink_to(drawn / "VOCdevkit/VOC2012" / part)
    return tmp_path


@pytest.fixture(scope="session")
def val_list(drawn):
    return ["--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt"]


@pytest.fixture
def void_list(drawn, tmp_path):
    """A list in tmp_path of one picture, whose mask has ignored pixels only."""
    image, mask = (drawn / "voc_val_lst.txt").read_text().splitlines()[0].split()
    (tmp_path / "a.jpg").write_bytes((drawn / image).read_bytes())
    cv2.imwrite(str(tmp_path / "a.png"), np.full_like(cv2.imread(str(drawn / mask), cv2.IMREAD_GRAYSCALE), 255))
    (tmp_path / "list.txt").write_text("a.jpg a.png\n")
    return tmp_path / "list.txt"


@pytest.fixture(scope="session")
def with_evaluation(drawn):
    return ["--data_root", drawn, "--eval_data_lst", drawn / "voc_val_lst.txt"]


TINY = ("--device_target", "CPU", "--model", "deeplab_v3_tiny_s16", "--num_classes", "6", "--crop_size", "65",
        "--batch_size", "8")


@pytest.fixture(scope="session")
def trained(drawn, tmp_path_factory):
    """train_dir of two epochs of the tiny network on the drawn sample."""
    import train
    folder = tmp_path_factory.mktemp("trained") / "ckpt"
    assert run_program(train.main, [*TINY, "--data_file", str(drawn / "train.mindrecord0"), "--train_dir", str(folder),
                                    "--train_epochs", "2", "--base_lr", "0.05", "--save_steps", "2"]) == 0
    return folder


@pytest.fixture(scope="session")
def trained_file(trained):
    """The last checkpoint of `trained`."""
    return trained / "deeplab_v3_tiny_s16-2_3.ckpt"


@pytest.fixture(scope="session")
def exported(trained_file, drawn, tmp_path_factory):
    """exported(*options) -> ONNX file of the trained tiny network."""
    import export
    folder, made = tmp_path_factory.mktemp("exported"), {}

    def make(*options):
        if options not in made:
            made[options] = folder / f"{len(made)}.onnx"
            export.main(["--device_target", "CPU", "--export_model", "deeplab_v3_tiny_s16", "--num_classes", "6",
                         "--ckpt_file", str(trained_file), "--file_format", "ONNX", "--input_size", "65",
                         "--class_names", str(drawn / "classes.txt"), "--file_name", str(made[options]), *options])
        return made[options]
    return make


@pytest.fixture
def pynative():
    """Run cells without compilation, for tests that use each shape once."""
    import mindspore as ms

    from src.device import use_device
    use_device("CPU")    # sets graph mode, once
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=ms.GRAPH_MODE)
