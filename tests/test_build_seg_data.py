"""MindRecord from a list file: content, shards, checks before the first byte, nothing half finished."""
import contextlib
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from src.data import build_seg_data
from tests.conftest import ROOT, entries, wait_until, write_pairs
from tests.foreign import paletted


def records(path):
    import mindspore.dataset as ds
    rows = ds.MindDataset(str(path), shuffle=False).create_dict_iterator(num_epochs=1, output_numpy=True)
    return {str(row["file_name"]): (row["data"].tobytes(), row["label"].tobytes()) for row in rows}


@pytest.fixture
def pairs(tmp_path):
    """Five pairs in tmp_path and their list file; a test may spoil one of them."""
    rng = np.random.default_rng(0)
    write_pairs(tmp_path, [rng.integers(0, 21, (20 + number, 30), dtype=np.uint8) for number in range(5)])
    return tmp_path


def build(run, folder, *options, name="out dir/x.mindrecord"):
    return run(build_seg_data.main, "--data_root", folder, "--data_lst", folder / "list.txt",
               "--dst_path", folder / name, *options)


def test_files_are_kept_as_they_are(pairs, run):
    result = build(run, pairs, "--num_shards", 2)
    assert result.code == 0, result.err
    folder = pairs / "out dir"
    assert sorted(path.name for path in folder.iterdir()) == [
        "x.mindrecord0", "x.mindrecord0.db", "x.mindrecord1", "x.mindrecord1.db"]
    assert records(folder / "x.mindrecord0") == {
        f"{n}.jpg": ((pairs / f"{n}.jpg").read_bytes(), (pairs / f"{n}.png").read_bytes()) for n in range(5)}


def test_shuffle_and_seed(pairs, run):
    orders = []
    for name, options in (("a", ["--shuffle=False"]), ("b", []), ("c", []), ("d", ["--seed", "2"])):
        assert build(run, pairs, "--num_shards", 1, *options, name=name).code == 0
        orders.append(list(records(pairs / name)))
    assert orders[0] == [f"{n}.jpg" for n in range(5)]
    assert orders[1] == orders[2] != orders[0] and orders[3] != orders[1]


def test_an_existing_record_is_kept_without_overwrite(pairs, run):
    assert build(run, pairs, "--num_shards", 1).code == 0
    again = build(run, pairs, "--num_shards", 1)
    assert again.code == 2 and "exists" in again.err and "--overwrite" in again.err
    assert build(run, pairs, "--num_shards", 1, "--overwrite").code == 0


@pytest.mark.parametrize("spoil, part", [
    (lambda mask: cv2.imwrite(str(mask), np.full((23, 30), 37, np.uint8)), "3.png: mask value 37"),
    (lambda mask: mask.with_suffix(".jpg").write_bytes(mask.with_suffix(".jpg").read_bytes()[:300]), "3.jpg: damaged"),
    (lambda mask: mask.unlink(), "3.png: no such file")])
def test_everything_is_checked_before_the_first_byte(pairs, run, spoil, part):
    spoil(pairs / "3.png")
    result = build(run, pairs, "--num_shards", 1)
    assert result.code == 2 and part in result.err, result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not (pairs / "out dir").exists()


def test_an_interrupted_build_leaves_nothing_that_looks_finished(pairs, run, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt
    monkeypatch.setattr("src.data.mindrecord.write_records", interrupted)
    assert build(run, pairs, "--num_shards", 1).code == 130
    assert not (pairs / "out dir").exists()


def test_palette_masks_and_rotated_pictures_are_taken(pairs, run):
    paletted(np.array(Image.open(pairs / "1.png"))).save(pairs / "1.png")
    picture = Image.open(pairs / "2.jpg").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6    # shown turned by 90 degrees: 30x22 as its mask
    picture.save(pairs / "2.jpg", exif=exif)
    result = build(run, pairs, "--num_shards", 1)
    assert result.code == 0, result.err


def test_a_place_that_cannot_be_written(pairs, run):
    result = run(build_seg_data.main, "--data_root", pairs, "--data_lst", pairs / "list.txt", "--dst_path",
                 "/proc/x.mindrecord", "--num_shards", 1)
    assert result.code == 2 and result.err.startswith("error: --dst_path /proc/") and len(result.err.splitlines()) == 1


@pytest.mark.parametrize("options, part", [(["--num_shards", "6"], "--num_shards 6: more than the 5 pairs"),
                                           (["--dst_path", ""], "--dst_path is not given")])
def test_options_that_cannot_be(pairs, run, options, part):
    result = build(run, pairs, *options)
    assert result.code == 2 and part in result.err


def killed(pairs, is_moment, *options) -> list:
    """Kill -9 a build of many pairs once is_moment(process) holds; returns its children of that moment."""
    (pairs / "many.txt").write_text((pairs / "list.txt").read_text() * 600)
    process = subprocess.Popen([sys.executable, ROOT / "src/data/build_seg_data.py", "--data_root", pairs, "--data_lst",
                                pairs / "many.txt", "--dst_path", pairs / "out dir/x.mindrecord", *options],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not is_moment(process):
        assert process.poll() is None, "it ended before"
        time.sleep(0.005)
    found = children(process)
    process.kill()
    process.wait()
    return found


def children(process) -> list:
    try:
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def is_running(pid) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_a_killed_build_leaves_is_swept_by_the_next(pairs, run):
    def is_writing(_):
        with contextlib.suppress(FileNotFoundError):    # SQLite's journal comes and goes
            return any(path.stat().st_size for path in (pairs / "out dir").glob(".x*/*"))
    killed(pairs, is_writing, "--num_shards", "2")
    assert [path for path in (pairs / "out dir").iterdir() if path.is_dir()], "what it was writing"
    result = build(run, pairs, "--num_shards", 1)
    assert result.code == 0, result.err
    assert entries(pairs / "out dir") == ["x.mindrecord", "x.mindrecord.db"]


def test_the_processes_of_a_killed_build_end_and_let_go_of_its_lock(pairs, run):
    workers = killed(pairs, lambda process: len(children(process)) > 1, "--workers", "2")
    wait_until(lambda: not any(map(is_running, workers)))    # they might wait for work for ever
    assert build(run, pairs, "--num_shards", 1).code == 0


def test_a_disk_that_is_too_small_is_said_before_the_work(pairs, run, monkeypatch):
    monkeypatch.setattr(build_seg_data.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    monkeypatch.setattr(build_seg_data, "check_pairs", None)
    result = build(run, pairs, "--num_shards", 1)
    assert result.code == 2 and "0.0 MB are free on this disk" in result.err and result.err.count("\n") == 1


def test_an_input_is_never_replaced(pairs, run):
    result = build(run, pairs, "--num_shards", 1, "--overwrite", name="list.txt")
    assert result.code == 2 and "is the input" in result.err and "0.jpg" in (pairs / "list.txt").read_text()
