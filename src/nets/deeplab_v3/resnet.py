"""ResNet backbone with atrous convolutions in its last blocks (He et al. 2015; DeepLabV3 paper section 3.1)."""
from mindspore import nn

from src.nets.layers import batch_norm, conv

MULTI_GRID = (1, 2, 4)    # factors on the dilation within layer4 (paper, table 3)

# For each output stride: (stride, dilation) of layer1 to layer4.
STAGES = {
    16: ((1, 1), (2, 1), (2, 1), (1, 2)),
    8: ((1, 1), (2, 1), (1, 2), (1, 4)),
}


class Bottleneck(nn.Cell):
    """1x1 - 3x3 - 1x1 residual block, the stride on the 3x3; `width` channels inside, 4 * width out."""

    expansion = 4

    def __init__(self, in_channels, width, stride, dilation, project, freeze_bn):
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = conv(in_channels, width, 1)
        self.bn1 = batch_norm(width, freeze_bn)
        self.conv2 = conv(width, width, 3, stride, dilation)
        self.bn2 = batch_norm(width, freeze_bn)
        self.conv3 = conv(width, out_channels, 1)
        self.bn3 = batch_norm(out_channels, freeze_bn)
        self.relu = nn.ReLU()
        self.downsample = nn.SequentialCell([conv(in_channels, out_channels, 1, stride),
                                             batch_norm(out_channels, freeze_bn)]) if project else None

    def construct(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))    # (N, width, H/stride, W/stride)
        out = self.bn3(self.conv3(out))    # (N, 4 width, H/stride, W/stride)
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(out + identity)


class ResNet(nn.Cell):
    """Stem and four layers; returns (N, 32 * width, H/s, W/s) for output stride s.

    Args:
        blocks: number of bottlenecks in each layer; the last layer must have len(MULTI_GRID).
        width: channels of the stem and inside layer1; doubled from layer to layer.
        output_stride: 16 or 8, a key of STAGES.
        freeze_bn: see layers.batch_norm.
    """

    def __init__(self, blocks, width, output_stride, freeze_bn):
        super().__init__()
        self.conv1 = conv(3, width, 7, stride=2)
        self.bn1 = batch_norm(width, freeze_bn)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="same")
        layers, channels = [], width
        for number, (count, (stride, dilation)) in enumerate(zip(blocks, STAGES[output_stride])):
            inner = width * 2 ** number
            grid = MULTI_GRID if number == 3 else (1,) * count
            layers.append(nn.SequentialCell([
                Bottleneck(inner * Bottleneck.expansion if i else channels, inner, 1 if i else stride,
                           dilation * grid[i], i == 0, freeze_bn) for i in range(count)]))
            channels = inner * Bottleneck.expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.out_channels = channels

    def construct(self, x):
        x = self.relu(self.bn1(self.conv1(x)))    # (N, 64, H/2, W/2)
        x = self.maxpool(x)    # (N, 64, H/4, W/4)
        x = self.layer1(x)    # (N, 256, H/4, W/4)
        x = self.layer2(x)    # (N, 512, H/8, W/8)
        x = self.layer3(x)    # (N, 1024, H/s, W/s)
        return self.layer4(x)    # (N, 2048, H/s, W/s)
