"""Two workers on a CPU give the same results as one worker on the same samples, in training and in evaluation."""
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from src.tools.launch import free_port
from tests.conftest import ROOT, TINY, figures, metrics, wait_until, write_pairs
from tests.test_launch import alive

MSRUN = Path(sys.executable).with_name("msrun")
PATH = f"{MSRUN.parent}:{os.environ['PATH']}"    # msrun starts whatever "python" it finds


@pytest.fixture
def two_workers(shell, tmp_path):
    """two_workers(program, options...) -> Result of msrun with two local workers."""
    def call(program, *options):
        result = shell(MSRUN, "--worker_num=2", "--local_worker_num=2", f"--master_port={free_port()}",
                       f"--log_dir={tmp_path / 'msrun'}", "--join=True", ROOT / program, *options, "--is_distributed",
                       PATH=PATH)
        logs = "".join(path.read_text() for path in sorted((tmp_path / "msrun").glob("worker_*.log")))
        assert result.code == 0, logs[-3000:]
        return logs
    return call


def weights(folder):
    import mindspore as ms
    path = next(folder.glob("*-1_3.ckpt"))
    return {name: value.asnumpy() for name, value in ms.load_checkpoint(str(path)).items()
            if name.startswith("network.")}


@pytest.fixture(scope="module")
def plain_record(tmp_path_factory):
    """Twelve pictures without ignored pixels, so that both ways of averaging the loss are the same."""
    from src.data import build_seg_data
    root = tmp_path_factory.mktemp("plain")
    masks = np.random.default_rng(0).integers(0, 6, (12, 5, 5), dtype=np.uint8).repeat(28, 1).repeat(28, 2)
    build_seg_data.main(["--data_root", str(root), "--data_lst", str(write_pairs(root, masks)), "--dst_path",
                         str(root / "r.mindrecord"), "--num_shards", "1", "--num_classes", "6"])
    return root / "r.mindrecord"


def test_two_workers_train_as_one(plain_record, two_workers, shell, tmp_path):
    options = [*TINY, "--data_file", plain_record, "--train_epochs", 1, "--freeze_bn", "--base_lr", "0.05",
               "--min_scale", "0.6"]
    single = shell(sys.executable, ROOT / "train.py", *options, "--batch_size", 4, "--train_dir", tmp_path / "one")
    assert single.code == 0, single.err
    two_workers("train.py", *options, "--batch_size", 2, "--train_dir", tmp_path / "two")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert set(one) == set(two) and len(one) > 90
    for name in one:
        assert np.abs(one[name] - two[name]).max() <= 1e-5 * max(1, np.abs(one[name]).max()), name


def test_plain_msrun_trains_as_the_launcher_does(drawn, shell, tmp_path):
    """The command of docs/ascend.md with two workers; msrun returns at once and leaves its workers to themselves."""
    # msrun binds cores, so sums may be rounded otherwise; BatchNorm's statistics of few values would magnify that.
    options = [*TINY, "--batch_size", 4, "--train_epochs", 1, "--save_steps", 3, "--freeze_bn", "--base_lr", "0.05"]
    launched = shell("bash", ROOT / "scripts/run_distribute_train_s16_r1.sh", "", drawn / "train.mindrecord0", "", "--",
                     *options, RANK_SIZE="2", TRAIN_PATH=str(tmp_path / "launched"))
    assert launched.code == 0, launched
    folder = tmp_path / "plain/ckpt"
    result = shell(MSRUN, "--bind_core=True", "--worker_num=2", "--local_worker_num=2", f"--master_port={free_port()}",
                   ROOT / "train.py", "--is_distributed", "--config_path", ROOT / "scripts/recipes/s16_r1.yaml",
                   "--data_file", drawn / "train.mindrecord0", "--train_dir", folder, *options, PATH=PATH)
    assert result.code == 0, result
    wait_until(lambda: not alive(str(folder)))
    log = (tmp_path / "worker_0.log").read_text()
    assert "trained to step 3" in log, log[-3000:]
    losses = [figures(place) for place in (tmp_path / "launched/ckpt", folder)]
    assert len(losses[0]) == 3 and losses[1] == pytest.approx(losses[0], rel=1e-5)
    launched, plain = weights(tmp_path / "launched/ckpt"), weights(folder)
    assert set(launched) == set(plain) and len(plain) > 90
    for name in plain:
        assert np.abs(plain[name] - launched[name]).max() <= 1e-5 * max(1, np.abs(plain[name]).max()), name


def test_two_workers_evaluate_as_one_and_a_cut_run_goes_on(drawn, trained, two_workers, shell, tmp_path):
    options = [*TINY, "--batch_size", 2, "--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--ckpt_path",
               trained / "deeplab_v3_tiny_s16-2_3.ckpt"]
    single = shell(sys.executable, ROOT / "eval.py", *options, "--result_file", tmp_path / "one.json",
                   "--per_image_file", tmp_path / "one.csv",
                   "--overlay_dir", tmp_path / "overlays of one", "--overlay_max", 3)
    assert single.code == 0, single.err
    for name in ("1_2", "2_3"):    # the first compiles the graphs; the pictures of the second have another size
        result = shell("bash", ROOT / "scripts/run_eval_s16.sh", *options, "--ckpt_path",
                       trained / f"deeplab_v3_tiny_s16-{name}.ckpt", "--report", tmp_path / "report", "--overlay_dir",
                       tmp_path / "overlays of two", "--overlay_max", 3, "--per_image_file", tmp_path / "two.csv",
                       RANK_SIZE="2", EVAL_PATH=str(tmp_path / "two"))
        assert result.code == 0, result
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two/eval_result.json"))
    assert one["confusion_matrix"] == two["confusion_matrix"] and one["mean_iou"] == two["mean_iou"]
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    logs = [(tmp_path / f"two/device{rank}/log").read_text() for rank in range(2)]
    assert ["mean IoU" in log for log in logs] == [True, False], "rank 0 alone reports"
    overlays = [{path.name: path.read_bytes() for path in (tmp_path / f"overlays of {ranks}").iterdir()}
                for ranks in ("one", "two")]
    assert len(overlays[0]) == 3 and overlays[0] == overlays[1]
    page = (tmp_path / "report/report.html").read_text()
    assert page.count("data:image/jpeg") == 6 * 3 and "2 x CPU" in page, "pictures of both"

    options = [*TINY, "--batch_size", 4, "--data_file", drawn / "train.mindrecord0", "--train_epochs", 2,
               "--save_steps", 2, "--data_root", drawn, "--eval_data_lst", drawn / "voc_val_lst.txt"]
    two_workers("train.py", *options, "--train_dir", tmp_path / "uncut")
    before = metrics(tmp_path / "uncut")
    manifest = json.loads((tmp_path / "uncut/checkpoints.json").read_text())
    (tmp_path / "uncut/checkpoints.json").write_text(
        json.dumps({name: entry for name, entry in manifest.items() if entry["step"] <= 2}))
    two_workers("train.py", *options, "--train_dir", tmp_path / "uncut", "--resume", "auto")
    after = metrics(tmp_path / "uncut")
    assert len(before) == len(after) == 8
    for old, new in zip(before, after):
        key = "loss" if "loss" in old else "mean_iou"
        assert new[key] == pytest.approx(old[key], rel=1e-5), old


def test_two_workers_end_early_together(with_evaluation, drawn, trained_file, two_workers, tmp_path):
    """Rank 0 alone counts the evaluations; a rank that went on would wait for the other for ever."""
    two_workers("train.py", *TINY, "--batch_size", 4, "--data_file", drawn / "train.mindrecord0", "--train_epochs", 5,
                *with_evaluation, "--train_dir", tmp_path / "ckpt", "--ckpt_pre_trained", trained_file, "--base_lr",
                "1e-30", "--freeze_bn", "--patience", 1)
    assert list(figures(tmp_path / "ckpt", "mean_iou")) == [3, 6] and len(metrics(tmp_path / "ckpt")) == 8
    said = [path.read_text().count("so --patience ends the run")
            for path in sorted((tmp_path / "msrun").glob("worker_*.log"))]
    assert said == [1, 0]
