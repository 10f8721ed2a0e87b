"""model_info.py: counts against PyTorch's and by hand, what each kind of file says, speed and memory of the engines."""
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import export
from src.models.onnx_counts import count
from src.nets.architecture import NETWORKS, architecture, multiply_adds
from src.tools import model_info
from src.weights import checkpoint
from tests.conftest import ROOT, load_script
from tests.golden import golden_weights

NAME = "deeplab_v3_tiny_s16"


def lines_of(result) -> dict:
    """The table as name -> text, folded lines joined."""
    assert result.code == 0, result
    text = re.sub(r"\n {18}", " ", result.out)
    return {line[:18].strip(): line[18:] for line in text.splitlines() if line[:18].strip()}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [513, 130])
def test_multiply_adds_are_those_of_pytorch(name, side):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode
    net = architecture(name, 7, (6, 12, 18))
    sizes = [len(layer) for layer in net.layers], net.stem.out_channels, net.classifier.in_channels
    with torch.device("meta"):
        network = load_script(ROOT / "docs/deeplab_v3_torch.py").DeepLabV3(*sizes, 7, net.output_stride, (6, 12, 18))
        image = torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as counter:
        network.eval()(image)
    assert 2 * multiply_adds(net, side) == counter.get_total_flops()
    shapes = [shape for part, shape in net.shapes().items() if "moving_" not in part]
    assert sum(int(np.prod(shape)) for shape in shapes) == sum(value.numel() for value in network.parameters())


def test_a_checkpoint_tells_all_that_it_knows(trained_file, run):
    table = lines_of(run(model_info.main, trained_file, "--crop_size", 129))
    shapes = architecture(NAME, 6).shapes()
    assert table["parameters"] == f"{sum(int(np.prod(s)) for n, s in shapes.items() if 'moving_' not in n):,}"
    assert table["multiply-adds"].split()[0] == f"{multiply_adds(architecture(NAME, 6), 129) / 1e9:.3f}"
    assert table["classes"] == "6" and table["class names"] == "background, ball, box, tent, star, ring"
    assert (table["network"], table["output stride"], table["atrous rates"]) == (NAME, "16", "6 12 18")
    assert table["crop size"] == "65" and table["channel order"] == "BGR" and "base_lr 0.05" in table["recipe"]
    assert table["kind"] == "checkpoint: complete network of train.py or the model zoo, float32, with momenta"
    assert table["SHA-256"] == checkpoint.digest(trained_file)
    assert f"{trained_file}, " in table["file"] and " MB" in table["file"]


def test_exported_files_hold_the_same_network(trained_file, exported, drawn, run, tmp_path):
    """The picture-wide mean is projected once in the graph, and for every position by the cells."""
    net = architecture(NAME, 6)
    channels, side = net.pooling.out_channels, (65 - 1) // 16 + 1
    expected = multiply_adds(net, 65) - channels ** 2 * (side ** 2 - 1)
    folded = sum(int(np.prod(shape)) for shape in net.folded().shapes().values())
    data = ("--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--calibration_images", "2")
    nhwc = ("--input_type", "uint8", "--input_format", "NHWC", "--dynamic", "False")
    for options in ((), nhwc[-2:], nhwc, ("--precision", "fp16"), ("--precision", "int8", *map(str, data))):
        path = exported(*options)
        contents, parameters, products, counted = count(path, "", 65)
        assert (parameters, products, counted) == (folded, expected, 65), options
        table = lines_of(run(model_info.main, path))
        assert table["parameters"] == f"{folded:,}" and table["classes"] == "6", options
        assert "65x65" in table["multiply-adds"] and f"{expected / 1e9:.3f} billion" in table["multiply-adds"], options
    assert run(export.main, "--ckpt_file", trained_file, "--file_format", "MINDIR", "--file_name",
               tmp_path / "net").code == 0
    table = lines_of(run(model_info.main, tmp_path / "net.mindir"))
    assert table["parameters"] == f"{folded:,}" and table["kind"].startswith("MINDIR: a graph")
    assert f"{multiply_adds(net, 65) / 1e9:.3f} billion" in table["multiply-adds"] and table["classes"] == "6"
    assert count(exported(), "", 129)[2] > 3 * expected, "a free size is what is asked for"


def test_a_foreign_graph_by_hand(run, tmp_path):
    """A strided convolution in two groups, its input two pictures at a time, and a matrix product."""
    weights = {"w": np.zeros((8, 2, 3, 3), np.float32), "b": np.zeros(8, np.float32), "m": np.zeros((7, 5), np.float32),
               "unused": np.zeros(999, np.float32)}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], group=2),
             helper.make_node("MatMul", ["y", "m"], ["z"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, channels, None, width])
            for name, channels, width in (("x", 4, 13), ("z", 8, 5))]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "g.onnx")
    contents, parameters, products, side = count(tmp_path / "g.onnx", "", 513)
    assert parameters == 8 * 2 * 9 + 8 + 35 and "1 of them convolutions" in contents and side == 13
    assert products == (8 * 7 * 7) * (2 * 9) + (8 * 7 * 5) * 7
    table = lines_of(run(model_info.main, tmp_path / "g.onnx"))
    assert table["network"] == "not said" and "0.000 billion for a picture of 13x13" in table["multiply-adds"]


def test_what_does_not_say_its_network(run, tmp_path):
    weights = golden_weights(architecture(NAME, 6))
    checkpoint.write(weights, tmp_path / "other.ckpt")
    result = run(model_info.main, tmp_path / "other.ckpt")
    assert "other.ckpt: does not say which network it is; read as deeplab_v3_tiny_s16 (--net" in result.err, result
    assert lines_of(result)["network"] == NAME
    result = run(model_info.main, tmp_path / "other.ckpt", "--net", "deeplab_v3_tiny_s8")
    table = lines_of(result)
    assert result.err == "" and table["network"] == "deeplab_v3_tiny_s8" and " 513x513" in table["multiply-adds"]
    backbone = {name: value for name, value in weights.items() if "resnet" in name}
    checkpoint.write(backbone, tmp_path / "backbone.ckpt")
    table = lines_of(run(model_info.main, tmp_path / "backbone.ckpt"))
    assert table["multiply-adds"] == "not known" and "converted backbone" in table["kind"]
    half = {name: value for name, value in weights.items() if "layer3" not in name}
    checkpoint.write(half, tmp_path / "half.ckpt")
    other = tmp_path / "other.ckpt"
    for arguments, part in (
            ([tmp_path / "half.ckpt"], "half.ckpt: has the parameters of none of the networks"),
            ([tmp_path / "no.ckpt"], "no.ckpt: no such file"), ([tmp_path], "is a folder, not a file"),
            ([ROOT / "NOTICE"], "is not a MindSpore checkpoint"),
            ([other, "--net", "deeplab_v3_s16"], "a ResNet of 1 1 1 3 blocks, not 3 4"),
            ([other, "--net", "unet"], "--net: invalid choice: 'unet'"),
            ([other, "--crop_size", 3], "--crop_size: must be 33 to 8193, not 3")):
        result = run(model_info.main, *arguments)
        assert result.code == 2 and part in result.err and result.err.count("\n") == 1, result


def test_speed_and_memory_of_each_engine(trained_file, exported, run, tmp_path):
    rows = {}
    for path, engines in ((trained_file, ["mindspore", "onnxruntime", "openvino"]),
                          (exported(), ["onnxruntime", "openvino"])):
        result = run(model_info.main, path, "--benchmark")
        assert result.code == 0, result
        lines = result.out[result.out.index("\nengine "):].splitlines()[2:]
        assert [line.split()[0] for line in lines] == engines, "those that run the file"
        rows |= {(path.suffix, line.split()[0]): line for line in lines}
    for (_, engine), row in rows.items():
        if engine != "openvino" or " - " not in row:    # which need not be installed
            rate, milliseconds, memory = (float(part.replace(",", "")) for part in row.split()[1:4])
            rounded = 0.06 * rate + 0.006 * milliseconds    # the rate has two decimals, the time one
            assert rate * milliseconds == pytest.approx(1000, abs=rounded) and 50 < memory < 3000, row
            assert re.search(r"CPU.*, 65x65, \d+ passes$", row), row
    (tmp_path / "text.onnx").write_bytes(b"\x08\x09")    # an empty model
    result = run(model_info.main, tmp_path / "text.onnx", "--benchmark")
    assert result.code == 2 and "error: FILE " in result.err and "no engine here runs it" in result.err, result
    assert "ONNX Runtime cannot read this model" in result.out and result.err.count("\n") == 1
