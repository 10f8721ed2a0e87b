"""DeepLabV3: atrous ResNet, ASPP, bilinear upsampling (Chen et al. 2017, arXiv 1706.05587)."""
from mindspore import nn, ops

from src.nets.architecture import Architecture
from src.nets.deeplab_v3.aspp import ASPP
from src.nets.deeplab_v3.resnet import ResNet


class DeepLabV3(nn.Cell):
    """(N, 3, H, W) float32, normalised blue green red -> logits (N, num_classes, H, W) float32.

    H and W are free and need not be equal; s * k + 1 for output stride s keeps corners aligned. Training also takes
    dropout_key (N,) int32, a random number for each sample. A folded architecture has no BatchNorm.
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.architecture = architecture
        self.resnet = ResNet(architecture)
        self.aspp = ASPP(architecture)

    def construct(self, x, dropout_key=None):
        features = self.resnet(x)    # (N, 2048, H/s, W/s)
        logits = self.aspp(features, dropout_key)    # (N, num_classes, H/s, W/s)
        return ops.interpolate(logits, size=(x.shape[2], x.shape[3]), mode="bilinear", align_corners=True)
