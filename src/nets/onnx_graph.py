"""The network as an ONNX graph, made from its architecture, with free or fixed sizes."""
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from src.nets.architecture import PREFIX, Architecture, Block, Conv

OPSET, IR_VERSION = 13, 7    # the lowest whose Resize needs no other input than the size; old converters read no higher
DTYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


@dataclass
class Graph:
    """Nodes and constants of a graph under construction; a node's output has the node's name.

    Attributes:
        weights: name in a checkpoint -> array, of a folded network.
        dtype: of the weights: float32, or float16 for GPUs.
    """

    weights: dict
    dtype: type = np.float32
    nodes: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)

    def node(self, kind: str, inputs: list, name: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants[name] = np.ascontiguousarray(array)
        return name

    def weight(self, conv: Conv, what: str) -> str:
        """The `what` (weight or bias) of a convolution."""
        return self.constant(f"{conv.name}.{what}", self.of(conv, what))

    def of(self, conv: Conv, what: str) -> np.ndarray:
        return self.weights[f"{PREFIX}{conv.name}.{what}"].astype(self.dtype, copy=False)


def convolve(graph: Graph, x: str, conv: Conv, relu: bool = True) -> str:
    """The convolution with its bias, and ReLU."""
    x = graph.node("Conv", [x, graph.weight(conv, "weight"), graph.weight(conv, "bias")], conv.name, **geometry(conv))
    return graph.node("Relu", [x], f"{conv.name}.relu") if relu else x


def geometry(conv: Conv) -> dict:
    """The attributes of ONNX's Conv."""
    return {"kernel_shape": [conv.kernel] * 2, "strides": [conv.stride] * 2, "dilations": [conv.dilation] * 2,
            "pads": [conv.padding] * 4}


def backbone(graph: Graph, x: str, architecture: Architecture, side) -> str:
    """(N, 3, H, W) -> (N, 2048, H/s, W/s)."""
    x = convolve(graph, x, architecture.stem)
    x = graph.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], **pool_padding(side))
    for layer in architecture.layers:
        for block in layer:
            x = bottleneck(graph, x, block)
    return x


def pool_padding(side) -> dict:
    """Padding "same" of the 3x3 pool with stride 2 for an input of the network of height and width `side`.

    It depends on whether the feature map's side is even. For known sizes it is written as numbers; for free sizes
    (None) by the attribute auto_pad, which ONNX has deprecated without a replacement.
    """
    if side is None:
        return {"auto_pad": "SAME_UPPER"}
    before = (side - 1) // 2 % 2 == 0    # the stem leaves (side - 1) // 2 + 1 rows: an odd number pads both sides
    return {"pads": [int(before), int(before), 1, 1]}


def bottleneck(graph: Graph, x: str, block: Block) -> str:
    out = convolve(graph, x, block.conv1)
    out = convolve(graph, out, block.conv2)
    out = convolve(graph, out, block.conv3, relu=False)
    if block.downsample:
        x = convolve(graph, x, block.downsample, relu=False)
    out = graph.node("Add", [out, x], f"{out}.sum")
    return graph.node("Relu", [out], f"{out}.relu")


def head(graph: Graph, x: str, architecture: Architecture) -> str:
    """(N, 2048, h, w) -> logits (N, C, h, w).

    The pooled mean is the same at every position, and so is its part of the projection. It is computed once and added;
    a concatenation would compute it for each pixel.
    """
    project = architecture.project
    branches = [convolve(graph, x, branch) for branch in architecture.branches]
    pooled = graph.node("GlobalAveragePool", [x], "aspp.mean")    # (N, 2048, 1, 1)
    pooled = convolve(graph, pooled, architecture.pooling)
    x = graph.node("Concat", branches, "aspp.branches", axis=1)
    weight, spread = graph.of(project, "weight"), project.in_channels - architecture.pooling.out_channels
    x = graph.node("Conv", [x, graph.constant("aspp.project.weight", weight[:, :spread]),
                            graph.weight(project, "bias")], "aspp.project", **geometry(project))
    pooled = graph.node("Conv", [pooled, graph.constant("aspp.project_mean.weight", weight[:, spread:])],
                        "aspp.project_mean", **geometry(project))
    x = graph.node("Relu", [graph.node("Add", [x, pooled], "aspp.sum")], "aspp.relu")
    return convolve(graph, x, architecture.classifier, relu=False)


def size_of_output(graph: Graph, logits: str, height_axis: int) -> str:
    """(N, C, H, W) int64: N and C of the logits, H and W of the input, where they begin at `height_axis`."""
    ends = [graph.constant(f"axis_{axis}", np.array([axis], np.int64)) for axis in (0, 2, height_axis, height_axis + 2)]
    maps = graph.node("Slice", [graph.node("Shape", [logits], "logits_shape"), *ends[:2]], "maps")
    area = graph.node("Slice", [graph.node("Shape", ["image"], "image_shape"), *ends[2:]], "area")
    return graph.node("Concat", [maps, area], "size", axis=0)


def probabilities(graph: Graph, logits: str, size: str) -> str:
    """Logits (N, C, h, w) -> probabilities at the `size` (N, C, H, W): bilinear with aligned corners, softmax.

    Softmax is written as single nodes: for axis 1 ONNX Runtime's operator transposes there and back, which takes 150 ms
    with the resizing for a 513x513 picture on two cores; these six nodes take 21.
    """
    axis = graph.constant("class_axis", np.array([1], np.int64))
    x = graph.node("Resize", [logits, "", "", size], "logits", mode="linear",
                   coordinate_transformation_mode="align_corners")
    x = graph.node("Sub", [x, graph.node("ReduceMax", [x], "highest", axes=[1], keepdims=1)], "below_highest")
    x = graph.node("Exp", [x], "exp")
    return graph.node("Div", [x, graph.node("ReduceSum", [x, axis], "sum", keepdims=1)], "probs")


def prepare(graph: Graph, x: str, input_type: str, input_format: str, mean, std) -> str:
    """The input as normalised float32 NCHW."""
    if input_format == "NHWC":
        x = graph.node("Transpose", [x], "nchw", perm=[0, 3, 1, 2])
    if input_type == "uint8":
        x = graph.node("Cast", [x], "pixels", to=TensorProto.FLOAT)
        shape = (1, 3, 1, 1)
        x = graph.node("Sub", [x, graph.constant("mean", np.float32(mean).reshape(shape))], "centred")
        factor = (1 / np.asarray(std, np.float64)).astype(np.float32).reshape(shape)
        x = graph.node("Mul", [x, graph.constant("factor", factor)], "normalised")
    return x


def build_graph(architecture: Architecture, weights: dict, input_type="float32", input_format="NCHW", batch=None,
                side=None, mean=(0, 0, 0), std=(1, 1, 1), half=False) -> tuple:
    """The network as (nodes, input, output, constants), for make_model.

    Args:
        architecture, weights: of a folded network, see src.weights.folding.
        input_type: float32 for normalised pictures; uint8 for pixels, which the model then normalises itself.
        input_format: NCHW or NHWC, of the input alone.
        batch, side: a fixed batch and height and width of the input; None leaves them free.
        mean, std: of each channel, for uint8.
        half: float16 from the normalised picture to the logits; resizing and softmax stay float32.
    """
    graph = Graph(weights, np.float16 if half else np.float32)
    x = prepare(graph, "image", input_type, input_format, mean, std)
    if half:
        x = graph.node("Cast", [x], "half", to=TensorProto.FLOAT16)
    x = head(graph, backbone(graph, x, architecture, side), architecture)
    if half:
        x = graph.node("Cast", [x], "whole", to=TensorProto.FLOAT)
    size = (graph.constant("size", np.array([batch, architecture.num_classes, side, side], np.int64)) if batch and side
            else size_of_output(graph, x, input_format.index("H")))
    probabilities(graph, x, size)
    area = [side or "height", side or "width"]
    shape = [3, *area] if input_format == "NCHW" else [*area, 3]
    image = helper.make_tensor_value_info("image", DTYPES[input_type], [batch or "batch", *shape])
    probs = helper.make_tensor_value_info("probs", TensorProto.FLOAT,
                                          [batch or "batch", architecture.num_classes, *area])
    return graph.nodes, image, probs, graph.constants


def make_model(nodes: list, image, probs, tensors: list, metadata: dict):
    """onnx.ModelProto of a graph whose constants are `tensors`; `metadata` are texts by name."""
    model = helper.make_model(helper.make_graph(nodes, "deeplab_v3", [image], [probs], tensors),
                              opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                              producer_name="deeplabv3-mindspore")
    helper.set_model_props(model, metadata)
    return model


def build_model(architecture: Architecture, weights: dict, metadata: dict, **options):
    """onnx.ModelProto of a folded network, checked with full shape inference: input `image`, output `probs`
    (N, C, H, W) float32. `metadata` are texts by name, kept in the file; for the others see build_graph."""
    nodes, image, probs, constants = build_graph(architecture, weights, **options)
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = make_model(nodes, image, probs, tensors, metadata)
    checker.check_model(model, full_check=True)
    return model


def build_skeleton(architecture: Architecture, weights: dict, least: int = 1 << 10) -> tuple:
    """(model, constants): a model without its constants of `least` bytes and more, which the engine gets separately.

    For an engine in the same process: only the structure is serialised, and no weight is copied.
    """
    nodes, image, probs, constants = build_graph(architecture, weights)
    large = {name: array for name, array in constants.items() if array.nbytes >= least}
    tensors = [placeholder(name, array) if name in large else numpy_helper.from_array(array, name)
               for name, array in constants.items()]
    return make_model(nodes, image, probs, tensors, {}), large


def placeholder(name: str, array: np.ndarray) -> TensorProto:
    """A constant of the array's shape and type whose content is elsewhere."""
    tensor = TensorProto(name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
                         data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "in memory"
    return tensor
