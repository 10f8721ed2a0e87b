"""The network as an ONNX model, read off the MindSpore network itself: BatchNorm folded, sizes free.

Blocks, strides, dilations and rates are the network's own; only the way the data takes is written here again.
"""
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

OPSET, IR_VERSION = 18, 9    # 18 gave Resize its axes, so that only height and width need a size
DTYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


@dataclass
class Graph:
    """Nodes and constants of a graph in the making; a node's output has the node's name.

    Weights are of type `dtype`: float32, or float16 for models that GPUs compute in it.
    """

    dtype: type = np.float32
    nodes: list = field(default_factory=list)
    constants: list = field(default_factory=list)

    def node(self, kind: str, inputs: list, name: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def fold(conv, norm=None) -> tuple:
    """Weight (out, in, k, k) and bias (out,) float64 of a convolution and the BatchNorm on its moving statistics."""
    weight = conv.weight.asnumpy().astype(np.float64)
    bias = conv.bias.asnumpy().astype(np.float64) if conv.has_bias else np.zeros(len(weight))
    if norm is None:
        return weight, bias
    mean, variance, gamma, beta = (parameter.asnumpy().astype(np.float64) for parameter in (
        norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta))
    factor = gamma / np.sqrt(variance + norm.eps)
    return weight * factor[:, None, None, None], (bias - mean) * factor + beta


def convolve(graph: Graph, x: str, name: str, conv, weight: np.ndarray, bias=None) -> str:
    """Convolution `name` with the size, stride, padding and dilation of the cell `conv` and the weights given."""
    inputs = [x, graph.constant(f"{name}.weight", weight.astype(graph.dtype))]
    if bias is not None:
        inputs.append(graph.constant(f"{name}.bias", bias.astype(graph.dtype)))
    padding = 0 if conv.pad_mode == "valid" else conv.padding
    return graph.node("Conv", inputs, name, kernel_shape=conv.kernel_size, strides=conv.stride,
                      dilations=conv.dilation, pads=[padding] * 4)


def conv_norm(graph: Graph, x: str, conv, norm=None, relu=True) -> str:
    """Convolution with its BatchNorm folded in, and ReLU."""
    name = conv.weight.name.rsplit(".", 1)[0]
    x = convolve(graph, x, name, conv, *fold(conv, norm))
    return graph.node("Relu", [x], f"{name}.relu") if relu else x


def backbone(graph: Graph, x: str, resnet) -> str:
    """(N, 3, H, W) -> (N, 2048, H/s, W/s)."""
    x = conv_norm(graph, x, resnet.conv1, resnet.bn1)
    pool = resnet.maxpool
    x = graph.node("MaxPool", [x], "maxpool", kernel_shape=[pool.kernel_size] * 2, strides=[pool.stride] * 2,
                   auto_pad={"same": "SAME_UPPER", "valid": "VALID"}[pool.pad_mode.lower()])
    for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        for block in layer:
            x = bottleneck(graph, x, block)
    return x


def bottleneck(graph: Graph, x: str, block) -> str:
    out = conv_norm(graph, x, block.conv1, block.bn1)
    out = conv_norm(graph, out, block.conv2, block.bn2)
    out = conv_norm(graph, out, block.conv3, block.bn3, relu=False)
    if block.downsample is not None:
        x = conv_norm(graph, x, *block.downsample, relu=False)
    out = graph.node("Add", [out, x], f"{out}.sum")
    return graph.node("Relu", [out], f"{out}.relu")


def head(graph: Graph, x: str, aspp) -> str:
    """(N, 2048, h, w) -> logits (N, C, h, w).

    The picture-wide mean is the same at every position, and so is its share of the projection: it is computed once
    and added, where a concatenation would multiply it out for each pixel.
    """
    branches = [conv_norm(graph, x, *list(branch.aspp_conv)[:2]) for branch in aspp.branches]
    pooled = graph.node("GlobalAveragePool", [x], "aspp.mean")    # (N, 2048, 1, 1)
    pooled = conv_norm(graph, pooled, *list(aspp.aspp_pooling.conv)[:2])
    x = graph.node("Concat", branches, "aspp.branches", axis=1)
    weight, bias = fold(aspp.conv1, aspp.bn1)
    spread = weight.shape[1] - list(aspp.aspp_pooling.conv)[0].out_channels    # channels that come from the branches
    x = convolve(graph, x, "aspp.project", aspp.conv1, weight[:, :spread], bias)
    pooled = convolve(graph, pooled, "aspp.project_mean", aspp.conv1, weight[:, spread:])
    x = graph.node("Relu", [graph.node("Add", [x, pooled], "aspp.sum")], "aspp.relu")
    return conv_norm(graph, x, aspp.conv2, relu=False)


def probabilities(graph: Graph, logits: str, size: str) -> str:
    """Logits (N, C, h, w) -> probabilities (N, C, H, W) at the `size` (H, W): bilinear with aligned corners, softmax.

    Softmax is spelled out: ONNX Runtime computes the operator along axis 1 by transposing there and back: with
    the resizing 150 ms for a 513x513 picture on two cores, where these six nodes take 21.
    """
    axis = graph.constant("class_axis", np.array([1], np.int64))
    x = graph.node("Resize", [logits, "", "", size], "logits", mode="linear", axes=[2, 3],
                   coordinate_transformation_mode="align_corners")
    x = graph.node("Sub", [x, graph.node("ReduceMax", [x, axis], "highest", keepdims=1)], "below_highest")
    x = graph.node("Exp", [x], "exp")
    return graph.node("Div", [x, graph.node("ReduceSum", [x, axis], "sum", keepdims=1)], "probs")


def prepare(graph: Graph, x: str, input_type: str, input_format: str, mean, std) -> tuple:
    """The input as normalised float32 NCHW, and the name of its size (H, W) int64."""
    first = 2 if input_format == "NCHW" else 1
    size = graph.node("Shape", [x], "size", start=first, end=first + 2)
    if input_format == "NHWC":
        x = graph.node("Transpose", [x], "nchw", perm=[0, 3, 1, 2])
    if input_type == "uint8":
        x = graph.node("Cast", [x], "pixels", to=TensorProto.FLOAT)
        shape = (1, 3, 1, 1)
        x = graph.node("Sub", [x, graph.constant("mean", np.float32(mean).reshape(shape))], "centred")
        factor = (1 / np.asarray(std, np.float64)).astype(np.float32).reshape(shape)
        x = graph.node("Mul", [x, graph.constant("factor", factor)], "normalised")
    return x, size


def build_model(network, metadata: dict, input_type="float32", input_format="NCHW", batch=None, side=None,
                mean=(0, 0, 0), std=(1, 1, 1), half=False):
    """ONNX model of a DeepLabV3 with its present weights: input `image`, output `probs` (N, C, H, W) float32.

    Args:
        network: src.nets.deeplab_v3.DeepLabV3.
        metadata: texts by name, kept in the file.
        input_type: float32 for normalised pictures; uint8 for pixels, which the model then normalises itself.
        input_format: NCHW or NHWC, of the input alone.
        batch, side: a fixed batch and height and width of the input; None leaves them free.
        mean, std: of each channel, for uint8.
        half: float16 from the normalised picture to the logits; resizing and softmax stay float32.

    Returns:
        onnx.ModelProto, checked with full shape inference.
    """
    graph = Graph(np.float16 if half else np.float32)
    x, size = prepare(graph, "image", input_type, input_format, mean, std)
    if half:
        x = graph.node("Cast", [x], "half", to=TensorProto.FLOAT16)
    x = head(graph, backbone(graph, x, network.resnet), network.aspp)
    if half:
        x = graph.node("Cast", [x], "whole", to=TensorProto.FLOAT)
    probabilities(graph, x, size)
    classes = network.aspp.conv2.out_channels
    area = [side or "height", side or "width"]
    shape = [3, *area] if input_format == "NCHW" else [*area, 3]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "deeplab_v3",
            [helper.make_tensor_value_info("image", DTYPES[input_type], [batch or "batch", *shape])],
            [helper.make_tensor_value_info("probs", TensorProto.FLOAT, [batch or "batch", classes, *area])],
            graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="deeplabv3-mindspore")
    helper.set_model_props(model, metadata)
    checker.check_model(model, full_check=True)
    return model
