"""check_data.py on drawn pairs, each with one mistake: findings, exit code, table, JSON and sheet."""
import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from src.data import check_data, likeness, survey
from src.data.lists import Pair, format_pair
from src.data.sample import draw_pair
from src.data.survey import gray_levels
from src.drawing.palette import palette
from tests.foreign import paletted

FOLDERS = ("images", "masks")


class Data:
    """A data set in `root` with two lists, to which pairs can be added."""

    def __init__(self, root):
        self.root, self.lists = root, {"train": [], "val": []}
        for folder in FOLDERS:
            (root / folder).mkdir()
        for number in range(6):
            self.add("val" if number > 3 else "train", f"good{number}", number)

    def add(self, side, name, number, change=lambda labels: labels, save=paletted, ending=".png"):
        """Draw pair `number`; `change` changes its labels, `save` turns them into the picture that is written."""
        image, labels = draw_pair(np.random.default_rng([3, number]), number)
        pair = Pair(f"images/{name}.jpg", f"masks/{name}{ending}")
        cv2.imwrite(str(self.root / pair.image), image)
        save(change(labels)).save(self.root / pair.mask)
        self.lists[side].append(pair)

    def arguments(self, *more):
        for side, pairs in self.lists.items():
            (self.root / f"{side}.txt").write_text("".join(map(format_pair, pairs)))
        return ["--data_root", self.root, "--data_lst", self.root / "train.txt", "--eval_data_lst",
                self.root / "val.txt", "--num_classes", 6, "--check_dir", self.root / "check", *more]

    def findings(self):
        found = json.loads((self.root / "check/check.json").read_text())["findings"]
        return {(one["kind"], one["set"], one["item"]): one for one in found}


@pytest.fixture
def data(tmp_path):
    return Data(tmp_path)


def test_a_good_set(data, run):
    result = run(check_data.main, *data.arguments())
    assert result.code == 0 and result.err == "", result
    assert not any("error" in line for line in result.out.splitlines())
    assert max(map(len, result.out.splitlines()[:20])) <= 80
    report = json.loads((data.root / "check/check.json").read_text())
    train = report["sets"]["train"]
    assert train["pairs"] == train["readable"] == 4 and report["sets"]["val"]["pairs"] == 2
    masks = [np.array(Image.open(data.root / pair.mask)) for pair in data.lists["train"]]
    counts = sum(np.bincount(mask.ravel(), minlength=256) for mask in masks)
    assert [one["pixels"] for one in train["classes"]] == counts[:6].tolist()
    assert train["ignored_share"] == pytest.approx(counts[255] / counts.sum())
    assert [one["masks"] for one in train["classes"]] == [sum((mask == n).any() for mask in masks) for n in range(6)]
    assert f"{100 * counts[0] / counts.sum():.3f} %" in result.out


ERRORS = {
    "size": dict(change=lambda labels: labels[::2]),
    "value": dict(change=lambda labels: np.where(labels == 255, 77, labels).astype(np.uint8)),
    "colour": dict(save=lambda labels: paletted(labels).convert("RGB")),
    "gray": dict(save=lambda labels: paletted(labels).convert("L")),
}
WARNINGS = {
    "ignored": dict(change=lambda labels: np.full_like(labels, 255)),
    "empty": dict(change=lambda labels: np.zeros_like(labels)),
    "lossy": dict(change=lambda labels: np.zeros_like(labels), save=Image.fromarray, ending=".jpg"),
    "permuted": dict(save=lambda labels: paletted(labels).convert("RGB").quantize(8)),
}


@pytest.mark.parametrize("kind, how", [*ERRORS.items(), *WARNINGS.items()], ids=[*ERRORS, *WARNINGS])
def test_a_mistake_in_a_mask(data, run, kind, how):
    data.add("train", "bad", 9, **how)
    result = run(check_data.main, *data.arguments())
    assert result.code == (1 if kind in ERRORS else 0), result
    assert (kind, "train", data.lists["train"][-1].mask) in data.findings()
    assert all(line.startswith("error: ") for line in result.err.splitlines())
    assert f"train {data.lists['train'][-1].mask}: " in result.out


def test_missing_and_damaged_files(data, run):
    for name, path in (("cut", "images/cut.jpg"), ("half", "masks/half.png")):
        data.add("train", name, 9 if name == "cut" else 10)
        (data.root / path).write_bytes((data.root / path).read_bytes()[:300])
    data.lists["val"].append(Pair("images/none.jpg", "masks/none.png"))
    result = run(check_data.main, *data.arguments())
    assert result.code == 1 and "findings would break" in result.err
    assert {("picture", "train", "images/cut.jpg"), ("mask", "train", "masks/half.png"),
            ("picture", "val", "images/none.jpg"), ("mask", "val", "masks/none.png")} <= set(data.findings())
    assert data.findings()["picture", "val", "images/none.jpg"]["detail"] == "no such file"


def test_pictures_that_repeat(data, run):
    data.lists["train"].append(data.lists["val"][0])    # the same file in both lists
    data.add("train", "again", 1)    # the same pixels under another name
    data.add("train", "other", 2, change=lambda labels: np.where(labels == 3, 2, labels).astype(np.uint8))
    data.add("val", "alike", 3)
    path = str(data.root / "images/alike.jpg")
    image = cv2.convertScaleAbs(cv2.imread(path), alpha=1.05, beta=4)
    cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    result = run(check_data.main, *data.arguments())
    assert result.code == 0, result.err
    found = data.findings()
    assert found["leak", "train+val", "images/good4.jpg"]["detail"] == "and val images/good4.jpg"
    assert found["repeat", "train", "images/good1.jpg"]["detail"] == "and train images/again.jpg"
    assert ("contradiction", "train", "images/good2.jpg") in found
    assert ("contradiction", "train", "images/good1.jpg") not in found
    assert "val images/alike.jpg" in found["near_leak", "train+val", "images/good3.jpg"]["detail"]
    assert sum(kind.startswith("near") for kind, *_ in found) == 1, "drawn pictures of one kind are not alike"


def test_pictures_that_all_look_alike_are_reported_once_each(monkeypatch):
    """Frames of a video: one finding per picture, not one per pair; the nearest is named."""
    monkeypatch.setattr(likeness, "BLOCK", 7)
    rng = np.random.default_rng(0)
    scene, steps = (rng.normal(size=(32, 32)) for _ in range(2))
    looks = []
    for index in range(40):
        job = survey.Job("train" if index < 25 else "val", index, "", "")
        thumb = np.uint8(np.clip(128 + 30 * scene + 0.15 * (index % 25) * steps, 0, 255))
        looks.append(survey.Look(job, key=bytes([index]), thumb=thumb + (index > 24)))
    found = likeness.alike_pictures(looks)
    pairs = {(one.job.index, other.job.index): value for one, other, value in found}
    assert len(pairs) == len(found) <= 80 and all(value > likeness.ALIKE for value in pairs.values())
    rows = np.stack([one.thumb.reshape(-1) for one in looks])
    all_pairs = np.corrcoef(rows)
    for index in range(40):
        before = range(0 if index < 25 else 25, index)
        for others in (before, range(25, 40) if index < 25 else range(25)):
            told = [value for pair, value in pairs.items() if index in pair and set(pair) & set(others)]
            assert not others or max(told) == pytest.approx(all_pairs[index, list(others)].max(), abs=1e-5)


def test_classes_that_are_missing(data, run):
    data.lists["train"] = data.lists["train"][:1]    # two classes at most, beside the background
    result = run(check_data.main, *data.arguments())
    found = data.findings()
    held = set(np.unique(np.array(Image.open(data.root / data.lists["train"][0].mask)))) - {255}
    assert {int(item[-1]) for kind, side, item in found if (kind, side) == ("absent", "train")} == set(range(6)) - held
    assert any(kind == "unlearnt" for kind, *_ in found) and result.code == 0
    for path in (data.root / "masks").iterdir():
        Image.fromarray(np.zeros_like(np.array(Image.open(path)))).save(path)
    assert run(check_data.main, *data.arguments()).code == 1
    assert ("one_class", "train", str(data.root / "train.txt")) in data.findings()


def test_the_sheet_shows_labels_over_pictures(data, run):
    data.add("train", "bad", 9, **ERRORS["value"])
    run(check_data.main, *data.arguments("--sheet_max", 6))
    page = np.array(Image.open(data.root / "check/contact_sheet.png").convert("RGB")).astype(int)
    pair = data.lists["train"][-1]    # a pair with a problem comes first
    image, mask = np.array(Image.open(data.root / pair.image)).astype(int), np.array(Image.open(data.root / pair.mask))
    row, column = np.argwhere((mask > 0) & (mask < 6))[0]
    expected = 0.4 * image[row, column] + 0.6 * palette()[mask[row, column]]
    assert np.abs(page[8 + row, 8 + column] - expected).max() <= 2
    row, column = np.argwhere(mask == 0)[0]
    assert (page[8 + row, 8 + column] == image[row, column]).all(), "background is unchanged"
    assert (page == (190, 20, 20)).all(2).any(), "the problem is written in red"


def test_a_mindrecord_and_a_list(drawn, run, tmp_path):
    arguments = ["--data_file", drawn / "train.mindrecord0", "--num_classes", 6, "--check_dir", tmp_path]
    result = run(check_data.main, *arguments, "--data_root", drawn, "--eval_data_lst", drawn / "voc_val_lst.txt")
    assert result.code == 0, result
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["sets"]["train"]["pairs"] == 24 and report["sets"]["val"]["pairs"] == 6
    assert not any("leak" in one["kind"] for one in report["findings"]) and (tmp_path / "contact_sheet.png").is_file()
    run(check_data.main, "--data_lst", drawn / "voc_train_lst.txt", "--data_root", drawn, "--num_classes", 6,
        "--check_dir", tmp_path / "list")
    same = json.loads((tmp_path / "list/check.json").read_text())["sets"]["train"]
    assert same["classes"] == report["sets"]["train"]["classes"]
    result = run(check_data.main, *arguments, "--data_root", drawn, "--eval_data_lst", drawn / "voc_train_lst.txt")
    kinds = [one["kind"] for one in json.loads((tmp_path / "check.json").read_text())["findings"]]
    assert kinds.count("leak") == 24


def test_bad_input(data, run, tmp_path):
    assert "one of --data_lst and --data_file" in run(check_data.main, "--num_classes", 6).err
    result = run(check_data.main, "--data_lst", tmp_path / "missing.txt")
    assert result.code == 2 and "missing.txt: no such file" in result.err
    assert not (tmp_path / "check").exists()


def test_one_picture_that_is_all_bad_still_ends_in_a_report(data, run):
    shutil.rmtree(data.root / "images")
    result = run(check_data.main, *data.arguments())
    assert result.code == 1 and not (data.root / "check/contact_sheet.png").exists()
    assert sum(kind == "picture" for kind, *_ in data.findings()) == 6


def test_gray_levels_are_those_of_pillow_and_opencv():
    colours = palette()[[*range(21), 255]]
    levels = gray_levels(21)
    pillow = np.array(Image.fromarray(colours[None]).convert("L"))[0]
    opencv = cv2.cvtColor(colours[None], cv2.COLOR_RGB2GRAY)[0]
    for values in (pillow, opencv):
        assert set(values.tolist()) <= set(levels)
