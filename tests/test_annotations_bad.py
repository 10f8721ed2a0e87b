"""Annotations that cannot be used end in one line that names the file, the place and the fix."""
import numpy as np
import pytest

from src.console import InputError
from src.data import get_dataset_lst
from src.data.annotations.reader import read_annotations
from src.data.pictures import limit
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
    shape,
)


def broken_labelme(**changes):
    return lambda folder: labelme(folder, shape(**changes))


def with_text(name, text):
    def make(folder):
        (folder / name).write_text(text)
        return folder / name
    return make


def two_annotated(folder):
    labelme(folder, shape())
    return labelme(folder, shape(), name="b")


def missing(folder):
    labelme(folder, shape())
    (folder / "a.png").unlink()
    return folder


def no_picture(folder):
    labelme(folder, shape())
    (folder / "a.png").write_text("text")
    return folder


def coco_part(*values, **more):
    return lambda folder: coco(folder, {"segmentation": [list(values)], **more})


def coco_rle(counts, size=(HEIGHT, WIDTH)):
    return lambda folder: coco(folder, {"segmentation": {"size": size, "counts": counts}})


def cvat_shape(text, **more):
    return lambda folder: cvat(folder, text, **more)


PNG = base64_png(np.ones((5, 5), bool))
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n'
POLYGON = '<polygon label="{}" points="{}"/>'
BAD = {
    "two points": (broken_labelme(points=SQUARE[:2]), r"a.json, shape 1 \('cat'\): 2 points .* at least 3"),
    "no points": (broken_labelme(points=[]), "0 points"),
    "NaN": (broken_labelme(points=[[0, 0], [1, float("nan")], [2, 2]]), "NaN or beyond"),
    "huge": (broken_labelme(points=[[0, 0], [1, 1e9], [2, 2]]), "NaN or beyond"),
    "huge whole number": (broken_labelme(points=[[0, 0], [1, 10 ** 30], [2, 2]]), "not pairs of numbers"),
    "uneven points": (broken_labelme(points=[[0, 0], [1], [2, 2]]), "points"),
    "circle of three": (broken_labelme(points=SQUARE[:3], shape_type="circle"), "a circle has 2"),
    "huge circle": (broken_labelme(points=[[5, 5], [9, 1e6]], shape_type="circle"), "radius .* larger than the pic"),
    "unknown type": (broken_labelme(shape_type="spline\n"), r"'spline\\n' has no area"),
    "type of another kind": (broken_labelme(shape_type=["polygon"]), "has no area"),
    "no label": (broken_labelme(label=""), "shape 1: the class name '' is not a text"),
    "half a character": (broken_labelme(label="\ud800"), "control character"),
    "outside": (broken_labelme(points=[[60, 1], [70, 1], [70, 9]]),
                r"shape 1 \('cat'\): is completely outside .* 60x40"),
    "above": (broken_labelme(points=[[0, -9], [9, -1], [5, -3]]), "is completely outside"),
    "mask of another size": (broken_labelme(points=[[0, 0], [9, 9]], shape_type="mask", mask=PNG), "5x5 pixels"),
    "mask larger than the picture": (broken_labelme(points=[[0, 0], [99, 1]], shape_type="mask", mask=base64_png(
        np.ones((2, 100), bool))), "larger than the picture"),
    "mask not a PNG": (broken_labelme(points=[[0, 0], [9, 9]], shape_type="mask", mask="!!"), "not a PNG in base64"),
    "mask that is missing": (broken_labelme(points=[[0, 0], [9, 9]], shape_type="mask"), "not a PNG in base64"),
    "damaged mask": (broken_labelme(points=[[0, 0], [4, 4]], shape_type="mask", mask=PNG[:-40]),
                     "mask is damaged"),
    "not shapes": (lambda folder: labelme(folder, "x"), "shape 1: is not a labelme shape"),
    "another size": (lambda folder: labelme(folder, shape(), imageWidth=61), "for 61x40, but the picture .* is 60x40"),
    "no size": (lambda folder: labelme(folder, shape(), imageWidth=-1), "not a picture's size"),
    "one picture twice": (two_annotated, "b.json: annotates .*a.png, as .*a.json does"),
    "no picture": (missing, "no picture 'a.png' .* --images"),
    "damaged picture": (no_picture, "a.png: is not a picture"),
    "damaged imageData": (lambda folder: labelme(folder, shape(), image="b", imageData="QUJD"),
                          "a.json, imageData: is not a picture"),
    "another size inside": (lambda folder: labelme(folder, shape(), image="b", imageData=PNG, imageWidth=61),
                            "but the picture .*a.json, imageData is"),
    "imagePath of control characters": (lambda folder: labelme(folder, shape(), image="a\nb"),
                                        "not the file name of a picture"),
    "broken JSON": (with_text("a.json", '{"shapes": [\n{"label": }]}'), "a.json, line 2: is not JSON"),
    "deep JSON": (with_text("a.json", '{"shapes": ' + "[" * 100_000), "nested too deeply"),
    "long number": (with_text("a.json", '{"a": ' + "9" * 5000 + "}"), "is not JSON"),
    "JSON of another kind": (with_text("a.json", '{"a": 1}'), "no list of shapes"),
    "empty JSON": (with_text("a.json", ""), "a.json: is empty; export it again"),
    "empty XML": (lambda folder: with_text("annotations.xml", "\n \n")(folder).parent, "annotations.xml: is empty"),
    "another file": (with_text("a.txt", "cat 3 4"), "a.txt: is not a file of annotations; expected: a folder"),
    "bytes": (lambda folder: (folder / "a").write_bytes(b"\xff\xfe\x00") and folder / "a", "is not a text file"),
    "no file": (lambda folder: folder / "gone.json", "gone.json: no such file"),
    "zip": (with_text("a.zip", "PK"), "unpack it"),
    "empty folder": (lambda folder: folder, "contains no annotations; expected:"),
    "COCO two points": (coco_part(0, 0, 9, 9), "annotation 1: 2 points"),
    "COCO odd list": (coco_part(0, 0, 9, 9, 5), "not a list of x, y"),
    "COCO box alone": (lambda folder: coco(folder, {"bbox": [0, 0, 9, 9]}), "annotation 1: has no segmentation"),
    "COCO outside": (coco_part(-9, 0, -1, 0, -5, 5), "image 3, annotation 1: is completely outside"),
    "COCO category": (coco_part(0, 0, 9, 9, 0, 9, category_id=8), "unknown category_id 8; the file has 7, 90"),
    "COCO category of another kind": (coco_part(0, 0, 9, 9, 0, 9, category_id=[7]), "unknown category_id"),
    "COCO image": (coco_part(0, 0, 9, 9, 0, 9, image_id=4), "unknown image_id 4"),
    "COCO names": (lambda folder: coco(folder, categories=((1, "cat"), (2, "cat"))), "'cat' occurs twice"),
    "COCO ids": (lambda folder: coco(folder, categories=((1, "cat"), (1, "dog"))), "category 2 has no unique id"),
    "COCO RLE size": (coco_rle([WIDTH * HEIGHT], (WIDTH, HEIGHT)), r"size \[60, 40\] .* \[40, 60\]"),
    "COCO RLE sum": (coco_rle([WIDTH * HEIGHT - 1]), "do not sum"),
    "COCO RLE negative": (coco_rle([WIDTH * HEIGHT + 1, -1]), "do not sum .* negative"),
    "COCO RLE wraps": (coco_rle([2 ** 62, 2 ** 62, 2 ** 62, 2 ** 62, WIDTH * HEIGHT]), "do not sum"),
    "COCO RLE text": (coco_rle("\x00"), "damaged"),
    "COCO RLE cut": (coco_rle("o"), "end within a number"),
    "COCO RLE long": (coco_rle("o" * 100_000), "damaged"),
    "COCO RLE fractions": (coco_rle([0.5]), "not whole numbers"),
    "COCO two names": (lambda folder: coco(folder, images=[
        {"id": i, "file_name": f"{i}/a.png", "width": WIDTH, "height": HEIGHT} for i in (1, 2)]),
        "the image 'a' stands there twice"),
    "COCO without images": (lambda folder: coco(folder, images=None), "is not a COCO file"),
    "XML with DTD": (cvat_shape("", begin=BOMB), "annotations.xml, line 2: a DTD"),
    "broken XML": (with_text("annotations.xml", "<annotations>\n<image>"), "line 2: is not XML"),
    "deep XML": (with_text("annotations.xml", "<a>" * 100_000), "nested too deeply"),
    "XML of another kind": (with_text("annotations.xml", "<annotation/>"), "not 'CVAT for images 1.1'"),
    "CVAT tracks": (with_text("a.xml", "<annotations><track/></annotations>"), "not 'CVAT for images 1.1'"),
    "CVAT polyline": (cvat_shape('<polyline label="cat" points="1,1;2,2"/>'), "'polyline' has no area"),
    "CVAT label": (cvat_shape(POLYGON.format("cow", "0,0;1,0;1,1")), r"shape 1 \('cow'\): its label is not among"),
    "CVAT no label": (cvat_shape('<polygon points="0,0;1,0;1,1"/>'), "None is not a text"),
    "CVAT no labels": (cvat_shape("", labels=()), "lists no labels"),
    "CVAT two points": (cvat_shape(POLYGON.format("cat", "0,0;1,0")), "2 points"),
    "CVAT text": (cvat_shape(POLYGON.format("cat", "0,0;1,x;2,2")), "not pairs of numbers"),
    "CVAT box": (cvat_shape('<box label="cat" xtl="0" ytl="0" xbr="9"/>'), "xtl ytl xbr ybr are not all numbers"),
    "CVAT RLE": (cvat_shape('<mask label="cat" rle="1, 2" left="0" top="0" width="2" height="2"/>'), "do not sum"),
    "CVAT large mask": (cvat_shape('<mask label="cat" rle="1000000000000" left="0" top="0" width="1000000" '
                                   'height="1000000"/>'), "larger than the picture"),
    "CVAT size": (cvat_shape("", image='name="a.png" width="6" height="4"'), "for 6x4"),
    "CVAT no picture": (cvat_shape("", image='name="b.png" width="60" height="40"'), "no picture 'b.png'"),
    "colour": (lambda folder: cvat_masks(folder, np.full((4, 5, 3), 7, np.uint8)),
               "a.png: value 7 7 7 at row 0, column 0: labelmap.txt has no line"),
    "labelmap line": (lambda folder: cvat_masks(folder, np.zeros((4, 5, 3), np.uint8), "cat:1,2::"), "line 1: .*R,G,B"),
    "labelmap twice": (lambda folder: cvat_masks(folder, np.zeros((4, 5, 3), np.uint8), "a:1,2,3::\nb:1,2,3::"),
                       "line 2: .* twice"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_annotations_end_in_one_line_with_place_and_fix(tmp_path, kind):
    make, wanted = BAD[kind]
    path = make(tmp_path)
    with pytest.raises(InputError, match=wanted) as error:
        found = read_annotations(path)
        for item in found.items:
            item.draw(found.classes, 255)
    text = str(error.value)
    assert text.isprintable() and len(text) < 700 and str(tmp_path) in text


def test_a_class_that_is_not_asked_for_is_named(tmp_path):
    with pytest.raises(InputError, match=r"shape 1 \('cat'\): the class 'cat' is not among .* --class_names"):
        only_mask(labelme(tmp_path, shape()), "background", "dog")


def test_cvat_masks_with_more_pixels_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setitem(limit, "pixels", 19)
    with pytest.raises(InputError, match="5x4, .*--max_pixels"):
        only_mask(cvat_masks(tmp_path, np.zeros((4, 5, 3), np.uint8)))


def test_files_are_bounded(tmp_path, monkeypatch):
    labelme(tmp_path, shape())
    monkeypatch.setattr("src.data.annotations.item.MAX_FILE", 100)
    with pytest.raises(InputError, match="more than 100"):
        read_annotations(tmp_path)


def test_more_classes_than_a_mask_holds(tmp_path, run):
    path = coco(tmp_path, categories=[(number, f"c{number}") for number in range(255)])
    result = run(get_dataset_lst.main, "--annotations", path)
    assert result.code == 2 and result.err.count("\n") == 1
    assert f"--annotations {path}: 256 classes with the background, but an 8-bit mask holds at most 255" in result.err
