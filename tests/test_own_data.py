"""Lists and gray masks from users' folders, with every kind of mask."""
import base64
import io
import os
import shutil
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from src.data import build_seg_data, get_dataset_lst
from src.data.annotations.label_map import LabelMap
from src.data.labels import Labels
from src.data.lists import read_list
from src.data.mask_values import class_map
from src.data.masks import read_pair
from src.data.pictures import limit
from src.data.splits import split
from tests.annotation_files import coco, labelme, picture, shape
from tests.conftest import FOLDERS, ROOT, write_pairs
from tests.foreign import paletted

NUMBERS = np.array([[0, 1, 1, 0], [2, 0, 1, 255], [0, 2, 2, 0]], np.uint8)
COLORS = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 128, 255), 255: (255, 255, 255)}


def coloured(numbers, mode):
    rgb = np.zeros((*numbers.shape, 3), np.uint8)
    for number, colour in COLORS.items():
        rgb[numbers == number] = colour
    return Image.fromarray(rgb).convert(mode)


MASKS = {
    "palette": (paletted, None),
    "gray": (Image.fromarray, None),
    "16 bit": (lambda n: Image.fromarray(n.astype(np.uint16)), None),
    "RGB": (lambda n: coloured(n, "RGB"), "".join(f"{r} {g} {b} {n}\n" for n, (r, g, b) in COLORS.items())),
    "RGBA": (lambda n: coloured(n, "RGBA"), "# table\n0 0 0 0\n255 0 0 1 # red\n0 128 255 2\n255 255 255 255\n"),
    "other numbers": (lambda n: Image.fromarray(np.uint16([0, 300, 70, *[0] * 252, 9])[n]),
                      "0 0\n300 1\n70 2\n9 255\n"),
}


def write_folders(root, mask, count=5, picture=".png"):
    """`count` pictures and masks, one of each kind of picture in turn."""
    rng = np.random.default_rng(0)
    kinds = [(3, 4, 3), (3, 4), (3, 4, 4)]    # colour, gray, with alpha
    for number in range(count):
        name = f"sub {number % 2}/p{number}"
        for folder in ("images", "masks"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, kinds[number % 3], dtype=np.uint8)
        Image.fromarray(pixels).convert("RGB" if picture == ".jpg" else None).save(root / f"images/{name}{picture}")
        mask(NUMBERS).save(root / f"masks/{name}.png")


@pytest.fixture
def lists(run, tmp_path):
    def call(*options):
        return run(get_dataset_lst.main, "--images", tmp_path / "images", "--masks", tmp_path / "masks", *options)
    return call


def test_masks_of_macos_belong_to_pictures_of_linux(tmp_path, lists):
    write_folders(tmp_path, paletted)
    for path in list((tmp_path / "masks/sub 0").iterdir()):
        path.rename(path.with_name(f"cafe\u0301 {path.stem} n\u0303.png"))
    for path in list((tmp_path / "images/sub 0").iterdir()):
        path.rename(path.with_name(f"café {path.name}"))
    for folder in ("images", "masks"):
        shutil.rmtree(tmp_path / folder / "sub 1")
    result = lists("--mask_suffix", " ñ")
    assert result.code == 0 and result.err == "" and "masks_gray: 3 gray masks" in result.out, result


def test_a_refused_run_leaves_an_earlier_one_as_it_was(tmp_path, lists):
    """Its masks would stand under the names of the earlier dataset.yaml."""
    write_folders(tmp_path, paletted)
    (tmp_path / "a.txt").write_text("0 0 bg\n1 1 a\n2 2 b\n255 ignore\n")
    (tmp_path / "b.txt").write_text("0 0 bg\n1 2 a\n2 1 b\n255 ignore\n")

    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert lists("--labels", tmp_path / "a.txt").code == 0
    last = sorted((tmp_path / "images").rglob("*.png"))[-1]
    good, before = last.read_bytes(), files()
    last.write_bytes(b"")
    assert lists("--labels", tmp_path / "b.txt", "--overwrite").code == 2
    last.write_bytes(good)
    assert files() == before
    again = lists("--labels", tmp_path / "b.txt", "--overwrite")
    assert again.code == 0 and files() != before and not list(tmp_path.glob(".*")), again


@pytest.mark.parametrize("kind", MASKS)
def test_every_kind_of_mask_becomes_gray_numbers(tmp_path, lists, kind):
    mask, table = MASKS[kind]
    write_folders(tmp_path, mask)
    options = []
    if table:
        (tmp_path / "colors.txt").write_text(table)
        options = ["--colors", tmp_path / "colors.txt"]
    result = lists(*options)
    assert result.code == 0, result.err
    assert "dataset.yaml: 3 classes" in result.out and "class 1 (class_1): 25.00 % of the pixels" in result.out
    assert "ignored (255): 8.33 %" in result.out
    train, val = read_list(tmp_path / "train_lst.txt"), read_list(tmp_path / "val_lst.txt")
    assert (len(train), len(val)) == (4, 1) and not set(train) & set(val)
    for pair in [*train, *val]:
        image, labels = read_pair(tmp_path, pair, Labels(3, 255, ()))
        assert image.shape == (3, 4, 3) and np.array_equal(labels, NUMBERS)


def test_the_lists_go_on_to_mindrecord_and_originals_stay(tmp_path, lists, run):
    write_folders(tmp_path, paletted)
    before = {path: path.read_bytes() for path in (tmp_path / "masks").rglob("*.png")}
    assert lists().code == 0
    assert all(path.read_bytes() == data for path, data in before.items())
    assert not [path for path in tmp_path.rglob(".*")], "nothing is left of the files written aside"
    result = run(build_seg_data.main, "--data_root", tmp_path, "--data_lst", tmp_path / "train_lst.txt",
                 "--dst_path", tmp_path / "a.mindrecord", "--num_shards", 1)
    assert result.code == 0 and "4 samples" in result.out, result.err


def test_150_classes(tmp_path, lists):
    write_pairs(tmp_path, [np.arange(150, dtype=np.uint8).reshape(10, 15)] * 2, *FOLDERS)
    result = lists()
    assert result.code == 0 and "dataset.yaml: 150 classes" in result.out


def test_split_is_repeatable_exact_and_stable():
    names = [f"p{number}" for number in range(100)]
    train, val = split(names, 0.8, 1)
    assert (len(train), len(val)) == (80, 20) and (train, val) == split(names[::-1], 0.8, 1)
    assert set(val) != set(split(names, 0.8, 2)[1])
    more, _ = split([*names, "new"], 0.8, 1)
    assert len(set(train) ^ set(more)) <= 2, "a picture more moves hardly any other"
    assert [len(part) for part in split(names[:2], 0.99, 1)] == [1, 1]


def test_own_data_root(tmp_path, lists):
    write_folders(tmp_path / "inner", paletted)
    for folder in ("images", "masks"):
        (tmp_path / folder).symlink_to(tmp_path / "inner" / folder)
    assert lists("--data_root", tmp_path / "inner").code == 2    # images is outside it as given
    assert lists("--data_root", tmp_path).code == 0
    assert read_list(tmp_path / "train_lst.txt")[0].image.startswith("images/sub ")


PROBLEMS = [
    ("colours without a table", lambda n: coloured(n, "RGB"), lambda root: None, "a mask of mode RGB, colours and not"),
    ("0 and 255", lambda n: Image.fromarray(np.uint8([0, 255, 255, *[255] * 253])[n]), lambda root: None,
     "class 0 alone, beside 255, which is ignored"),
    ("too large", lambda n: Image.fromarray(np.uint16([0, 300, *[1] * 254])[n]), lambda root: None,
     "value 300 at row 0, column 1: class numbers go up to 254"),
    ("other size", lambda n: Image.fromarray(n[:2]), lambda root: None, "4x2 but its picture"),
    ("damaged", Image.fromarray, lambda root: cut(root / "masks/sub 0/p0.png"), "p0.png: damaged mask"),
    ("no mask", Image.fromarray, lambda root: [p.rename(p.with_suffix(".jpg")) for p in root.glob("masks/*/*")],
     "no mask (.png .bmp .tif .tiff .gif) has the name of a picture"),
    ("two of one name", Image.fromarray, lambda root: cv2.imwrite(str(root / "images/sub 0/p0.jpg"),
                                                                  np.zeros((3, 4, 3), np.uint8)), "have the same name"),
]


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("mask, spoil, part", [row[1:] for row in PROBLEMS], ids=[row[0] for row in PROBLEMS])
def test_errors_are_one_line(tmp_path, lists, mask, spoil, part):
    write_folders(tmp_path, mask)
    spoil(tmp_path)
    result = lists()
    assert result.code == 2 and part in result.err, result
    assert result.err.count("error: ") == 1 and not (tmp_path / "train_lst.txt").exists()


def test_left_out_files_are_reported(tmp_path, lists):
    write_folders(tmp_path, Image.fromarray)
    (tmp_path / "masks/sub 0/p0.png").unlink()
    (tmp_path / "masks/extra.png").write_bytes((tmp_path / "masks/sub 1/p1.png").read_bytes())
    result = lists()
    assert result.code == 0 and "1 pictures without a mask left out" in result.err
    assert "1 masks without a picture left out" in result.err


def test_a_colour_that_the_table_lacks_is_named(tmp_path):
    coloured(NUMBERS, "RGB").save(tmp_path / "m.png")
    with pytest.raises(get_dataset_lst.InputError, match="m.png: value 0 128 255 at row 1, column 0: --labels has no"):
        class_map((tmp_path / "m.png").read_bytes(), tmp_path / "m.png",
                  LabelMap({}, {(0, 0, 0): 0, (255, 0, 0): 1}, []))


# Annotation files, published labels, split data

@pytest.fixture
def make(run, tmp_path):
    def call(*options):
        return run(get_dataset_lst.main, *options)
    return call


def masks_of(root):
    """Class numbers in each listed mask, by the names of the pictures."""
    pairs = [*read_list(root / "train_lst.txt"), *read_list(root / "val_lst.txt")]
    return {pair.image: np.asarray(Image.open(root / pair.mask)) for pair in pairs}


def test_coco_masks_equal_those_beside_them(annotations, tmp_path, make):
    """labelme's converter drew them, with ignored pixels whose shapes are not in the COCO file."""
    result = make("--annotations", annotations / "coco/annotations.json", "--out", tmp_path)
    assert result.code == 0 and "21 classes (background, aeroplane, " in result.out, result
    assert not list(annotations.rglob("masks_gray")), "the data stays as it is"
    masks = masks_of(tmp_path)
    assert len(masks) == 3
    for image, mask in masks.items():
        assert image.startswith("/")    # outside --out
        wanted = np.asarray(Image.open(annotations / "coco_masks" / f"{Path(image).stem}.png"))
        assert np.mean((mask != wanted)[wanted != 255]) <= 0.001


def labelme_pair(root):
    """Two pictures that are only inside their labelme files."""
    data = io.BytesIO()
    Image.new("RGB", (60, 40), (9, 90, 200)).save(data, "png")
    for name in ("a", "b"):
        labelme(root / name, shape("dog"), shape("cat", [[40, 5], [50, 5], [50, 25]]), image="gone.png",
                imageData=base64.b64encode(data.getvalue()).decode())
        (root / name / "a.png").unlink()


def test_pictures_within_labelme_files_are_written_beside_the_masks(tmp_path, make, run):
    labelme_pair(tmp_path)
    result = make("--annotations", tmp_path)
    assert result.code == 0 and "3 classes (background, dog, cat)" in result.out, result
    train, = read_list(tmp_path / "train_lst.txt")
    image, labels = read_pair(tmp_path, train, Labels(3, 255, ()))
    assert image[0, 0].tolist() == [200, 90, 9] and np.unique(labels).tolist() == [0, 1, 2]
    assert run(build_seg_data.main, "--data_root", tmp_path, "--data_lst", tmp_path / "train_lst.txt",
               "--dst_path", tmp_path / "a.mindrecord", "--num_shards", 1).code == 0


def test_class_names_order_the_classes_and_stay(tmp_path, make):
    labelme_pair(tmp_path)
    (tmp_path / "names.txt").write_text("background\ncat\ndog\n")
    first = make("--annotations", tmp_path, "--class_names", tmp_path / "names.txt")
    ordered = masks_of(tmp_path)
    assert first.code == 0 and "(background, cat, dog)" in first.out
    again = make("--annotations", tmp_path)
    assert "(background, cat, dog)" in again.out, "the order of dataset.yaml beside them"
    assert all(np.array_equal(mask, ordered[name]) for name, mask in masks_of(tmp_path).items())
    (tmp_path / "names.txt").write_text("background\ncat\n")
    missing = make("--annotations", tmp_path, "--class_names", tmp_path / "names.txt")
    assert missing.code == 2 and "'dog' is not among those of the data set; add it to --class_names" in missing.err


def test_validation_data_of_its_own_and_published_labels(camvid_sample, tmp_path, make):
    result = make("--images", camvid_sample / "train", "--masks", camvid_sample / "trainannot", "--labels", "camvid",
                  "--val_images", camvid_sample / "test", "--val_masks", camvid_sample / "testannot", "--out", tmp_path)
    assert result.code == 0 and "11 classes (sky, building, pole, " in result.out, result
    train, val = read_list(tmp_path / "train_lst.txt"), read_list(tmp_path / "val_lst.txt")
    assert (len(train), len(val)) == (90, 39)
    mask = np.asarray(Image.open(tmp_path / val[0].mask))
    theirs = np.asarray(Image.open(camvid_sample / "testannot" / Path(val[0].image).name))
    assert np.array_equal(mask, np.where(theirs == 11, 255, theirs))


def test_other_labels_in_the_same_folder_bring_their_names(tmp_path, lists):
    write_folders(tmp_path, Image.fromarray)
    for names in ("a b c", "d e f"):
        rows = [f"{number} {number} {name}" for number, name in enumerate(names.split())]
        (tmp_path / f"{names[0]}.txt").write_text("\n".join([*rows, "255 ignore"]))
        result = lists("--labels", tmp_path / f"{names[0]}.txt")
        assert result.code == 0 and f"({', '.join(names.split())})" in result.out
    both = lists("--labels", "camvid", "--colors", tmp_path / "a.txt")
    assert both.code == 2 and "give only one of them" in both.err


@pytest.mark.parametrize("folders, sizes", [
    (("train", "val"), (3, 2)), (("training", "validation"), (3, 2)), (("train", "test"), (3, 2)),
    (("Train", "VAL"), (3, 2)), (("train", "other"), (4, 1))])
def test_folders_of_split_data_are_taken_as_they_are(tmp_path, lists, folders, sizes):
    write_folders(tmp_path, Image.fromarray)
    for kind in ("images", "masks"):
        for number, name in enumerate(folders):
            (tmp_path / kind / f"sub {number}").rename(tmp_path / kind / name)
    assert lists().code == 0
    sides = [read_list(tmp_path / f"{side}_lst.txt") for side in ("train", "val")]
    assert tuple(map(len, sides)) == sizes
    if sizes == (3, 2):
        assert all(pair.image.startswith(f"images/{name}/") for name, side in zip(folders, sides) for pair in side)


def two_sets(root) -> dict:
    """Options for each of two sets in one data_root."""
    for side in ("one", "two"):
        write_folders(root / side, Image.fromarray)
    return {side: ("--images", root / side / "images", "--masks", root / side / "masks", "--data_root", root)
            for side in ("one", "two")}


def test_masks_of_another_picture_are_not_replaced(tmp_path, make):
    options = two_sets(tmp_path)
    assert make(*options["one"]).code == 0 and make(*options["one"]).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = make(*options["two"])
    assert result.code == 2 and "is the mask of one/images/sub " in result.err and "--out DIR" in result.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert make(*options["two"], "--out", tmp_path / "out").code == 0
    for name in ("train_lst.txt", "val_lst.txt"):
        (tmp_path / name).unlink()
    assert make(*options["two"]).code == 0


def test_a_mask_whose_name_would_be_too_long_is_found_before(tmp_path, run):
    names = [f"{'x' * 251}{ending}" for ending in (".png", ".jpg")]    # their masks are .png.png and .jpg.png
    path = coco(tmp_path, images=[{"id": number, "file_name": name, "width": 60, "height": 40}
                                  for number, name in enumerate(names)])
    for name in names:
        picture(tmp_path / "images" / name)
    result = run(get_dataset_lst.main, "--annotations", path)
    assert result.code == 2 and "too long" in result.err and not (tmp_path / "masks_gray").exists(), result


def test_a_folder_that_cannot_be_written_into(tmp_path, shell):
    """As root without the rights that let root write everywhere."""
    rights = "-dac_override,-dac_read_search"
    drop = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    write_folders(tmp_path, Image.fromarray)
    tmp_path.chmod(0o555)
    result = shell(*drop, sys.executable, ROOT / "src/data/get_dataset_lst.py", "--images", tmp_path / "images",
                   "--masks", tmp_path / "masks")
    tmp_path.chmod(0o755)
    assert result.code == 2 and "cannot be written into; --out DIR takes masks" in result.err, result
    assert {path.name for path in tmp_path.iterdir()} == {"images", "masks"}


def test_suffixes(tmp_path, lists):
    write_folders(tmp_path, Image.fromarray)
    for path in (tmp_path / "masks").rglob("*.png"):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    wrong = lists()
    assert wrong.code == 2 and "here with --mask_suffix _mask" in wrong.err
    assert lists("--mask_suffix", "_mask").code == 0 and (tmp_path / "masks_gray/sub 0/p0.png").is_file()
    assert "no file name (without extension) ends in '_no'" in lists("--mask_suffix", "_no").err


@pytest.mark.parametrize("suffix", ["", "_mask"])
@pytest.mark.parametrize("inside", ["", "masks"])
def test_pictures_and_masks_in_one_folder_or_inside_each_other(suffix, inside, make, tmp_path):
    """JPEG pictures beside PNG masks of the same name; with a suffix the pictures may be PNG as well."""
    folder, rng = tmp_path / "one", np.random.default_rng(0)
    (folder / inside).mkdir(parents=True)
    for number in range(4):
        Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).save(
            folder / f"p{number}{'.png' if suffix else '.jpg'}")
        Image.fromarray(rng.integers(0, 2, (12, 16), np.uint8)).save(folder / inside / f"p{number}{suffix}.png")
    options = ["--images", folder, "--masks", f"{folder}/../one/{inside}", "--mask_suffix", suffix]
    for _ in range(2):
        result = make(*(options if suffix else options[:4]))
        assert result.code == 0 and "left out" not in result.err, result
    pairs = [line.split() for name in ("train_lst.txt", "val_lst.txt") for line in
             (folder / name).read_text().splitlines()]
    assert {Path(image).stem: Path(mask).stem for image, mask in pairs} == {f"p{n}": f"p{n}" for n in range(4)}


def test_findings_end_the_program_unless_ignored(tmp_path, lists):
    write_folders(tmp_path, lambda n: Image.fromarray(np.zeros_like(n)))
    assert "class 0 alone; nothing could be learnt" in lists().err
    assert lists("--ignore_findings").code == 0 and (tmp_path / "train_lst.txt").is_file()


def test_a_set_of_one_class_ends_before_its_lists_are_written(tmp_path, lists):
    """Our own programs would refuse its dataset.yaml."""
    write_folders(tmp_path, lambda n: Image.fromarray(np.zeros_like(n)))
    (tmp_path / "map").write_text("0 0 ground\n")
    result = lists("--labels", tmp_path / "map", "--ignore_findings")
    assert result.code == 2 and "dataset.yaml: num_classes from 2 to 255 is needed, not 1" in result.err
    assert not list(tmp_path.glob("*_lst.txt")) and not (tmp_path / "dataset.yaml").exists()


def test_names_in_another_encoding(tmp_path, lists):
    write_folders(tmp_path, Image.fromarray, 2)
    for kind in ("images", "masks"):
        for path in (tmp_path / kind).rglob("*.png"):
            os.rename(path, os.path.join(os.fsencode(path.parent), b"\xcd\xbc\xd0" + os.fsencode(path.name)))
    assert lists().code == 0
    assert b"/\xcd\xbc\xd0" in (tmp_path / "train_lst.txt").read_bytes()


def test_more_pixels_than_allowed(tmp_path, lists, monkeypatch):
    monkeypatch.setitem(limit, "pixels", limit["pixels"])    # restored after the test
    write_folders(tmp_path, Image.fromarray)
    result = lists("--max_pixels", 11)
    assert result.code == 2 and "4x3" in result.err and "--max_pixels" in result.err


def test_a_mask_with_every_value_is_quick(tmp_path):
    """16-bit noise: a table is many times quicker than sorting."""
    numbers = np.random.default_rng(0).integers(0, 1 << 16, (2000, 2000), dtype=np.uint16)
    Image.fromarray(numbers).save(tmp_path / "m.tif")
    data, table = (tmp_path / "m.tif").read_bytes(), LabelMap({(value,): value % 7 for value in range(1 << 16)}, {}, [])
    start = time.thread_time()
    labels = class_map(data, "m.tif", table)
    end = time.thread_time()
    assert np.array_equal(labels, numbers % 7)
    np.unique(numbers, return_inverse=True)
    assert end - start < (time.thread_time() - end) / 2


@pytest.mark.parametrize("options, part", [
    (("--annotations", "a", "--masks", "m"), "go together"), (("--val_images", "v"), "go together"),
    (("--images", "{0}"), "go together"), (("--images", "{0}/no", "--masks", "{0}"), "no such folder"),
    (("--annotations", "a", "--val_images", "v", "--val_masks", "m"), "--masks for both, or --annotations for both"),
    (("--annotations", "a", "--labels", "camvid"), "are for --masks"), (("--out", "o"), "--out goes with --images"),
    (("--images", "{0}", "--masks", "{0}", "--labels", "no"), "neither a file nor one of ade20k, camvid, cityscapes"),
    (("--annotations", "{0}"), "contains no annotations")])
def test_options_that_do_not_fit(tmp_path, make, options, part):
    result = make(*(option.format(tmp_path) for option in options))
    assert result.code == 2 and part in result.err and result.err.count("\n") == 1, result


def edit(path):
    path.write_text("".join(path.read_text().splitlines(True)[1:]))


@pytest.mark.parametrize("change", [edit, lambda path: path.write_bytes(b"\xff\xfe\0"),
                                    lambda path: path.write_text("a b c d\n")], ids=["edited", "no text", "no list"])
def test_a_list_that_is_not_as_it_was_written_is_kept(tmp_path, lists, change):
    write_folders(tmp_path, Image.fromarray)
    assert lists().code == 0 and lists().code == 0, "running it twice stays easy"
    before = (tmp_path / "train_lst.txt").read_bytes()
    change(tmp_path / "train_lst.txt")
    changed = (tmp_path / "train_lst.txt").read_bytes()
    result = lists()
    assert result.code == 2 and result.err.count("\n") == 1 and "--overwrite replaces it" in result.err, result
    assert f"{tmp_path / 'train_lst.txt'}: exists" in result.err
    assert (tmp_path / "train_lst.txt").read_bytes() == changed
    assert lists("--overwrite").code == 0 and (tmp_path / "train_lst.txt").read_bytes() == before


def test_an_empty_list_holds_nothing_to_lose_and_a_folder_is_no_list(tmp_path, lists):
    write_folders(tmp_path, Image.fromarray)
    (tmp_path / "train_lst.txt").write_text("")
    assert lists().code == 0 and len(read_list(tmp_path / "train_lst.txt")) == 4
    (tmp_path / "val_lst.txt").unlink()
    (tmp_path / "val_lst.txt").mkdir()
    result = lists()
    assert result.code == 2 and "val_lst.txt: is a folder, not a file" in result.err


def test_lists_of_other_pictures_are_not_replaced(tmp_path, make):
    options = two_sets(tmp_path)
    for folder in sorted(tmp_path.glob("*/*/*")):
        folder.rename(folder.with_name(f"{folder.parts[-3]} {folder.name}"))
    assert make(*options["one"]).code == 0
    before = (tmp_path / "train_lst.txt").read_bytes()
    result = make(*options["two"])
    assert result.code == 2 and "train_lst.txt: is of other pictures, such as one/images/one sub" in result.err, result
    assert (tmp_path / "train_lst.txt").read_bytes() == before and make(*options["two"], "--overwrite").code == 0
