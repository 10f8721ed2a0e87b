"""Convolution, BatchNorm and dropout as MindSpore cells; the only file that uses MindSpore's BatchNorm.

MindSpore changes layer defaults between releases (momentum 0.9 to 0.1, bias on), so every argument is given.
"""
from mindspore import dtype as mstype
from mindspore import nn, ops

from src.nets.architecture import EPSILON, Conv


def conv(spec: Conv) -> nn.Conv2d:
    """The convolution of `spec`; (N, in, H, W) -> (N, out, H / stride, W / stride)."""
    return nn.Conv2d(spec.in_channels, spec.out_channels, spec.kernel, stride=spec.stride,
                     pad_mode="pad" if spec.padding else "valid", padding=spec.padding, dilation=spec.dilation, group=1,
                     has_bias=spec.bias, weight_init="xavier_uniform", bias_init="zeros")


def batch_norm(spec: Conv) -> nn.Cell:
    """The BatchNorm after `spec`, with momentum 0.9 (the share of the old value) as in the zoo.

    It uses batch statistics in training and moving statistics in evaluation. In a folded network it returns its input.
    """
    if not spec.norm:
        return nn.Identity()
    return nn.BatchNorm2d(spec.out_channels, eps=EPSILON, momentum=0.9, affine=True, gamma_init="ones",
                          beta_init="zeros", moving_mean_init="zeros", moving_var_init="ones",
                          use_batch_statistics=None)


class KeyedDropout(nn.Cell):
    """Dropout whose mask depends only on a key for each sample, so that a resumed run repeats an uninterrupted one.

    MindSpore's Dropout keeps its state inside its kernels, so it is not in checkpoints. Here every element's number is
    mixed with its sample's key (three rounds of multiply and xor-shift, as in integer hashes) and compared with `p`.

    Args:
        p: share of the elements that are set to 0; the others are divided by 1 - p.
    """

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.threshold = int(p * 2 ** 31)

    def construct(self, x, key):
        if not self.training:
            return x
        _, channels, height, width = x.shape
        numbers = ops.arange(0, channels * height * width, dtype=mstype.int32).reshape(1, channels, height, width)
        bits = numbers + key.reshape(-1, 1, 1, 1)    # (N, C, H, W) int32; sums and products wrap around
        for factor, shift in ((0x2C1B3C6D, 1 << 16), (0x297A2D39, 1 << 15), (0x6A09E667, 1 << 16)):
            bits = ops.bitwise_and(bits * factor, 0x7FFFFFFF)
            bits = ops.bitwise_xor(bits, bits // shift)
        return x * ops.cast(bits >= self.threshold, x.dtype) / (1 - self.p)


def freeze(cell: nn.Cell) -> None:
    """Leave a cell as it is in training: no gradient for its parameters, and freeze_statistics."""
    for parameter in cell.get_parameters():
        parameter.requires_grad = False
    freeze_statistics(cell)


def freeze_statistics(cell: nn.Cell) -> None:
    """Let BatchNorm use its moving statistics in training too, and leave them; gamma and beta are still trained."""
    for _, part in cell.cells_and_names():
        if isinstance(part, nn.BatchNorm2d):
            part.use_batch_statistics = False


class UnkeyedDropout(nn.Cell):
    """MindSpore's own dropout, as published, with the inputs of KeyedDropout.

    For Ascend and GPU: KeyedDropout needs int32 products that wrap around, which no page promises there. Its masks
    cannot be repeated, so a resumed run drops others than the uncut run, and as many.
    """

    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p=p)

    def construct(self, x, key):
        return self.drop(x)
