"""The networks by name, and the two cells they run in: training with its loss, inference with its softmax.

Both cells hold the network as `network`, so parameters have the names of the published checkpoints: network.resnet....
"""
from contextlib import nullcontext
from functools import partial

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.nn.utils import no_init_parameters

from src.nets.deeplab_v3.deeplab_v3 import DeepLabV3

# Small enough for tests and dry runs: the same code with fewer blocks and channels.
TINY = {"blocks": (1, 1, 1, 3), "width": 8, "aspp_channels": 32}

NETS = {
    "deeplab_v3_s16": partial(DeepLabV3, output_stride=16),
    "deeplab_v3_s8": partial(DeepLabV3, output_stride=8),
    "deeplab_v3_tiny_s16": partial(DeepLabV3, output_stride=16, **TINY),
    "deeplab_v3_tiny_s8": partial(DeepLabV3, output_stride=8, **TINY),
}


def create_network(name, num_classes=21, atrous_rates=(6, 12, 18), freeze_bn=False, draw=True) -> DeepLabV3:
    """The network called `name` in NETS; raises ValueError that lists the names for any other.

    With draw=False the parameters have no values yet: a checkpoint must set every one, and a second is saved.
    """
    if name not in NETS:
        raise ValueError(f"unknown network {name!r}; known are {', '.join(NETS)}")
    with nullcontext() if draw else no_init_parameters():
        return NETS[name](num_classes=num_classes, atrous_rates=tuple(atrous_rates), freeze_bn=freeze_bn)


def zero_init_residual(network) -> None:
    """Let every residual block begin as the identity: gamma of its last BatchNorm 0 (Goyal et al. 2017, section 5.1).

    A hundred layers from scratch learn sooner so; the published recipe starts from ImageNet weights and has no need.
    """
    for name, parameter in network.parameters_and_names():
        if name.endswith(".bn3.gamma"):
            parameter.set_data(Tensor(np.zeros(parameter.shape, np.float32)))


def normalisation(mean, std) -> tuple:
    """Tensors (1, 3, 1, 1) float32: pixels normalise as (image - mean) * factor."""
    return (Tensor(np.reshape(mean, (1, 3, 1, 1)).astype(np.float32)),
            Tensor(np.reshape(1 / np.asarray(std, np.float64), (1, 3, 1, 1)).astype(np.float32)))


class TrainingNetwork(nn.Cell):
    """Pictures (N, 3, H, W) uint8 blue green red, labels (N, H, W) uint8, keys (N,) int32 -> loss, a float32 scalar."""

    def __init__(self, network, loss, mean, std):
        super().__init__()
        self.network = network
        self.loss = loss
        self.mean, self.factor = normalisation(mean, std)

    def construct(self, image, label, dropout_key):
        normalised = (ops.cast(image, mstype.float32) - self.mean) * self.factor
        return self.loss(self.network(normalised, dropout_key), label)


class InferenceNetwork(nn.Cell):
    """Pictures -> probabilities (N, num_classes, H, W) float32.

    Args:
        input_type: float32 for normalised pictures; uint8 for blue green red pixels, normalised here.
        input_format: NCHW for (N, 3, H, W), NHWC for (N, H, W, 3).
        mean, std: of each channel, for uint8.
        auto_prefix: False for a network that another cell holds already, so that its parameters keep their names.
    """

    def __init__(self, network, input_type="float32", input_format="NCHW", mean=(0, 0, 0), std=(1, 1, 1),
                 auto_prefix=True):
        super().__init__(auto_prefix=auto_prefix)
        self.network = network
        self.softmax = nn.Softmax(axis=1)
        self.is_pixels, self.is_nhwc = input_type == "uint8", input_format == "NHWC"
        self.mean, self.factor = normalisation(mean, std)
        self.set_train(False)    # BatchNorm's moving statistics, no dropout

    def construct(self, image):
        if self.is_nhwc:
            image = ops.transpose(image, (0, 3, 1, 2))    # (N, 3, H, W)
        if self.is_pixels:
            image = (ops.cast(image, mstype.float32) - self.mean) * self.factor
        return self.softmax(self.network(image))
