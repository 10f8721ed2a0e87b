"""DeepLabV3: atrous ResNet, ASPP, bilinear upsampling (Chen et al. 2017, arXiv 1706.05587)."""
from mindspore import nn, ops

from src.nets.deeplab_v3.aspp import ASPP
from src.nets.deeplab_v3.resnet import ResNet


class DeepLabV3(nn.Cell):
    """(N, 3, H, W) float32, normalised blue green red -> logits (N, num_classes, H, W) float32.

    H and W are free and need not be equal; s * k + 1 for output stride s keeps corners aligned. Training also takes
    dropout_key (N,) int32, a random number for each sample.

    Args:
        num_classes: background included.
        output_stride: 16 or 8.
        atrous_rates: dilations of the ASPP branches; the zoo uses (6, 12, 18) at both strides, the paper doubles
            them at stride 8 (section 4.1).
        freeze_bn: in training use BatchNorm's moving statistics.
        blocks, width, aspp_channels: size of the network, ResNet-101 by default.
    """

    def __init__(self, num_classes=21, output_stride=16, atrous_rates=(6, 12, 18), freeze_bn=False,
                 blocks=(3, 4, 23, 3), width=64, aspp_channels=256):
        super().__init__()
        self.resnet = ResNet(blocks, width, output_stride, freeze_bn)
        self.aspp = ASPP(self.resnet.out_channels, aspp_channels, num_classes, atrous_rates, freeze_bn)

    def construct(self, x, dropout_key=None):
        features = self.resnet(x)    # (N, 2048, H/s, W/s)
        logits = self.aspp(features, dropout_key)    # (N, num_classes, H/s, W/s)
        return ops.interpolate(logits, size=(x.shape[2], x.shape[3]), mode="bilinear", align_corners=True)
