"""predict.py from the command line: each kind of model and source, output files, and files that it never overwrites."""
import csv
import json
import shutil
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

import eval_onnx
import predict
from src.data.labels import Labels
from src.drawing.palette import palette
from src.prediction.results import Results, coverage
from src.prediction.sources import Picture, pictures_in, unique_names
from tests.conftest import ROOT, write_clip


@pytest.fixture
def options(exported, tmp_path):
    return ["--model", exported(), "--device_target", "CPU", "--output_dir", tmp_path / "out"]


@pytest.fixture
def photos(tmp_path):
    """x.jpg in two folders and x.png beside one: three pictures with the same name."""
    rng, folder = np.random.default_rng(0), tmp_path / "my photos"
    for name in ("a/x.jpg", "b/x.jpg", "b/x.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), cv2.resize(rng.integers(0, 255, (4, 6, 3), dtype=np.uint8), (60, 40)))
    return folder


def class_map(path):
    with Image.open(path) as image:
        assert image.mode == "P" and np.array_equal(np.reshape(image.getpalette(), (-1, 3)), palette())
        return np.array(image)


def report_of(folder):
    return json.loads((folder / "coverage.json").read_text())


def test_a_list_with_masks_agrees_with_evaluation(options, val_list, drawn, exported, run, tmp_path):
    result = run(predict.main, drawn / "voc_val_lst.txt", *options, "--flip", "--scales", 0.5, 1, "--alpha", 0.3)
    assert result.code == 0 and f"results are in {tmp_path / 'out'}" in result.out, result
    assert run(eval_onnx.main, "--file_name", exported(), "--device_target", "CPU", "--num_classes", 6, "--crop_size",
               65, *val_list, "--flip", "--scales", 0.5, 1, "--result_file", tmp_path / "r.json").code == 0
    evaluated = json.loads((tmp_path / "r.json").read_text())
    found = report_of(tmp_path / "out")
    assert found["mean_iou"] == pytest.approx(evaluated["mean_iou"], abs=1e-4), "crop_size comes from the file"
    assert found["class_names"] == evaluated["class_names"] and found["settings"]["flip"]
    rows = list(csv.DictReader((tmp_path / "out/coverage.csv").open()))
    assert len(rows) == len(found["pictures"]) == 6
    for row, entry in zip(rows, found["pictures"]):
        classes = class_map(tmp_path / "out" / entry["class_map"])
        image = cv2.imread(entry["picture"])
        assert classes.shape == image.shape[:2] == (entry["height"], entry["width"])
        for number, name in enumerate(found["class_names"]):
            assert float(row[name]) == pytest.approx((classes == number).mean(), abs=1e-5)
            assert entry["coverage"].get(name, 0) == pytest.approx(float(row[name]), abs=1e-5)
        check_overlay(cv2.imread(str(tmp_path / "out" / entry["overlay"])), image, classes, 0.3)


def check_overlay(canvas, image, classes, alpha):
    """Picture, truth, prediction side by side, a legend below; JPEG changes a few levels."""
    height, width = classes.shape
    assert canvas.shape[0] > height + 40 and canvas.shape[1] >= 3 * width
    blank = (canvas.reshape(-1, 3).min(1) > 250).reshape(canvas.shape[:2])
    top = 26    # twice the letters' 13 pixels
    middle = top + height // 2
    left = np.flatnonzero(~blank[middle])[0]
    assert np.abs(canvas[top:top + height, left:left + width].astype(int) - image).mean() < 8
    third = canvas[top:top + height, left + 2 * (width + 6):][:, :width].astype(int)
    mixed = np.where(classes[:, :, None] > 0, (1 - alpha) * image + alpha * palette()[classes][:, :, ::-1], image)
    assert np.abs(third - mixed).mean() < 8
    assert (~blank[top + height:]).sum() > 100, "a legend"


def test_names_do_not_collide_and_nothing_is_written_over(options, photos, run, tmp_path):
    assert run(predict.main, photos, *options).code == 0
    masks = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out/masks").rglob("*.png"))
    assert masks == ["masks/a/x.png", "masks/b/x.jpg.png", "masks/b/x.png.png"]
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    again = run(predict.main, photos, *options, "--flip")
    assert again.code == 2 and "exists; --overwrite replaces it" in again.err, again
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert run(predict.main, photos, *options, "--flip", "--overwrite").code == 0
    assert report_of(tmp_path / "out")["settings"]["flip"]


def test_its_own_results_are_not_predicted(options, photos, run, tmp_path):
    for folder in ("first", ""):    # beside the pictures, and among them
        (photos / folder / "masks").mkdir(parents=True)
        (photos / folder / "masks/x.png").write_bytes((photos / "b/x.png").read_bytes())
    assert len(pictures_in(photos)) == 5, "masks alone may be anybody's"
    assert run(predict.main, photos / "b", *options[:-1], photos / "first", "--overwrite").code == 0
    assert run(predict.main, photos / "b", *options[:-1], photos, "--overwrite").code == 0
    assert [str(path.relative_to(photos)) for path, _ in pictures_in(photos)] == ["a/x.jpg", "b/x.jpg", "b/x.png"]
    assert len(pictures_in(photos / "first/masks")) == 3, "asked for by name"


def test_unique_names():
    assert unique_names(["/d/a/x.jpg", "/d/b/x.jpg"]) == ["a/x", "b/x"] and unique_names(["q/x.jpg"]) == ["x"]
    names = unique_names(["/d/x.jpg", "/d/X.png", "/d/x.jpg", "/d/x.jpg.bmp", "/d/y.jpg"])
    assert len({name.casefold() for name in names}) == 5 and names[4] == "y"


def test_a_network_of_one_size_says_how_to_export_it_for_all(exported, photos, run):
    wrong = run(predict.main, photos, "--model", exported("--dynamic", "False"), "--scales", 0.5, "--device_target",
                "CPU")
    assert wrong.code == 2 and "takes 65x65 only" in wrong.err and "export it with --dynamic True" in wrong.err


@pytest.mark.parametrize("mark", ["", "\ufeff"])    # some editors write a byte order mark
def test_paths_on_standard_input(options, photos, run, monkeypatch, mark, tmp_path):
    import io
    lines = f"{mark}{photos}/a/x.jpg\n\n{photos}/b/x.png\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert run(predict.main, "-", *options).code == 0
    assert [entry["class_map"] for entry in report_of(tmp_path / "out")["pictures"]] == ["masks/a/x.png",
                                                                                      "masks/b/x.png"]


def test_a_video(options, drawn, run, tmp_path):
    paths = sorted((drawn / "VOCdevkit/VOC2012/JPEGImages").iterdir())[:6]
    write_clip(tmp_path / "clip.avi", [cv2.resize(cv2.imread(str(path)), (64, 48)) for path in paths])
    result = run(predict.main, tmp_path / "clip.avi", *options)
    assert result.code == 0 and "6 frames, " in result.out and "images/s" in result.out, result
    video = cv2.VideoCapture(str(tmp_path / "out/videos/clip.mp4"))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert len(frames) == 6 and video.get(cv2.CAP_PROP_FPS) == pytest.approx(7) and frames[0].shape[0] > 48
    assert frames[0][:48].std() > 10 and frames[0][48:].min() < 200, "the picture, and a legend below"
    assert len(list(csv.reader((tmp_path / "out/coverage.csv").open()))) == 7
    assert [path.name for path in (tmp_path / "out/videos").iterdir()] == ["clip.mp4"]


def noise(frames):
    return np.random.default_rng(0).integers(0, 255, (frames, 48, 64, 3), dtype=np.uint8)


def test_a_truncated_video_is_predicted_with_a_warning(options, run, tmp_path):
    path = write_clip(tmp_path / "cut.avi", noise(20))
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    result = run(predict.main, path, *options)
    assert result.code == 0, result
    (entry,) = report_of(tmp_path / "out")["pictures"]
    assert 5 < entry["frames"] < 15
    assert f"warning: {path}: announces 20 frames but ends after {entry['frames']}" in result.err, result.err


def test_a_video_that_cannot_be_written_completely_is_an_error(options, shell, tmp_path):
    """The file size is limited, as on a full disk; OpenCV's writer reports no error."""
    write_clip(tmp_path / "clip.avi", noise(60))
    command = " ".join(f"'{part}'" for part in (sys.executable, ROOT / "predict.py", tmp_path / "clip.avi", *options))
    result = shell("bash", "-c", f"ulimit -f 100; {command}")    # KiB; 60 such frames take 300
    assert result.code == 1 and "clip.mp4: OpenCV wrote " in result.err and result.err.count("\n") == 1, result
    assert not list((tmp_path / "out").rglob("*.*")), "nothing is left of it"


def test_bad_input_is_one_line(options, photos, drawn, trained, run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "list.txt").write_text("my photos/a/x.jpg\nno.jpg\n")
    (tmp_path / "blank.txt").write_text("\n")
    (tmp_path / "six.txt").write_text("a\nb\n")
    shutil.copy(trained / "deeplab_v3_tiny_s16-2_3.ckpt", tmp_path / "kept.onnx")
    good = photos / "a/x.jpg"
    for arguments, part in (
            ([tmp_path / "no.jpg"], "no.jpg: no such file or folder"), ([], "no pictures are given"),
            ([tmp_path / "text.jpg"], "text.jpg: is not a picture"),
            ([tmp_path / "empty"], "empty: contains no pictures"),
            ([tmp_path / "blank.txt"], "lists no pictures"),
            ([tmp_path / "list.txt"], "list.txt, line 2: no.jpg: no such file"),
            ([good, "--class_names", tmp_path / "six.txt"], "2 names for num_classes 6"),
            ([good, "--model", ""], "--model is not given"), ([good, "--model", tmp_path / "x"], "x: no such file"),
            ([good, "--model", good], "is not a MindSpore checkpoint, ONNX file or MINDIR"),
            ([good, "--output_dir", good], "is a file, not a folder"),
            ([good, "--alpha", 2], "--alpha: alpha must be <= 1")):
        result = run(predict.main, *arguments[:1], *options, *arguments[1:])
        assert result.code == 2 and part in result.err, result
        assert len(result.err.strip().splitlines()) == 1 and not (tmp_path / "out").exists(), result.err
    result = run(predict.main, good, *options, "--model", tmp_path / "kept.onnx")
    assert result.code == 0 and "deeplab_v3_tiny_s16: 6 classes" in result.out, "told by its contents, not its name"
    assert "background" in result.out and "1 picture, " in result.out and " on CPU" in result.out


def test_a_file_that_is_not_a_video_is_one_line(options, shell, tmp_path):
    """In a process of its own, since FFmpeg would print, too."""
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)))
    result = shell(sys.executable, ROOT / "predict.py", tmp_path / "noise.mp4", *options)
    assert result.code == 2 and "noise.mp4: is not a video" in result.err and result.err.count("\n") == 1, result


def test_a_video_without_frames_does_not_stop_the_others(options, photos, run, tmp_path):
    data = write_clip(tmp_path / "bad.avi", noise(3)).read_bytes()
    (tmp_path / "bad.avi").write_bytes(data[:data.find(b"movi") + 4])    # the header, and no frames
    result = run(predict.main, tmp_path / "bad.avi", photos / "a/x.jpg", *options)
    assert result.code == 2 and "warning: " in result.err and "bad.avi: contains no frame" in result.err, result
    assert "error: 1 of 2 pictures and videos cannot be read; the others are done" in result.err
    assert [entry["picture"] for entry in report_of(tmp_path / "out")["pictures"]] == [f"{photos}/a/x.jpg"]
    assert len((tmp_path / "out/coverage.csv").read_text().splitlines()) == 2
    alone = run(predict.main, tmp_path / "bad.avi", *options, "--overwrite")
    assert alone.code == 2 and alone.err.count("\n") == 1 and "contains no frame" in alone.err, alone


def test_an_overlay_wider_than_jpeg_allows_is_reduced(tmp_path):
    """Picture, truth and prediction of 22,000 pixels each."""
    classes = np.tile(np.arange(22_000) // 11_000, (20, 1)).astype(np.uint8)
    picture = Picture(tmp_path / "wide.png", tmp_path / "mask.png", "wide")
    results = Results(tmp_path / "out", Labels(2, 255, ("ground", "tent")), 0.6)
    results.write_picture(picture, np.zeros((20, 22_000, 3), np.uint8), classes, classes, coverage(classes, 2), 1.0)
    with Image.open(tmp_path / "out/overlays/wide.jpg") as overlay:
        assert overlay.width == 65_500
    assert np.array_equal(class_map(tmp_path / "out/masks/wide.png"), classes), "the class map keeps its size"


def test_ignored_pixels_of_a_mask_are_not_painted(tmp_path):
    picture = Picture(tmp_path / "p.png", tmp_path / "m.png", "p")
    image, classes = np.full((64, 64, 3), 100, np.uint8), np.zeros((64, 64), np.uint8)
    seen = []
    for ignored in (9, 255):
        results = Results(tmp_path / str(ignored), Labels(2, ignored, ("ground", "tent")), 0.6)
        results.write_picture(picture, image, classes + 9, classes, coverage(classes, 2), None)
        seen.append(cv2.imread(str(tmp_path / f"{ignored}/overlays/p.jpg")))
    assert seen[0].shape == seen[1].shape and np.abs(seen[0].astype(int) - seen[1]).max() > 50


def test_one_bad_picture_does_not_stop_the_others(options, photos, run, tmp_path):
    (photos / "a/bad.jpg").write_text("no picture")
    cv2.imwrite(str(photos / "mask.png"), np.full((40, 60), 9, np.uint8))
    (tmp_path / "list.txt").write_text(f"{photos}/a/bad.jpg\n{photos}/a/x.jpg\t{photos}/mask.png\n{photos}/b/x.png\n")
    result = run(predict.main, tmp_path / "list.txt", *options)
    assert result.code == 2 and "error: 2 of 3 pictures cannot be read; the others are done" in result.err, result
    assert "bad.jpg: is not a picture" in result.err and "mask value 9 is neither a class (0 to 5)" in result.err
    assert [entry["picture"] for entry in report_of(tmp_path / "out")["pictures"]] == [f"{photos}/b/x.png"]
