"""Atrous spatial pyramid pooling: parallel dilations and image pooling (paper section 3.3, figure 5)."""
from mindspore import nn, ops

from src.nets.architecture import Architecture, Conv
from src.nets.layers import KeyedDropout, batch_norm, conv

DROPOUT = 0.7    # share that is dropped: the zoo's keep_prob is 0.3


def conv_bn_relu(spec: Conv):
    return nn.SequentialCell([conv(spec), batch_norm(spec), nn.ReLU()])


class ASPPConv(nn.Cell):
    """One branch: 1x1 for rate 1, else 3x3 with dilation `rate`."""

    def __init__(self, spec: Conv):
        super().__init__()
        self.aspp_conv = conv_bn_relu(spec)

    def construct(self, x):
        return self.aspp_conv(x)


class ASPPPooling(nn.Cell):
    """Image pooling: mean over the feature map, 1x1 convolution, copied to every position."""

    def __init__(self, spec: Conv):
        super().__init__()
        self.conv = conv_bn_relu(spec)

    def construct(self, x):
        out = self.conv(ops.mean(x, (2, 3), keep_dims=True))    # (N, out, 1, 1)
        return ops.broadcast_to(out, (-1, -1, x.shape[2], x.shape[3]))


class ASPP(nn.Cell):
    """Branches of rate 1 and `atrous_rates`, image pooling, projection, dropout, classifier.

    (N, 2048, h, w) -> logits (N, num_classes, h, w). In training dropout_key (N,) int32 decides what is dropped.
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.branches = []
        for number, spec in enumerate(architecture.branches, 1):    # aspp1, aspp2, ...: published names
            branch = ASPPConv(spec)
            setattr(self, f"aspp{number}", branch)
            self.branches.append(branch)
        self.aspp_pooling = ASPPPooling(architecture.pooling)
        self.conv1, self.bn1 = conv(architecture.project), batch_norm(architecture.project)
        self.relu = nn.ReLU()
        self.drop = KeyedDropout(DROPOUT)
        self.conv2 = conv(architecture.classifier)

    def construct(self, x, dropout_key=None):
        outs = ()
        for branch in self.branches:
            outs += (branch(x),)    # (N, channels, h, w)
        out = ops.cat(outs + (self.aspp_pooling(x),), 1)    # (N, 5 channels, h, w)
        out = self.relu(self.bn1(self.conv1(out)))    # (N, channels, h, w)
        return self.conv2(self.drop(out, dropout_key))    # (N, num_classes, h, w)
