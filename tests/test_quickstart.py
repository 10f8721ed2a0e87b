"""The quickstart from end to end, with the tiny network: drawn sample and real VOC."""
import json

import pytest

from tests.conftest import ROOT

MODES = ["run_eval_s16", "run_eval_s8", "run_eval_s8_multiscale", "run_eval_s8_multiscale_flip", "run_eval_onnx",
         "run_eval_mindspore"]


def check(result, folder):
    assert result.code == 0, result.out[-3000:] + result.err
    table = result.out[result.out.index("held-out pictures, percent"):]
    for mode in MODES:
        found = json.loads((folder / mode / "eval_result.json").read_text())
        assert f"{100 * found['mean_iou']:.2f}" in table
    assert table.count("deeplab_v3_tiny_s8") == 3 and "deeplab_v3_tiny_s16 (ONNX)" in table
    engines = [json.loads((folder / mode / "eval_result.json").read_text()) for mode in (MODES[0], *MODES[-2:])]
    assert [one["engine"] for one in engines] == ["onnxruntime", "onnxruntime", "mindspore"]
    assert max(one["mean_iou"] for one in engines) - min(one["mean_iou"] for one in engines) < 1e-4
    assert list((folder / "overlays").glob("*.png"))


def test_drawn_sample(shell, tmp_path):
    result = shell("bash", ROOT / "scripts/run_quickstart.sh", "--tiny", "--work_dir", tmp_path / "quick start")
    check(result, tmp_path / "quick start")
    best = json.loads((tmp_path / "quick start/run_eval_s16/eval_result.json").read_text())
    assert best["mean_iou"] > 0.3, "even the tiny network learns the sample"


@pytest.fixture
def real(voc_sample):
    before = {path: path.stat().st_mtime_ns for path in voc_sample.rglob("*")}
    yield voc_sample
    assert {path: path.stat().st_mtime_ns for path in voc_sample.rglob("*")} == before, "the user's folder is only read"


def test_real_voc(real, shell, tmp_path):
    result = shell("bash", ROOT / "scripts/run_quickstart.sh", "--tiny", f"--data_root={real}")
    check(result, tmp_path / "quickstart")
    assert "vocaug_train_lst.txt: 120 pairs" in result.out


def test_bad_arguments(shell, tmp_path):
    script = ROOT / "scripts/run_quickstart.sh"
    result = shell("bash", script, "--data_root", tmp_path)
    assert result.code == 2 and "holds ImageSets/Segmentation" in result.err
    result = shell("bash", script, "--dataroot", tmp_path)
    assert result.code == 2 and "unknown argument '--dataroot'" in result.err
