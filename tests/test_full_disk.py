"""A full disk is one line and exit code 1 in every program that writes, and leaves nothing half written.

A limit on the size of files stands for it: both make write fail. Where the machine lets one mount a small disk, that is
filled, too.
"""
import subprocess
import sys

import pytest

from src.console import RunError
from tests.conftest import ROOT, TINY


@pytest.fixture
def commands(drawn, trained_file, exported, tmp_path):
    """name -> (KiB that a file may have, what the program is called with, the folder that it writes to)."""
    out = tmp_path / "out"
    listed = ("--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt")
    export = ("export.py", "--device_target", "CPU", "--ckpt_file", trained_file, "--input_size", 65, "--num_classes",
              6, "--export_model", "deeplab_v3_tiny_s16")
    return {
        "sample": (1, ["src/data/sample.py", "--sample_dir", out, "--sample_train", 4, "--sample_val", 2]),
        "build": (900, ["src/data/build_seg_data.py", *listed, "--num_classes", 6, "--num_shards", 1, "--dst_path",
                        out / "x.mindrecord"]),
        "lists": (0, ["src/data/get_dataset_lst.py", "--images", drawn / "VOCdevkit/VOC2012/JPEGImages", "--masks",
                      drawn / "VOCdevkit/VOC2012/SegmentationClassGray", "--out", out]),
        "check": (1, ["src/data/check_data.py", *listed, "--num_classes", 6, "--check_dir", out]),
        "train": (20, ["train.py", *TINY, "--data_file", drawn / "train.mindrecord0", "--train_epochs", 1,
                       "--train_dir", out]),
        "eval": (1, ["eval.py", *TINY, *listed, "--ckpt_path", trained_file, "--result_file", out / "r.json"]),
        "predict": (1, ["predict.py", drawn / "VOCdevkit/VOC2012/JPEGImages", "--model", exported(), "--crop_size", 65,
                        "--device_target", "CPU", "--output_dir", out]),
        "onnx": (20, [*export, "--file_format", "ONNX", "--file_name", out / "m.onnx"]),
        "mindir": (20, [*export, "--file_format", "MINDIR", "--file_name", out / "m.mindir"]),
        "convert": (20, ["convert_resnet101.py", "--src", trained_file, "--dst", out / "w.ckpt", "--model",
                         "deeplab_v3_tiny_s16"]),
    }


NAMES = ("sample", "build", "lists", "check", "train", "eval", "predict", "onnx", "mindir", "convert")


def check(done, out) -> None:
    lines = done.err.splitlines()
    assert done.code == 1 and lines and lines[-1].startswith("error: "), done
    assert len(lines) == 1 or all(line.startswith("warning: ") for line in lines[:-1]), done
    assert all(len(line) < 500 for line in lines) and "written" in lines[-1], done
    left = [path for path in out.rglob("*") if ".aside" in path.name or path.name.startswith(".")]
    assert left == [] and not list(out.rglob("*.mindrecord*")) and not list(out.rglob("*.ckpt"))


@pytest.mark.parametrize("name", NAMES)
def test_files_that_may_not_grow(name, commands, shell, tmp_path):
    size, command = commands[name]
    text = " ".join(f"'{part}'" for part in (sys.executable, ROOT / command[0], *command[1:]))
    (tmp_path / "out").mkdir(exist_ok=name != "sample")
    check(shell("bash", "-c", f"ulimit -f {size}; {text}"), tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB, full of a file."""
    disk = tmp_path / "out"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    (disk / "filler").write_bytes(bytes(64 << 10))
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("name", ["sample", "build", "lists", "check", "convert"])
def test_a_disk_that_is_read_only(name, commands, shell, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = shell(sys.executable, ROOT / commands[name][1][0], *commands[name][1][1:])
    assert done.code == 2 and done.err.count("\n") == 1 and "cannot be written" in done.err, done
    assert f"read-only in {small_disk}; give another place" in done.err or "--out DIR takes" in done.err, done


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_is_full(name, commands, shell, small_disk, tmp_path):
    _, command = commands[name]
    temporary = {"TMPDIR": str(small_disk)} if name == "mindir" else {}    # MindSpore writes there first
    done = shell(sys.executable, ROOT / command[0], *command[1:], **temporary)
    if name == "build":    # said before the work
        assert done.code == 2 and "are free on this disk" in done.err and done.err.count("\n") == 1, done
    else:
        check(done, small_disk)


def test_a_full_disk_under_the_metrics_is_one_line(tmp_path):
    from src.training.metrics import Metrics
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    metrics = Metrics(tmp_path, "", 0)
    with pytest.raises(RunError, match="metrics.jsonl: cannot be written .No space left"):
        metrics.write({"global_step": 1})
    metrics.close()
