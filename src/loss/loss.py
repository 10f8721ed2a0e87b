"""Pixel-wise cross entropy over the pixels that are not ignored, and its variants for unbalanced sets."""
import math

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype


def log_probabilities(logits):
    """Log-softmax of logits (N, C, H, W) float -> (N * H * W, C) float32."""
    # The kernels work along the last axis; this transpose is faster than the one they would do.
    logits = ops.cast(logits, mstype.float32).transpose(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return ops.log_softmax(logits, -1)


class SoftmaxCrossEntropyLoss(nn.Cell):
    """Mean cross entropy of logits (N, C, H, W) float and labels (N, H, W) integer -> float32 scalar.

    sum(weight * loss) / sum(weight) as in PyTorch, over the pixels that count; a batch without any gives 0. No one-hot
    array of N * C * H * W values is made.

    Args:
        ignore_label: label of pixels that do not count.
        class_weights: num_classes numbers >= 0, or None for 1 each.
        hard_below: online hard example mining (Shrivastava et al. 2016): pixels count only if the probability of
            their true class is below this; 0 counts all.
        min_kept: with hard_below, at least this many of the batch's hardest pixels count (more if some are equal).
    """

    def __init__(self, ignore_label=255, class_weights=None, hard_below=0.0, min_kept=1):
        super().__init__()
        self.ignore_label, self.min_kept = ignore_label, min_kept
        self.hard_above = -math.log(hard_below) if hard_below else None    # as a loss
        self.weights = None if class_weights is None else Tensor(np.asarray(class_weights, np.float32))

    def construct(self, logits, labels):
        scores, labels = log_probabilities(logits), ops.cast(labels, mstype.int32).reshape(-1)    # (N * H * W,)
        if self.hard_above is not None:
            labels = self.hard(ops.stop_gradient(scores), labels)
        counted = labels != self.ignore_label
        share = ops.cast(counted, mstype.float32)
        if self.weights is not None:
            share = share * ops.gather(self.weights, ops.select(counted, labels, ops.zeros_like(labels)), 0)
        total = ops.nll_loss(scores, labels, self.weights, self.ignore_label, "sum")
        return total / ops.maximum(share.sum(), 1e-6)

    def hard(self, scores, labels):
        """The labels; ignore_label at the pixels that are too easy."""
        loss = ops.nll_loss(scores, labels, None, self.ignore_label, "none")    # 0 where ignored
        hardest, _ = ops.topk(loss, min(self.min_kept, loss.shape[0]))
        least = ops.minimum(hardest[-1], self.hard_above)    # the easiest pixel that still counts
        return ops.select(loss >= least, labels, ops.full_like(labels, self.ignore_label))


class DiceLoss(nn.Cell):
    """Soft Dice loss (Milletari et al. 2016, V-Net, section 3) of logits (N, C, H, W) and labels (N, H, W) -> float32.

    For a class with probabilities p and truth g, 1 or 0, 1 - 2 sum(p g) / (sum(p^2) + sum(g^2)), summed over the
    batch's pixels that are not labelled ignore_label; then the mean over the classes that any of these pixels has, or 0
    if there is no such pixel.
    """

    def __init__(self, ignore_label=255):
        super().__init__()
        self.ignore_label = ignore_label

    def construct(self, logits, labels):
        count, classes, height, width = logits.shape
        labels = ops.cast(labels, mstype.int32).reshape(-1, 1)    # (N * H * W, 1)
        counted = labels != self.ignore_label
        labels = ops.select(counted, labels, ops.full_like(labels, -1))    # of no class
        truth = ops.cast(labels == ops.arange(0, classes, dtype=mstype.int32), mstype.float32)    # (N * H * W, C)
        probabilities = ops.exp(log_probabilities(logits)) * ops.cast(counted, mstype.float32)
        shape = (count, height, width, classes)
        sizes, squares = self.total(truth, shape), self.total(probabilities * probabilities, shape)    # (C,) each
        present = ops.cast(sizes > 0, mstype.float32)
        # The sizes of classes that are present are 1 at least.
        dice = 2 * self.total(probabilities * truth, shape) / ops.maximum(squares + sizes, 1.0)
        return (present * (1 - dice)).sum() / ops.maximum(present.sum(), 1.0)

    def total(self, values, shape):
        """Sum of (N * H * W, C) over pixels, axis by axis: float32 loses small addends to a sum of millions."""
        return values.reshape(shape).sum(2).sum(1).sum(0)


class WithDice(nn.Cell):
    """cross_entropy + weight * DiceLoss; class weights and hard pixels are matters of the former alone."""

    def __init__(self, cross_entropy, weight: float, ignore_label=255):
        super().__init__()
        self.cross_entropy, self.dice, self.weight = cross_entropy, DiceLoss(ignore_label), weight

    def construct(self, logits, labels):
        return self.cross_entropy(logits, labels) + self.weight * self.dice(logits, labels)
