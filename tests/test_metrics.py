"""The confusion matrix compared with counting by hand."""
import numpy as np

from src.evaluation.metrics import ConfusionMatrix


def test_counts_against_a_loop():
    rng = np.random.default_rng(0)
    matrix = ConfusionMatrix(4, 255)
    expected = np.zeros((4, 4), int)
    for _ in range(3):
        mask, prediction = rng.integers(0, 4, (2, 9, 7)).astype(np.uint8)
        mask[0] = 255
        matrix.update(mask, prediction)
        for truth, guess in zip(mask[1:].ravel(), prediction[1:].ravel()):
            expected[truth, guess] += 1
    assert np.array_equal(matrix.counts, expected)


def test_iou_by_hand_and_classes_that_never_occur():
    matrix = ConfusionMatrix(4, 255)
    matrix.update(np.uint8([[0, 0, 1, 255]]), np.uint8([[0, 1, 1, 3]]))
    assert np.allclose(matrix.iou, [0.5, 0.5, np.nan, np.nan], equal_nan=True)
    assert matrix.mean_iou == 0.5 and matrix.pixel_accuracy == 2 / 3


def test_a_class_that_is_predicted_but_never_true_counts_as_zero():
    matrix = ConfusionMatrix(3, 255)
    matrix.update(np.uint8([[0, 0]]), np.uint8([[0, 2]]))
    assert np.allclose(matrix.iou, [0.5, np.nan, 0], equal_nan=True) and matrix.mean_iou == 0.25


def test_ignored_label_may_be_a_class_number():
    matrix = ConfusionMatrix(3, 0)
    matrix.update(np.uint8([[0, 1]]), np.uint8([[1, 1]]))
    assert matrix.counts.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_nothing_scored_is_not_a_number():
    matrix = ConfusionMatrix(3, 255)
    assert np.isnan(matrix.mean_iou) and np.isnan(matrix.pixel_accuracy)


def figures_of(truth, found, number):
    """IoU, Dice, precision and recall of one class, from the pixels."""
    is_truth, is_found = truth == number, found == number
    hits, wrong, missed = (is_truth & is_found).sum(), (is_found & ~is_truth).sum(), (is_truth & ~is_found).sum()
    if not hits + wrong + missed:
        return [np.nan] * 4
    return [hits / (hits + wrong + missed), 2 * hits / (2 * hits + wrong + missed),
            hits / (hits + wrong) if hits + wrong else 0, hits / (hits + missed) if hits + missed else 0]


def test_dice_precision_and_recall_from_the_pixels():
    """With void pixels; of seven classes one is never true, one never found and one in neither."""
    rng, matrix = np.random.default_rng(0), ConfusionMatrix(7, 255)
    truth = rng.choice([0, 1, 2, 3, 255], (3, 20, 30)).astype(np.uint8)
    found = rng.integers(0, 3, (3, 20, 30)).astype(np.uint8)
    truth[:, 1, 0], found[:, 1, 0] = 0, 5
    for pair in zip(truth, found):
        matrix.update(*pair)
    expected = np.array([figures_of(truth[truth != 255], found[truth != 255], number) for number in range(7)])
    for number, figure in enumerate(ConfusionMatrix.FIGURES):
        assert np.allclose(getattr(matrix, figure), expected[:, number], rtol=1e-12, atol=0, equal_nan=True), figure
        assert np.isclose(matrix.mean(figure), np.nanmean(expected[:, number]), rtol=1e-12)
    assert expected[3].tolist() == [0, 0, 0, 0] == expected[5].tolist() and np.isnan(expected[[4, 6]]).all()
    assert np.allclose(matrix.dice, 2 * matrix.iou / (1 + matrix.iou), equal_nan=True)


def test_counting_in_pieces_is_counting(monkeypatch):
    rng = np.random.default_rng(0)
    mask, prediction = (rng.integers(0, 3, (50, 7), dtype=np.uint8) for _ in range(2))
    at_once, in_pieces = ConfusionMatrix(3, 255), ConfusionMatrix(3, 255)
    at_once.update(mask, prediction)
    monkeypatch.setattr("src.evaluation.metrics.COUNTED", 20)
    in_pieces.update(mask, prediction)
    assert np.array_equal(at_once.counts, in_pieces.counts) and at_once.counts.sum() == mask.size
