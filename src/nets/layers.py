"""Convolution and BatchNorm as this network uses them; the only file that knows BatchNorm.

MindSpore changes layer defaults between releases (momentum 0.9 to 0.1, bias on), so every argument is given.
"""
from mindspore import nn


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
