"""A ResNet-101 with torchvision's names and DeepLabV3's dilations, the reference for conversions."""
import torch
from torch import nn

# (stride, dilation) of layer1 to layer4: 16 and 8 dilate in place of striding, 32 is the classifier itself.
STAGES = {32: ((1, 1), (2, 1), (2, 1), (2, 1)),
          16: ((1, 1), (2, 1), (2, 1), (1, 2)),
          8: ((1, 1), (2, 1), (1, 2), (1, 4))}


class Block(nn.Module):
    def __init__(self, inputs, width, stride, dilation, project):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        self.downsample = None
        if project:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False),
                                            nn.BatchNorm2d(4 * width))

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn3(self.conv3(out)) + identity)


class TorchResNet(nn.Module):
    """(N, 3, H, W) red green blue -> features of layer4 (N, 32 width, H/s, W/s)."""

    def __init__(self, blocks=(3, 4, 23, 3), width=64, output_stride=16):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for number, (count, (stride, dilation)) in enumerate(zip(blocks, STAGES[output_stride])):
            grid = (1, 2, 4) if number == 3 and dilation > 1 else (1,) * count
            inner, layer = width * 2 ** number, []
            for i in range(count):
                layer.append(Block(inputs, inner, 1 if i else stride, dilation * grid[i], i == 0))
                inputs = 4 * inner
            setattr(self, f"layer{number + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(inputs, 1000)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def random_resnet(seed=0, **size):
    """A TorchResNet in evaluation mode with random weights and running statistics of usual size."""
    torch.manual_seed(seed)
    network = TorchResNet(**size)
    with torch.no_grad():
        for name, value in [*network.named_parameters(), *network.named_buffers()]:
            if value.dim() > 1:
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
            elif name.endswith("running_var"):
                value.uniform_(0.75, 1.25)
            elif name.endswith((".weight", "weight")):
                value.normal_(0.2 if ".bn3." in name else 1.0, 0.05)
            elif value.dtype == torch.float32:
                value.normal_(0, 0.1)
    return network.eval()
