"""Lists and gray masks from folders of one's own, whatever the masks look like."""
import cv2
import numpy as np
import pytest
from PIL import Image

from src.data import build_seg_data, get_dataset_lst
from src.data.labels import Labels
from src.data.lists import read_list
from src.data.mask_values import class_map, read_colors
from src.data.own_data import split
from src.data.pictures import read_pair
from src.drawing.palette import palette

NUMBERS = np.array([[0, 1, 1, 0], [2, 0, 1, 255], [0, 2, 2, 0]], np.uint8)
COLORS = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 128, 255), 255: (255, 255, 255)}


def paletted(numbers):
    image = Image.fromarray(numbers)
    image.putpalette(palette().tobytes())
    return image


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
    numbers = np.arange(150, dtype=np.uint8).reshape(10, 15)
    for name in ("a", "b"):
        for folder, image in (("images", np.zeros((10, 15, 3), np.uint8)), ("masks", numbers)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / folder / f"{name}.png")
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


def test_root_of_ones_own(tmp_path, lists):
    write_folders(tmp_path / "inner", paletted)
    for folder in ("images", "masks"):
        (tmp_path / folder).symlink_to(tmp_path / "inner" / folder)
    assert lists("--data_root", tmp_path / "inner").code == 2    # images is outside it as given
    assert lists("--data_root", tmp_path).code == 0
    assert read_list(tmp_path / "train_lst.txt")[0].image.startswith("images/sub ")


def spoil_nothing(root):
    return None


PROBLEMS = [
    ("colours without a table", lambda n: coloured(n, "RGB"), spoil_nothing, "a mask of mode RGB, colours and not"),
    ("0 and 255", lambda n: Image.fromarray(np.uint8([0, 255, 255, *[255] * 253])[n]), spoil_nothing,
     "class 0 alone, beside 255, which is ignored"),
    ("too large", lambda n: Image.fromarray(np.uint16([0, 300, *[1] * 254])[n]), spoil_nothing,
     "value 300 at row 0, column 1: class numbers go to 254"),
    ("other size", lambda n: Image.fromarray(n[:2]), spoil_nothing, "4x2 where its picture"),
    ("damaged", Image.fromarray, lambda root: cut(root / "masks/sub 0/p0.png"), "p0.png: damaged mask"),
    ("no mask", Image.fromarray, lambda root: [p.rename(p.with_suffix(".jpg")) for p in root.glob("masks/*/*")],
     "no mask (.png .bmp .tif .tiff .gif) has the name of a picture"),
    ("two of one name", Image.fromarray, lambda root: cv2.imwrite(str(root / "images/sub 0/p0.jpg"),
                                                                  np.zeros((3, 4, 3), np.uint8)), "have one name"),
]


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("mask, spoil, part", [row[1:] for row in PROBLEMS], ids=[row[0] for row in PROBLEMS])
def test_what_is_wrong_is_said_in_one_line(tmp_path, lists, mask, spoil, part):
    write_folders(tmp_path, mask)
    spoil(tmp_path)
    result = lists()
    assert result.code == 2 and part in result.err, result
    assert result.err.count("error: ") == 1 and not (tmp_path / "train_lst.txt").exists()


def test_what_is_left_out_is_said(tmp_path, lists):
    write_folders(tmp_path, Image.fromarray)
    (tmp_path / "masks/sub 0/p0.png").unlink()
    (tmp_path / "masks/extra.png").write_bytes((tmp_path / "masks/sub 1/p1.png").read_bytes())
    result = lists()
    assert result.code == 0 and "1 pictures without a mask left out" in result.err
    assert "1 masks without a picture left out" in result.err


@pytest.mark.parametrize("text, part", [
    ("1 2\n3 4 5\n", "line 2: '3 4 5' is neither"), ("0 0\n0 1\n", "line 2: 0 stands there twice"),
    ("1 256\n", "line 1: '1 256' is neither"), ("0 0\n1 2 3 4\n", "one kind of line"), ("# none\n", "one kind of line"),
    ("a b\n", "line 1: 'a b' is neither")])
def test_bad_tables(tmp_path, text, part):
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(get_dataset_lst.InputError, match=part):
        read_colors(tmp_path / "c.txt")


def test_a_colour_that_the_table_lacks_is_named(tmp_path):
    coloured(NUMBERS, "RGB").save(tmp_path / "m.png")
    with pytest.raises(get_dataset_lst.InputError, match="m.png: value 0 128 255 at row 1, column 0: --colors has no"):
        class_map((tmp_path / "m.png").read_bytes(), tmp_path / "m.png", {(0, 0, 0): 0, (255, 0, 0): 1})


def test_folders_that_are_missing_or_go_together(tmp_path, lists, run):
    assert "no such folder" in lists().err
    alone = run(get_dataset_lst.main, "--images", tmp_path)
    assert alone.code == 2 and "go together" in alone.err
