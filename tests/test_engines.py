"""The engines compared on real pictures, the errors of each, and the three lines of Python."""
import importlib.util
import re
import sys
import weakref

import cv2
import numpy as np
import pytest

import eval as evaluation
from src.console import InputError
from src.evaluation.inference import Segmenter, segment
from src.evaluation.letterbox import FIVE_SCALES, Settings
from src.models import model as models
from src.models.model import ENGINES, open_model
from tests.conftest import ROOT

MODES = {"single": ((1.0,), False), "flip": ((1.0,), True), "multiscale": (FIVE_SCALES, False),
         "multiscale and flip": (FIVE_SCALES, True)}


def needs_openvino():
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("the optional package openvino is not installed")


@pytest.fixture(scope="module")
def pictures(voc_sample):
    """Six real pictures, upright ones among them."""
    paths = sorted((voc_sample / "VOCdevkit/VOC2012/JPEGImages").glob("*.jpg"))[:6]
    images = [cv2.imread(str(path)) for path in paths]
    assert len({image.shape[0] > image.shape[1] for image in images}) == 2
    return images


@pytest.mark.usefixtures("pynative")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "mindspore"])
def test_engines_agree_with_mindspore_on_real_pictures(engine, mode, pictures, trained_file):
    if engine == "openvino":
        needs_openvino()
    scales, flip = MODES[mode]
    found = []
    for name in ("mindspore", engine):
        model = open_model(trained_file, name, "CPU")
        assert (model.engine, model.num_classes, model.crop_size, model.size) == (name, 6, 65, None)
        settings = Settings(129, scales, flip, 4, model.mean, model.std)
        found.append(list(Segmenter(model.predict, settings).run(pictures, lambda image: (image, None))))
    ours, theirs = ([(item.class_map, item.total) for batch in batches for item in batch] for batches in found)
    assert len(ours) == len(pictures)
    same = np.concatenate([(first == second).ravel() for (first, _), (second, _) in zip(ours, theirs)])
    assert same.mean() >= 0.9999, same.mean()
    worst = max(np.abs(first - second).max() for (_, first), (_, second) in zip(ours, theirs))
    assert worst <= 1e-5 * len(scales) * (1 + flip), "a sum of so many probabilities"
    classes = np.unique(np.concatenate([class_map.ravel() for class_map, _ in ours]))
    assert len(classes) > 2, "pictures on which there is something to agree on"


@pytest.mark.usefixtures("pynative")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_open_model_does_not_keep_the_arrays_that_it_was_made_of(engine, trained_file, monkeypatch):
    if engine == "openvino":
        needs_openvino()
    arrays = []

    def read(*arguments, folded_network=models.folded_network):
        network = folded_network(*arguments)
        arrays.extend(map(weakref.ref, network[1].values()))
        return network

    monkeypatch.setattr(models, "folded_network", read)
    model = open_model(trained_file, engine, "CPU")
    assert arrays and not [array for array in arrays if array() is not None]
    assert np.isfinite(model.predict(np.zeros((1, 3, 65, 65), np.float32))).all(), "the engine has its own"


def test_three_lines_of_python(pictures, trained_file, exported):
    for path in (trained_file, exported()):
        model = open_model(path)
        class_map = segment(model, pictures[0])
        assert class_map.shape == pictures[0].shape[:2] and class_map.dtype == np.uint8
        assert class_map.max() < model.num_classes == len(model.facts["class_names"]) == 6
    for wrong, what in ((None, "NoneType"), (pictures[0][..., 0], "uint8 (")):
        with pytest.raises(InputError, match=re.escape(f"segment: a picture is a (H, W, 3) uint8 array, not {what}")):
            segment(model, wrong)
    inputs = np.random.default_rng(0).standard_normal((2, 3, 65, 65)).astype(np.float32)
    probs = model.predict(inputs)
    assert probs.shape == (2, 6, 65, 65) and probs.dtype == np.float32 and np.allclose(probs.sum(1), 1, atol=1e-5)


@pytest.fixture
def options(val_list, trained_file, tmp_path):
    return [*val_list, "--ckpt_path", trained_file, "--device_target", "CPU", "--result_file", tmp_path / "r.json"]


@pytest.mark.parametrize("engine, package", [("onnxruntime", "pip install onnxruntime"),
                                             ("openvino", "pip install openvino")])
def test_a_missing_package_is_one_line_with_pips_command(engine, package, options, run, monkeypatch):
    monkeypatch.setitem(sys.modules, engine, None)
    monkeypatch.delitem(sys.modules, ENGINES[engine][0], raising=False)
    result = run(evaluation.main, *options, "--engine", engine)
    assert result.code == 2 and result.err.count("\n") == 1 and package in result.err, result
    assert f"--engine {engine}: cannot be used here" in result.err


@pytest.mark.parametrize("engine, hint", [("mindspore", "MindSpore computes in float32 here"),
                                          ("onnxruntime", "ONNX Runtime uses that of the file"),
                                          ("auto", "ONNX Runtime uses that of the file")])
def test_bf16_with_another_engine_is_one_line(engine, hint, options, run):
    result = run(evaluation.main, *options, "--engine", engine, "--precision", "bf16")
    assert result.code == 2 and result.err == f"error: --precision bf16: {hint}; give --engine openvino\n", result


@pytest.mark.parametrize("changes, part", [
    (["--engine", "openvino", "--device_target", "GPU"], "--engine openvino: runs on the CPU here, not on GPU"),
    (["--engine", "tensorrt"], f"engine is one of auto, {', '.join(ENGINES)}, not 'tensorrt'"),
])
def test_an_engine_refuses_in_one_line(changes, part, options, run):
    needs_openvino()
    result = run(evaluation.main, *options, *changes)
    assert result.code == 2 and part in result.err and result.err.count("\n") == 1, result


def test_an_engine_does_not_run_every_kind_of_file(exported, tmp_path):
    with pytest.raises(InputError, match="--engine mindspore: does not run ONNX files; leave the option out"):
        open_model(exported(), "mindspore")
    (tmp_path / "a.mindir").write_bytes(b"\x0a\x05MindSpore")
    with pytest.raises(InputError, match="--engine onnxruntime: does not run MINDIR files"):
        open_model(tmp_path / "a.mindir", "onnxruntime")


def test_openvino_computes_in_bf16_where_the_cpu_can(pictures, trained_file):
    needs_openvino()
    try:
        half = open_model(trained_file, "openvino", "CPU", precision="bf16")
    except InputError as error:    # MindSpore 2.10 sets the variable in the process of the tests
        assert "this CPU has no bf16 arithmetic" in str(error) or "where ONEDNN_MAX_CPU_ISA is AVX2" in str(error)
        pytest.skip(str(error))
    whole = open_model(trained_file, "openvino", "CPU")
    assert half.device == "CPU in bf16" and whole.device == "CPU in float32"
    same, worst = [], 0
    for image in pictures:
        maps = [segment(model, image) for model in (half, whole)]
        same.append((maps[0] == maps[1]).mean())
        inputs = np.float32(cv2.resize(image, (65, 65)).transpose(2, 0, 1)[None]) / 64 - 2
        worst = max(worst, np.abs(half.predict(inputs) - whole.predict(inputs)).max())
    assert np.mean(same) > 0.95, same
    assert 1e-5 < worst < 0.1, "it is another arithmetic, and the same network"


def test_bf16_in_an_environment_that_forbids_it_is_one_line(options, shell):
    needs_openvino()
    result = shell(sys.executable, ROOT / "eval.py", *options, "--engine", "openvino", "--precision", "bf16",
                   ONEDNN_MAX_CPU_ISA="AVX2")
    assert result.code == 2 and result.err.count("\n") == 1, result
    assert "where ONEDNN_MAX_CPU_ISA is AVX2; unset it" in result.err or "has no bf16 arithmetic" in result.err


def test_bf16_on_a_cpu_without_it_is_one_line(options, run, monkeypatch):
    needs_openvino()
    import openvino

    class OldCpu(openvino.Core):
        def get_property(self, *names):
            return ["FP32", "INT8"] if "OPTIMIZATION_CAPABILITIES" in names else super().get_property(*names)

    monkeypatch.setattr(openvino, "Core", OldCpu)
    result = run(evaluation.main, *options, "--engine", "openvino", "--precision", "bf16")
    assert result.code == 2 and result.err.count("\n") == 1, result
    assert "--precision bf16: this CPU has no bf16 arithmetic" in result.err


def test_the_console_and_the_result_name_the_engine(options, run, tmp_path):
    for engine in ("mindspore", "auto"):
        result = run(evaluation.main, *options, "--engine", engine)
        name = "onnxruntime" if engine == "auto" else engine
        assert result.code == 0 and f"deeplab_v3_tiny_s16: 6 classes, {name} on CPU" in result.out, result
        assert f'"engine": "{name}"' in (tmp_path / "r.json").read_text()
