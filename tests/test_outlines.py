"""Class maps are converted to annotations of labelme and COCO and back."""
import numpy as np
import pytest

from src.console import InputError
from src.data.annotations.outlines import CocoFile, write_labelme
from src.data.annotations.reader import read_annotations
from src.data.labels import CLASSES
from src.data.masks import decode_mask
from tests.annotation_files import only_mask, picture, rectangle


def written(kind, folder, labels, classes, ignored=255):
    """Class maps by name as annotations of that kind beside blank pictures; read again, by name."""
    file = CocoFile(classes, ignored)
    for name, one in labels.items():
        picture(folder / f"{name}.png", one.shape[::-1])
        if kind == "labelme":
            write_labelme(folder / f"{name}.json", one, classes, f"{name}.png", ignored)
        else:
            file.add(f"{name}.png", one)
    if kind == "coco":
        file.write(folder / "coco.json")
    return {item.name: item for item in read_annotations(folder).items}


def agree(kind, folder, labels, classes, ignored=255):
    """(name -> share of the pixels of its class map that come back, corners of all outlines)."""
    items = written(kind, folder, labels, classes, ignored)
    assert list(items) == sorted(labels)
    parts = [part for item in items.values() for drawn in item.draw.args[2] if drawn.kind == "polygon"
             for part in drawn.parts]
    shares = {name: np.mean(items[name].draw(classes, ignored) == one) for name, one in labels.items()}
    return shares, sum(map(len, parts))    # simplified: a person can correct them


@pytest.mark.parametrize("kind", ["labelme", "coco"])
def test_real_class_maps_survive_the_way_through_annotations(voc_sample, tmp_path, kind):
    masks = sorted((voc_sample / "VOCdevkit/VOC2012/SegmentationClass").glob("*.png"))[:20]
    labels = {mask.stem: decode_mask(mask.read_bytes(), mask) for mask in masks}
    shares, points = agree(kind, tmp_path, labels, CLASSES)
    assert min(shares.values()) >= 0.99 and 100 < points < 1200 * len(labels)


@pytest.mark.parametrize("kind", ["labelme", "coco"])
def test_street_scenes_survive_too(camvid_sample, tmp_path, kind):
    """Eleven classes without a background, 11 is void; small objects everywhere."""
    masks = sorted((camvid_sample / "testannot").glob("*.png"))[:8]
    labels = {mask.stem: decode_mask(mask.read_bytes(), mask) for mask in masks}
    classes = [f"c{number}" for number in range(11)]
    shares, points = agree(kind, tmp_path, labels, classes, 11)
    assert min(shares.values()) >= 0.99 and points < 5000 * len(labels)


def coco_of(folder, classes, labels):
    file = CocoFile(classes)
    file.add("a.png", labels)
    file.write(folder / "coco.json")


@pytest.mark.parametrize("classes", [["background", "a", "b"], ["x", "a", "b"]])
def test_holes_islands_and_single_pixels_come_back(tmp_path, monkeypatch, classes):
    monkeypatch.setattr("src.data.annotations.outlines.TOLERANCES", (0.0,))
    labels = rectangle(2, 2, 36, 50)
    for top, number in ((4, 0), (6, 2), (8, 255), (10, 1), (12, 0)):
        rectangle(top, top, 40 - top, 52 - top, number, labels)
    labels[0, 0] = labels[39, 59] = labels[20, 20] = 2
    labels[30:38, 52:58] = np.random.default_rng(0).integers(0, 3, (8, 6))
    picture(tmp_path / "a.png")
    write_labelme(tmp_path / "a.json", labels, classes, "a.png")
    assert np.array_equal(only_mask(tmp_path, *classes), labels)
    (tmp_path / "a.json").unlink()
    coco_of(tmp_path, classes, labels)
    assert np.array_equal(only_mask(tmp_path, *classes), labels)


def test_pycocotools_reads_what_is_written(tmp_path):
    module = pytest.importorskip("pycocotools.coco")
    labels = rectangle(10, 10, 20, 20, 0, rectangle(2, 2, 36, 50))
    coco_of(tmp_path, ["background", "a", "b"], rectangle(0, 55, 9, 60, 2, labels))
    file = module.COCO(str(tmp_path / "coco.json"))
    drawn = sum(file.annToMask(entry) * entry["category_id"] for entry in file.loadAnns(file.getAnnIds()))
    assert np.array_equal(drawn, labels)
    assert [entry["area"] for entry in file.loadAnns(file.getAnnIds())] == [(labels == 1).sum(), 45]


def test_a_number_without_a_class_is_not_written(tmp_path):
    with pytest.raises(InputError, match="holds 7, but there are 2 classes"):
        write_labelme(tmp_path / "a.json", np.full((4, 4), 7, np.uint8), ["background", "a"], "a.png")
    assert not list(tmp_path.iterdir())
