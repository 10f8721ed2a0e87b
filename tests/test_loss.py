"""The loss against the published one's value and against NumPy."""
import numpy as np
import pytest

from src.loss.loss import SoftmaxCrossEntropyLoss
from tests.golden import DATA

pytestmark = pytest.mark.usefixtures("pynative")


def test_published_value():
    import mindspore as ms
    golden = np.load(DATA / "loss.npz")
    loss = SoftmaxCrossEntropyLoss()(ms.Tensor(golden["logits"]), ms.Tensor(golden["labels"]))
    assert abs(float(loss) - float(golden["loss"])) <= 1e-5


def test_large_logits_and_uint8_labels_against_numpy():
    import mindspore as ms
    rng = np.random.default_rng(0)
    logits = (100 * rng.standard_normal((2, 5, 7, 6))).astype(np.float32)
    labels = rng.integers(0, 5, (2, 7, 6)).astype(np.uint8)
    labels[0, :3] = 9
    exponent = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_probs = exponent - np.log(np.exp(exponent).sum(1, keepdims=True))
    valid = labels != 9
    picked = np.take_along_axis(log_probs, np.where(valid, labels, 0)[:, None].astype(int), 1)[:, 0]
    loss = SoftmaxCrossEntropyLoss(ignore_label=9)(ms.Tensor(logits), ms.Tensor(labels))
    assert float(loss) == pytest.approx(-picked[valid].mean(), rel=1e-5)


def test_a_batch_of_ignored_pixels_gives_zero_loss_and_zero_gradient():
    import mindspore as ms
    criterion = SoftmaxCrossEntropyLoss()
    logits = ms.Tensor(np.random.default_rng(0).standard_normal((1, 3, 4, 4)).astype(np.float32))
    labels = ms.Tensor(np.full((1, 4, 4), 255, np.uint8))
    loss, gradient = ms.value_and_grad(criterion, 0)(logits, labels)
    assert float(loss) == 0 and not np.any(gradient.asnumpy())


def test_gradient_is_softmax_minus_one_hot_over_the_counted_pixels():
    import mindspore as ms
    logits = np.random.default_rng(1).standard_normal((1, 3, 2, 2)).astype(np.float32)
    labels = np.array([[[0, 2], [255, 1]]], np.uint8)
    _, gradient = ms.value_and_grad(SoftmaxCrossEntropyLoss(), 0)(ms.Tensor(logits), ms.Tensor(labels))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = softmax - np.stack([labels == c for c in range(3)], 1)
    expected[np.broadcast_to(labels[:, None] == 255, expected.shape)] = 0
    assert np.abs(gradient.asnumpy() - expected / 3).max() < 1e-6
