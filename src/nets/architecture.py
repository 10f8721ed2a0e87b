"""The architecture of DeepLabV3 as data: every convolution with its place, size, stride and dilation.

The MindSpore cells, the ONNX graph, the folding of BatchNorm and the checks of weight files all use it. It needs
neither MindSpore nor onnx. Sources: Chen et al. 2017 (arXiv 1706.05587) and the model zoo's DeepLabV3, from which the
parameter names are.
"""
import dataclasses
from typing import NamedTuple

PREFIX = "network."    # of every parameter in a checkpoint
EPSILON = 1e-5    # of every BatchNorm
EXPANSION = 4    # ratio of a bottleneck's output channels to its inner ones
MULTI_GRID = (1, 2, 4)    # factors on the dilation within layer4 (paper, table 3)

# For each output stride: (stride, dilation) of layer1 to layer4.
STAGES = {
    16: ((1, 1), (2, 1), (2, 1), (1, 2)),
    8: ((1, 1), (2, 1), (1, 2), (1, 4)),
}


class Size(NamedTuple):
    """Numbers of blocks and channels."""

    blocks: tuple    # bottlenecks in each layer; the last has len(MULTI_GRID)
    width: int    # channels of the stem and inside layer1, doubled from layer to layer
    aspp_channels: int


RESNET101 = Size((3, 4, 23, 3), 64, 256)
TINY = Size((1, 1, 1, 3), 8, 32)    # for tests and dry runs: fewer blocks and channels

# Name -> (output stride, size).
NETWORKS = {
    "deeplab_v3_s16": (16, RESNET101),
    "deeplab_v3_s8": (8, RESNET101),
    "deeplab_v3_tiny_s16": (16, TINY),
    "deeplab_v3_tiny_s8": (8, TINY),
}


class Conv(NamedTuple):
    """A convolution and the BatchNorm after it; `name` and `norm` are the names of their parameters after PREFIX."""

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    norm: str = ""    # empty for none
    bias: bool = False

    @property
    def padding(self) -> int:
        """Padding on every side; keeps the size at stride 1."""
        return self.dilation * (self.kernel - 1) // 2

    def shapes(self) -> dict:
        """Name in a checkpoint -> shape of its parameters and those of its BatchNorm."""
        found = {f"{PREFIX}{self.name}.weight": (self.out_channels, self.in_channels, self.kernel, self.kernel)}
        if self.bias:
            found[f"{PREFIX}{self.name}.bias"] = (self.out_channels,)
        if self.norm:
            found |= {f"{PREFIX}{self.norm}.{part}": (self.out_channels,)
                      for part in ("moving_mean", "moving_variance", "gamma", "beta")}
        return found


class Block(NamedTuple):
    """A bottleneck: 1x1, 3x3 with the stride, 1x1; the shortcut is projected where the size changes."""

    conv1: Conv
    conv2: Conv
    conv3: Conv
    downsample: Conv    # None for a shortcut that is the input itself


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The complete network: stem, layers of blocks, ASPP branches, image pooling, projection, classifier."""

    name: str
    output_stride: int
    atrous_rates: tuple
    num_classes: int
    stem: Conv
    layers: tuple    # of tuples of Block
    branches: tuple    # of Conv: rate 1 and each of atrous_rates
    pooling: Conv
    project: Conv    # of all branches and the pooling, concatenated
    classifier: Conv

    def convs(self) -> list:
        """Every Conv, in the order of the data flow."""
        blocks = [conv for layer in self.layers for block in layer for conv in block if conv]
        return [self.stem, *blocks, *self.branches, self.pooling, self.project, self.classifier]

    def shapes(self) -> dict:
        """Name in a checkpoint -> shape of every parameter."""
        return {name: shape for conv in self.convs() for name, shape in conv.shapes().items()}

    def folded(self):
        """The same network with a bias in place of each BatchNorm; see src.weights.folding."""
        def plain(part):
            if isinstance(part, Conv):
                return part._replace(norm="", bias=True)
            if isinstance(part, Block):
                return Block(*map(plain, part))
            return tuple(map(plain, part)) if isinstance(part, tuple) else part
        return dataclasses.replace(self, **{field: plain(getattr(self, field)) for field in (
            "stem", "layers", "branches", "pooling", "project", "classifier")})


def architecture(name: str, num_classes: int = 21, atrous_rates=(6, 12, 18)) -> Architecture:
    """The network `name` of NETWORKS.

    Args:
        num_classes: background included.
        atrous_rates: dilations of the atrous ASPP branches; the zoo uses 6 12 18 at both output strides, the paper
            doubles them at stride 8 (section 4.1).

    Raises ValueError that lists the names for any other.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}; known are {', '.join(NETWORKS)}")
    output_stride, (blocks, width, channels) = NETWORKS[name]
    layers = make_layers(blocks, width, output_stride)
    features = layers[-1][-1].conv3.out_channels
    branches = tuple(
        Conv(f"aspp.aspp{number}.aspp_conv.0", features, channels, 1 if rate == 1 else 3, dilation=rate,
             norm=f"aspp.aspp{number}.aspp_conv.1") for number, rate in enumerate((1, *atrous_rates), 1))
    return Architecture(
        name, output_stride, tuple(atrous_rates), num_classes,
        stem=Conv("resnet.conv1", 3, width, 7, 2, norm="resnet.bn1"), layers=layers, branches=branches,
        pooling=Conv("aspp.aspp_pooling.conv.0", features, channels, 1, norm="aspp.aspp_pooling.conv.1"),
        project=Conv("aspp.conv1", channels * (len(branches) + 1), channels, 1, norm="aspp.bn1"),
        classifier=Conv("aspp.conv2", channels, num_classes, 1, bias=True))


def make_layers(blocks: tuple, width: int, output_stride: int) -> tuple:
    """layer1 to layer4 of the backbone, each a tuple of Block."""
    layers, channels = [], width
    for number, (count, (stride, dilation)) in enumerate(zip(blocks, STAGES[output_stride]), 1):
        inner = width * 2 ** (number - 1)
        grid = MULTI_GRID if number == 4 else (1,) * count
        layer = []
        for index, factor in enumerate(grid):
            layer.append(make_block(f"resnet.layer{number}.{index}", channels, inner, stride if index == 0 else 1,
                                    dilation * factor, index == 0))
            channels = inner * EXPANSION
        layers.append(tuple(layer))
    return tuple(layers)


def make_block(place: str, in_channels: int, width: int, stride: int, dilation: int, project: bool) -> Block:
    """The bottleneck at `place`: `width` channels inside, EXPANSION * width out."""
    out = width * EXPANSION
    shortcut = Conv(f"{place}.downsample.0", in_channels, out, 1, stride, norm=f"{place}.downsample.1")
    return Block(Conv(f"{place}.conv1", in_channels, width, 1, norm=f"{place}.bn1"),
                 Conv(f"{place}.conv2", width, width, 3, stride, dilation, norm=f"{place}.bn2"),
                 Conv(f"{place}.conv3", width, out, 1, norm=f"{place}.bn3"),
                 shortcut if project else None)


def multiply_adds(network: Architecture, side: int) -> int:
    """Multiplications, each with an addition, of all convolutions for one picture of side x side pixels.

    What else is computed (BatchNorm, resizing, softmax) is below 1 % and not counted, as PyTorch's FlopCounterMode
    does not count it; its FLOPs are twice this number.
    """
    side = strided(side, network.stem.stride)
    total = products(network.stem, side)
    side = strided(side, 2)    # max pool
    for block in (block for layer in network.layers for block in layer):
        total += products(block.conv1, side)
        side = strided(side, block.conv2.stride)
        total += sum(products(conv, side) for conv in (block.conv2, block.conv3, block.downsample) if conv)
    head = (*network.branches, network.project, network.classifier)
    return total + sum(products(conv, side) for conv in head) + products(network.pooling, 1)


def strided(side: int, stride: int) -> int:
    """Side of the output of a convolution or pool that keeps the size at stride 1."""
    return (side - 1) // stride + 1


def products(conv: Conv, side: int) -> int:
    """Multiplications of a convolution with side x side outputs."""
    return conv.in_channels * conv.out_channels * conv.kernel ** 2 * side ** 2
