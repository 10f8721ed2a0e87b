"""Label maps: the published ones, and users' files."""
import pytest

from src.console import InputError
from src.data.annotations.label_map import known_label_maps, read_label_map


def test_published_label_maps():
    cityscapes, ade20k, camvid = (read_label_map(name) for name in ("cityscapes", "ade20k", "camvid"))
    assert known_label_maps() == ["ade20k", "camvid", "cityscapes"]
    assert [len(one.classes) for one in (cityscapes, ade20k, camvid)] == [19, 150, 11]
    assert sorted(cityscapes.values) == [(number,) for number in (*range(34), 255)]
    assert sum(label == 255 for label in cityscapes.values.values()) == 16
    assert cityscapes.values[(7,)] == 0 and cityscapes.values[(33,)] == 18 and cityscapes.classes[13] == "car"
    for value, color in ((7, (128, 64, 128)), (17, (153, 153, 153)), (26, (0, 0, 142)), (29, (0, 0, 90))):
        assert cityscapes.values[(value,)] == cityscapes.colors[color]
    assert ade20k.values == {(0,): 255, **{(number,): number - 1 for number in range(1, 151)}}
    assert ade20k.classes[0] == "wall" and ade20k.classes[12] == "person" and ade20k.classes[149] == "flag"
    assert len(camvid.colors) == 32 and set(camvid.colors.values()) == {*range(11), 255}
    assert read_label_map("camvid", ignore_label=11).values == {(number,): number for number in range(12)}
    assert camvid.table("RGB") is camvid.colors and camvid.table("L") is camvid.values


@pytest.mark.parametrize("text, wanted", [
    ("0 0 0 0\n255 0 0 1 # red\n\n0 128 255 255\n", ({}, {(0, 0, 0): 0, (255, 0, 0): 1, (0, 128, 255): 255}, [])),
    ("0 0\n\t# 1 1\n", ({(0,): 0}, {}, [])),
    ("# numbers\n0 0\n300 1\n9 255\n", ({(0,): 0, (300,): 1, (9,): 255}, {}, []))])
def test_label_maps_without_names(tmp_path, text, wanted):
    (tmp_path / "map").write_text(text)
    assert read_label_map(tmp_path / "map") == wanted


@pytest.mark.parametrize("text, wanted", [
    ("1 2\n3 4 5\n", "^--colors .*map, line 2: '3 4 5' is not"), ("1 0 cat\n1 1 dog\n", "line 2: 1 occurs twice"),
    ("1 0 cat\n2 0 dog\n", "line 2: class 0"),
    ("1 0 cat\n2 1 cat\n", "two classes have the name 'cat'"), ("1 256\n", "above 255"), ("1 300 2 0\n", "above 255"),
    ("# nothing\n", "has no line"), ("1 0 ca\x07t\n", "control character")])
def test_bad_label_maps_name_the_line(tmp_path, text, wanted):
    (tmp_path / "map").write_text(text)
    with pytest.raises(InputError, match=wanted) as error:
        read_label_map(tmp_path / "map", option="--colors")
    assert str(error.value).isprintable()


def test_a_sharp_within_a_name_begins_no_comment(tmp_path):
    (tmp_path / "map").write_text("0 0 C#\n1 1 F# # the language\n")
    assert read_label_map(tmp_path / "map").classes == ["C#", "F#"]
