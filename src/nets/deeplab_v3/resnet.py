"""ResNet backbone with atrous convolutions in its last blocks (He et al. 2015; DeepLabV3 paper section 3.1)."""
from mindspore import nn

from src.nets.architecture import Architecture, Block
from src.nets.layers import batch_norm, conv


class Bottleneck(nn.Cell):
    """1x1 - 3x3 - 1x1 residual block, the stride on the 3x3."""

    def __init__(self, block: Block):
        super().__init__()
        self.conv1, self.bn1 = conv(block.conv1), batch_norm(block.conv1)
        self.conv2, self.bn2 = conv(block.conv2), batch_norm(block.conv2)
        self.conv3, self.bn3 = conv(block.conv3), batch_norm(block.conv3)
        self.relu = nn.ReLU()
        self.downsample = (nn.SequentialCell([conv(block.downsample), batch_norm(block.downsample)])
                           if block.downsample else None)

    def construct(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))    # (N, width, H/stride, W/stride)
        out = self.bn3(self.conv3(out))    # (N, 4 width, H/stride, W/stride)
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(out + identity)


class ResNet(nn.Cell):
    """Stem and four layers; (N, 3, H, W) -> (N, 32 * width, H/s, W/s) for output stride s."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.conv1, self.bn1 = conv(architecture.stem), batch_norm(architecture.stem)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="same")
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.SequentialCell([Bottleneck(block) for block in layer]) for layer in architecture.layers)

    def construct(self, x):
        x = self.relu(self.bn1(self.conv1(x)))    # (N, 64, H/2, W/2)
        x = self.maxpool(x)    # (N, 64, H/4, W/4)
        x = self.layer1(x)    # (N, 256, H/4, W/4)
        x = self.layer2(x)    # (N, 512, H/8, W/8)
        x = self.layer3(x)    # (N, 1024, H/s, W/s)
        return self.layer4(x)    # (N, 2048, H/s, W/s)
