"""eval_onnx.py from the command line: the four modes agree with eval.py, MindSpore is never imported, errors."""
import json

import numpy as np
import onnx
import pytest

import eval as evaluation
import eval_onnx
from tests.conftest import ROOT, TINY, write_pairs

FIVE = ["--scales_type", "1"]
MODES = {"single": [], "multiscale": ["--scales", "0.5", "1.25"], "flip": ["--flip"],
         "multiscale_flip": [*FIVE, "--flip"]}


@pytest.fixture
def options(drawn, exported, tmp_path):
    return ["--device_target", "CPU", "--num_classes", 6, "--crop_size", 65, "--batch_size", 4, "--data_root", drawn,
            "--data_lst", drawn / "voc_val_lst.txt", "--file_name", exported(), "--result_file", tmp_path / "onnx.json"]


def counts(path):
    return np.array(json.loads(path.read_text())["confusion_matrix"])


@pytest.mark.parametrize("mode", MODES)
def test_modes_agree_with_eval(mode, options, drawn, trained, run, tmp_path):
    assert run(evaluation.main, *TINY, "--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--ckpt_path",
               trained / "deeplab_v3_tiny_s16-2_3.ckpt", "--result_file", tmp_path / "ms.json", *MODES[mode]).code == 0
    result = run(eval_onnx.main, *options, *MODES[mode])
    assert result.code == 0 and "tent" in result.out, result
    ours, theirs = counts(tmp_path / "onnx.json"), counts(tmp_path / "ms.json")
    assert ours.sum() == theirs.sum() and np.abs(ours - theirs).sum() <= 2e-4 * ours.sum()
    found = json.loads((tmp_path / "onnx.json").read_text())
    assert found["network"] == "deeplab_v3_tiny_s16 (ONNX)" and found["class_names"][3] == "tent"


@pytest.mark.parametrize("made", [("--dynamic", "False"), ("--dynamic", "False", "--export_batch_size", "5"),
                                  ("--input_format", "NHWC")])
def test_fixed_and_nhwc_models_give_the_same(made, options, exported, run, tmp_path):
    found = []
    for model in (exported(), exported(*made)):
        assert run(eval_onnx.main, *options, "--flip", "--file_name", model).code == 0
        found.append(counts(tmp_path / "onnx.json"))
    assert np.abs(found[0] - found[1]).sum() <= 4, "sums in another order may turn a pixel"


def test_pixel_model(options, exported, run, tmp_path):
    """Its padding is the byte nearest to the mean, so small differences are allowed."""
    found = []
    for model in (exported(), exported("--input_type", "uint8")):
        assert run(eval_onnx.main, *options, "--file_name", model).code == 0
        found.append(counts(tmp_path / "onnx.json"))
    assert np.abs(found[0] - found[1]).sum() <= 0.01 * found[0].sum()


def test_normalisation_comes_from_the_model(options, exported, run, tmp_path):
    model = exported("--image_mean", "1", "2", "3", "--image_std", "4", "5", "6")
    assert run(eval_onnx.main, *options, "--file_name", model).code == 0
    settings = json.loads((tmp_path / "onnx.json").read_text())["settings"]
    assert settings["mean"] == [1, 2, 3] and settings["std"] == [4, 5, 6]


def foreign(tmp_path, shape):
    """A model of one Identity, as from another tool."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in "ab"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["a"], ["b"])], "g", value[:1], value[1:])
    onnx.save(onnx.helper.make_model(graph, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 18)]),
              tmp_path / "foreign.onnx")
    return tmp_path / "foreign.onnx"


def test_bad_models_are_one_line(options, exported, run, tmp_path, drawn):
    (tmp_path / "text.onnx").write_text("no model\n")
    (tmp_path / "cut.onnx").write_bytes(exported().read_bytes()[:-2000])
    odd = onnx.load(exported())
    odd.graph.node[3].op_type = "Unheard"
    onnx.save(odd, tmp_path / "odd.onnx")
    fixed = exported("--dynamic", "False")
    for changes, part in (
            (["--file_name", tmp_path / "text.onnx"], "text.onnx: is not a MindSpore checkpoint, ONNX file or MINDIR"),
            (["--file_name", tmp_path / "cut.onnx"], "cut.onnx: is not a complete ONNX file"),
            (["--file_name", tmp_path / "odd.onnx"], "odd.onnx: ONNX Runtime cannot read this model"),
            (["--file_name", tmp_path / "no"], "no.onnx: no such file"),
            (["--file_name", foreign(tmp_path, [1, 4])], "foreign.onnx: is not a segmentation network: one square"),
            (["--num_classes", 21], "--num_classes 21: but "),
            (["--file_name", fixed, "--scales", 1, 0.5], "takes 65x65 only, but scale 0.5 of crop_size 65 needs 33x33"),
            (["--device_target", "GPU"], "--device_target GPU: ONNX Runtime cannot use it here; it needs"),
            (["--device_target", "Ascend"], "--device_target Ascend: ONNX Runtime cannot use it here; it needs"),
            (["--data_root", tmp_path], "no such file, though")):
        result = run(eval_onnx.main, *options, *changes)
        assert result.code == 2 and part in result.err, result.err
        assert len(result.err.strip().splitlines()) == 1 and not (tmp_path / "onnx.json").exists()


def test_a_foreign_model_without_metadata(options, run, tmp_path):
    write_pairs(tmp_path, [np.eye(40, 50, dtype=np.uint8)])
    result = run(eval_onnx.main, "--device_target", "CPU", "--file_name", foreign(tmp_path, ["n", 3, "h", "w"]),
                 "--data_lst", tmp_path / "list.txt", "--data_root", tmp_path, "--crop_size", 65, "--result_file",
                 tmp_path / "onnx.json")
    assert result.code == 0 and "foreign (ONNX): 3 classes, onnxruntime on CPU" in result.out, result
    assert counts(tmp_path / "onnx.json").sum() == 2000
    result = run(eval_onnx.main, *options, "--file_name", tmp_path / "foreign.onnx")
    assert result.code == 2 and "foreign.onnx: has 3 classes, but " in result.err, result


def test_launcher(options, drawn, exported, shell, tmp_path):
    result = shell("bash", ROOT / "scripts/run_eval_onnx.sh", drawn, drawn / "voc_val_lst.txt", exported(), "CPU",
                   "--num_classes", 6, "--crop_size", 65)
    assert result.code == 0 and "mean IoU" in result.out, result
    assert (tmp_path / "onnx_eval/eval_log").read_text() in result.out
    assert counts(tmp_path / "onnx_eval/eval_result.json").shape == (6, 6)
    dry = shell("bash", ROOT / "scripts/run_eval_onnx.sh", "my data", "--dry-run", FILE_NAME="b c.onnx")
    assert dry.code == 0 and "'b c.onnx'" in dry.out.replace("b\\ c.onnx", "'b c.onnx'")
