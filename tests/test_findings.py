"""build_seg_data.py, train.py and eval.py report the same problems of masks; errors end them with exit code 2."""
import re

import cv2
import numpy as np
import pytest
from PIL import Image

import train
from src.console import InputError
from src.data import build_seg_data, check_data, get_dataset_lst
from src.data.findings import cores, judge, judge_all, judge_both, judge_names, tell
from src.data.labels import Labels, count_values, make_labels
from src.data.record_header import summary_in_record
from src.data.summary import Summary
from src.data.survey import is_blended, look_at, survey_list
from tests.conftest import write_pairs

SIZE = (80, 96)
LABELS = make_labels(3, 255)


def disc(number, value, antialias=False, background=0):
    """A mask (80, 96) with one disc of `value`; optionally its edge is blended with the background."""
    mask = np.full(SIZE, background, np.uint8)
    centre = 30 + number % 30, 30 + number % 17
    cv2.circle(mask, centre, 20, value, -1, cv2.LINE_AA if antialias else cv2.LINE_8)
    return mask


def write(folder, masks, name="p{}"):
    return write_pairs(folder, masks, f"{name}.jpg", f"{name}.png")


def good(count=6):
    return [np.maximum(disc(number, 1), disc(number + 11, 2)) for number in range(count)]


def shuffled_names(folder, masks):
    """A list that pairs each picture with the mask of the next one."""
    path = write(folder, masks)
    pairs = [line.split() for line in path.read_text().splitlines()]
    path.write_text("".join(f"{image} {pairs[(n + 1) % len(pairs)][1]}\n" for n, (image, _) in enumerate(pairs)))
    return path


GRAVE = {
    "one class": ([np.zeros(SIZE, np.uint8)] * 4, write, 3, "less than two classes"),
    "0 and 255": ([disc(n, 255) for n in range(4)], write, 2, "beside 255, which is ignored"),
    "all ignored": ([np.full(SIZE, 255, np.uint8)] * 4, write, 3, "no class, beside 255"),
    "grays of colours": ([disc(n, 38 + 37 * (n % 2)) for n in range(4)], write, 200, "grays of VOC's colours"),
    "antialiased": ([disc(n, 4, True) for n in range(4)], write, 5, "blend class numbers"),
    "antialiased 0 to 255": ([disc(n, 255, True) for n in range(4)], write, 255, "blend class numbers"),
    "shifted": (good(), shuffled_names, 3, "beside p1"),
}


@pytest.mark.parametrize("masks, save, classes, part", GRAVE.values(), ids=GRAVE)
def test_error_findings_end_a_build_unless_ignored(tmp_path, run, masks, save, classes, part):
    arguments = ["--data_root", tmp_path, "--data_lst", save(tmp_path, masks), "--num_classes", classes, "--num_shards",
                 1, "--dst_path", tmp_path / "x.mindrecord"]
    result = run(build_seg_data.main, *arguments)
    assert result.code == 2 and part in result.err and "--ignore_findings" in result.err, result
    assert result.err.splitlines()[-1].startswith("error: ") and not (tmp_path / "x.mindrecord").exists()
    result = run(build_seg_data.main, *arguments, "--ignore_findings")
    assert result.code == 0 and part in result.err and result.err.startswith("warning: "), result


def test_good_masks_have_no_findings(tmp_path, run):
    path = write(tmp_path, good())
    result = run(build_seg_data.main, "--data_root", tmp_path, "--data_lst", path, "--num_classes", 3,
                 "--num_shards", 1, "--dst_path", tmp_path / "x.mindrecord")
    assert result.code == 0 and result.err == ""
    summary = summary_in_record(tmp_path / "x.mindrecord")
    assert summary.pixels.tolist() == sum(np.bincount(mask.ravel(), minlength=256) for mask in good()).tolist()
    assert summary.masks == 6 and len(summary.keys) == 6 and summary.holding[:4].tolist() == [6, 6, 6, 0]


def test_a_warning_is_one_line(tmp_path, run):
    masks = [*good(), np.full(SIZE, 255, np.uint8)]
    result = run(build_seg_data.main, "--data_root", tmp_path, "--data_lst", write(tmp_path, masks), "--num_classes", 6,
                 "--num_shards", 1, "--dst_path", tmp_path / "x.mindrecord")
    lines = result.err.splitlines()
    assert result.code == 0 and len(lines) == 2 and all(line.startswith("warning: ") for line in lines), lines
    assert "1 of 7 masks" in lines[0] and "class_3" in lines[1] and "class_5" in lines[1]


TRAIN = ("--device_target", "CPU", "--model", "deeplab_v3_tiny_s16", "--crop_size", "65", "--batch_size", "2",
         "--train_epochs", "1", "--base_lr", "0.01")


def build(run, folder, masks, classes, *options):
    folder.mkdir()
    assert run(build_seg_data.main, "--data_root", folder, "--data_lst", write(folder, masks), "--num_classes", classes,
               "--num_shards", 1, "--dst_path", folder / "x.mindrecord", *options).code == 0
    return folder / "x.mindrecord"


def break_mask(folder):
    mask = np.array(Image.open(folder / "p3.png"))
    mask[0, 0] = 77
    Image.fromarray(mask).save(folder / "p3.png")


def break_picture(folder):
    data = bytearray((folder / "p3.jpg").read_bytes())
    data[len(data) // 2:len(data) // 2 + 40] = bytes(range(40))
    (folder / "p3.jpg").write_bytes(data)


def empty_all(folder):
    for path in folder.glob("*.png"):
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(path)


@pytest.mark.parametrize("spoil, part", [(break_mask, "p3.png: mask value 77"), (break_picture, "p3.jpg: damaged"),
                                         (lambda folder: (folder / "p3.png").write_bytes(b"no"), "p3.png: damaged"),
                                         (empty_all, "less than two classes")])
def test_bad_validation_ends_before_the_first_step(tmp_path, run, spoil, part):
    data_file = build(run, tmp_path / "train", good(), 3)
    (tmp_path / "val").mkdir()
    val = write(tmp_path / "val", good(5))
    spoil(tmp_path / "val")
    result = run(train.main, *TRAIN, "--data_file", data_file, "--train_dir", tmp_path / "ckpt", "--data_root",
                 tmp_path / "val", "--eval_data_lst", val)
    assert result.code == 2 and part in result.err and "loss" not in result.out, result
    assert not (tmp_path / "ckpt").exists()


def test_training_reports_findings_of_its_mindrecord(tmp_path, run):
    data_file = build(run, tmp_path / "train", [disc(n, 255) for n in range(4)], 2, "--ignore_findings")
    result = run(train.main, *TRAIN, "--data_file", data_file, "--train_dir", tmp_path / "ckpt")
    assert result.code == 2 and "beside 255, which is ignored" in result.err and not (tmp_path / "ckpt").exists()


def test_records_without_a_summary_are_checked(tmp_path, run, monkeypatch):
    data_file = build(run, tmp_path / "train", [disc(n, 255) for n in range(4)], 2, "--ignore_findings")
    monkeypatch.setattr("src.training.data_check.summary_in_record", lambda path: None)
    result = run(train.main, *TRAIN, "--data_file", data_file, "--train_dir", tmp_path / "ckpt")
    assert result.code == 2 and "beside 255, which is ignored" in result.err
    assert "classes that no mask" not in result.err, "a part of the set says nothing about missing classes"


def test_training_pictures_in_validation_are_found_by_their_contents(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    train_set, _ = look(write(tmp_path / "a", good()))
    val_list = write(tmp_path / "b", good(4), "other_name_{}")    # the same bytes
    val_set, _ = look(val_list)
    found = judge_both(train_set, val_set, LABELS, "v")
    assert [one.kind for one in found] == ["leak"] and "4 of 4" in found[0].detail


def look(path):
    pairs = [line.split() for line in path.read_text().splitlines()]
    return survey_list(pairs, path.parent, path, LABELS)


def test_classes_that_training_lacks():
    sides = Summary(), Summary()
    for summary, values in zip(sides, ([0, 1], [0, 1, 2])):
        summary.add(np.bincount(values, minlength=256))
    assert [(one.kind, one.item) for one in judge_both(*sides, LABELS, "v")] == [("unlearnt", "class_2")]


def test_an_object_class_that_is_the_ignored_value_is_reported():
    summary = Summary()
    summary.add(np.bincount([0, 0, 1, 2], minlength=256))
    (found,) = judge("s", "s", summary, Labels(3, 1, ("a", "b", "c")))
    assert found.kind == "ignored_class" and found.item == "b" and "25.0 %" in found.detail


def test_a_class_that_lies_in_the_ignored_pixels_is_guessed():
    summary = Summary()
    summary.add(np.bincount([0, 0, 1, 255], minlength=256))
    (found,) = judge("s", "s", summary, LABELS)
    assert found.kind == "absent" and found.item == "class_2" and "255, which is ignored, covers 25 %" in found.detail


def test_blends_are_distinguished_from_classes_borders_and_noise():
    noise = np.random.default_rng(0).integers(0, 21, SIZE, dtype=np.uint8)
    border = np.where(cv2.dilate(disc(3, 2), np.ones((3, 3))) > 0, 1, 0).astype(np.uint8) + (disc(3, 2) > 0)
    nested = np.maximum.reduce([disc(0, 1), np.roll(disc(0, 2), 9, 1), np.roll(disc(0, 3), 18, 1), disc(0, 0)])
    for mask, expected in ((noise, False), (border, False), (nested, False), (disc(0, 4), False),
                           (disc(0, 4, True), True), (disc(0, 200, True), True), (disc(0, 5, True, 1), True)):
        assert is_blended(mask, count_values(mask)) == expected


def test_real_masks_are_not_blended(voc_sample):
    for path in sorted((voc_sample / "VOCdevkit/VOC2012/SegmentationClass").glob("*.png")):
        mask = np.array(Image.open(path))
        counts = count_values(mask)
        assert np.array_equal(counts, np.bincount(mask.ravel(), minlength=256)) and not is_blended(mask, counts)


def test_counts_of_large_masks_are_exact(monkeypatch):
    monkeypatch.setattr("src.data.labels.EXACT", 100)
    mask = np.random.default_rng(0).integers(0, 9, (37, 41), dtype=np.uint8)
    assert np.array_equal(count_values(mask), np.bincount(mask.ravel(), minlength=256))


NAMES = {
    "equal": ([("a/1.jpg", "b/1.png"), ("a/2.jpg", "b/2.png")], None),
    "ends of their own": ([(f"x{n}_leftImg8bit.png", f"x{n}_gtFine_labelIds.png") for n in range(9, 12)], None),
    "beginnings of their own": ([(f"img_{n}.jpg", f"mask_{n}.png") for n in (10, 11, 12)], None),
    "zeros": ([(f"{n}.jpg", f"{n:04d}.png") for n in range(20)], None),
    "unlike throughout": ([("sea.jpg", "17.png"), ("wood.jpg", "18.png")], None),
    "sorted in two ways": ([(f"p{n}.jpg", f"p{m}.png") for n, m in zip(range(12), sorted(range(12), key=str))],
                           "shifted"),
    "shifted by one": ([(f"img_{n}.jpg", f"mask_{n + 1}.png") for n in range(20)], "shifted"),
    "turned round": ([(f"{n:03d}.jpg", f"{19 - n:03d}_mask.png") for n in range(20)], "shifted"),
    "two exchanged": ([("a.jpg", "b.png"), ("b.jpg", "a.png"), *((f"c{n}.jpg", f"c{n}.png") for n in range(9))],
                      "crossed"),
    "one folder for each": ([(f"{day}/{n}.jpg", f"{day}/{n}.png") for day in "ab" for n in range(3)], None),
    "one pair": ([("a.jpg", "b.png")], None), "no pair": ([], None),
}


@pytest.mark.parametrize("pairs, kind", NAMES.values(), ids=NAMES)
def test_names_that_belong_to_others(pairs, kind):
    assert [one.kind for one in judge_names("s", "s", pairs)] == ([kind] if kind else [])


def test_the_core_of_a_name_keeps_its_number():
    assert cores(["p10_x", "p11_x"]) == ["10", "11"] and cores(["a", "a"]) == ["a", "a"]


def test_a_shifted_list_is_an_error_of_check_data(tmp_path, run):
    path = shuffled_names(tmp_path, good())
    result = run(check_data.main, "--data_root", tmp_path, "--data_lst", path, "--num_classes", 3, "--check_dir",
                 tmp_path / "check")
    assert result.code == 1 and "beside the masks of others" in result.out and "p0 beside p1" in result.out


def test_evaluation_reports_findings_too(tmp_path, run, exported, drawn):
    import eval_onnx
    path = write(tmp_path, [disc(n, 255) for n in range(3)])
    arguments = ["--file_name", exported(), "--device_target", "CPU", "--crop_size", 65, "--data_root", tmp_path,
                 "--data_lst", path, "--result_file", tmp_path / "r.json"]
    result = run(eval_onnx.main, *arguments)
    assert result.code == 2 and "beside 255, which is ignored" in result.err and "mean IoU" not in result.out
    assert run(eval_onnx.main, *arguments, "--ignore_findings").code == 0


def test_a_summary_is_read_back_from_the_header_and_others_are_refused():
    summary = Summary()
    summary.add(np.bincount([0, 1, 1, 255], minlength=256), True, b"abcdef")
    again = Summary.from_json(summary.to_json())
    assert again.to_json() == summary.to_json() and again.keys == {b"abcdef"} and again.blended == 1
    whole = summary.to_json()
    for bad in (None, [], "x", {}, whole | {"keys": 1}, whole | {"pixels": {"300": 1}}, whole | {"masks": "many"},
                whole | {"alone": [1]}, whole | {"holding": {"1": 1 << 70}}, whole | {"keys": "§"}):
        assert Summary.from_json(bad) is None


def test_several_error_findings_are_one_error(capsys):
    summary = Summary()
    summary.add(np.bincount([0], minlength=256))
    with pytest.raises(InputError, match="less than two classes.*; --ignore_findings goes on"):
        tell(judge("s", "s", summary, LABELS), False)
    assert "absent" not in capsys.readouterr().err


def test_look_at_names_the_slash(tmp_path):
    from src.data.survey import Job
    look = look_at(Job("", 0, "/no/a.jpg", "/no/a.png", root=str(tmp_path)), LABELS)
    assert look.error().startswith("/no/a.jpg: no such file") and "begins with a slash" in look.error()


def recolour(path, *colours):
    mask = Image.open(path)
    mask.putpalette([part for colour in colours for part in colour])
    mask.save(path)


def test_palettes_that_contradict_each_other_are_named(tmp_path, run):
    path, (black, red, green) = write(tmp_path, good()), ((0, 0, 0), (255, 0, 0), (0, 255, 0))
    for number in range(6):
        recolour(tmp_path / f"p{number}.png", black, red, green, *[(number, 0, 0)] * (number + 1))    # 3 is not held
    lists = ("--data_root", tmp_path, "--data_lst", path, "--num_classes", 3)
    own = ("--images", tmp_path, "--masks", tmp_path, "--out", tmp_path / "out")
    programs = ((build_seg_data.main, *lists, "--num_shards", 1, "--dst_path", tmp_path / "x.mindrecord"),
                (get_dataset_lst.main, *own), (check_data.main, *lists, "--check_dir", tmp_path / "check"))
    for program in programs[:2]:
        assert "colours" not in run(*program).err
    recolour(tmp_path / "p4.png", black, green, red)
    said = r"give a number different colours.*number 1 is \(255, 0, 0\) in \S*p0.png, \(0, 255, 0\) in \S*p4.png"
    for program in programs:
        result = run(*program, "--overwrite")
        assert result.code == 0 and re.search(said, result.out + result.err, re.DOTALL), result
    (tmp_path / "labels.txt").write_text("0 0 0 0\n255 0 0 1\n0 255 0 2\n")    # reads the colours
    assert "colours" not in run(*programs[1], "--overwrite", "--labels", tmp_path / "labels.txt").err
    lines = path.read_text().splitlines(keepends=True)
    for name, some in (("train", lines[:4]), ("val", lines[4:5])):    # each alone has one palette
        (tmp_path / f"{name}.txt").write_text("".join(some))
    result = run(check_data.main, "--data_root", tmp_path, "--data_lst", tmp_path / "train.txt", "--eval_data_lst",
                 tmp_path / "val.txt", "--num_classes", 3, "--check_dir", tmp_path / "both")
    assert re.search(said, result.out, re.DOTALL), result


def test_other_colours_of_the_ignored_value_are_no_finding():
    summary, labels = Summary(), Labels(3, 2, ("a", "b", "c"))
    summary.colours = {1: {(9, 0, 0): "m", (8, 0, 0): "n"}, 2: {(1, 1, 1): "m", (2, 2, 2): "n"}}
    assert [one.detail for one in judge_all("s", "s", [summary], labels)] == [
        "number 1 is (9, 0, 0) in m, (8, 0, 0) in n"]


@pytest.mark.parametrize("names, said", [
    (("Car", "car"), "Car (class 1, beside car, class 2)"), (("a", "b"), ""),
    (("caf\u00e9", "CAFE\u0301"), "caf\u00e9 (class 1, beside CAFE\u0301, class 2)")])
def test_class_names_that_look_alike_are_a_finding(capsys, names, said):
    tell(judge_all("s", "s", [Summary(), Summary()], Labels(3, 255, ("background", *names))), False)
    wanted = f"warning: s: class names that differ only in case or in Unicode's form: {said}; are they one class?\n"
    assert capsys.readouterr().err == (wanted if said else "")
