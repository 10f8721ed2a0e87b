"""The table of several evaluation results."""
import json

import pytest

from src.data.labels import CLASSES
from src.tools import summary

RESULT = {"network": "deeplab_v3_s8", "output_stride": 8, "engine": "onnxruntime",
          "class_names": list(CLASSES), "settings": {"scales": [0.5, 0.75, 1.0, 1.25, 1.75], "flip": True},
          "mean_iou": 0.5, "pixel_accuracy": None, "images_per_s": 1.5}


def test_rows_and_published_figures(tmp_path, run):
    (tmp_path / "a.json").write_text(json.dumps(RESULT))
    result = run(summary.main, "--published", tmp_path / "a.json")
    assert result.code == 0 and result.out.splitlines()[2].split() == [
        "deeplab_v3_s8", "onnxruntime", "5", "yes", "50.00", "79.89", "-", "1.50"]
    assert "79.89" not in run(summary.main, tmp_path / "a.json").out
    (tmp_path / "a.json").write_text(json.dumps(RESULT | {"class_names": ["road", "other"]}))
    assert "79.89" not in run(summary.main, "--published", tmp_path / "a.json").out, "of other pictures"


@pytest.mark.parametrize("text, part", [
    ("no json", "is not an evaluation result"), ("{}", "has no network"), ("[]", "has no network"), (None, "No such"),
    (json.dumps(RESULT | {"mean_iou": "x"}), "has no mean_iou"), (json.dumps(RESULT | {"network": 5}), "no network"),
    (json.dumps(RESULT | {"settings": {}}), "has no settings"), ("[" * 10 ** 5, "is not an evaluation result")])
def test_files_that_are_not_results(tmp_path, run, text, part):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    result = run(summary.main, tmp_path / "a.json")
    assert result.code == 2 and "a.json" in result.err and part in result.err


def test_names_of_a_foreign_result_are_printed_on_one_line(tmp_path, run):
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps(RESULT | {"network": "\x1b[31mevil\nrow"}), encoding="utf-8")
    result = run(summary.main, tmp_path / "a.json")
    assert result.code == 0 and "?[31mevil?row" in result.out and len(result.out.splitlines()) == 3
