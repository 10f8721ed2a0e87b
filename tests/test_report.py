"""report.html of eval.py and eval_onnx.py, opened in a browser; the boundary F-score; the pictures that are kept."""
import json
import tracemalloc

import cv2
import numpy as np
import pytest

import eval as evaluation
import eval_onnx
from src.data.labels import Labels
from src.data.lists import Pair
from src.evaluation.boundary import TOLERANCE, BoundaryScore, boundary_scores
from src.evaluation.metrics import ConfusionMatrix
from src.report.gallery import KEPT, Gallery
from src.report.overlays import OverlayWriter
from tests.browser import look_at
from tests.conftest import TINY

TWO = Labels(2, 255, ("ground", "tent"))
PARTS = {"mode", "figures", "classes", "rates", "bars", "confusion", "heatmap", "worst", "best", "settings"}


@pytest.fixture(scope="module")
def reported(val_list, exported, tmp_path_factory):
    """(folder, result) of an ONNX evaluation with a report."""
    folder = tmp_path_factory.mktemp("reported")
    (folder / "names.txt").write_text("background\nball\n<b>&box\ncost $5_{ to $9\n星\nring\n")
    eval_onnx.main([str(part) for part in (
        "--file_name", exported(), "--device_target", "CPU", "--num_classes", 6, "--crop_size", 65, *val_list,
        "--class_names", folder / "names.txt", "--result_file", folder / "result.json", "--report",
        folder / "the report")])
    return folder / "the report", json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(reported, width, tmp_path):
    folder, result = reported
    page = look_at(folder / "report.html", width, tmp_path)
    assert page["width"] == width and page["page"] <= width, "nothing is wider than the screen"
    assert not page["errors"] and not page["log"] and not page["outside"], page
    assert set(page["parts"]) >= PARTS
    assert len(page["images"]) == 2 + 6 * 3, "two charts; half of the six pictures are the best, half the worst"
    assert all(natural > 50 and shown > 50 for _, natural, shown in page["images"])
    for text in (f"{100 * result['mean_iou']:.2f} %", f"{100 * result['pixel_accuracy']:.2f} %",
                 *(f"{100 * result[f'mean_{figure}']:.2f}" for figure in ("dice", "precision", "recall")),
                 f"{100 * result['mean_boundary_f']:.2f} %", "<b>&box", "$5_{ to", "星", "output stride 16",
                 result["checkpoint_sha256"], "voc_val_lst.txt", "Csurka"):
        assert text in page["text"], text
    best, worst = (page["text"].index(title) for title in ("The best pictures", "The worst pictures"))
    assert worst < best


def test_eval_writes_it_too_and_says_where(val_list, trained_file, run, tmp_path):
    options = [*TINY, *val_list, "--ckpt_path", trained_file, "--result_file", tmp_path / "r.json"]
    result = run(evaluation.main, *options, "--report", tmp_path / "new/report")
    assert result.code == 0 and f"report written to {tmp_path}/new/report/report.html" in result.out, result
    text = (tmp_path / "new/report/report.html").read_text()
    assert "http" not in text.replace("http://www.w3.org", "") and text.count("data:image/jpeg") == 18
    (tmp_path / "file").write_text("")
    wrong = run(evaluation.main, *options, "--report", tmp_path / "file")
    assert wrong.code == 2 and "--report" in wrong.err and "processed" not in wrong.out, "told before the work"


def square(top, size, shape=(200, 300)):
    mask = np.zeros(shape, np.uint8)
    mask[top:top + size, 100:100 + size] = 1
    return mask


def test_overlays_leave_the_ignored_and_are_numbered_by_the_list(tmp_path):
    """Rank 1 of 2 has the pictures 2, 4 and 6 of the list; the first four are drawn."""
    image, classes = np.full((4, 6, 3), 100, np.uint8), np.full((4, 6), 1, np.uint8)
    mask = np.repeat(np.array([[0, 0, 1, 1, 7, 7]], np.uint8), 4, 0)    # 7 is ignored
    pairs = [Pair(f"{name}.jpg", f"{name}.png") for name in "abc"]
    writer = OverlayWriter(tmp_path, 4, pairs, 7, "drawn", rank=1, size=2)
    for pair in pairs:
        writer(pair, image, mask, classes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0002_a.png", "0004_b.png"]
    truth = cv2.imread(str(tmp_path / "0002_a.png"))[:, 6:12]
    painted = (truth != 100).any(2)
    assert painted[:, 2:4].all() and not painted[:, :2].any() and not painted[:, 4:].any()


def test_boundary_scores():
    truth, reach = square(50, 80), TOLERANCE * np.hypot(200, 300)    # 2.7 pixels
    assert boundary_scores(truth, truth, 255, 3) == {0: 1.0, 1: 1.0}
    near, far = (boundary_scores(truth, square(50 + shift, 80), 255, 3)[1] for shift in (int(reach), 20))
    assert near == 1
    # By hand: of 316 boundary pixels those lie on the other's that are on its sides (60 rows), 2 above them, and 2 of
    # the lower edge beside each.
    assert far == pytest.approx((2 * (60 + 2) + 2 * 2) / 316)
    assert boundary_scores(truth, np.zeros_like(truth), 255, 3) == {0: 0.0, 1: 0.0}
    assert boundary_scores(np.zeros_like(truth), np.zeros_like(truth), 255, 3) == {0: 1.0}
    assert boundary_scores(np.full_like(truth, 255), truth, 255, 3) == {}


def test_boundaries_beside_ignored_pixels():
    """The boundary lies in the middle of VOC's ignored border; boundaries deep in an ignored region are not counted."""
    truth = square(50, 80)
    bordered = truth.copy()
    ring = cv2.dilate(truth, np.ones((5, 5))) - cv2.erode(truth, np.ones((5, 5)))
    bordered[ring > 0] = 255
    assert boundary_scores(bordered, truth, 255, 3) == {0: 1.0, 1: 1.0}
    half = np.zeros((200, 300), np.uint8)
    half[:, 150:] = 255
    inside = np.zeros_like(half)
    inside[50:100, 200:250] = 1
    assert boundary_scores(half, inside, 255, 3) == {0: 1.0}


def test_means_over_pictures_and_classes():
    score, truth = BoundaryScore(3, 255), square(50, 80)
    score.update(truth, truth)
    score.update(truth, np.zeros_like(truth))
    score.update(np.zeros_like(truth), np.zeros_like(truth))
    assert score.per_class == [pytest.approx(2 / 3, abs=1e-6), 0.5, None]
    assert score.mean == pytest.approx((1 + 0 + 1) / 3, abs=1e-6)


def feed(gallery, numbers):
    """Feed pictures of noise, each with another share of right pixels."""
    for number in numbers:
        rng = np.random.default_rng(number)
        mask = np.zeros((60, 80), np.uint8)
        mask[:, 40:] = 1
        class_map = mask.copy()
        class_map[:number % 50, 40:] = 0
        gallery(Pair(f"{number}.jpg", ""), rng.integers(0, 255, (60, 80, 3), dtype=np.uint8), mask, class_map,
                ConfusionMatrix(TWO.num_classes, TWO.ignore_label).update(mask, class_map))


def test_the_best_and_the_worst_are_kept_and_memory_does_not_grow():
    gallery = Gallery(TWO, BoundaryScore(2, 255))
    feed(gallery, range(50))
    assert [entry["image"] for entry in gallery.worst] == [f"{number}.jpg" for number in range(49, 49 - KEPT, -1)]
    assert [entry["image"] for entry in gallery.best] == [f"{number}.jpg" for number in range(KEPT)]
    tracemalloc.start()
    feed(gallery, range(50, 100))
    before = tracemalloc.get_traced_memory()[0]
    feed(gallery, range(100, 300))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(gallery.shown) == 2 * KEPT and grown < 200_000


@pytest.mark.parametrize("numbers", [range(40), range(0, 4000, 50)], ids=["different", "equal"])
def test_many_devices_keep_what_one_keeps(numbers):
    whole, parts = Gallery(TWO, BoundaryScore(2, 255)), [Gallery(TWO, BoundaryScore(2, 255)) for _ in range(3)]
    feed(whole, numbers)
    for rank, part in enumerate(parts):
        feed(part, numbers[rank::3])
    merged = Gallery(TWO, BoundaryScore(2, 255))
    merged.merge([part.to_bytes() for part in parts])
    assert [entry["image"] for entry in merged.shown] == [entry["image"] for entry in whole.shown]
    assert merged.boundary.mean == pytest.approx(whole.boundary.mean) and merged.boundary.per_class == pytest.approx(
        whole.boundary.per_class)
