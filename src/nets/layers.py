"""Convolution, BatchNorm and dropout as this network uses them; the only file that knows BatchNorm.

MindSpore changes layer defaults between releases (momentum 0.9 to 0.1, bias on), so every argument is given.
"""
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype


def conv(in_channels, out_channels, kernel_size, stride=1, dilation=1, bias=False) -> nn.Conv2d:
    """Convolution that keeps the size at stride 1: padding = dilation * (kernel_size - 1) / 2."""
    padding = dilation * (kernel_size - 1) // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, pad_mode="pad" if padding else "valid",
                     padding=padding, dilation=dilation, group=1, has_bias=bias, weight_init="xavier_uniform",
                     bias_init="zeros")


def batch_norm(channels, freeze_bn) -> nn.BatchNorm2d:
    """BatchNorm with MindSpore's momentum 0.9 (the share of the old value) as the zoo trains it.

    Batch statistics in training, moving statistics in evaluation; with freeze_bn moving statistics always,
    gamma and beta are still trained.
    """
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.9, affine=True, gamma_init="ones", beta_init="zeros",
                          moving_mean_init="zeros", moving_var_init="ones",
                          use_batch_statistics=False if freeze_bn else None)


class ChannelBias(nn.Cell):
    """What is left of a BatchNorm whose factor the convolution took: (N, C, H, W) plus beta (C,)."""

    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def construct(self, x):
        return ops.bias_add(x, self.beta)


def fold_batch_norm(network) -> None:
    """Put each BatchNorm's moving statistics into the convolution before it, in place; where nothing is trained.

    The network computes the same within rounding and reads each feature map once less. Convolution and BatchNorm stand
    one after the other among a cell's children. gamma and the statistics are gone afterwards, so checkpoints are
    loaded before and none can be saved.
    """
    for _, cell in list(network.cells_and_names()):
        children = list(cell.name_cells().items())
        for (_, convolution), (name, norm) in zip(children, children[1:]):
            if isinstance(norm, nn.BatchNorm2d):
                bias, known = fold(convolution, norm), norm.beta.name
                if isinstance(cell, nn.SequentialCell):
                    cell[int(name)] = ChannelBias(bias)
                else:
                    setattr(cell, name, ChannelBias(bias))
                bias.name = known    # MindSpore has put this cell's name before it
    network.set_train(False)


def fold(convolution, norm):
    """Scale the convolution's weights as the BatchNorm does; returns its beta with what is left to add."""
    gamma, beta, mean, variance = (value.asnumpy().astype(np.float64) for value in (
        norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance))
    factor = gamma / np.sqrt(variance + norm.eps)
    weight = convolution.weight.asnumpy() * factor.reshape(-1, 1, 1, 1)
    convolution.weight.set_data(Tensor(weight.astype(np.float32)))
    norm.beta.set_data(Tensor((beta - mean * factor).astype(np.float32)))
    return norm.beta


class KeyedDropout(nn.Cell):
    """Dropout whose mask is a function of a key for each sample, so that a resumed run drops what the uncut run drops.

    MindSpore's Dropout counts inside its kernels, which no checkpoint holds. Here every element's number is mixed with
    its sample's key (three rounds of multiply and xor-shift, as integer hashes do) and compared with `p`.

    Args:
        p: share of the elements that is set to 0; the others are divided by 1 - p.
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
