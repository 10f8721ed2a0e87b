"""Facts about a data set's masks: dataset.yaml beside lists, the header of a MindRecord, and their precedence."""
import json
import os

import cv2
import mindspore.dataset as ds
import numpy as np
import pytest
import yaml

from src.console import InputError
from src.data import build_seg_data, check_data, get_dataset_lst
from src.data.dataset_yaml import FILE, facts_beside, read_facts
from src.data.record_header import facts_in_record
from src.data.sample import CLASSES
from tests.conftest import FOLDERS, write_pairs

GOOD = {"num_classes": 3, "class_names": ["ground", "tree", "car"], "ignore_label": 255, "source": "x"}


@pytest.fixture
def pairs(tmp_path):
    """Five pairs of three classes in tmp_path, with a list that get_dataset_lst.py did not write."""
    write_pairs(tmp_path, np.random.default_rng(0).integers(0, 3, (5, 20, 30), dtype=np.uint8), *FOLDERS)
    return tmp_path


def say(folder, **changes):
    (folder / FILE).write_text(yaml.safe_dump({**GOOD, **changes}), encoding="utf-8")


def make_lists(run, folder, *options):
    return run(get_dataset_lst.main, "--images", folder / "images", "--masks", folder / "masks", *options)


def build(run, folder, *options, name="x.mindrecord", list_file="list.txt", shards=1):
    return run(build_seg_data.main, "--data_root", folder, "--data_lst", folder / list_file,
               "--dst_path", folder / name, "--num_shards", shards, *options)


def test_get_dataset_lst_writes_the_facts_of_own_data(pairs, run):
    assert make_lists(run, pairs).code == 0
    facts = read_facts(pairs / FILE)
    assert set(facts.pop("lists")) == {"train_lst.txt", "val_lst.txt"} and facts == {
        "num_classes": 3, "class_names": ["class_0", "class_1", "class_2"], "ignore_label": 255,
        "source": f"pictures of {pairs / 'images'}, masks of {pairs / 'masks'}"}
    (pairs / "names.txt").write_text("地面\ntree\ncar\nbus\n", encoding="utf-8")
    assert make_lists(run, pairs, "--class_names", pairs / "names.txt").code == 0
    facts = read_facts(pairs / FILE)
    assert facts["class_names"] == ["地面", "tree", "car", "bus"] and facts["num_classes"] == 4
    assert "地面" in (pairs / FILE).read_text(encoding="utf-8"), "to be read and changed by people"
    assert make_lists(run, pairs).code == 0 and read_facts(pairs / FILE)["class_names"][3] == "bus"


def test_names_too_few_for_the_masks_are_refused_and_nothing_is_written(pairs, run):
    (pairs / "names.txt").write_text("a\nb\n")
    result = make_lists(run, pairs, "--class_names", pairs / "names.txt")
    assert result.code == 2 and "names 2 classes, but the masks hold class 2" in result.err
    assert not (pairs / "train_lst.txt").exists() and not (pairs / FILE).exists()
    say(pairs, num_classes=2, class_names=["a", "b"])
    result = make_lists(run, pairs)
    assert result.code == 2 and f"{FILE}: names 2 classes, but the masks hold class 2" in result.err
    say(pairs, num_classes=2, class_names=["class_0", "class_1"])    # counted, not named: more may come
    assert make_lists(run, pairs).code == 0 and read_facts(pairs / FILE)["num_classes"] == 3


def test_vocs_names_go_to_vocs_pictures_alone(voc_root, drawn, drawn_voc, run, tmp_path):
    run(get_dataset_lst.main, "--data_root", voc_root)
    facts = read_facts(voc_root / FILE)
    assert facts["num_classes"] == 21 and facts["class_names"][15] == "person" and facts["ignore_label"] == 255
    run(get_dataset_lst.main, "--data_root", tmp_path)
    assert read_facts(tmp_path / FILE)["class_names"] == [f"class_{number}" for number in range(6)]
    assert read_facts(drawn / FILE)["class_names"] == list(CLASSES), "said by sample.py, kept by get_dataset_lst.py"


def test_the_ignored_value_of_the_file_is_kept(pairs, run):
    say(pairs, ignore_label=2)
    assert make_lists(run, pairs).code == 0 and read_facts(pairs / FILE)["ignore_label"] == 2
    result = make_lists(run, pairs, "--ignore_label", 255)
    assert result.code == 2 and f"--ignore_label 255: but {pairs / FILE} says 2" in result.err


BAD = [
    ("- a\n", "no 'key: value' lines"), ("", "no 'key: value' lines"),
    ("num_classes: 3\nnames: [a]\n", "unknown key 'names'"),
    ("num_classes: three\n", "num_classes takes int, not 'three'"),
    ("num_classes: true\n", "num_classes takes int"), ("num_classes: 1\n", "num_classes from 2 to 255"),
    ("ignore_label: 255\n", "num_classes from 2 to 255"), ("num_classes: 2\nignore_label: 256\n", "not from 0 to 255"),
    ("num_classes: 2\nclass_names: a b\n", "class_names takes list"),
    ("num_classes: 3\nclass_names: [a, b]\n", "2 names for num_classes 3"),
    ("num_classes: 2\nclass_names: [a, no]\n", "the class name False is not a text"),
    ("num_classes: 2\nclass_names: [a, a]\n", "'a' occurs twice"),
    ("num_classes: 2\nclass_names: [a, ' ']\n", "' ' is not a text"),
    ('num_classes: 2\nclass_names: [a, "b\\e[31m"]\n', "control character"),
    (f"num_classes: 2\nclass_names: [a, {'b' * 201}]\n", "a class name of 201 characters"),
    ("num_classes: [\n", "not readable as YAML"),
]


@pytest.mark.parametrize("text, part", BAD, ids=[row[1] for row in BAD])
def test_a_wrong_file_is_named_in_one_line(pairs, run, text, part):
    (pairs / FILE).write_text(text)
    result = build(run, pairs)
    assert result.code == 2 and part in result.err and str(pairs / FILE) in result.err, result.err
    assert len(result.err.splitlines()) == 1 and len(result.err) < 700


def test_a_file_that_is_not_utf8_is_named(pairs, run):
    (pairs / FILE).write_bytes(b"num_classes: 2\nclass_names: [a, \xff]\n")
    assert f"{FILE}: not readable as YAML" in build(run, pairs).err


def test_the_file_beside_the_list_comes_before_the_one_in_data_root(tmp_path):
    (tmp_path / "lists").mkdir()
    assert facts_beside(tmp_path / "lists/a.txt", tmp_path) == ({}, None)
    say(tmp_path)
    assert facts_beside(tmp_path / "lists/a.txt", tmp_path) == (GOOD, tmp_path / FILE)
    assert facts_beside(tmp_path / "lists/a.txt") == ({}, None)
    say(tmp_path / "lists", ignore_label=0)
    assert facts_beside(tmp_path / "lists/a.txt", tmp_path)[0]["ignore_label"] == 0


def test_a_mindrecord_has_the_facts_and_older_readers_ignore_them(pairs, run):
    say(pairs)
    assert build(run, pairs, shards=2).code == 0
    facts = [facts_in_record(pairs / f"x.mindrecord{shard}") for shard in range(2)]
    assert facts[0] == facts[1] and {**facts[0], "build": ""} == {**GOOD, "build": ""} and len(facts[0]["build"]) == 32
    assert ds.MindDataset(str(pairs / "x.mindrecord0")).get_dataset_size() == 5
    assert build(run, pairs, name="y.mindrecord").code == 0
    assert facts_in_record(pairs / "y.mindrecord")["build"] != facts[0]["build"]


def test_given_facts_are_kept_and_defaults_are_not(pairs, run):
    assert build(run, pairs, "--num_classes", 4, name="typed").code == 0
    assert facts_in_record(pairs / "typed")["class_names"] == ["class_0", "class_1", "class_2", "class_3"]
    assert build(run, pairs, name="default").code == 0
    assert facts_in_record(pairs / "default") == {}


def test_names_that_could_not_be_read_again_are_refused(pairs, run):
    (pairs / "names.txt").write_text("a\nb\na\n")
    result = build(run, pairs, "--num_classes", 3, "--class_names", pairs / "names.txt")
    assert result.code == 2 and "names.txt: the class name 'a' occurs twice" in result.err


def test_a_list_whose_name_is_not_utf8(pairs, run):
    name = os.fsdecode(b"l\xffst.txt")
    (pairs / name).write_text((pairs / "list.txt").read_text())
    assert build(run, pairs, "--num_classes", 3, list_file=name).code == 0
    assert facts_in_record(pairs / "x.mindrecord")["source"].endswith("l?st.txt")


def test_255_long_names_fit(pairs, run):
    names = [f"{number:03d}" + "𠮷" * 197 for number in range(255)]
    say(pairs, num_classes=255, class_names=names)
    assert build(run, pairs, shards=2).code == 0
    assert facts_in_record(pairs / "x.mindrecord1")["class_names"] == names


def test_records_of_other_programs_have_no_facts(pairs, tmp_path):
    from mindspore.mindrecord import FileWriter
    for number, description in enumerate(("seg_schema", "", "7", '{"num_classes": 3}', '["build"]', '{"build": 1}')):
        writer = FileWriter(str(tmp_path / f"old{number}"), shard_num=1)
        writer.add_schema({"data": {"type": "bytes"}}, description)
        writer.write_raw_data([{"data": b"x"}])
        writer.commit()
        assert facts_in_record(tmp_path / f"old{number}") == {}
    (tmp_path / "text").write_text("no MindRecord at all")
    for header in (b"", b"[1]", b"{", b'{"schema": 1}', b'{"schema": [1], "shard_addresses": 2}', b"[" * 100000):
        (tmp_path / "text").write_bytes(len(header).to_bytes(8, "little") + header)
        assert facts_in_record(tmp_path / "text") == {}
    for path in (tmp_path / "missing", tmp_path, ""):
        assert facts_in_record(path) == {}


def test_damaged_facts_in_a_record_are_named(tmp_path):
    facts = {"num_classes": 2, "class_names": ["a", "b\x1b[31m"], "build": "0"}
    header = json.dumps({"schema": [{"desc": json.dumps(facts)}], "shard_addresses": ["../../r", "x" * 300]}).encode()
    (tmp_path / "r").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match="r: the class name .* holds a control character"):
        facts_in_record(tmp_path / "r")


def test_shards_of_two_builds_are_not_mixed(pairs, run):
    say(pairs)
    for name in ("a", "b"):
        (pairs / name).mkdir()
        assert build(run, pairs, name=f"{name}/x", shards=2).code == 0
    os.replace(pairs / "b/x1", pairs / "a/x1")
    with pytest.raises(InputError, match="x1 is of another build; build all shards again"):
        facts_in_record(pairs / "a/x0")


def test_after_the_lists_no_program_needs_the_classes(val_list, drawn, run, tmp_path):
    result = run(build_seg_data.main, *val_list, "--dst_path", tmp_path / "v", "--num_shards", 1)
    assert result.code == 0 and "6 classes" in result.out, result.err
    assert facts_in_record(tmp_path / "v")["class_names"] == list(CLASSES)
    for source in (["--data_lst", drawn / "voc_val_lst.txt"], ["--data_file", tmp_path / "v"]):
        result = run(check_data.main, *source, "--data_root", drawn, "--check_dir", tmp_path / "c")
        assert result.code == 0 and "5 ring" in result.out and "absent" not in result.err
        report = json.loads((tmp_path / "c/check.json").read_text())
        assert [one["name"] for one in report["sets"]["train"]["classes"]] == list(CLASSES)
        result = run(check_data.main, *source, "--data_root", drawn, "--check_dir", tmp_path / "c", "--num_classes", 7)
        assert result.code == 2 and "--num_classes 7: but" in result.err and "says 6" in result.err


def test_a_sample_larger_than_mindspores_page(pairs, run):
    """12-megapixel BMPs: 36 MB each, where a page is 32 MB unless told."""
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    for number in range(2):
        pixels[number] = 7
        cv2.imwrite(str(pairs / f"images/{number}.bmp"), pixels)
        cv2.imwrite(str(pairs / f"masks/{number}.png"), pixels[:, :, 0] // 7)
    (pairs / "list.txt").write_text("images/0.bmp masks/0.png\nimages/2.png masks/2.png\nimages/1.bmp masks/1.png\n")
    result = build(run, pairs, "--num_classes", 3, shards=2)
    assert result.code == 0, result.err
    rows = ds.MindDataset(str(pairs / "x.mindrecord0"), shuffle=False).create_dict_iterator(1, output_numpy=True)
    found = {str(row["file_name"]): row["data"].tobytes() for row in rows}
    assert found == {name: (pairs / f"images/{name}").read_bytes() for name in ("0.bmp", "1.bmp", "2.png")}


def test_a_sample_that_no_page_holds_is_named(pairs, run):
    with open(pairs / "images/3.png", "ab") as file:
        file.truncate(257 << 20)    # data after the picture's end, as some cameras write
    result = build(run, pairs, "--num_classes", 3)
    assert result.code == 2 and "images/3.png: picture and mask are 257 MB" in result.err, result
    assert "below 256 MB" in result.err
    assert not list(pairs.glob("x.mindrecord*")) and not list(pairs.glob(".build*"))


def test_samples_in_memory_are_bounded_in_number_and_bytes():
    from src.data.mindrecord import CHUNK, CHUNK_BYTES, chunks
    sizes = [1] * 100 + [CHUNK_BYTES] * 3 + [CHUNK_BYTES // 2] * 3 + [2 * CHUNK_BYTES]
    made = list(chunks(list(range(len(sizes))), sizes))
    assert sum(made, []) == list(range(len(sizes)))
    assert [len(chunk) for chunk in made] == [CHUNK, 36, 1, 1, 1, 2, 1, 1]
