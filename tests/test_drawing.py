"""Drawing: letters of every script, the palette, checked encoding, percentages."""
import io
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from src.console import InputError, RunError
from src.drawing import fonts
from src.drawing.encoding import encode, fit, write_picture
from src.drawing.legend import legend_entries
from src.drawing.overlay import overlay, striped_overlay
from src.drawing.palette import palette, palette_png
from src.drawing.panels import panels
from src.drawing.sheets import draw_sheet
from src.drawing.style import percent

CHINESE, RUSSIAN = ("背景", "裂缝", "孔洞"), ("фон", "дом", "лес")


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine without fonts, with this machine's fonts cleared from the cache."""
    monkeypatch.setattr(fonts, "font_files", list)
    for function in (fonts.best_font, fonts.drawable):
        function.cache_clear()
    yield
    for function in (fonts.best_font, fonts.drawable):
        function.cache_clear()


def letter_shapes(text):
    return [bytes(fonts.font(24, [text]).getmask(letter)) for letter in text]


def test_pillows_own_font_where_it_has_the_letters(monkeypatch):
    monkeypatch.setattr(fonts, "font_files", lambda: 1 / 0)
    assert fonts.best_font(fonts.letters_of(["ball 12.3 %", "<b>&$5_{}"])) == ("", frozenset())


def test_other_scripts_are_drawn_and_not_as_boxes():
    assert len(set(letter_shapes("фондм"))) == 5, "matplotlib's own font has them"
    assert fonts.drawable(RUSSIAN) == RUSSIAN


def test_chinese_names_are_drawn_where_a_font_has_them():
    if fonts.best_font(fonts.letters_of(CHINESE))[1]:
        pytest.skip("no font on this machine has Chinese letters: apt-get install fonts-noto-cjk")
    assert len(set(letter_shapes("背景裂缝孔洞"))) == 6
    assert fonts.drawable(CHINESE) == CHINESE
    legends = [panels([np.zeros((40, 200, 3), np.uint8)], [], [(1, name)])[40:].astype(int) for name in CHINESE]
    assert np.abs(legends[0] - legends[1]).max() > 100, "as boxes they would look the same"


def test_names_without_a_font_become_numbers_with_one_warning(no_fonts, capfd):
    names = ("ground", "裂缝", "孔")
    for _ in range(2):
        entries = legend_entries(np.array([0.5, 0.3, 0.2]), np.ones(3, bool), names)
        assert entries == [(0, "ground 50.0 %"), (1, "class_1 30.0 %"), (2, "class_2 20.0 %")]
    draw_sheet([np.zeros((40, 40, 3), np.uint8)], [("孔.jpg", "")], names, 1)
    warned = capfd.readouterr().err
    assert warned.count("warning: ") == warned.count("\n") == 1 and "孔 缝 裂" in warned and "JSON" in warned, warned


def test_without_matplotlib_there_is_pillows_font_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert fonts.font_files() == []


def test_a_palette_png_holds_numbers_and_vocs_colours():
    numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with Image.open(io.BytesIO(palette_png(numbers))) as image:
        assert image.mode == "P" and np.array_equal(np.array(image), numbers)
        assert np.array_equal(np.reshape(image.getpalette(), (-1, 3)), palette())
    assert palette()[[0, 1, 15, 20, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192]]
    with pytest.raises(ValueError):
        palette()[0] = 1


def test_overlays_leave_background_and_ignored_pixels():
    image, mask = np.full((6, 6, 3), 100, np.uint8), np.zeros((6, 6), np.uint8)
    mask[:, 2:4], mask[:, 4:] = 1, 9
    painted = overlay(image, mask, 0.5, ignore_label=9)
    assert (painted[:, [0, 1, 4, 5]] == 100).all() and (painted[:, 2:4] == (50, 50, 114)).all()
    striped = striped_overlay(image, mask, 9)
    assert (striped[:, :2] == 100).all() and set(np.unique(striped[:, 4:])) == {100, 255}


def test_encoding_is_checked(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    write_picture(tmp_path / "new folder/星.png", image)
    stored = np.fromfile(tmp_path / "new folder/星.png", np.uint8)
    assert np.array_equal(cv2.imdecode(stored, cv2.IMREAD_COLOR), image)
    for wrong, name in ((np.zeros((1, 70_000, 3), np.uint8), "wide.jpg"), (image, "picture.unknown")):
        with pytest.raises(RunError, match=f"{name}: OpenCV cannot write"):
            encode(wrong, name)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"x\.png: cannot be written"):
        write_picture(tmp_path / "file/x.png", image)


def test_fit_keeps_the_shape_and_never_enlarges():
    image = np.zeros((300, 100, 3), np.uint8)
    assert fit(image, 300) is image and fit(image, 150).shape == (150, 50, 3) and fit(image, 1).shape == (1, 1, 3)


def test_panels_hold_the_pictures_unchanged():
    image = np.random.default_rng(0).integers(0, 255, (40, 400, 3), dtype=np.uint8)
    drawn = panels([image, image], [], [(1, "ball")])
    assert np.array_equal(drawn[:40, :400], image) and np.array_equal(drawn[:40, -400:], image)
    assert (drawn[40:] == palette()[1][::-1]).all(2).sum() > 100, "the swatch of the legend"


@pytest.mark.parametrize("share, digits, text", [
    (0.12345, 2, "12.35"), (1, 2, "100.00"), (0, 1, "0.0"), (0.0004, 1, "<0.1"), (0.0006, 1, "0.1"), (None, 2, "-"),
    (float("nan"), 2, "-"), (0.004, 0, "0"), (0.00002, 2, "<0.01")])
def test_percent(share, digits, text):
    assert percent(share, digits) == text
