"""The same DeepLabV3 in PyTorch, for weights from `convert_resnet101.py --to torch`.

    network, notes = load("deeplab_v3.safetensors")
    logits = network(images)    # (N, 3, H, W) float32, blue green red, normalised by notes' image_mean and image_std
"""
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, size, stride=1, dilation=1, bias=False):
    return nn.Conv2d(inputs, outputs, size, stride, dilation * (size - 1) // 2, dilation, bias=bias)


def conv_bn(inputs, outputs, size, stride=1, dilation=1, *more):
    return nn.Sequential(conv(inputs, outputs, size, stride, dilation), nn.BatchNorm2d(outputs), *more)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, dilation, project):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride, dilation), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.downsample = conv_bn(inputs, 4 * width, 1, stride) if project else nn.Identity()

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class ResNet(nn.Module):
    def __init__(self, blocks, width, output_stride):
        super().__init__()
        stages = {16: ((1, 1), (2, 1), (2, 1), (1, 2)), 8: ((1, 1), (2, 1), (1, 2), (1, 4))}[output_stride]
        self.conv1, self.bn1, inputs = conv(3, width, 7, 2), nn.BatchNorm2d(width), width
        for number, (count, (stride, dilation)) in enumerate(zip(blocks, stages)):
            layer, inner = nn.Sequential(), width * 2 ** number
            for i in range(count):
                grid = (1, 2, 4)[i] if number == 3 else 1
                layer.append(Bottleneck(inputs, inner, 1 if i else stride, dilation * grid, i == 0))
                inputs = 4 * inner
            setattr(self, f"layer{number + 1}", layer)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        top, left = (size % 2 for size in x.shape[2:])    # MindSpore's pad mode "same"
        x = F.max_pool2d(F.pad(x, (left, 1, top, 1), value=float("-inf")), 3, 2)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class ASPP(nn.Module):
    def __init__(self, inputs, channels, num_classes, rates):
        super().__init__()
        for number, rate in enumerate((1, *rates), 1):
            branch = nn.Module()
            branch.aspp_conv = conv_bn(inputs, channels, 1 if rate == 1 else 3, 1, rate, nn.ReLU())
            setattr(self, f"aspp{number}", branch)
        self.aspp_pooling = nn.Module()
        self.aspp_pooling.conv = conv_bn(inputs, channels, 1, 1, 1, nn.ReLU())
        self.branches = len(rates) + 1
        self.conv1, self.bn1 = conv((self.branches + 1) * channels, channels, 1), nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, num_classes, 1, bias=True)

    def forward(self, x):
        outs = [getattr(self, f"aspp{number}").aspp_conv(x) for number in range(1, self.branches + 1)]
        pooled = self.aspp_pooling.conv(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        out = F.relu(self.bn1(self.conv1(torch.cat([*outs, pooled], 1))))
        return self.conv2(F.dropout(out, 0.7, self.training))


class DeepLabV3(nn.Module):
    def __init__(self, blocks, width, channels, num_classes, output_stride, rates):
        super().__init__()
        self.resnet = ResNet(blocks, width, output_stride)
        self.aspp = ASPP(32 * width, channels, num_classes, rates)

    def forward(self, x):
        return F.interpolate(self.aspp(self.resnet(x)), size=x.shape[2:], mode="bilinear", align_corners=True)


def load(path):
    """(network in evaluation mode, the file's notes); sizes are taken from the weights."""
    with safe_open(path, "pt") as file:
        notes, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    blocks = [len({name.split(".")[2] for name in state if name.startswith(f"resnet.layer{i}.")}) for i in (1, 2, 3, 4)]
    num_classes, channels = state["aspp.conv2.weight"].shape[:2]
    network = DeepLabV3(blocks, len(state["resnet.conv1.weight"]), channels, num_classes, int(notes["output_stride"]),
                        tuple(map(int, notes["atrous_rates"].split())))
    missing, unknown = network.load_state_dict(state, strict=False)
    problems = unknown + [name for name in missing if not name.endswith("num_batches_tracked")]
    if problems:
        raise ValueError(f"{path}: not the weights of this network: {problems[:5]}")
    return network.eval(), notes
