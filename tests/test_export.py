"""export.py as users run it: formats, names, earlier files, metadata, errors."""
import hashlib
import json

import numpy as np
import onnx
import pytest

import export
from tests.conftest import ROOT, entries

TINY = ("--device_target", "CPU", "--export_model", "deeplab_v3_tiny_s16", "--num_classes", "6")


@pytest.fixture
def options(trained_file, tmp_path):
    return [*TINY, "--ckpt_file", trained_file, "--file_name", tmp_path / "new folder/a.b"]


def test_onnx_with_metadata(options, trained_file, drawn, run, tmp_path):
    result = run(export.main, *options, "--file_format", "ONNX", "--freeze_bn", "False", "--class_names",
                 drawn / "classes.txt", "--input_size", 65)
    path = tmp_path / "new folder/a.b.onnx"
    assert result.code == 0 and str(path) in result.out and "any batch, height and width" in result.out, result
    assert entries(path.parent) == ["a.b.onnx"], "nothing is left aside"
    onnx.checker.check_model(str(path), full_check=True)
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert about["checkpoint_sha256"] == hashlib.sha256(trained_file.read_bytes()).hexdigest()
    assert json.loads(about["class_names"])[3] == "tent" and json.loads(about["mean"]) == [103.53, 116.28, 123.675]
    assert json.loads(about["std"]) == [57.375, 57.120, 58.395] and about["channel_order"] == "BGR"
    assert (about["output_stride"], about["crop_size"], about["input_type"]) == ("16", "65", "float32")


def test_freeze_bn_changes_nothing(options, run, tmp_path):
    digests = set()
    for flag in ([], ["--freeze_bn"], ["--freeze_bn", "False"]):
        assert run(export.main, *options, "--file_format", "ONNX", *flag).code == 0
        digests.add(hashlib.sha256((tmp_path / "new folder/a.b.onnx").read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("extra, shape", [([], (1, 3, 65, 65)),
                                          (["--input_type", "uint8", "--input_format", "NHWC"], (2, 65, 65, 3))])
def test_mindir_is_read_again_and_written_twice(options, trained_file, run, tmp_path, extra, shape):
    import mindspore as ms

    from src.nets.net_factory import create_inference
    from src.weights.loading import network_of, open_checkpoint
    for _ in range(2):    # MindSpore writes read-only files
        result = run(export.main, *options, "--file_format", "MINDIR", "--input_size", 65,
                     "--export_batch_size", shape[0], *extra)
        assert result.code == 0, result.err
    path = tmp_path / "new folder/a.b.mindir"
    assert entries(path.parent) == ["a.b.mindir", "a.b.mindir.json"]
    assert b"BatchNorm" not in path.read_bytes()
    beside = json.loads((path.parent / "a.b.mindir.json").read_text())
    assert beside["network"] == "deeplab_v3_tiny_s16" and beside["num_classes"] == 6 and beside["crop_size"] == 65
    pixels = np.random.RandomState(0).randint(0, 255, shape)
    image = pixels.astype(np.uint8) if extra else (pixels / 64 - 2).astype(np.float32)
    network = network_of(open_checkpoint(trained_file, "--ckpt_file"), "deeplab_v3_tiny_s16", (6, 12, 18))
    pixels_in = {"input_type": "uint8", "input_format": "NHWC", "mean": (103.53, 116.28, 123.675),
                 "std": (57.375, 57.120, 58.395)}
    cell = create_inference(*network, **(pixels_in if extra else {}))
    again = ms.nn.GraphCell(ms.load(str(path)))(ms.Tensor(image)).asnumpy()
    assert again.shape == (shape[0], 6, 65, 65) and again.dtype == np.float32
    assert np.abs(again - cell(ms.Tensor(image)).asnumpy()).max() <= 1e-5


def probs(path, image):
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: image})[0]


@pytest.mark.parametrize("extra", [[], ["--input_type", "uint8", "--input_format", "NHWC"]])
@pytest.mark.parametrize("precision, size, worst", [("fp16", 0.55, 5e-3), ("int8", 0.35, 0.15)])
def test_reduced_precision(options, drawn, run, tmp_path, precision, size, worst, extra):
    found = []
    for value in ("float32", precision):
        result = run(export.main, *options, "--file_format", "ONNX", "--precision", value, "--file_name",
                     tmp_path / value, "--input_size", 65, "--data_root", drawn, "--data_lst",
                     drawn / "voc_train_lst.txt", "--calibration_images", 8, *extra)
        assert result.code == 0 and not result.err, result
        image = np.random.RandomState(0).randint(0, 255, (2, 65, 49, 3), dtype=np.uint8) if extra else (
            np.random.RandomState(0).randn(2, 3, 65, 49).astype(np.float32))
        found.append(probs(tmp_path / f"{value}.onnx", image))
    difference = np.abs(found[0] - found[1]).max()
    assert 0 < difference <= worst and found[1].dtype == np.float32
    whole, reduced = ((tmp_path / f"{value}.onnx").stat().st_size for value in ("float32", precision))
    assert reduced <= size * whole


@pytest.mark.parametrize("changes, part", [
    (["--file_format", "AIR"], "--file_format AIR: needs --device_target Ascend with CANN; give"),
    (["--file_format", "AIR", "--device_target", "Ascend"], "--device_target Ascend: "),
    (["--file_format", "MINDIR", "--device_target", "Ascend"], "--device_target Ascend"),
    (["--file_format", "ONNXX"], "did you mean ONNX"),
    (["--file_format", "ONNX", "--ckpt_file", ""], "--ckpt_file is not given"),
    (["--file_format", "ONNX", "--ckpt_file", "no.ckpt"], "no.ckpt: no such file"),
    (["--file_format", "ONNX", "--ckpt_file", ROOT / "README.md"], "README.md: is not a MindSpore checkpoint"),
    (["--file_format", "ONNX", "--export_model", "deeplab_v3_s8", "--atrous_rates", 1, 2, 3], "ResNet of 1 1 1 3"),
    (["--file_format", "ONNX", "--file_name", "/dev/null/a"], "--file_name /dev/null/a.onnx"),
    (["--file_format", "MINDIR", "--precision", "int8"], "--precision int8: with --file_format ONNX only"),
    (["--file_format", "ONNX", "--precision", "int8"], "--data_lst is not given"),
    (["--file_format", "ONNX", "--precision", "int8", "--dynamic", "False", "--export_batch_size", 2], "picture by"),
    (["--file_format", "ONNX", "--image_mean", 1, 2], "image_mean takes 3 values, not 2"),
])
def test_errors_are_one_line(options, run, changes, part):
    result = run(export.main, *options, *changes)
    assert result.code == 2 and part in result.err and len(result.err.strip().splitlines()) == 1, result.err
