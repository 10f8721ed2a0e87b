"""The table of the pictures: its figures against counting pixels, its order, names that spreadsheets stumble over."""
import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

import eval as evaluation
import eval_onnx
import predict
from src.data.labels import Labels
from src.data.lists import Pair
from src.evaluation.metrics import ConfusionMatrix
from src.evaluation.per_image import PerImage
from src.files import recognised
from tests.conftest import TINY

NAMES = ("background", "ball", "box", "tent", "star", "ring")


@pytest.fixture
def options(val_list, trained_file, tmp_path):
    return [*TINY, *val_list, "--ckpt_path", trained_file, "--result_file", tmp_path / "r.json"]


def figures_of(truth, found, classes, ignored=255):
    """Mean IoU, pixel accuracy and IoU of each class of one picture, by counting pixels; None where there is none."""
    scored = truth != ignored
    iou = []
    for number in range(classes):
        either = ((truth == number) | (found == number)) & scored
        iou.append((either & (truth == found)).sum() / either.sum() if either.any() else None)
    occurring = [value for value in iou if value is not None]
    return [np.mean(occurring), (truth == found)[scored].mean(), *iou] if occurring else [None, None, *iou]


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def as_numbers(cells):
    return [float(cell) if cell else None for cell in cells]


def test_the_command_agrees_with_the_class_maps(options, val_list, drawn, trained_file, exported, run, tmp_path):
    result = run(evaluation.main, *options, "--per_image_file", tmp_path / "a.csv")
    assert result.code == 0 and f"figures of each picture written to {tmp_path}/a.csv" in result.out, result
    assert run(predict.main, drawn / "voc_val_lst.txt", "--data_root", drawn, "--model",
               trained_file, "--output_dir", tmp_path / "out").code == 0
    head, *rows = rows_of(tmp_path / "a.csv")
    names = json.loads((tmp_path / "r.json").read_text())["class_names"]
    assert head == ["image", "mean_iou", "pixel_accuracy", *(f"IoU {name}" for name in names)]
    pairs = dict(line.split() for line in (drawn / "voc_val_lst.txt").read_text().splitlines())
    assert sorted(row[0] for row in rows) == sorted(pairs) and len(rows) == 6
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows), "the worst first"
    for image, *cells in rows:
        truth = np.array(Image.open(drawn / pairs[image]))
        found = np.array(Image.open(tmp_path / f"out/masks/{os.path.basename(image)[:-4]}.png"))
        assert as_numbers(cells) == pytest.approx(figures_of(truth, found, 6), abs=1e-3)
    assert run(eval_onnx.main, "--file_name", exported(), "--device_target", "CPU", *val_list, "--result_file",
               tmp_path / "o.json", "--per_image_file", tmp_path / "b.csv").code == 0
    assert [row[0] for row in rows_of(tmp_path / "b.csv")] == [row[0] for row in [head, *rows]]


def filled(names, *pictures, labels=None):
    """PerImage after pictures (truth, found), and its pairs."""
    table = PerImage(labels or Labels(3, 255, ("ground", "=1+1", "a,b")))
    pairs = [Pair(name, "m.png") for name in names]
    matrix = ConfusionMatrix(table.labels.num_classes, table.labels.ignore_label)
    for pair, (truth, found) in zip(pairs, pictures):
        table(pair, None, None, None, matrix.update(np.uint8(truth), np.uint8(found)))
    return table, pairs


def test_void_absent_classes_and_the_order(tmp_path):
    right, half = ([[0, 0, 1]], [[0, 0, 1]]), ([[0, 255, 0, 1]], [[0, 2, 1, 1]])
    void, wrong = ([[255, 255]], [[0, 1]]), ([[0, 0]], [[2, 2]])
    table, pairs = filled("abcd", void, right, half, wrong)
    table.write(tmp_path / "t.csv", pairs)
    head, *rows = rows_of(tmp_path / "t.csv")
    assert head[3:] == ["IoU ground", "IoU =1+1", "IoU a,b"], "no cell begins as a formula does"
    assert rows == [["d", "0.000000", "0.000000", "0.000000", "", "0.000000"],
                    ["c", "0.500000", "0.666667", "0.500000", "0.500000", ""],
                    ["b", "1.000000", "1.000000", "1.000000", "1.000000", ""], ["a", "", "", "", "", ""]]
    assert recognised(tmp_path / "t.csv", "per_image") and b"nan" not in (tmp_path / "t.csv").read_bytes()


def test_names_that_csv_and_spreadsheets_stumble_over(tmp_path):
    names = ["a, b.jpg", 'say "x".jpg', "=cmd|' /C calc'!A0.jpg", "-1.jpg", "@x.jpg", "+x.jpg", "图 片.jpg",
             os.fsdecode(b"caf\xe9.jpg")]
    table, pairs = filled(names, *[([[0]], [[0]])] * len(names))
    table.write(tmp_path / "t.csv", pairs)
    written = [row[0] for row in rows_of(tmp_path / "t.csv")[1:]]
    assert written[:2] == names[:2] and written[6:] == ["图 片.jpg", "caf\\udce9.jpg"]
    assert written[2:6] == [f"./{name}" for name in names[2:6]], "the same files, and no formulas"


def test_devices_together_write_what_one_writes(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 3, (2, 4, 5)) for _ in range(7)]
    whole, pairs = filled("abcdefg", *pictures)
    whole.write(tmp_path / "one.csv", pairs)
    for size in (1, 3, 9):    # of nine devices two have no picture
        parts = [filled("x" * 7, *pictures[rank::size])[0].to_bytes() for rank in range(size)]
        merged = PerImage(whole.labels)
        merged.merge(parts)
        merged.write(tmp_path / "many.csv", pairs)
        assert (tmp_path / "many.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


def test_what_is_refused_before_the_work(options, drawn, run, tmp_path):
    (tmp_path / "mine.csv").write_text("image,my notes\n")
    for path, more, part in ((tmp_path / "r.json", [], "r.json: is the --result_file too"),
                             (tmp_path / "mine.csv", [], "mine.csv: exists and was not written by this"),
                             (drawn / "voc_val_lst.txt", ["--overwrite"], "voc_val_lst.txt: is the input "),
                             (tmp_path, [], "is a folder, not a file")):
        result = run(evaluation.main, *options, "--per_image_file", path, *more)
        assert result.code == 2 and f"--per_image_file {path}" in result.err and part in result.err, result
        assert result.err.count("\n") == 1 and not (tmp_path / "r.json").exists() and "processed" not in result.out
    assert (tmp_path / "mine.csv").read_text() == "image,my notes\n"
    for _ in range(2):    # the second time its own is there
        assert run(evaluation.main, *options, "--per_image_file", tmp_path / "t.csv").code == 0
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".csv", ".json")], "locks and leftovers"
