"""List files and gray masks from real VOC and SBD folders."""
import numpy as np
import pytest
from PIL import Image

from src.data import get_dataset_lst
from src.data.lists import read_list


def test_real_voc_and_sbd(voc_root, run):
    result = run(get_dataset_lst.main, "--data_root", voc_root)
    assert result.code == 0, result.err
    train, val, augmented = (read_list(voc_root / f"{name}_lst.txt")
                             for name in ("voc_train", "voc_val", "vocaug_train"))
    assert (len(train), len(val), len(augmented)) == (100, 60, 120)
    assert "vocaug: 23 in SBD, 3 of them in VOC train or val, 20 + 100 VOC train" in result.out
    assert not {pair.image.rsplit("/")[-1] for pair in val} & {pair.image.rsplit("/")[-1] for pair in augmented}
    assert augmented[-100:] == train
    for pair in [*train, *val, *augmented]:
        assert (voc_root / pair.image).is_file() and not pair.image.startswith("/")
        with Image.open(voc_root / pair.mask) as mask, Image.open(voc_root / pair.image) as image:
            assert mask.mode == "L" and mask.size == image.size

    name = val[0].mask.rsplit("/")[-1]
    palette = np.array(Image.open(voc_root / "VOCdevkit/VOC2012/SegmentationClass" / name))
    assert np.array_equal(np.array(Image.open(voc_root / val[0].mask)), palette)
    assert np.unique(np.array(Image.open(voc_root / augmented[0].mask))).size > 1

    damaged, kept = voc_root / val[0].mask, voc_root / val[1].mask
    before = kept.stat().st_mtime_ns
    damaged.write_bytes(damaged.read_bytes()[:200])
    again = run(get_dataset_lst.main, "--data_root", voc_root)
    assert "160 gray masks, 1 written, 159 unchanged" in again.out
    assert np.array_equal(np.array(Image.open(damaged)), palette) and kept.stat().st_mtime_ns == before
    assert not list(voc_root.rglob(".*")), "nothing is left of the files written aside"


def test_root_may_be_voc2012_itself(drawn_voc, run, tmp_path):
    result = run(get_dataset_lst.main, "--data_root", tmp_path)
    assert result.code == 0 and "no SBD" in result.out
    assert read_list(tmp_path / "voc_val_lst.txt")[0].image.startswith("JPEGImages/")


@pytest.mark.parametrize("prepare, part", [
    (lambda root: None, "neither it nor"),
    (lambda root: (root / "ImageSets/Segmentation").mkdir(parents=True), "train.txt: no such file"),
])
def test_no_voc(tmp_path, run, prepare, part):
    prepare(tmp_path)
    result = run(get_dataset_lst.main, "--data_root", tmp_path)
    assert result.code == 2 and part in result.err


def test_a_picture_in_train_and_val_or_without_a_file(tmp_path, run):
    sets = tmp_path / "ImageSets/Segmentation"
    sets.mkdir(parents=True)
    (tmp_path / "SegmentationClass").mkdir()
    (sets / "train.txt").write_text("a\nb \n")
    (sets / "val.txt").write_text("b\n")
    result = run(get_dataset_lst.main, "--data_root", tmp_path)
    assert result.code == 2 and "b is in train.txt and in val.txt" in result.err
    (sets / "val.txt").write_text("\n")
    result = run(get_dataset_lst.main, "--data_root", tmp_path)
    assert result.code == 2 and "val.txt: is empty; it takes the names of pictures" in result.err
    (sets / "val.txt").write_text("c\n")
    result = run(get_dataset_lst.main, "--data_root", tmp_path)
    assert result.code == 2 and "a.png: no such file" in result.err
    for name in "abc":
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / f"SegmentationClass/{name}.png")
    result = run(get_dataset_lst.main, "--data_root", tmp_path)
    assert result.code == 2 and "a.jpg: no such file" in result.err
    assert not (tmp_path / "voc_train_lst.txt").exists()


def test_broken_sbd_annotation_is_named(tmp_path):
    (tmp_path / "x.mat").write_bytes(b"MATLAB")
    with pytest.raises(get_dataset_lst.InputError, match="x.mat: not an SBD annotation"):
        get_dataset_lst.read_sbd_mask(tmp_path / "x.mat")


def test_an_edited_list_of_voc_is_kept(drawn_voc, run, tmp_path):
    assert run(get_dataset_lst.main, "--data_root", tmp_path).code == 0
    assert run(get_dataset_lst.main, "--data_root", tmp_path).code == 0
    path = tmp_path / "voc_val_lst.txt"
    path.write_text(path.read_text().splitlines(True)[0])
    result = run(get_dataset_lst.main, "--data_root", tmp_path)
    assert result.code == 2 and "voc_val_lst.txt: exists" in result.err and len(read_list(path)) == 1
    assert run(get_dataset_lst.main, "--data_root", tmp_path, "--overwrite").code == 0 and len(read_list(path)) == 6
