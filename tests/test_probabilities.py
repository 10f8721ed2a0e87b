"""predict.py --confidence and --save_probs: the files agree with each other, with the class map and the evaluator."""
import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

import predict
from src.drawing.heat import colours_of, heat_map
from src.evaluation.inference import Segmenter
from src.evaluation.letterbox import Settings
from src.models.model import open_model
from src.prediction.sources import pictures_in
from tests.conftest import ROOT, write_clip

NAMES = ["background", "ball", "box", "tent", "star", "ring"]


@pytest.fixture
def photos(drawn, tmp_path):
    """A tall and a wide picture of the drawn sample."""
    paths = sorted((drawn / "VOCdevkit/VOC2012/JPEGImages").iterdir())
    (tmp_path / "photos").mkdir()
    for name, path, size in (("tall", paths[0], (90, 200)), ("wide", paths[1], (231, 80))):
        cv2.imwrite(str(tmp_path / f"photos/{name}.png"), cv2.resize(cv2.imread(str(path)), size))
    return tmp_path / "photos"


@pytest.fixture
def options(exported, tmp_path):
    return ["--model", exported(), "--device_target", "CPU", "--output_dir", tmp_path / "out"]


def files_of(folder) -> list:
    """(entry of coverage.json, class map, confidence, probabilities) of each picture, their sizes checked."""
    found = []
    for entry in json.loads((folder / "coverage.json").read_text())["pictures"]:
        with Image.open(folder / entry["class_map"]) as class_map, Image.open(folder / entry["confidence"]) as highest:
            assert highest.mode == "L" and class_map.size == highest.size == (entry["width"], entry["height"])
            maps = np.array(class_map), np.array(highest)
        with np.load(folder / entry["probabilities"]) as stored:
            assert stored["class_names"].tolist() == NAMES and stored["probabilities"].dtype == np.float16
            probs = stored["probabilities"].astype(np.float32)
        assert probs.shape == (6, entry["height"], entry["width"])
        found.append((entry, *maps, probs))
    return found


@pytest.mark.parametrize("how", [[], ["--scales", 0.5, 1, 1.5, "--flip"], ["--tile"],
                                 ["--tile", "--flip", "--tile_scale", 0.6, "--tile_overlap", 0.2]])
def test_the_files_agree(how, options, photos, run, tmp_path):
    result = run(predict.main, photos, *options, "--confidence", "--save_probs", *how)
    assert result.code == 0 and f"results are in {tmp_path / 'out'}: confidence, heat_maps, masks, overlays, " \
        "probabilities, coverage.csv" in result.out, result
    found = files_of(tmp_path / "out")
    assert len(found) == 2
    for entry, class_map, highest, probs in found:
        assert np.abs(probs.sum(0) - 1).max() < 0.004, "they sum to 1, whatever is added up"
        assert np.abs(highest - 255 * probs.max(0)).max() <= 0.7 and highest.std() > 0
        ahead = np.take_along_axis(probs, class_map[None].astype(int), 0)[0]
        assert (probs.max(0) - ahead).max() < 0.001, "but for equal float16 numbers the class map has the highest"
        heat = cv2.imread(str(tmp_path / "out" / entry["heat_map"]))
        assert heat.shape[0] > entry["height"] and heat.shape[1] >= entry["width"]


def test_probabilities_are_those_of_the_evaluator(options, photos, exported, run, tmp_path):
    assert run(predict.main, photos, *options, "--confidence", "--save_probs", "--scales", 0.5, 1, "--flip").code == 0
    model = open_model(exported(), "onnxruntime", "CPU")
    settings = Settings(65, (0.5, 1.0), True, 1, model.mean, model.std)
    for entry, _, _, probs in files_of(tmp_path / "out"):
        ((item,),) = Segmenter(model.predict, settings).run([cv2.imread(entry["picture"])], lambda image: (image, None))
        assert np.abs(probs - item.total / 4).max() < 0.0005


def test_nothing_else_is_left_and_nothing_replaced(options, photos, run, tmp_path):
    (photos / "bad.png").write_text("no picture")
    result = run(predict.main, photos, *options, "--save_probs", "--confidence")
    assert result.code == 2 and "1 of 3 pictures cannot be read; the others are done" in result.err, result
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")
                     if not path.name.endswith(".lock"))
    assert written == ["confidence/tall.png", "confidence/wide.png", "coverage.csv", "coverage.json",
                       "heat_maps/tall.jpg", "heat_maps/wide.jpg", "masks/tall.png", "masks/wide.png",
                       "overlays/tall.jpg", "overlays/wide.jpg", "probabilities/tall.npz", "probabilities/wide.npz"]
    for path in [*(tmp_path / "out").glob("coverage.*"), *(tmp_path / "out/masks").iterdir(),
                 *(tmp_path / "out/overlays").iterdir()]:
        path.unlink()
    again = run(predict.main, photos, *options, "--confidence")
    assert again.code == 2 and "confidence/tall.png exists; --overwrite replaces it" in again.err, again
    (tmp_path / "out/confidence/tall.png").write_bytes((photos / "tall.png").read_bytes())
    again = run(predict.main, photos, *options, "--confidence", "--overwrite")
    assert again.code == 2 and "is not a class map of predict.py" in again.err, again


def test_its_own_files_are_no_pictures_to_predict(options, photos, run):
    assert run(predict.main, photos, *options[:-1], photos / "out", "--confidence").code == 0
    assert [path.name for path, _ in pictures_in(photos)] == ["tall.png", "wide.png"]


def test_videos_have_none(options, photos, run, tmp_path):
    write_clip(tmp_path / "clip.avi", [np.full((48, 64, 3), 80 * shade, np.uint8) for shade in range(3)])
    alone = run(predict.main, tmp_path / "clip.avi", *options, "--save_probs")
    assert alone.code == 2 and "--save_probs: not for videos; extract frames" in alone.err, alone
    assert alone.err.count("\n") == 1 and not (tmp_path / "out").exists()
    both = run(predict.main, tmp_path / "clip.avi", photos, *options, "--save_probs", "--confidence")
    assert both.code == 0 and both.err.count("\n") == 1, both
    assert "warning: --confidence and --save_probs: not for videos, for the pictures only" in both.err
    assert (tmp_path / "out/videos/clip.mp4").exists() and (tmp_path / "out/probabilities/wide.npz").exists()


def test_a_full_disk_is_one_line(options, photos, shell):
    """The size of a file is limited, as on a full disk."""
    command = " ".join(f"'{part}'" for part in (sys.executable, ROOT / "predict.py", photos, *options, "--save_probs"))
    result = shell("bash", "-c", f"ulimit -f 100; {command}")    # KiB
    assert result.code == 1 and result.err.count("\n") == 1, result
    assert "out: cannot be written (File too large); " in result.err and "pixels of 6 classes take 0.0" in result.err


def test_heat_maps_are_dark_where_the_network_is_sure():
    image, highest = np.full((40, 500, 3), 128, np.uint8), np.full((40, 500), 255, np.uint8)
    highest[:, 250:] = 80
    drawn = heat_map(image, highest, 0.5)
    assert drawn.shape[1] == 500 and drawn[:40, :250].mean() < 70 < drawn[:40, 250:].mean()
    assert colours_of(highest)[0, 0].max() < 10
    assert drawn[40:].min() < 60 and (drawn[40:] == 255).all(2).any(), "a scale below, on white"
    assert heat_map(image[:, :20], highest[:, :20], 1).shape[1] == 300
