"""--tile: where windows lie, that their average in strips is the plain one, and what programs make of it."""
import itertools
import json
import math
import tracemalloc

import cv2
import numpy as np
import pytest

import eval_onnx
import predict
import train
from src.evaluation.inference import Segmenter, segment
from src.evaluation.letterbox import Settings
from src.evaluation.tiles import Tile, starts, strips
from src.models.model import open_model
from src.tools import summary
from tests.conftest import TINY, fake_predict, write_clip

CLASSES = 3


def window_probs(windows, side=33):
    """Probabilities that depend on each pixel and on its place in the window, as a network's do."""
    place = np.linspace(0, 1, side * side).reshape(side, side)
    found = []
    for window in windows:
        out = np.zeros((CLASSES, side, side), np.float32)
        rows, columns = window.shape[:2]
        first = window.mean(2) / 255 * (1 - 0.3 * place[:rows, :columns])
        out[:, :rows, :columns] = first, (1 - first) * window[:, :, 0] / 255, (1 - first) * (1 - window[:, :, 0] / 255)
        found.append(out)
    return np.stack(found)


def weight_of(place, length, side):
    """Of a window's pixel along an axis: its distance to the nearer border of the window."""
    return min(place + 1, side - place) if length > side else 1


def plain_average(image, side, overlap):
    """The weighted average over all windows, (C, H, W), of loops as mmsegmentation's slide mode has them."""
    height, width = image.shape[:2]
    stride = max(1, round(side * (1 - overlap)))
    sums, count = np.zeros((CLASSES, height, width)), np.zeros((height, width))
    for row in range(max(height - side + stride - 1, 0) // stride + 1):
        for column in range(max(width - side + stride - 1, 0) // stride + 1):
            bottom, right = min(row * stride + side, height), min(column * stride + side, width)
            top, left = max(bottom - side, 0), max(right - side, 0)
            probs = window_probs([image[top:bottom, left:right]], side)[0]
            weight = np.outer([weight_of(place, height, side) for place in range(bottom - top)],
                              [weight_of(place, width, side) for place in range(right - left)])
            sums[:, top:bottom, left:right] += probs[:, :bottom - top, :right - left] * weight
            count[top:bottom, left:right] += weight
    return sums / count


def joined(image, tile, most=3, side=33):
    """The planes of all strips, (C, H, W), put together; every pixel comes once, and so many windows as announced."""
    found, seen = np.zeros((CLASSES, *image.shape[:2]), np.float32), np.zeros(image.shape[:2], int)
    counts = []

    def predict(windows):
        counts.append(len(windows))
        return window_probs(windows, side)
    for place, planes in strips(image, predict, side, tile, most):
        seen[place] += 1
        for number, plane in enumerate(planes):
            found[number][place] = plane
    assert (seen == 1).all() and sum(counts) == tile.windows(*image.shape[:2], side)
    return found


def picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8), (width, height))


SIZES = [(33, 33), (34, 33), (80, 50), (50, 130), (20, 90), (90, 1), (66, 99)]


@pytest.mark.parametrize("size", SIZES)
def test_strips_are_the_average_over_all_windows(size):
    image = picture(*size)
    for overlap, most in ((0, 1), (1 / 3, 3), (0.5, 100), (0.9, 2)):
        assert np.abs(joined(image, Tile(overlap), most) - plain_average(image, 33, overlap)).max() < 1e-6, overlap


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.77, 1.5, 3.1])
def test_strips_of_a_scaled_picture_are_resized_as_opencv_does(scale):
    for size in SIZES[2:]:
        image, tile = picture(*size), Tile(0.5, scale)
        rows, columns = tile.size(*size)
        average = plain_average(cv2.resize(image, (columns, rows)), 33, 0.5).astype(np.float32)
        expected = np.stack([cv2.resize(plane, size[::-1]) for plane in average])
        assert np.abs(joined(image, tile) - expected).max() < 1e-5, size


def test_windows_lie_in_equal_steps_and_the_last_one_at_the_border():
    assert starts(100, 33, 0.5) == [0, 16, 32, 48, 64, 67] and starts(33, 33, 0.5) == starts(9, 33, 0) == [0]
    assert starts(99, 33, 0) == [0, 33, 66] and starts(34, 33, 0.9) == [0, 1]


def test_memory_is_that_of_a_strip_across_the_short_side():
    side, image = 65, np.zeros((400, 8_000, 3), np.uint8)
    probs = np.full((4, 20, side, side), 0.05, np.float32)
    tracemalloc.start()
    for _, planes in strips(image, lambda windows: probs[:len(windows)], side, Tile(), 4):
        for _ in planes:
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    strip = 20 * side * 400 * 4    # bytes; all sums would be 120 times that
    assert strip < peak < 3 * strip


def load(image):
    return image, (image[:, :, 0] % 3).astype(np.uint8)


@pytest.mark.parametrize("flip", [False, True])
def test_one_window_that_covers_the_picture_is_the_plain_way(flip):
    images = [picture(*size, seed) for seed, size in enumerate(((33, 33), (20, 33), (33, 7), (12, 9), (1, 1)))]
    plain = Segmenter(fake_predict, Settings(33, flip=flip, batch_size=2)).run(images, load)
    tiled = Segmenter(fake_predict, Settings(33, flip=flip, batch_size=2, tile=Tile())).run(images, load)
    for one, other in zip(itertools.chain(*plain), itertools.chain(*tiled)):
        assert np.array_equal(one.total, other.total) and np.array_equal(one.class_map, other.class_map)


def test_small_and_large_pictures_keep_their_order():
    images = [picture(*size, seed) for seed, size in enumerate(
        ((20, 20), (80, 50), (33, 10), (9, 33), (30, 30), (40, 200), (100, 33)))]
    batches = list(Segmenter(fake_predict, Settings(33, batch_size=2, tile=Tile())).run(images, load))
    assert [len(batch) for batch in batches] == [1, 1, 2, 1, 1, 1], "small ones go together"
    ordered = [item for batch in batches for item in batch]
    assert len(ordered) == len(images)
    for image, item in zip(images, ordered):
        assert item.sample is image and item.image is image
        assert item.mask.shape == item.class_map.shape == image.shape[:2]


def test_flip_mirrors_each_window():
    def one_sided(inputs):
        return fake_predict(inputs) * np.linspace(0.5, 1.5, 33, dtype=np.float32)

    def both(inputs):
        return one_sided(inputs) + one_sided(inputs[..., ::-1])[..., ::-1]

    def class_map(predict, flip):
        settings = Settings(33, flip=flip, tile=Tile(1 / 3))
        (item,) = next(Segmenter(predict, settings).run([picture(70, 90)], load))
        return item.class_map
    assert np.array_equal(class_map(one_sided, True), class_map(both, False))
    assert len(np.unique(class_map(both, False))) == CLASSES
    assert (class_map(one_sided, False) != class_map(both, False)).any()


@pytest.fixture(scope="module")
def learned(drawn, tmp_path_factory):
    """A checkpoint of the tiny network that finds the classes of the drawn sample."""
    folder = tmp_path_factory.mktemp("learned") / "ckpt"
    train.main([*TINY, "--data_file", str(drawn / "train.mindrecord0"), "--train_dir", str(folder), "--train_epochs",
                "15", "--base_lr", "0.05", "--save_steps", "1000", "--min_scale", "0.25", "--max_scale", "0.5"])
    return next(folder.glob("*.ckpt"))


@pytest.fixture
def mosaic(drawn):
    """24 pictures side by side at about the size that `learned` was trained at."""
    paths = sorted((drawn / "VOCdevkit/VOC2012/JPEGImages").iterdir())[-24:]
    images = [cv2.resize(cv2.imread(str(path)), (130, 130)) for path in paths]
    return np.vstack([np.hstack(images[number:number + 6]) for number in range(0, 24, 6)])


def test_a_picture_shifted_by_half_a_window_gives_the_same_map(learned, mosaic):
    model, half = open_model(learned, "onnxruntime", "CPU"), 32
    whole, shifted = (segment(model, image, Tile()) for image in (mosaic, mosaic[half:, half:]))
    shares = np.bincount(whole.ravel(), minlength=6) / whole.size
    assert (shares > 0.01).sum() >= 4 and shares.max() < 0.9, "classes are found, or equal maps would mean nothing"
    assert (whole[half:, half:] == shifted).mean() >= 0.99


@pytest.fixture
def options(drawn, exported, tmp_path):
    return ["--device_target", "CPU", "--batch_size", 4, "--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt",
            "--file_name", exported("--dynamic", "False"), "--result_file", tmp_path / "tiled.json"]


def test_results_say_tiled(options, run, tmp_path):
    """With a network of one size: windows have that size."""
    plain = run(eval_onnx.main, *options, "--result_file", tmp_path / "plain.json")
    result = run(eval_onnx.main, *options, "--tile", "--tile_scale", 0.75, "--flip", "--report", tmp_path / "report")
    assert result.code == plain.code == 0 and "tiled at" not in plain.out, result
    assert result.out.count("tiled at scale 0.75, overlap 0.5: not a published mode") == 1
    found, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("tiled", "plain"))
    assert found["tiled"] == "tiled at scale 0.75, overlap 0.5" and "tiled" not in other
    assert found["settings"]["tile"] == {"overlap": 0.5, "scale": 0.75} and other["settings"]["tile"] is None
    pixels = [np.array(one["confusion_matrix"]) for one in (found, other)]
    assert pixels[0].sum() == pixels[1].sum() and (pixels[0] != pixels[1]).any()
    assert "tiled at scale 0.75, overlap 0.5, flip" in (tmp_path / "report/report.html").read_text()
    table = run(summary.main, "--published", tmp_path / "tiled.json", tmp_path / "plain.json").out.splitlines()
    assert table[2].split()[3:7] == ["tiled", "yes", table[2].split()[5], "-"] and table[3].split()[3] == "1"


def test_predict_gives_what_evaluation_scores(options, drawn, exported, run, tmp_path):
    tile = ["--tile", "--tile_overlap", 0.25]
    assert run(eval_onnx.main, *options, *tile, "--batch_size", 3).code == 0
    result = run(predict.main, drawn / "voc_val_lst.txt", "--model", exported("--dynamic", "False"), "--device_target",
                 "CPU", "--output_dir", tmp_path / "out", *tile)
    assert result.code == 0 and "tiled at scale 1, overlap 0.25" in result.out, result
    report = json.loads((tmp_path / "out/coverage.json").read_text())
    assert report["mean_iou"] == pytest.approx(json.loads((tmp_path / "tiled.json").read_text())["mean_iou"])
    assert report["tiled"] == "tiled at scale 1, overlap 0.25" and not math.isnan(report["mean_iou"])


def test_frames_of_a_video_in_windows(exported, drawn, run, tmp_path):
    paths = sorted((drawn / "VOCdevkit/VOC2012/JPEGImages").iterdir())[:3]
    write_clip(tmp_path / "clip.avi", [cv2.resize(cv2.imread(str(path)), (160, 120)) for path in paths])
    result = run(predict.main, tmp_path / "clip.avi", "--model", exported("--dynamic", "False"), "--device_target",
                 "CPU", "--output_dir", tmp_path / "out", "--tile")
    assert result.code == 0 and "3 frames, " in result.out and "tiled" in result.out, result
    assert cv2.VideoCapture(str(tmp_path / "out/videos/clip.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 3


@pytest.mark.parametrize("given, part", [
    (["--tile", "--tile_overlap", 1], "--tile_overlap: tile_overlap must be <= 0.9, not 1.0"),
    (["--tile", "--tile_overlap", -0.1], "--tile_overlap: tile_overlap must be >= 0, not -0.1"),
    (["--tile_overlap", 0.2], "--tile_overlap 0.2: has no effect without --tile; add that, or leave it out"),
    (["--tile_scale", 0.5], "--tile_scale 0.5: has no effect without --tile"),
    (["--tile", "--tile_scale", 0], "--tile_scale: tile_scale must be > 0"),
    (["--tile", "--scales", 0.5, 1], "give --tile_scale in place of --scales"),
    (["--tile", "--scales_type", 1], "give --tile_scale in place of --scales"),
    (["--tile", "--crop_size", 129], "takes 65x65 only")])
def test_what_does_not_go_together_is_one_line(given, part, options, run, tmp_path):
    result = run(eval_onnx.main, *options, *given)
    assert result.code == 2 and part in result.err and result.err.count("\n") == 1, result
    assert not (tmp_path / "tiled.json").exists()
