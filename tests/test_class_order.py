"""A class has one number everywhere: in masks of an earlier run, a MindRecord, a checkpoint and new lists."""
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

import eval as evaluation
import predict
import train
from src.data import check_data, get_dataset_lst
from src.data.dataset_yaml import FILE, read_facts
from src.training.state import restore
from tests.annotation_files import labelme, picture, shape
from tests.conftest import FOLDERS, TINY, write_pairs


def annotate(root, name, label):
    picture(root / f"{name}.png")
    labelme(root, shape(label), name=name, image=f"{name}.png")
    (root / "a.png").unlink()    # labelme() makes it


@pytest.fixture
def annotated(tmp_path, run):
    """A folder of two labelme files with a cat and a dog, and a function that makes its lists."""
    annotate(tmp_path, "b", "cat")
    annotate(tmp_path, "c", "dog")

    def lists(*options):
        return run(get_dataset_lst.main, "--annotations", tmp_path, *options)
    assert lists().code == 0
    return tmp_path, lists


def number_in(root, name) -> int:
    return int(np.asarray(Image.open(root / f"masks_gray/{name}.png")).max())


def test_classes_keep_their_numbers_when_pictures_are_added(annotated):
    root, lists = annotated
    annotate(root, "aa", "ape")    # read first
    result = lists()
    assert result.code == 0 and read_facts(root / FILE)["class_names"] == ["background", "cat", "dog", "ape"]
    assert [number_in(root, name) for name in ("aa", "b", "c")] == [3, 1, 2]


def test_predict_leaves_the_written_masks_out(annotated, trained_file, tmp_path, run):
    result = run(predict.main, annotated[0], "--model", trained_file, "--output_dir", tmp_path / "out")
    assert result.code == 0 and "2 pictures," in result.out, result


def test_a_class_that_is_gone_keeps_its_number_unless_told_otherwise(annotated):
    root, lists = annotated
    annotate(root, "b", "dog")
    assert lists().code == 0 and read_facts(root / FILE)["class_names"] == ["background", "cat", "dog"]
    assert lists("--overwrite").code == 0 and read_facts(root / FILE)["class_names"] == ["background", "dog"]


def test_a_name_that_is_changed_in_one_place_is_an_error(annotated, tmp_path):
    root, lists = annotated
    text = (root / FILE).read_text()
    (root / FILE).write_text(text.replace("- cat", "- tiger"))
    result = lists()
    assert result.code == 2 and result.err.count("\n") == 1, result
    assert f"{root / FILE}: has a class 'tiger', and the annotations have 'cat' in its place" in result.err
    (root / "names.txt").write_text("background\ndog\ncat\n")
    assert lists("--class_names", root / "names.txt").code == 0 and number_in(root, "b") == 2


def test_a_label_file_in_another_order_is_an_error(tmp_path, run):
    write_pairs(tmp_path, [np.eye(8, dtype=np.uint8)] * 2, *FOLDERS)
    options = ["--images", tmp_path / "images", "--masks", tmp_path / "masks", "--labels", tmp_path / "labels.txt"]
    (tmp_path / "labels.txt").write_text("0 0 ground\n1 1 cat\n")
    assert run(get_dataset_lst.main, *options).code == 0
    (tmp_path / "labels.txt").write_text("0 1 ground\n1 0 cat\n")
    result = run(get_dataset_lst.main, *options)
    assert result.code == 2 and "class 0 is 'cat', but in " in result.err and result.err.count("\n") == 1, result
    assert run(get_dataset_lst.main, *options, "--overwrite").code == 0


@pytest.fixture
def other_list(drawn, tmp_path):
    """A function that writes a list whose dataset.yaml has other names; changes: name -> another."""
    def make(**changes):
        shutil.copy(drawn / "voc_val_lst.txt", tmp_path / "val.txt")
        facts = read_facts(drawn / FILE)
        names = [changes.get(name, name) for name in facts["class_names"]]
        (tmp_path / FILE).write_text(yaml.safe_dump({**facts, "class_names": names, "lists": {}}))
        return tmp_path / "val.txt"
    return make


def doors(list_file, drawn, trained_file, folder) -> dict:
    record = ["--data_root", drawn, "--data_file", drawn / "train.mindrecord0", "--eval_data_lst", list_file]
    return {
        "eval": [evaluation.main, "--data_root", drawn, "--data_lst", list_file, "--ckpt_path", trained_file,
                 "--result_file", folder / "r.json"],
        "predict": [predict.main, list_file, "--data_root", drawn, "--model", trained_file, "--output_dir",
                    folder / "out"],
        "train": [train.main, *TINY, *record, "--train_epochs", 1, "--train_dir", folder / "run"],
        "check_data": [check_data.main, *record, "--check_dir", folder / "check"],
        "check_data of lists": [check_data.main, "--data_root", drawn, "--data_lst", drawn / "voc_train_lst.txt",
                                "--eval_data_lst", list_file, "--check_dir", folder / "check"]}


NAMES = ("eval", "predict", "train", "check_data", "check_data of lists")


@pytest.mark.parametrize("door", NAMES)
def test_every_program_refuses_classes_in_another_order(door, other_list, drawn, trained_file, tmp_path, run):
    _, first, second, *_ = read_facts(drawn / FILE)["class_names"]
    found = run(*doors(other_list(**{first: second, second: first}), drawn, trained_file, tmp_path)[door])
    assert found.code == 2 and found.err.count("\n") == 1, found
    assert f"class 1 is {first!r}, but in {tmp_path / FILE} it is class 2; number the classes alike" in found.err


@pytest.mark.parametrize("door", ["eval", "predict", "check_data"])
def test_another_name_is_only_told(door, other_list, drawn, trained_file, tmp_path, run):
    first = read_facts(drawn / FILE)["class_names"][1]
    found = run(*doors(other_list(**{first: "thing"}), drawn, trained_file, tmp_path)[door])
    assert found.code == 0 and f"{first!r} is called 'thing' in {tmp_path / FILE}; they are taken" in found.err, found


def test_class_names_of_the_command_line_are_believed(other_list, drawn, trained_file, tmp_path, run):
    _, first, second, *_ = read_facts(drawn / FILE)["class_names"]
    found = run(*doors(other_list(**{first: second, second: first}), drawn, trained_file, tmp_path)["eval"],
                "--class_names", drawn / "classes.txt")
    assert found.code == 0, found


def test_a_run_is_not_resumed_with_classes_in_another_order(trained, run):
    from src.console import InputError
    with pytest.raises(InputError, match="--resume .*: class 1 is 'ball', but in the data of this run it is class 0"):
        restore(None, trained / "deeplab_v3_tiny_s16-2_3.ckpt", 6, ("ball",))
