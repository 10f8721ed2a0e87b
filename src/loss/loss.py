"""Pixel-wise cross entropy over the pixels that are not ignored."""
from mindspore import dtype as mstype
from mindspore import nn, ops


class SoftmaxCrossEntropyLoss(nn.Cell):
    """Mean cross entropy of logits (N, C, H, W) float and labels (N, H, W) integer -> float32 scalar.

    Pixels labelled ignore_label count neither above nor below the fraction bar; a batch of nothing else gives 0.
    Log-softmax and negative log-likelihood take the labels as numbers: no one-hot of N * C * H * W values is made.
    """

    def __init__(self, ignore_label=255):
        super().__init__()
        self.ignore_label = ignore_label

    def construct(self, logits, labels):
        logits = ops.cast(logits, mstype.float32)
        # The kernels run along the last axis, and this turn is cheaper than theirs.
        logits = logits.transpose(0, 2, 3, 1).reshape(-1, logits.shape[1])    # (N * H * W, C)
        labels = ops.cast(labels, mstype.int32).reshape(-1)    # (N * H * W,)
        total = ops.nll_loss(ops.log_softmax(logits, -1), labels, ignore_index=self.ignore_label, reduction="sum")
        counted = ops.cast(labels != self.ignore_label, mstype.float32).sum()
        return total / ops.maximum(counted, 1.0)
