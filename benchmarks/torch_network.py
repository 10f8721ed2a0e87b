"""The same network in PyTorch with the same weights, for side-by-side timings; read off the MindSpore network.

python -m benchmarks.torch_network MODULE.pt SIDE FILE.onnx writes PyTorch's own export of a saved module.
"""
import sys
import time

import torch
from torch import nn
from torch.nn import functional


def tensor(parameter):
    return nn.Parameter(torch.from_numpy(parameter.asnumpy().copy()), requires_grad=False)


def conv_norm(conv, norm=None, relu=True):
    padding = 0 if conv.pad_mode == "valid" else conv.padding
    layer = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, padding, conv.dilation,
                      bias=conv.has_bias)
    layer.weight = tensor(conv.weight)
    if conv.has_bias:
        layer.bias = tensor(conv.bias)
    layers = [layer]
    if norm is not None:
        layers.append(nn.BatchNorm2d(conv.out_channels, eps=norm.eps))
        layers[1].weight, layers[1].bias = tensor(norm.gamma), tensor(norm.beta)
        layers[1].running_mean.copy_(tensor(norm.moving_mean))
        layers[1].running_var.copy_(tensor(norm.moving_variance))
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Bottleneck(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.body = nn.Sequential(conv_norm(block.conv1, block.bn1), conv_norm(block.conv2, block.bn2),
                                  conv_norm(block.conv3, block.bn3, relu=False))
        self.downsample = conv_norm(*block.downsample, relu=False) if block.downsample is not None else nn.Identity()

    def forward(self, x):
        return functional.relu(self.body(x) + self.downsample(x))


class DeepLabV3(nn.Module):
    """(N, 3, H, W) -> probabilities (N, C, H, W), H and W odd; for evaluation.

    train() and requires_grad_() make it what is trained.
    """

    def __init__(self, network):
        super().__init__()
        resnet, aspp = network.resnet, network.aspp
        self.backbone = nn.Sequential(
            conv_norm(resnet.conv1, resnet.bn1), nn.MaxPool2d(3, 2, 1),
            *(Bottleneck(block) for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)
              for block in layer))
        self.branches = nn.ModuleList(conv_norm(*list(branch.aspp_conv)[:2]) for branch in aspp.branches)
        self.pooling = conv_norm(*list(aspp.aspp_pooling.conv)[:2])
        self.project = conv_norm(aspp.conv1, aspp.bn1)
        self.classifier = conv_norm(aspp.conv2, relu=False)
        self.eval()

    def logits(self, image):
        x = self.backbone(image)
        outs = [branch(x) for branch in self.branches]
        pooled = self.pooling(x.mean((2, 3), keepdim=True)).expand(-1, -1, x.shape[2], x.shape[3])
        x = functional.dropout(self.project(torch.cat([*outs, pooled], 1)), 0.7, self.training)
        return functional.interpolate(self.classifier(x), size=image.shape[2:], mode="bilinear", align_corners=True)

    def forward(self, image):
        return torch.softmax(self.logits(image), 1)


def operations(network, image) -> float:
    """Multiplications and additions of the convolutions in one forward pass."""
    total = []

    def count(layer, _, out):
        total.append(2 * layer.weight.numel() * out.shape[0] * out.shape[2] * out.shape[3])
    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    with torch.inference_mode():
        network(image)
    for hook in hooks:
        hook.remove()
    return float(sum(total))


def multiply_rate(side=2048, rounds=5) -> float:
    """Operations a second that this machine reaches in a float32 product of two square matrices, the best of some."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * side ** 3 / min(seconds)


def export(module_path: str, side: int, path: str) -> None:
    """PyTorch's own ONNX export of a saved DeepLabV3, for one picture of side x side."""
    network = torch.load(module_path, weights_only=False)
    torch.onnx.export(network, (torch.zeros(1, 3, side, side),), path, input_names=["image"], output_names=["probs"],
                      dynamo=True, external_data=False)


if __name__ == "__main__":
    export(sys.argv[1], int(sys.argv[2]), sys.argv[3])
