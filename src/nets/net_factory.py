"""The network as a MindSpore cell, and the two cells around it: training with loss, inference with softmax.

Both hold the network as `network`, so parameters have the names of the published checkpoints: network.resnet....
"""
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore import dtype as mstype
from mindspore.nn.utils import no_init_parameters

from src.nets.architecture import Architecture, architecture
from src.nets.deeplab_v3.deeplab_v3 import DeepLabV3
from src.nets.layers import UnkeyedDropout, freeze, freeze_statistics


def create_network(name, num_classes=21, atrous_rates=(6, 12, 18), freeze_bn=False) -> DeepLabV3:
    """The network `name` of architecture.NETWORKS, initialised; with freeze_bn, see layers.freeze_statistics.

    Raises ValueError for any other name.
    """
    network = DeepLabV3(architecture(name, num_classes, atrous_rates))
    if freeze_bn:
        freeze_statistics(network)
    return network


def create_inference(shape: Architecture, weights: dict, **inputs):
    """InferenceNetwork of an architecture, folded or not, with an array for each of shape.shapes(); no random
    initialisation is computed. `inputs`: see InferenceNetwork."""
    with no_init_parameters():
        network = InferenceNetwork(DeepLabV3(shape), **inputs)
    for name, parameter in network.parameters_and_names():
        # A copy: MindSpore 2.7 refuses arrays that are views of the mapped file.
        parameter.set_data(Tensor(np.array(weights[name], np.float32, order="C")))
    return network


def zero_init_residual(network) -> None:
    """Start every residual block as the identity: gamma of its last BatchNorm is 0 (Goyal et al. 2017, section 5.1).

    So a hundred layers from scratch learn faster; the published recipe starts from ImageNet weights and does not need
    it.
    """
    for name, parameter in network.parameters_and_names():
        if name.endswith(".bn3.gamma"):
            parameter.set_data(Tensor(np.zeros(parameter.shape, np.float32)))


def freeze_backbone(network, layers: int) -> None:
    """Leave the stem (its convolution and BatchNorm) and layer1 to layer`layers` as they are in training, BatchNorm's
    moving statistics included."""
    resnet = network.resnet
    for cell in (resnet.conv1, resnet.bn1, *(getattr(resnet, f"layer{number + 1}") for number in range(layers))):
        freeze(cell)


def use_unkeyed_dropout(network) -> None:
    """Let MindSpore draw what is dropped, for devices where KeyedDropout is not safe."""
    network.aspp.drop = UnkeyedDropout(network.aspp.drop.p)


def normalisation(mean, std) -> tuple:
    """Tensors mean and factor, (1, 3, 1, 1) float32: normalised is (image - mean) * factor."""
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
        auto_prefix: False for a network inside another cell, so that its parameters keep their names.
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
