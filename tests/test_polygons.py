"""predict.py --polygons: outlines that labelme and COCO's readers take, corrected, trained on again; never lost."""
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

import predict
import train
from src.data import build_seg_data, get_dataset_lst
from src.data.annotations.reader import read_annotations
from src.prediction.polygons import way_to
from src.prediction.sources import Picture
from tests.conftest import TINY, write_clip

FOREIGN = os.fsdecode(b"caf\xe9")    # Latin-1: no UTF-8


@pytest.fixture(scope="module")
def photos(drawn, tmp_path_factory):
    """Drawn pictures in folders: turned by EXIF, of 16 bit, with names of all kinds, one beside another of its name."""
    folder = tmp_path_factory.mktemp("my photos")
    (folder / "b").mkdir()
    images = [cv2.imread(str(path)) for path in sorted((drawn / "VOCdevkit/VOC2012/JPEGImages").iterdir())[:6]]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(images[0][:, :, ::-1]).save(folder / "turned.jpg", exif=exif)
    for name, image in (("deep.png", images[1].astype(np.uint16) * 257), ("b/x.png", images[2]),
                        ("b/x.jpg", images[3]), ("街 景.png", images[4]), (f"{FOREIGN}.png", images[5])):
        (folder / name).write_bytes(cv2.imencode(folder.joinpath(name).suffix, image)[1])
    return folder


@pytest.fixture
def predicted(photos, trained_file, run, tmp_path):
    """predicted(kind, *options) -> Result of predict.py on the pictures, into tmp_path / "out"."""
    def call(kind, *options):
        return run(predict.main, photos, "--model", trained_file, "--device_target", "CPU",
                   "--output_dir", tmp_path / "out", "--polygons", kind, *options)
    return call


def class_maps(folder):
    """Name -> class map of all that was predicted."""
    return {path.relative_to(folder / "masks").with_suffix("").as_posix(): np.array(Image.open(path))
            for path in (folder / "masks").rglob("*.png")}


@pytest.mark.parametrize("kind", ["labelme", "coco"])
def test_class_maps_come_back(kind, predicted, photos, tmp_path):
    result = predicted(kind)
    assert result.code == 0 and {"labelme": "labelme, ", "coco": "coco.json, "}[kind] in result.out, result
    maps = class_maps(tmp_path / "out")
    classes = (tmp_path / "out/classes.txt").read_text().splitlines()
    assert classes == json.loads((tmp_path / "out/coverage.json").read_text())["class_names"]
    source = tmp_path / "out" / {"labelme": "labelme", "coco": "coco.json"}[kind]
    items = {str(item.image.relative_to(photos)): item for item in read_annotations(source, photos).items}
    assert len(items) == len(maps) == 6 and maps["turned"].shape[0] != cv2.imread(str(photos / "b/x.png")).shape[0]
    for name, one in maps.items():
        image = next(image for image in items if image in (name, f"{name}.jpg", f"{name}.png"))
        assert np.mean(items[image].draw(classes, 255) == one) >= 0.99, name
    assert sum(len(np.unique(one)) > 1 for one in maps.values()) >= 4, "there is something to draw"


def test_labelme_finds_the_pictures(predicted, photos, tmp_path):
    assert predicted("labelme").code == 0
    files = sorted((tmp_path / "out/labelme").rglob("*.json"))
    assert len(files) == 6
    for path in files:    # as labelme's LabelFile does
        content = json.loads(path.read_text())
        with Image.open(os.path.join(os.path.dirname(path), content["imagePath"])) as image:
            turned = image.getexif().get(0x0112) == 6
            assert image.size[::-1 if turned else 1] == (content["imageWidth"], content["imageHeight"])
        assert content["imageData"] is None and content["version"] and not os.path.isabs(content["imagePath"])
        assert all(len(shape["points"]) > 3 and shape["shape_type"] == "polygon" for shape in content["shapes"])
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/away")
    way = way_to(photos / "deep.png", tmp_path / "link")
    assert os.path.samefile(tmp_path / "link" / way, photos / "deep.png"), "links of the folder are followed"


def test_predict_correct_and_train_on(predicted, photos, trained_file, run, tmp_path):
    assert predicted("labelme").code == 0
    before = class_maps(tmp_path / "out")
    path = next(path for path in sorted((tmp_path / "out/labelme").glob("*.json"))
                if json.loads(path.read_text())["shapes"])
    content = json.loads(path.read_text())
    largest = content["shapes"][0]
    largest["points"][0] = [0.0, 0.0]
    path.write_text(json.dumps(content))
    done = run(get_dataset_lst.main, "--annotations", tmp_path / "out/labelme", "--images", photos, "--class_names",
               tmp_path / "out/classes.txt", "--out", tmp_path / "again", "--ignore_findings")
    assert done.code == 0 and "6 classes (background, ball" in done.out, done
    masks = {name: np.array(Image.open(tmp_path / f"again/masks_gray/{name}.png")) for name in before}
    corrected = path.stem
    number = (tmp_path / "out/classes.txt").read_text().splitlines().index(largest["label"].strip("_"))
    assert masks[corrected][0, 0] == number and np.mean(masks[corrected] != before[corrected]) > 0
    assert all(np.mean(masks[name] == one) >= 0.99 for name, one in before.items() if name != corrected)
    lines = [line for side in ("train", "val") for line in
             (tmp_path / f"again/{side}_lst.txt").read_text("utf-8", "surrogateescape").splitlines()]
    assert len(lines) == 6
    assert run(build_seg_data.main, "--data_root", tmp_path / "again", "--data_lst", tmp_path / "again/train_lst.txt",
               "--dst_path", tmp_path / "again/r.mindrecord", "--num_shards", 1, "--ignore_findings").code == 0
    result = run(train.main, *TINY[:4], "--crop_size", 65, "--batch_size", 4, "--data_file",
                 tmp_path / "again/r.mindrecord", "--train_dir", tmp_path / "ckpt", "--ckpt_pre_trained",
                 trained_file, "--train_epochs", 1, "--base_lr", 0.001, "--ignore_findings")
    assert result.code == 0 and list((tmp_path / "ckpt").glob("*-1_1.ckpt")), result


@pytest.mark.parametrize("kind, file", [("labelme", "labelme/deep.json"), ("coco", "coco.json")])
def test_corrections_are_not_replaced(kind, file, predicted, tmp_path):
    assert predicted(kind).code == 0
    refused = predicted(kind)
    assert refused.code == 2 and "exists; --overwrite replaces it" in refused.err, refused
    assert predicted(kind, "--overwrite").code == 0, "what nobody touched is replaced when asked"
    path = tmp_path / "out" / file
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content))    # as labelme saves it: the same, but for the layout
    corrected = path.read_bytes()
    refused = predicted(kind, "--overwrite")
    assert refused.code == 2 and refused.err.count("\n") == 1 and f"{path} was corrected" in refused.err, refused
    assert path.read_bytes() == corrected


def test_videos_get_none(predicted, photos, trained_file, run, tmp_path):
    write_clip(tmp_path / "clip.avi", [np.full((48, 64, 3), level, np.uint8) for level in (0, 100, 200)])
    shutil.copy(photos / "b/x.png", tmp_path / "x.png")
    options = ["--model", trained_file, "--device_target", "CPU", "--output_dir", tmp_path / "out", "--polygons",
               "labelme"]
    alone = run(predict.main, tmp_path / "clip.avi", *options)
    assert alone.code == 2 and alone.err.count("\n") == 1, alone
    assert "--polygons: not for videos; extract frames" in alone.err, alone
    assert not (tmp_path / "out").exists()
    both = run(predict.main, tmp_path / "clip.avi", tmp_path / "x.png", *options)
    assert both.code == 0 and "warning: --polygons: not for videos, for the pictures only" in both.err, both
    assert [path.name for path in (tmp_path / "out/labelme").iterdir()] == ["x.json"]
    assert (tmp_path / "out/videos/clip.mp4").is_file()
    about = json.loads((tmp_path / "out/coverage.json").read_text())
    assert about["settings"]["batch_size"] > 1, "the one picture does not hold the video's frames to batches of one"


def test_a_picture_that_cannot_be_read_is_left_out(trained_file, photos, run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/bad.png").write_text("no picture")
    shutil.copy(photos / "b/x.png", tmp_path / "in/x.png")
    result = run(predict.main, tmp_path / "in", "--model", trained_file, "--device_target", "CPU",
                 "--output_dir", tmp_path / "out", "--polygons", "coco")
    content = json.loads((tmp_path / "out/coco.json").read_text())
    assert result.code == 2 and [image["file_name"] for image in content["images"]] == ["x.png"], result


def test_coco_names_pictures_as_they_lie(tmp_path):
    from src.data.labels import Labels
    from src.prediction.polygons import Outlines
    outlines = Outlines("coco", tmp_path, Labels(2, 255, ("background", "cat")))
    for name in ("b/x.jpg", "a/x", "b/x.png"):
        ending = "" if name.endswith(("jpg", "png")) else ".jpg"
        outlines.add(Picture(tmp_path / f"{name}{ending}", None, name), np.ones((4, 6), np.uint8))
    outlines.finish()
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a/x.jpg", "b/x.jpg", "b/x.png"]
    assert [entry["image_id"] for entry in content["annotations"]] == [1, 2, 3]
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3]
