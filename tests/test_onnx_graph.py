"""The ONNX graph: the MindSpore network's probabilities at any size and in any reader, no superfluous nodes."""
from collections import Counter

import cv2
import mindspore as ms
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from src.nets.architecture import NETWORKS, architecture
from src.nets.net_factory import create_inference
from src.nets.onnx_graph import build_model, build_skeleton
from src.weights.folding import fold
from tests.golden import golden_weights

SHAPES = [(1, 257, 257), (3, 65, 65), (2, 96, 131), (1, 33, 180), (1, 1, 1)]    # batch, height, width
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.120, 58.395)


def make_cell(name, num_classes=21, **inputs):
    shape = architecture(name, num_classes)
    return create_inference(shape, golden_weights(shape), **inputs)


def folded(name, num_classes=21, **replaced):
    """(architecture, weights) without BatchNorm, for build_model."""
    shape = architecture(name, num_classes)
    return shape.folded(), fold(shape, golden_weights(shape) | replaced)


def difference(model, cell, shape, seed=0):
    """Largest difference of the two's probabilities on a random picture."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.RandomState(seed).randn(shape[0], 3, *shape[1:]).astype(np.float32)
    probs = session.run(["probs"], {"image": image})[0]
    assert probs.shape == (shape[0], 21, *shape[1:]) and probs.dtype == np.float32
    return np.abs(probs - cell(ms.Tensor(image)).asnumpy()).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_same_probabilities_at_every_size(name, pynative):
    cell = make_cell(name)
    model = build_model(*folded(name), {})
    assert max(difference(model, cell, shape) for shape in (SHAPES if "tiny" in name else [(1, 129, 97)])) <= 1e-5


def test_the_real_network_has_its_convolutions():
    kinds = Counter(node.op_type for node in build_model(*folded("deeplab_v3_s16"), {}).graph.node)
    assert kinds["Conv"] == 104 + 5 + 2 + 1, "backbone, ASPP, projection in two parts, classifier"


def test_nothing_superfluous_is_in_the_graph():
    model = build_model(*folded("deeplab_v3_tiny_s16"), {})
    assert {node.op_type for node in model.graph.node} == {
        "Shape", "Slice", "Conv", "Relu", "MaxPool", "Add", "GlobalAveragePool", "Concat", "Resize", "ReduceMax", "Sub",
        "Exp", "ReduceSum", "Div"}
    used = {name for node in model.graph.node for name in node.input}
    assert all(constant.name in used for constant in model.graph.initializer)
    fixed = build_model(*folded("deeplab_v3_tiny_s16"), {}, batch=1, side=65)
    assert not {"Shape", "Slice"} & {node.op_type for node in fixed.graph.node}
    assert [entry.version for entry in model.opset_import] == [13], "ATC of CANN 5 and 6 reads 9 to 13"


def dimensions(value):
    return [entry.dim_param or entry.dim_value for entry in value.type.tensor_type.shape.dim]


def test_sizes_are_free_or_fixed():
    network = folded("deeplab_v3_tiny_s8", 6)
    free, fixed = build_model(*network, {}), build_model(*network, {}, batch=2, side=65)
    assert dimensions(free.graph.input[0]) == ["batch", 3, "height", "width"]
    assert dimensions(free.graph.output[0]) == ["batch", 6, "height", "width"]
    assert dimensions(fixed.graph.input[0]) == [2, 3, 65, 65] and dimensions(fixed.graph.output[0]) == [2, 6, 65, 65]
    onnx.checker.check_model(fixed, full_check=True)


@pytest.mark.parametrize("input_format", ["NCHW", "NHWC"])
def test_pixels_are_normalised_within(input_format, pynative):
    plain = make_cell("deeplab_v3_tiny_s16")
    cell = make_cell("deeplab_v3_tiny_s16", input_type="uint8", input_format=input_format, mean=MEAN, std=STD)
    model = build_model(*folded("deeplab_v3_tiny_s16"), {}, input_type="uint8", input_format=input_format, mean=MEAN,
                        std=STD)
    pixels = np.random.RandomState(0).randint(0, 256, (2, 65, 49, 3), dtype=np.uint8)
    normalised = ((pixels - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2).astype(np.float32)
    expected = plain(ms.Tensor(normalised)).asnumpy()
    image = pixels if input_format == "NHWC" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"image": image})[0] - expected).max() <= 1e-5
    assert np.abs(cell(ms.Tensor(image)).asnumpy() - expected).max() <= 1e-5, "MINDIR is exported from this cell"


def test_extreme_logits_stay_probabilities():
    """The graph has softmax as single nodes, so this project must prevent its overflow."""
    network = folded("deeplab_v3_tiny_s16", 3, **{"network.aspp.conv2.bias": np.float32([3e4, -3e4, 3e4])})
    session = onnxruntime.InferenceSession(build_model(*network, {}).SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    probs = session.run(None, {"image": np.zeros((1, 3, 33, 33), np.float32)})[0]
    assert np.isfinite(probs).all() and np.allclose(probs.sum(1), 1, atol=1e-5) and probs[:, 1].max() == 0


@pytest.mark.parametrize("side", [64, 65, 67])
@pytest.mark.parametrize("stride", [16, 8])
def test_three_readers_agree_on_a_model_of_fixed_size(stride, side, tmp_path):
    """ONNX Runtime, onnx's reference evaluator and OpenCV's dnn; the sizes give the pool an even and an odd input."""
    model = build_model(*folded(f"deeplab_v3_tiny_s{stride}", 6), {}, batch=1, side=side)
    assert not [entry.name for node in model.graph.node for entry in node.attribute if entry.name == "auto_pad"]
    onnx.save(model, tmp_path / "fixed.onnx")
    image = np.random.RandomState(side).randn(1, 3, side, side).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "fixed.onnx"), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": image})[0]
    assert expected.shape == (1, 6, side, side) and expected.std() > 0.01
    reference = ReferenceEvaluator(model).run(None, {"image": image})[0]
    assert np.abs(reference - expected).max() <= 1e-5
    network = cv2.dnn.readNetFromONNX(str(tmp_path / "fixed.onnx"))
    network.setInput(image)
    assert np.abs(network.forward() - expected).max() <= 1e-5


def test_a_free_size_pads_by_the_attribute_that_fits_any_and_computes_the_same():
    network = folded("deeplab_v3_tiny_s16", 6)
    free = build_model(*network, {})
    pools = [node for node in free.graph.node if any(entry.name == "auto_pad" for entry in node.attribute)]
    assert [node.op_type for node in pools] == ["MaxPool"]
    for side in (64, 65, 66, 67):
        image = np.random.RandomState(side).randn(1, 3, side, side).astype(np.float32)
        found = [onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
                 .run(None, {"image": image})[0] for model in (free, build_model(*network, {}, batch=1, side=side))]
        assert np.abs(found[0] - found[1]).max() <= 1e-6, side


def test_the_graph_of_an_engine_leaves_its_weights_outside():
    network = folded("deeplab_v3_tiny_s16", 6)
    whole = build_model(*network, {}).SerializeToString()
    model, constants = build_skeleton(*network)
    assert len(model.SerializeToString()) < len(whole) / 10
    assert sum(array.nbytes for array in constants.values()) > 0.9 * len(whole)
    options = onnxruntime.SessionOptions()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in constants.values()]
    options.add_external_initializers(list(constants), values)
    image = np.random.RandomState(0).randn(1, 3, 65, 65).astype(np.float32)
    sessions = (onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
                for data, settings in ((whole, None), (model.SerializeToString(), options)))
    assert np.allclose(*(session.run(None, {"image": image})[0] for session in sessions), rtol=0, atol=1e-6)
