"""The ONNX graph: probabilities of the MindSpore network at any size, and nothing in it that does no work."""
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest

from src.export.onnx_graph import build_model
from src.nets.net_factory import InferenceNetwork, create_network
from tests.golden import set_golden

SHAPES = [(1, 257, 257), (3, 65, 65), (2, 96, 131), (1, 33, 180), (1, 1, 1)]    # batch, height, width
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.120, 58.395)


def make_cell(name, num_classes=21, **inputs):
    cell = InferenceNetwork(create_network(name, num_classes), **inputs)
    set_golden(cell)
    return cell


def difference(model, cell, shape, seed=0):
    """Largest difference of the two's probabilities on a random picture."""
    import mindspore as ms
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.RandomState(seed).randn(shape[0], 3, *shape[1:]).astype(np.float32)
    probs = session.run(["probs"], {"image": image})[0]
    assert probs.shape == (shape[0], 21, *shape[1:]) and probs.dtype == np.float32
    return np.abs(probs - cell(ms.Tensor(image)).asnumpy()).max()


@pytest.mark.parametrize("stride", [16, 8])
def test_same_probabilities_at_every_size(stride, pynative):
    cell = make_cell(f"deeplab_v3_tiny_s{stride}")
    model = build_model(cell.network, {})
    assert max(difference(model, cell, shape) for shape in SHAPES) <= 1e-5


@pytest.mark.parametrize("stride", [16, 8])
def test_the_real_network(stride, pynative):
    cell = make_cell(f"deeplab_v3_s{stride}")
    model = build_model(cell.network, {})
    assert difference(model, cell, (1, 129, 97)) <= 1e-5
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Conv"] == 104 + 5 + 2 + 1, "backbone, ASPP, projection in two parts, classifier"


def test_nothing_superfluous_is_in_the_graph():
    model = build_model(create_network("deeplab_v3_tiny_s16"), {})
    assert {node.op_type for node in model.graph.node} == {
        "Shape", "Conv", "Relu", "MaxPool", "Add", "GlobalAveragePool", "Concat", "Resize", "ReduceMax", "Sub", "Exp",
        "ReduceSum", "Div"}
    used = {name for node in model.graph.node for name in node.input}
    assert all(constant.name in used for constant in model.graph.initializer)
    assert [entry.version for entry in model.opset_import] == [18]


def dimensions(value):
    return [entry.dim_param or entry.dim_value for entry in value.type.tensor_type.shape.dim]


def test_sizes_are_free_or_fixed():
    network = create_network("deeplab_v3_tiny_s8", 6)
    free, fixed = build_model(network, {}), build_model(network, {}, batch=2, side=65)
    assert dimensions(free.graph.input[0]) == ["batch", 3, "height", "width"]
    assert dimensions(free.graph.output[0]) == ["batch", 6, "height", "width"]
    assert dimensions(fixed.graph.input[0]) == [2, 3, 65, 65] and dimensions(fixed.graph.output[0]) == [2, 6, 65, 65]
    onnx.checker.check_model(fixed, full_check=True)


@pytest.mark.parametrize("input_format", ["NCHW", "NHWC"])
def test_pixels_are_normalised_within(input_format, pynative):
    import mindspore as ms
    plain = make_cell("deeplab_v3_tiny_s16")
    cell = make_cell("deeplab_v3_tiny_s16", input_type="uint8", input_format=input_format, mean=MEAN, std=STD)
    model = build_model(cell.network, {}, "uint8", input_format, mean=MEAN, std=STD)
    pixels = np.random.RandomState(0).randint(0, 256, (2, 65, 49, 3), dtype=np.uint8)
    normalised = ((pixels - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2).astype(np.float32)
    expected = plain(ms.Tensor(normalised)).asnumpy()
    image = pixels if input_format == "NHWC" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"image": image})[0] - expected).max() <= 1e-5
    assert np.abs(cell(ms.Tensor(image)).asnumpy() - expected).max() <= 1e-5, "MINDIR is exported from this cell"


def test_extreme_logits_stay_probabilities():
    """Softmax is spelled out in the graph, so its guard against overflow is this project's to keep."""
    import mindspore as ms
    network = create_network("deeplab_v3_tiny_s16", 3)
    network.aspp.conv2.bias.set_data(ms.Tensor(np.float32([3e4, -3e4, 3e4])))
    session = onnxruntime.InferenceSession(build_model(network, {}).SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    probs = session.run(None, {"image": np.zeros((1, 3, 33, 33), np.float32)})[0]
    assert np.isfinite(probs).all() and np.allclose(probs.sum(1), 1, atol=1e-5) and probs[:, 1].max() == 0
