"""eval.py as users run it, with the tiny network on the drawn sample."""
import hashlib
import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

import eval as evaluation
from src.evaluation.metrics import ConfusionMatrix
from src.evaluation.results import warn_of_unpredicted
from tests.conftest import ROOT, TINY, entries, write_pairs


@pytest.fixture
def options(val_list, drawn, trained_file, tmp_path):
    return [*TINY, *val_list, "--class_names", drawn / "classes.txt", "--ckpt_path", trained_file, "--result_file",
            tmp_path / "result.json"]


def test_result_and_console(options, trained_file, run, tmp_path):
    result = run(evaluation.main, *options, "--overlay_dir", tmp_path / "overlays", "--overlay_max", 4)
    assert result.code == 0, result.err
    found = json.loads((tmp_path / "result.json").read_text())
    counts = np.array(found["confusion_matrix"])
    iou = np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))
    assert np.allclose([value for value in found["per_class_iou"] if value is not None], iou[~np.isnan(iou)])
    assert found["mean_iou"] == pytest.approx(np.nanmean(iou))
    assert found["pixel_accuracy"] == pytest.approx(np.diag(counts).sum() / counts.sum())
    for figure, total in (("precision", counts.sum(0)), ("recall", counts.sum(1)),
                          ("dice", (counts.sum(0) + counts.sum(1)) / 2)):
        expected = np.where(np.isnan(iou), np.nan, np.diag(counts) / np.maximum(total, 1e-9))
        assert [value for value in found[f"per_class_{figure}"] if value is not None] == pytest.approx(
            expected[~np.isnan(iou)].tolist())
        assert found[f"mean_{figure}"] == pytest.approx(np.nanmean(expected))
        means = next(line for line in result.out.splitlines() if line.startswith("mean "))
        assert f" {found[f'mean_{figure}']:.4f}" in means
    assert found["checkpoint_sha256"] == hashlib.sha256(trained_file.read_bytes()).hexdigest()
    assert found["options"]["crop_size"] == 65 and found["images"] == 6
    assert f"mean IoU {found['mean_iou']:.6f}" in result.out and "pixel accuracy" in result.out
    assert "tent" in result.out and "images/s" in result.out
    pictures = [tmp_path / "overlays" / name for name in entries(tmp_path / "overlays")]
    assert len(pictures) == 4
    image = cv2.imread(str(pictures[0]))
    assert image.shape[1] % 3 == 0 and image.std() > 5


def test_the_data_says_what_is_ignored(options, drawn, run, tmp_path):
    """Not the user, and not the checkpoint: by another value the masks would be misread."""
    result = run(evaluation.main, *options, "--ignore_label", 254)
    said = f"--ignore_label 254: but {drawn / 'dataset.yaml'} says 255; leave the option out"
    assert result.code == 2 and said in result.err, result
    (tmp_path / "val.txt").write_bytes((drawn / "voc_val_lst.txt").read_bytes())
    (tmp_path / "dataset.yaml").write_text("num_classes: 6\nignore_label: 0\n")
    short = [*options, "--data_lst", tmp_path / "val.txt"]
    result = run(evaluation.main, *short)
    assert result.code == 2 and "mask value 255 is neither a class (0 to 5) nor ignore_label 0" in result.err, result
    result = run(evaluation.main, *short, "--ignore_label", 255)
    assert result.code == 2 and f"{tmp_path / 'dataset.yaml'} says 0" in result.err, result
    assert entries(tmp_path) == ["dataset.yaml", "val.txt"]


def test_rows_of_the_matrix_are_the_truth(options, drawn, run, tmp_path):
    assert run(evaluation.main, *options).code == 0
    counts = np.array(json.loads((tmp_path / "result.json").read_text())["confusion_matrix"])
    truth = np.zeros(256, int)
    for line in (drawn / "voc_val_lst.txt").read_text().splitlines():
        truth += np.bincount(np.array(Image.open(drawn / line.split()[1])).ravel(), minlength=256)
    assert np.array_equal(counts.sum(1), truth[:6])


def test_scales_type_stands_for_the_five_scales(options, run, tmp_path):
    assert run(evaluation.main, *options, "--scales_type", 1, "--flip", "--freeze_bn").code == 0
    typed = json.loads((tmp_path / "result.json").read_text())
    assert typed["settings"]["scales"] == [0.5, 0.75, 1.0, 1.25, 1.75] and typed["settings"]["flip"]
    assert run(evaluation.main, *options, "--scales", 0.5, 0.75, 1.0, 1.25, "--scales=1.75", "--flip").code == 0
    assert json.loads((tmp_path / "result.json").read_text())["confusion_matrix"] == typed["confusion_matrix"]


def test_the_batch_size_changes_nothing(options, run, tmp_path):
    results = []
    for size in (1, 4):    # 4 leaves a batch of 2, filled up
        assert run(evaluation.main, *options, "--batch_size", size).code == 0
        results.append(np.array(json.loads((tmp_path / "result.json").read_text())["confusion_matrix"]))
    assert np.abs(results[0] - results[1]).sum() <= 2, "float32 sums in another order may turn a pixel"


def listed(tmp_path, text):
    (tmp_path / "list.txt").write_text(text)
    return ["--data_root", tmp_path, "--data_lst", tmp_path / "list.txt"]


@pytest.fixture
def pair(tmp_path):
    write_pairs(tmp_path, [np.eye(40, 50, dtype=np.uint8)], "a.jpg", "a.png")
    return tmp_path


@pytest.mark.parametrize("text, spoil, part", [
    ("a.jpg a.png\nb.jpg b.png\n", None, "b.jpg: no such file, though"),
    ("a.jpg a.png\n", lambda f: (f / "a.jpg").write_bytes((f / "a.jpg").read_bytes()[:900]), "a.jpg: the JPEG ends"),
    ("a.jpg a.png\n", lambda f: cv2.imwrite(str(f / "a.png"), np.full((40, 50), 37, np.uint8)), "a.png: mask value 37"),
])
def test_bad_data_is_one_line(options, pair, run, text, spoil, part):
    if spoil:
        spoil(pair)
    result = run(evaluation.main, *options, *listed(pair, text))
    assert result.code == 2 and part in result.err and len(result.err.strip().splitlines()) == 1, result.err
    assert not (pair / "result.json").exists()


def test_bad_checkpoints(options, run, tmp_path):
    (tmp_path / "net.onnx").write_text("no network\n")
    for changes, parts in (
            (["--ckpt_path", tmp_path / "net.onnx"], ["net.onnx: is not a MindSpore checkpoint, ONNX file or MINDIR"]),
            (["--ckpt_path", tmp_path / "no.ckpt"], ["no.ckpt: no such file"]),
            (["--ckpt_path", ""], ["--ckpt_path is not given"]),
            (["--model", "deeplab_v3_s16", "--atrous_rates", 1, 2, 3],
             ["does not fit", "a ResNet of 1 1 1 3 blocks, not 3 4 23 3"]),
            (["--scales_type", 1, "--scales", 0.5], ["--scales_type 1"]),
            (["--class_names", ROOT / "NOTICE"], ["names for num_classes 6"])):
        result = run(evaluation.main, *options, *changes)
        assert result.code == 2 and all(part in result.err for part in parts), result.err
        assert not (tmp_path / "result.json").exists(), "nothing is evaluated with random weights"


def test_default_result_file_is_in_the_working_folder(options, shell, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    without = options[:options.index("--result_file")]
    result = shell(sys.executable, ROOT / "eval.py", *without, cwd=folder)
    assert result.code == 0, result.err
    assert [path.name for path in folder.iterdir()] == ["eval_result.json"]


def test_a_result_that_cannot_be_written(options, run):
    result = run(evaluation.main, *options, "--result_file", "/dev/null/r.json")
    assert result.code == 2 and "/dev/null/r.json: cannot be written: /dev/null is not a folder" in result.err


def test_classes_that_are_never_predicted_are_told(capfd):
    matrix = ConfusionMatrix(3, 255)
    matrix.counts[:] = [[5, 0, 0], [2, 0, 0], [1, 0, 0]]
    warn_of_unpredicted(matrix, ("ground", "cat", "dog"))
    assert "never predicted: cat, dog (2 of the 3 classes in the masks)" in capfd.readouterr().err
    matrix.counts[:] = [[5, 0, 1], [0, 1, 0], [0, 0, 0]]
    warn_of_unpredicted(matrix, ("ground", "cat", "dog"))
    assert capfd.readouterr().err == "", "what no mask holds is not missed"
