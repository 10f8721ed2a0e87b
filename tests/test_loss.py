"""The loss compared with the published value and with NumPy."""
from functools import partial

import mindspore as ms
import numpy as np
import pytest

from src.loss.loss import DiceLoss, SoftmaxCrossEntropyLoss, WithDice
from tests.golden import DATA

pytestmark = pytest.mark.usefixtures("pynative")


def test_published_value():
    golden = np.load(DATA / "loss.npz")
    loss = SoftmaxCrossEntropyLoss()(ms.Tensor(golden["logits"]), ms.Tensor(golden["labels"]))
    assert abs(float(loss) - float(golden["loss"])) <= 1e-5


def test_large_logits_and_uint8_labels_against_numpy():
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


@pytest.mark.parametrize("criterion", [
    SoftmaxCrossEntropyLoss, DiceLoss, partial(SoftmaxCrossEntropyLoss, class_weights=[1, 2, 3]),
    partial(SoftmaxCrossEntropyLoss, hard_below=0.7, min_kept=10)], ids=["plain", "Dice", "weights", "hard pixels"])
def test_a_batch_of_ignored_pixels_gives_zero_loss_and_zero_gradient(criterion):
    logits = ms.Tensor(np.random.default_rng(0).standard_normal((1, 3, 4, 4)).astype(np.float32))
    labels = ms.Tensor(np.full((1, 4, 4), 255, np.uint8))
    loss, gradient = ms.value_and_grad(criterion(), 0)(logits, labels)
    assert float(loss) == 0 and not np.any(gradient.asnumpy())


def test_gradient_is_softmax_minus_one_hot_over_the_counted_pixels():
    logits = np.random.default_rng(1).standard_normal((1, 3, 2, 2)).astype(np.float32)
    labels = np.array([[[0, 2], [255, 1]]], np.uint8)
    _, gradient = ms.value_and_grad(SoftmaxCrossEntropyLoss(), 0)(ms.Tensor(logits), ms.Tensor(labels))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = softmax - np.stack([labels == c for c in range(3)], 1)
    expected[np.broadcast_to(labels[:, None] == 255, expected.shape)] = 0
    assert np.abs(gradient.asnumpy() - expected / 3).max() < 1e-6


def log_softmax(logits):
    """(N, C, H, W) -> float64."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def balanced(logits, labels, weights, hard_below=0.0, min_kept=1):
    """SoftmaxCrossEntropyLoss in NumPy, pixel by pixel."""
    log_probs = log_softmax(logits)
    losses = np.array([-log_probs[n, label, y, x] for (n, y, x), label in np.ndenumerate(labels) if label != 255])
    shares = np.array([weights[label] for label in labels.reshape(-1) if label != 255])
    if hard_below:
        least = min(-np.log(hard_below), np.sort(losses)[::-1][min(min_kept, len(losses)) - 1])
        shares = shares * (losses >= least)
    return (losses * shares).sum() / shares.sum()


@pytest.mark.parametrize("hard_below, min_kept", [(0.0, 1), (0.7, 1), (0.05, 1), (0.05, 60), (0.7, 10**6)])
@pytest.mark.parametrize("weighted", [False, True])
def test_balanced_loss_against_numpy(hard_below, min_kept, weighted):
    rng = np.random.default_rng(3)
    logits = (3 * rng.standard_normal((2, 5, 7, 9))).astype(np.float32)
    labels = rng.integers(0, 5, (2, 7, 9)).astype(np.uint8)
    labels[:, :2] = 255
    weights = np.array([0.2, 3, 1, 0, 7], np.float32) if weighted else np.ones(5)
    loss = SoftmaxCrossEntropyLoss(255, weights if weighted else None, hard_below, min_kept)
    expected = balanced(logits, labels, weights, hard_below, min_kept)
    assert float(loss(ms.Tensor(logits), ms.Tensor(labels))) == pytest.approx(expected, rel=1e-5)
    if not weighted and min_kept == 10**6:
        plain = SoftmaxCrossEntropyLoss()(ms.Tensor(logits), ms.Tensor(labels))
        assert float(plain) == pytest.approx(expected, rel=1e-5), "all pixels kept: the plain loss"


@pytest.mark.parametrize("options", [{}, {"class_weights": [0.1, 1.3, 0.7]}], ids=["plain", "weights"])
def test_loss_and_gradient_of_a_million_pixels(options):
    """A sum of float32 over (pixels, 1) lost up to 0.8 % of them."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4, 3, 513, 513)).astype(np.float32)
    labels = rng.integers(0, 3, (4, 513, 513)).astype(np.uint8)
    share = np.array(options.get("class_weights", [1, 1, 1]))[labels]
    log_probs, truth = log_softmax(logits), labels[:, None] == np.arange(3)[:, None, None]
    expected = -(log_probs[truth.nonzero()] * np.broadcast_to(share[:, None], truth.shape)[truth]).sum() / share.sum()
    loss, gradient = ms.value_and_grad(SoftmaxCrossEntropyLoss(**options), 0)(ms.Tensor(logits), ms.Tensor(labels))
    assert float(loss) == pytest.approx(expected, rel=3e-6)
    true = (np.exp(log_probs) - truth) * share[:, None] / share.sum()
    assert (gradient.asnumpy() * true).sum() / (true ** 2).sum() == pytest.approx(1, rel=3e-6)


def test_balanced_gradient_reaches_hard_pixels_alone():
    logits = np.zeros((1, 2, 1, 3), np.float32)
    logits[0, 0] = [[5, -1, 0]]    # true class 0: easy, hard, even
    labels = np.array([[[0, 0, 255]]], np.uint8)
    _, gradient = ms.value_and_grad(SoftmaxCrossEntropyLoss(hard_below=0.7), 0)(ms.Tensor(logits), ms.Tensor(labels))
    gradient = gradient.asnumpy()[0, :, 0]
    assert not gradient[:, 0].any() and not gradient[:, 2].any()
    probability = 1 / (1 + np.exp(1))
    assert gradient[:, 1] == pytest.approx([probability - 1, 1 - probability], rel=1e-5)


def dice_loss(logits, labels, ignore_label=255):
    """DiceLoss in NumPy, class by class, in float64."""
    probabilities, counted, losses = np.exp(log_softmax(logits)), labels != ignore_label, []
    for number in range(logits.shape[1]):
        p, truth = probabilities[:, number][counted], labels[counted] == number
        if truth.any():
            losses.append(1 - 2 * p[truth].sum() / ((p ** 2).sum() + truth.sum()))
    return np.mean(losses)


def dice_example():
    """Logits of five classes, and labels without class 3 and with void rows."""
    rng = np.random.default_rng(5)
    logits = (3 * rng.standard_normal((2, 5, 7, 9))).astype(np.float32)
    labels = np.array([0, 1, 2, 4], np.uint8)[rng.integers(0, 4, (2, 7, 9))]
    labels[:, :2] = 255
    return logits, labels


@pytest.mark.parametrize("ignore_label", [255, 2])
def test_dice_loss_against_numpy(ignore_label):
    """Void pixels, an absent class, and a void label that is the number of a class."""
    logits, labels = dice_example()
    labels[labels == 255] = ignore_label
    loss = DiceLoss(ignore_label)(ms.Tensor(logits), ms.Tensor(labels))
    assert float(loss) == pytest.approx(dice_loss(logits, labels, ignore_label), rel=1e-5)
    assert loss.dtype == ms.float32 == DiceLoss()(ms.Tensor(logits.astype(np.float16)), ms.Tensor(labels)).dtype


def test_dice_gradient_against_pytorch():
    torch = pytest.importorskip("torch")
    logits, labels = dice_example()
    leaf = torch.from_numpy(logits).double().requires_grad_()
    counted = torch.from_numpy(labels != 255)
    probabilities = leaf.softmax(1).permute(0, 2, 3, 1)[counted]    # (pixels, C)
    truth = torch.nn.functional.one_hot(torch.from_numpy(labels).long()[counted], 5).double()
    dice = 2 * (probabilities * truth).sum(0) / ((probabilities ** 2).sum(0) + (truth ** 2).sum(0))
    (1 - dice)[truth.sum(0) > 0].mean().backward()
    _, gradient = ms.value_and_grad(DiceLoss(), 0)(ms.Tensor(logits), ms.Tensor(labels))
    expected = leaf.grad.numpy()
    assert np.abs(gradient.asnumpy() - expected).max() <= 2e-5 * np.abs(expected).max(), "of logits up to 10"
    assert not gradient.asnumpy()[:, :, :2].any(), "void pixels"


def test_dice_loss_of_a_million_pixels():
    """Small probabilities of many pixels add up, which they do not in a plain float32 sum."""
    logits = np.zeros((1, 3, 1024, 1024), np.float32)
    logits[:, 0] = 7.0
    labels = np.zeros((1, 1024, 1024), np.uint8)
    labels[:, :100, :100] = 1
    loss = DiceLoss()(ms.Tensor(logits), ms.Tensor(labels))
    assert float(loss) == pytest.approx(dice_loss(logits, labels), rel=1e-5)


def test_a_perfect_answer_has_no_dice_loss():
    labels = np.random.default_rng(0).integers(0, 3, (1, 8, 8)).astype(np.uint8)
    logits = 50 * np.stack([labels == number for number in range(3)], 1).astype(np.float32)
    assert float(DiceLoss()(ms.Tensor(logits), ms.Tensor(labels))) == pytest.approx(0, abs=1e-6)


def test_dice_beside_weights_and_hard_pixels():
    logits, labels = dice_example()
    weights = np.array([0.2, 3, 1, 0, 7], np.float32)
    loss = WithDice(SoftmaxCrossEntropyLoss(255, weights, 0.7, 10), 0.5)(ms.Tensor(logits), ms.Tensor(labels))
    expected = balanced(logits, labels, weights, 0.7, 10) + 0.5 * dice_loss(logits, labels)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
