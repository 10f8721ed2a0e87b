"""Inputs of the measurements, each made once per run: pictures, weights by the reference's rule, exports."""
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PROTOBUF = "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"    # a process without MindSpore must not get its slow one
VOC, SBD = "VOCdevkit/VOC2012", "benchmark_RELEASE/dataset"
MOMENTS = ("weight", "bias", "gamma", "beta")    # name endings of trained parameters


class Unavailable(Exception):
    """This machine cannot measure a side; the text says why."""


class Job(NamedTuple):
    """Settings of a run of benchmarks/run.py, as values of JSON."""

    folder: str    # for temporary files; removed at the end
    out: str    # where a side keeps results for the comparison
    data_root: str    # with VOCdevkit/VOC2012, and benchmark_RELEASE/dataset for `lists`; empty for drawn pictures
    smallest: bool    # the tiny network, few and small pictures
    beside: str = ""    # an older checkout of the project
    ckpt_file: str = ""    # a trained network, for `precision`
    data_lst: str = ""    # pictures that it is evaluated on, relative to data_root
    calibration_lst: str = ""    # pictures that int8 is calibrated on

    @property
    def crop(self) -> int:
        return 65 if self.smallest else 513

    @property
    def classes(self) -> int:
        return 21 if self.data_root else 6

    def network(self, stride: str) -> str:
        return f"deeplab_v3_{'tiny_' if self.smallest else ''}{stride}"

    def fewer(self, count: int, least: int = 2) -> int:
        """`count`, or `least` with --smallest."""
        return least if self.smallest else count


def environment(**more) -> dict:
    inherited = {name: value for name, value in os.environ.items() if name != PROTOBUF}
    return {**inherited, "GLOG_v": "3", "PYTHON": sys.executable, **more}


def program(*command) -> None:
    """Run a program of the project. Raises RuntimeError with its last output if it fails."""
    done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}")


def voc(job: Job) -> Path:
    """A data root with list files and links to the user's pictures."""
    root = Path(job.folder, "data")
    if root.exists():
        return root
    if not job.data_root:
        train, val = (12, 4) if job.smallest else (160, 60)
        program("src/data/sample.py", "--sample_dir", root, "--sample_train", train, "--sample_val", val)
    for part in (VOC, SBD) if job.data_root else ():
        if Path(job.data_root, part).is_dir():
            (root / part).mkdir(parents=True)
            for name in Path(job.data_root, part).resolve().iterdir():
                if name.name not in ("SegmentationClassGray", "cls_png_gray"):    # made here again
                    (root / part / name.name).symlink_to(name)
    program("src/data/get_dataset_lst.py", "--data_root", root)
    return root


def pairs(job: Job, count: int, which: str = "val") -> list:
    """`count` pairs of the list of train or val, repeated if it is shorter."""
    from src.data.lists import read_list
    found = read_list(voc(job) / f"voc_{which}_lst.txt")
    return list(itertools.islice(itertools.cycle(found), count))


def list_file(job: Job, count: int, which: str = "val") -> Path:
    """The list file of `pairs`, in the data root, beside its dataset.yaml."""
    from src.data.lists import format_pair
    path = voc(job) / f"{which}_{count}.txt"
    path.write_text("".join(map(format_pair, pairs(job, count, which))))
    return path


def record(job: Job, count: int, name: str) -> Path:
    """The first shard of a MindRecord of `count` training pictures."""
    folder = Path(job.folder, name)
    if folder.exists():
        return folder / "r.mindrecord0"
    folder.mkdir()
    program("src/data/build_seg_data.py", "--data_root", voc(job), "--data_lst", list_file(job, count, "train"),
            "--dst_path", folder / "r.mindrecord", "--num_shards", 2, "--num_classes", job.classes)
    return folder / "r.mindrecord0"


def checkpoint(job: Job, stride: str, momenta: bool = False) -> Path:
    """A checkpoint in train.py's form with weights made from their names (tests/golden.py); the optimizer's momenta
    double its size."""
    import numpy as np

    from src.data.labels import make_labels
    from src.nets.architecture import architecture
    from src.weights import checkpoint as checkpoints
    from src.weights.metadata import describe
    from tests.golden import DATA, golden_weight
    path = Path(job.folder, f"{stride}{'_momenta' * momenta}", f"{job.network(stride)}.ckpt")
    if path.exists():
        return path
    shape = architecture(job.network(stride), job.classes)
    arrays = {name: golden_weight(name, size) for name, size in shape.shapes().items()}
    if job.classes == 21:    # with this bias every class occurs
        arrays["network.aspp.conv2.bias"] = np.load(DATA / "eval_modes.npz")[f"{stride}_conv2_bias"]
    trained = [name for name in arrays if name.endswith(MOMENTS)] if momenta else ()
    arrays |= {f"moments.{name}": np.zeros_like(arrays[name]) for name in trained}
    labels = make_labels(job.classes, 255)
    facts = describe(shape, labels, job.crop, (103.53, 116.28, 123.675), (57.375, 57.120, 58.395))
    path.parent.mkdir(parents=True)
    checkpoints.write(arrays, path, facts)
    return path


def onnx_file(job: Job, stride: str, *options, source=None) -> Path:
    """The checkpoint, or another one, exported by export.py with these options."""
    path = Path(job.folder, "_".join([stride, *(str(option).strip("-") for option in options[:2])]) + ".onnx")
    if not path.exists():
        program("export.py", "--ckpt_file", source or checkpoint(job, stride), "--file_name", path, "--file_format",
                "ONNX", "--device_target", "CPU", *options)
    return path


def torch_file(job: Job, stride: str) -> Path:
    """The checkpoint's weights for docs/deeplab_v3_torch.py."""
    path = Path(job.folder, f"{stride}.safetensors")
    if not path.exists():
        program("convert_resnet101.py", "--src", checkpoint(job, stride), "--dst", path, "--to", "torch")
    return path
