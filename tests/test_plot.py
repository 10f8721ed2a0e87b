"""Curves of a training run: from a file of metrics, at the end of train.py, and from other files."""
import json
import sys

import cv2
import numpy as np
import pytest

import train
from src.drawing import curves
from src.tools import plot
from tests.conftest import ROOT, TINY


def write(path, steps, evaluations=()):
    lines = [{"epoch": 1, "step": step, "global_step": step, "loss": 2 / step, "lr": 0.01, "images_per_s": 3.0}
             for step in range(1, steps + 1)]
    lines += [{"epoch": 1, "step": step, "global_step": step, "mean_iou": value} for step, value in evaluations]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def coloured(path):
    """Pixels of the picture that are neither white nor grey, in its four quarters."""
    image = cv2.imread(str(path)).astype(int)
    assert image.shape[0] > 600 and image.shape[1] > 1000
    colour = image.max(2) - image.min(2) > 60
    rows, columns = (length // 2 for length in colour.shape)
    halves = colour[:rows], colour[rows:]
    return [int(part.sum()) for half in halves for part in (half[:, :columns], half[:, columns:])]


def test_the_four_curves(shell, tmp_path):
    write(tmp_path / "metrics.jsonl", 60, [(20, 0.3), (40, 0.6), (60, 0.5)])
    result = shell(sys.executable, ROOT / "src/tools/plot.py", tmp_path / "metrics.jsonl")
    assert result.code == 0 and f"{tmp_path}/curves.png drawn" in result.out, result
    assert min(coloured(tmp_path / "curves.png")) > 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]
    write(tmp_path / "metrics.jsonl", 1)
    plot.main([str(tmp_path / "metrics.jsonl")])
    assert coloured(tmp_path / "curves.png")[1] == 0, "no evaluation: a note in its place"


def test_smoothing_keeps_a_constant_and_the_length():
    assert np.allclose(curves.smooth(np.full(100, 7.0)), 7) and len(curves.smooth(np.arange(33.0))) == 33


@pytest.mark.parametrize("text, part", [
    (None, "No such file"), ("", "contains no training step"), ("1\n2\n", "line 1: is not a line of train.py"),
    ('{"a": 1}\n{"b": 2}\n', "line 1: is not a line"), ('{"global_step":1,"loss":[1]}\n1\n', "line 1: is not a line"),
    ('{"global_step": 1e999, "loss": 1}\n1\n', "line 1: is not a line"),
    ('{"global_step": 1, "mean_iou": 0.5}\n', "contains no training step")])
def test_files_without_metrics(run, tmp_path, text, part):
    if text is not None:
        (tmp_path / "m.jsonl").write_text(text)
    result = run(plot.main, tmp_path / "m.jsonl")
    assert result.code == 2 and part in result.err and not (tmp_path / "curves.png").exists(), result


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    path = write(tmp_path / "metrics.jsonl", 3)
    path.write_text(path.read_text() + '{"epoch": 2, "ste')
    assert len(curves.read_metrics(path)) == 3


def test_training_draws_curves_and_ignores_errors_there(trained, drawn, run, tmp_path, monkeypatch):
    assert min(coloured(trained / "curves.png")[place] for place in (0, 2, 3)) > 300
    monkeypatch.setattr(curves, "draw", lambda *_: 1 / 0)
    result = run(train.main, *TINY, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path / "ckpt",
                 "--train_epochs", 1)
    assert result.code == 0 and "trained to step 3" in result.out
    assert "curves.png was not drawn: ZeroDivisionError" in result.err
