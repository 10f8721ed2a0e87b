"""Annotations of labelme, COCO and CVAT become class maps, with the same pixels as in each format's own tools."""
import io
import math
import pickle

import numpy as np
import pytest
from PIL import Image, ImageDraw

from src.console import InputError
from src.data.annotations.item import image_bytes
from src.data.annotations.raster import fill_area
from src.data.annotations.reader import read_annotations
from tests.annotation_files import (
    HEIGHT,
    SQUARE,
    WIDTH,
    base64_png,
    coco,
    cvat,
    cvat_masks,
    labelme,
    only_mask,
    picture,
    rectangle,
    shape,
)

# labelme


def test_labelme_masks_equal_those_of_its_own_tools(annotations):
    found = read_annotations(annotations / "labelme")
    names = (annotations / "labelme_masks/class_names.txt").read_text().splitlines()
    assert [item.name for item in found.items] == ["2011_000003", "2011_000006", "2011_000025"]
    assert found.classes == ["background", "person", "bottle", "chair", "sofa", "bus", "car"]
    for item in found.items:
        wanted = np.asarray(Image.open(annotations / "labelme_masks" / f"{item.name}.png"))
        assert np.mean(item.draw(names, 255) != wanted) <= 0.0001


def drawn_by_pillow(kind, points):
    """The drawing of labelme's shape_to_mask, written again."""
    mask = Image.new("1", (WIDTH, HEIGHT))
    draw, points = ImageDraw.Draw(mask), [tuple(point) for point in points]
    if kind == "circle":
        radius = math.dist(*points)
        (x, y), _ = points
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=1, outline=1)
    elif kind == "rectangle":
        (x, y), (x2, y2) = points
        draw.rectangle([min(x, x2), min(y, y2), max(x, x2), max(y, y2)], fill=1, outline=1)
    elif kind == "line":
        draw.line(points, fill=1, width=10)
    elif kind == "linestrip":
        draw.line(points, fill=1, width=10, joint="curve")
    else:
        draw.polygon(points, fill=1, outline=1)
    return np.asarray(mask)


@pytest.mark.parametrize("kind, points", [
    ("polygon", [[3.7, 4.2], [55.1, 9.9], [20.5, 39.8]]), (None, SQUARE), ("circle", [[20.3, 20.8], [31.2, 24]]),
    ("rectangle", [[40.5, 30.5], [12.2, 7.7]]), ("line", [[5, 5], [50.5, 33]]),
    ("linestrip", [[5, 5], [50, 8], [30, 35]]), ("oriented_rectangle", [[20, 5], [40, 20], [30, 33], [10, 18]])])
def test_labelme_shapes_are_drawn_as_labelme_draws_them(tmp_path, kind, points):
    mask = only_mask(labelme(tmp_path, shape(points=points, shape_type=kind)))
    assert 0 < mask.sum() < mask.size
    assert np.array_equal(mask, drawn_by_pillow(kind, points))


def test_labelme_order_and_special_names(tmp_path):
    folder = labelme(tmp_path, shape("dog", [[0, 0], [59, 39]], "rectangle"),
                     shape("cat", [[5, 5], [30, 30]], "rectangle"),
                     shape("_background_", [[10, 10], [20, 20]], "rectangle"),
                     shape("__ignore__", [[12, 12], [14, 14]], "rectangle"))
    found = read_annotations(folder)
    assert found.classes == ["background", "dog", "cat"]
    assert only_mask(folder)[[0, 7, 11, 13], [0, 7, 11, 13]].tolist() == [1, 2, 0, 255]
    # another order, and no background: pixels without a shape are ignored
    assert only_mask(folder, "cat", "dog")[[0, 7, 11, 13], [0, 7, 11, 13]].tolist() == [1, 0, 255, 255]
    again = pickle.loads(pickle.dumps(found.items[0]))
    assert np.array_equal(again.draw(found.classes, 255), only_mask(folder))


@pytest.mark.parametrize("corners", [[[20, 10], [29, 15]], [[19.6, 10.4], [29.3, 15.2]]])
def test_labelme_mask_lies_at_its_corners(tmp_path, corners):
    patch = np.arange(60).reshape(6, 10) % 3 == 0
    folder = labelme(tmp_path, shape(points=corners, shape_type="mask", mask=base64_png(patch)))
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[10:16, 20:30] = patch
    assert np.array_equal(only_mask(folder), wanted)


def test_labelme_picture_within_the_file(tmp_path):
    data = base64_png(np.full((HEIGHT, WIDTH), 77, np.uint8))
    labelme(tmp_path, shape(), image="/home/someone/else/gone.png", imageData=data)
    item = read_annotations(tmp_path / "a.json").items[0]
    assert Image.open(io.BytesIO(image_bytes(item.image))).getpixel((0, 0)) == 77
    assert item.draw(["background", "cat"], 255).shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("path", ["/elsewhere/a.png", "C:\\pictures\\a.png", "../../a.png", "gone/a.png"])
def test_labelme_stale_path_finds_the_picture_beside_the_file(tmp_path, path):
    assert read_annotations(labelme(tmp_path, shape(), image=path)).items[0].image == tmp_path / "a.png"


@pytest.mark.parametrize("absolute", [True, False])
def test_labelme_opens_nothing_outside_but_in_images(tmp_path, absolute):
    outside = tmp_path / "secret" / "b.png"
    picture(outside)
    folder = tmp_path / "labels"
    labelme(folder, shape(), image=str(outside) if absolute else "../secret/b.png")
    with pytest.raises(InputError, match="--images"):
        read_annotations(folder)
    assert read_annotations(folder, images=outside.parent).items[0].image == outside


def test_labelme_folders_keep_their_layout(tmp_path):
    for name in ("one", "two"):
        labelme(tmp_path / "labels" / name, shape())
        (tmp_path / "labels" / name / "a.png").rename(tmp_path / "labels" / name / "._a.json")    # hidden: not read
        picture(tmp_path / "images" / name / "a.png")
    found = read_annotations(tmp_path / "labels", images=tmp_path / "images")
    assert [item.name for item in found.items] == ["one/a", "two/a"]
    assert [item.image for item in found.items] == [tmp_path / "images" / name / "a.png" for name in ("one", "two")]


def test_exif_orientation_turns_the_picture(tmp_path):
    turned = labelme(tmp_path, shape(), imageWidth=HEIGHT, imageHeight=WIDTH)
    picture(tmp_path / "a.png", orientation=6)
    assert only_mask(turned).shape == (WIDTH, HEIGHT)
    labelme(tmp_path, shape())
    picture(tmp_path / "a.png", orientation=6)
    with pytest.raises(InputError, match="60x40, but the picture .* is 40x60; .* EXIF"):
        only_mask(tmp_path)


# COCO

def test_coco_masks_differ_from_those_of_pycocotools_along_borders(annotations):
    coco_file = pytest.importorskip("pycocotools.coco").COCO(str(annotations / "coco/annotations.json"))
    found = read_annotations(annotations / "coco")
    for item, number in zip(found.items, coco_file.imgs):
        drawn = item.draw(found.classes, 255)
        theirs = np.zeros_like(drawn)
        for entry in coco_file.loadAnns(coco_file.getAnnIds(imgIds=[number])):
            theirs[coco_file.annToMask(entry) > 0] = entry["category_id"]
        assert 0.003 < np.mean(drawn != theirs) < 0.006, "the share that coco.py's docstring names"


def test_polygons_cover_the_pixels_that_pycocotools_gives_them():
    coder = pytest.importorskip("pycocotools.mask")
    rng, differing = np.random.default_rng(0), []
    for number in range(300):    # self-crossing, partly outside; half of them with integer coordinates
        points = rng.uniform(-30, 90, (rng.integers(3, 12), 2))
        points = np.round(points) if number % 2 else points
        left, top, inside = fill_area(points, WIDTH, HEIGHT)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[top:top + inside.shape[0], left:left + inside.shape[1]] = inside
        wanted = coder.decode(coder.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH))[..., 0]
        differing.append(np.sum(mask != wanted))
    assert max(differing) <= 1 and sum(differing) <= 3    # a line exactly between two grid points


def test_large_polygons_are_filled_in_parts(monkeypatch):
    points = np.random.default_rng(1).uniform(0, 40, (50, 2))
    whole = fill_area(points, WIDTH, HEIGHT)[2]
    monkeypatch.setattr("src.data.annotations.raster.CROSSINGS", 100)
    assert np.array_equal(fill_area(points, WIDTH, HEIGHT)[2], whole)


def test_coco_parts_gaps_crowd_and_order(tmp_path):
    parts = [[0, 0, 10, 0, 10, 10, 0, 10], [20, 0, 30, 0, 30, 10, 20, 10]]
    path = coco(tmp_path, {"segmentation": parts}, {"segmentation": [[5, 5, 25, 5, 25, 8, 5, 8]], "category_id": 90},
                {"segmentation": [[22, 0, 24, 0, 24, 40, 22, 40]], "iscrowd": 1})
    wanted = rectangle(0, 20, 11, 31, mask=rectangle(0, 0, 11, 11))
    wanted = rectangle(0, 22, 40, 25, 255, rectangle(5, 5, 9, 26, 2, wanted))
    assert np.array_equal(only_mask(path), wanted)
    assert np.array_equal(only_mask(path, "background", "dog", "cat"), np.uint8([0, 2, 1, *[255] * 253])[wanted])


# A mask, its run lengths down the columns, and the text that pycocotools 2.0.11 makes of them.
RUNS = [10, 7, 2, 7, 7, 1, 8, 1, *[4, 2, 2, 1] * 4, 8, 1, 8, 1, 8, 1, 2, 1, 8]
TEXT = ":7205J10L1NO21NO21NO21NO600000J06"


@pytest.mark.parametrize("counts", [RUNS, TEXT])
def test_coco_run_lengths(tmp_path, counts):
    mask = np.zeros((9, 13), np.uint8)
    mask[1:8, 1:3] = mask[2:4, 5:9] = mask[6, 3:12] = mask[0, 12] = 1
    path = coco(tmp_path, {"segmentation": {"size": [9, 13], "counts": counts}},
                images=[{"id": 3, "file_name": "a.png", "width": 13, "height": 9}])
    picture(tmp_path / "images/a.png", (13, 9))
    assert np.array_equal(only_mask(path), mask)


# CVAT

def test_cvat_xml_shapes_by_z_order(tmp_path):
    folder = cvat(tmp_path, """
        <tag label="dog"/>
        <box label="dog" xtl="5" ytl="5" xbr="15" ybr="15" z_order="2"><attribute name="a">b</attribute></box>
        <polygon label="cat" points="0.0,0.0;20.0,0.0;20.0,20.0;0.0,20.0" z_order="1"/>
        <mask label="dog" rle="1, 2, 3, 1, 1" left="30" top="20" width="4" height="2" z_order="0"/>
        <box label="cat" xtl="40" ytl="10" xbr="50" ybr="30" rotation="90.0"/>""")
    wanted = rectangle(5, 5, 15, 15, 2, rectangle(0, 0, 20, 20))
    wanted[20:22, 30:34] = [[0, 2, 2, 0], [0, 0, 2, 0]]
    assert read_annotations(folder).classes == ["background", "cat", "dog"]
    assert np.array_equal(only_mask(folder), rectangle(15, 35, 25, 55, mask=wanted))
    assert np.array_equal(only_mask(folder / "annotations.xml"), only_mask(folder))


def test_cvat_boxes_turn_clockwise(tmp_path):
    mask = only_mask(cvat(tmp_path, '<box label="cat" xtl="20" ytl="18" xbr="40" ybr="22" rotation="30"/>'))
    assert mask[24, 37] and mask[15, 23] and not mask[15, 37] and not mask[24, 23]    # its right end points down


def test_cvat_ellipses(tmp_path):
    mask = only_mask(cvat(tmp_path, '<ellipse label="cat" cx="30" cy="20" rx="16" ry="4" rotation="30"/>'))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] - np.array([20, 30])[:, None, None] + 0.5
    turn = np.radians(30)
    along, across = (columns * np.cos(turn) + rows * np.sin(turn)) / 16, (
        rows * np.cos(turn) - columns * np.sin(turn)) / 4
    assert np.count_nonzero((mask > 0) != (along ** 2 + across ** 2 <= 1)) <= 8, "pixels of its border"


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_cvat_masks_by_labelmap(tmp_path, mode):
    numbers = np.arange(30, dtype=np.uint8).reshape(5, 6) % 3
    colours = np.uint8([[0, 0, 0], [255, 0, 0], [0, 9, 0]])
    folder = cvat_masks(tmp_path, colours[numbers])
    if mode == "P":
        image = Image.fromarray(numbers)
        image.putpalette(colours.tobytes())
        image.save(folder / "SegmentationClass/a.png")
    assert read_annotations(folder).classes == ["background", "cat", "dog"]
    assert np.array_equal(only_mask(folder), numbers)
    assert np.array_equal(only_mask(folder, "dog", "background", "cat"), np.uint8([1, 2, 0])[numbers])
