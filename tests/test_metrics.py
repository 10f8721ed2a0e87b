"""The confusion matrix against counting by hand."""
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


def test_counting_in_pieces_is_counting(monkeypatch):
    rng = np.random.default_rng(0)
    mask, prediction = (rng.integers(0, 3, (50, 7), dtype=np.uint8) for _ in range(2))
    at_once, in_pieces = ConfusionMatrix(3, 255), ConfusionMatrix(3, 255)
    at_once.update(mask, prediction)
    monkeypatch.setattr("src.evaluation.metrics.COUNTED", 20)
    in_pieces.update(mask, prediction)
    assert np.array_equal(at_once.counts, in_pieces.counts) and at_once.counts.sum() == mask.size
