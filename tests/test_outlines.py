"""Class maps are converted to annotations of labelme and COCO and back."""
import numpy as np
import pytest

from src.console import InputError
from src.data.annotations.outlines import write_coco, write_labelme
from src.data.annotations.reader import read_annotations
from src.data.labels import CLASSES
from src.data.pictures import decode_mask
from tests.annotation_files import only_mask, picture, rectangle


@pytest.mark.parametrize("write", ["labelme", "coco"])
def test_real_class_maps_survive_the_way_through_annotations(voc_sample, tmp_path, write):
    masks = sorted((voc_sample / "VOCdevkit/VOC2012/SegmentationClass").glob("*.png"))[:20]
    labels = [decode_mask(mask.read_bytes(), mask) for mask in masks]
    for mask, one in zip(masks, labels):
        picture(tmp_path / f"{mask.stem}.png", one.shape[::-1])
        if write == "labelme":
            write_labelme(tmp_path / f"{mask.stem}.json", one, CLASSES, f"{mask.stem}.png")
    if write == "coco":
        write_coco(tmp_path / "coco.json", ((f"{m.stem}.png", one) for m, one in zip(masks, labels)), CLASSES)
    items = read_annotations(tmp_path).items
    assert [item.name for item in items] == [mask.stem for mask in masks]
    points = 0
    for item, one in zip(items, labels):
        assert np.mean(item.draw(CLASSES, 255) == one) >= 0.99
        points += sum(len(part) for drawn in item.draw.args[2] if drawn.kind in ("polygon", "outlines")
                      for part in (drawn.data if drawn.kind == "outlines" else [drawn.data]))
    assert 100 < points < 1200 * len(items)    # simplified: a person can correct it


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
    write_coco(tmp_path / "coco.json", [("a.png", labels)], classes)
    assert np.array_equal(only_mask(tmp_path, *classes), labels)


def test_pycocotools_reads_what_is_written(tmp_path):
    module = pytest.importorskip("pycocotools.coco")
    labels = rectangle(10, 10, 20, 20, 0, rectangle(2, 2, 36, 50))
    write_coco(tmp_path / "coco.json", [("a.png", rectangle(0, 55, 9, 60, 2, labels))], ["background", "a", "b"])
    file = module.COCO(str(tmp_path / "coco.json"))
    drawn = sum(file.annToMask(entry) * entry["category_id"] for entry in file.loadAnns(file.getAnnIds()))
    assert np.array_equal(drawn, labels)
    assert [entry["area"] for entry in file.loadAnns(file.getAnnIds())] == [(labels == 1).sum(), 45]


def test_a_number_without_a_class_is_not_written(tmp_path):
    with pytest.raises(InputError, match="holds 7, but there are 2 classes"):
        write_labelme(tmp_path / "a.json", np.full((4, 4), 7, np.uint8), ["background", "a"], "a.png")
    assert not list(tmp_path.iterdir())
