"""Parameters and multiply-adds of an ONNX graph, whoever wrote it: from the shapes that ONNX infers."""
import math
from collections import Counter
from pathlib import Path

import onnx
from onnx import shape_inference

from src.console import InputError
from src.foreign import printable

# Operator -> places of its inputs that are learned, the weight first.
LEARNED = {"Conv": (1, 2), "ConvTranspose": (1, 2), "ConvInteger": (1,), "QLinearConv": (3, 8), "Gemm": (1, 2),
           "MatMul": (1,), "BatchNormalization": (1, 2)}
BETWEEN = ("DequantizeLinear", "Cast", "Transpose", "Identity")    # what may stand between a weight and its operator
LARGE = 1 << 10    # bytes of a constant from which on no shape depends on its content


def count(path: Path, where: str, side: int) -> tuple:
    """(contents, parameters, multiply_adds, side) of an ONNX file, as src.models.counts.Counts holds them.

    `side` is that of the picture where the file leaves it free. Raises InputError.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:    # protobuf's errors have no class of their own
        raise InputError(f"{where}: is not a complete ONNX file ({printable(error, 200)})") from None
    graph = model.graph
    kinds = Counter(node.op_type for node in graph.node)
    contents = f"a graph of {len(graph.node)} operators, {kinds['Conv'] + kinds['QLinearConv']} of them convolutions"
    batch, side = fix_input(graph, side)
    return contents, parameters(graph), multiply_adds(model, batch), side


def parameters(graph) -> int:
    """Elements of the constants that LEARNED names, each once."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    source = {node.output[0]: node.input[0] for node in graph.node
              if node.op_type in BETWEEN and node.input and node.output}
    names = {source.get(node.input[place], node.input[place]) for node in graph.node
             for place in LEARNED.get(node.op_type, ()) if place < len(node.input)}
    return sum(sizes.get(name, 0) for name in names)


def fix_input(graph, side: int) -> tuple:
    """Make the graph's first input one picture of side x side pixels, where its lengths are free. Returns the number of
    pictures and their side."""
    constants = {tensor.name for tensor in graph.initializer}
    image = next((value for value in graph.input if value.name not in constants), None)
    dims = list(image.type.tensor_type.shape.dim) if image else []
    fixed = [dim.dim_value for dim in dims[1:] if dim.dim_value > 3]
    side = max(fixed, default=side)
    for place, dim in enumerate(dims):
        if dim.dim_value <= 0:
            dim.dim_value = side if place else 1
    return (dims[0].dim_value if dims else 1), side


def multiply_adds(model, batch: int):
    """Multiply-adds of all convolutions and matrix products of one picture; None where a shape cannot be inferred."""
    graph = model.graph
    del graph.value_info[:]    # of other input sizes
    for tensor in graph.initializer:
        if len(tensor.raw_data) > LARGE:
            tensor.ClearField("raw_data")
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
        shapes = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
        shapes |= {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
                   for value in (*inferred.input, *inferred.value_info, *inferred.output)}
        return sum(products(node, shapes) for node in inferred.node if node.op_type in LEARNED) // batch
    except Exception:    # whatever a foreign graph leads it to
        return None


def products(node, shapes: dict) -> int:
    """Multiplications of one node. Raises KeyError or ValueError where a shape is unknown."""
    if node.op_type == "BatchNormalization":
        return 0
    weight, data, out = (shapes[name] for name in (node.input[LEARNED[node.op_type][0]], node.input[0], node.output[0]))
    if not (weight and data and out and all((*weight, *out))):
        raise ValueError
    if "Conv" in node.op_type:
        size = data if node.op_type == "ConvTranspose" else out
        return math.prod(size) * math.prod(weight[1:])
    transposed = any(entry.name == "transA" and entry.i for entry in node.attribute)
    return math.prod(out) * (data[0] if transposed else data[-1])
