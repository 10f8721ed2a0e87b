"""Everything except training and MINDIR runs without MindSpore and without the modules of Unix."""
import json
import sys

import numpy as np
import pytest

from src.weights import checkpoint
from tests.conftest import FOLDERS, ROOT, write_pairs

CHECKPOINT = "deeplab_v3_tiny_s16-2_3.ckpt"
BLOCK = """import importlib.metadata, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "mindspore":
            print("mindspore was asked for", file=sys.stderr)
            raise ModuleNotFoundError("No module named 'mindspore'", name="mindspore")
        if name in ("grp", "pwd", "resource", "termios"):    # Windows has none of these
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
known = importlib.metadata.version
def version(name):
    if name == "mindspore":
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
"""


@pytest.fixture
def bare(tmp_path, shell):
    """bare(program, *arguments) -> Result in a process without MindSpore."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/sitecustomize.py").write_text(BLOCK)

    def call(program, *arguments):
        return shell(sys.executable, ROOT / program, *arguments, PYTHONPATH=str(tmp_path / "blocked"))
    probe = shell(sys.executable, "-c", "import mindspore", PYTHONPATH=str(tmp_path / "blocked"))
    assert probe.code == 1 and "mindspore was asked for" in probe.err
    return call


def ran(result):
    said = [line for line in result.err.splitlines() if "never predicted" not in line]    # of two short epochs
    assert result.code == 0 and not said, result
    return result.out


@pytest.fixture
def data(drawn):
    return ["--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--result_file", "r.json"]


def test_evaluation_export_and_prediction(bare, data, drawn, trained_file, tmp_path):
    source, scores = trained_file, []
    assert "onnxruntime on CPU" in ran(bare("eval.py", *data, "--ckpt_path", source, "--report", "report"))
    scores.append(json.loads((tmp_path / "r.json").read_text())["mean_iou"])
    ran(bare("export.py", "--ckpt_file", source, "--file_format", "ONNX", "--file_name", "net"))
    ran(bare("eval_onnx.py", *data, "--file_name", "net"))
    scores.append(json.loads((tmp_path / "r.json").read_text())["mean_iou"])
    for number, model in enumerate((source, "net.onnx")):
        ran(bare("predict.py", drawn / "voc_val_lst.txt", "--data_root", drawn, "--model", model, "--output_dir",
                 f"out{number}"))
        scores.append(json.loads((tmp_path / f"out{number}/coverage.json").read_text())["mean_iou"])
    assert scores == pytest.approx([scores[0]] * 4, abs=1e-6)


def test_conversion_to_pytorch_and_back(bare, trained_file, tmp_path):
    ran(bare("convert_resnet101.py", "--src", trained_file, "--dst", "a.safetensors", "--to", "torch"))
    pytest.importorskip("torch")
    from safetensors.torch import save_file

    from tests.torch_resnet import random_resnet
    network = random_resnet(blocks=(1, 1, 1, 3), width=8)
    save_file(network.state_dict(), tmp_path / "resnet.safetensors")
    said = ran(bare("convert_resnet101.py", "--src", "resnet.safetensors", "--dst", "b.ckpt", "--model",
                    "deeplab_v3_tiny_s16"))
    assert "b.ckpt written" in said
    stem = checkpoint.read(tmp_path / "b.ckpt", "").arrays["network.resnet.conv1.weight"]
    assert np.array_equal(stem[:, ::-1], network.conv1.weight.detach().numpy())


def test_lists_of_own_data(bare, tmp_path):
    write_pairs(tmp_path / "data", np.random.default_rng(0).integers(0, 3, (3, 20, 30), dtype=np.uint8), *FOLDERS)
    said = ran(bare("src/data/get_dataset_lst.py", "--data_root", "data", "--images", "data/images", "--masks",
                    "data/masks"))
    assert (tmp_path / "data/train_lst.txt").is_file() and "3 classes" in said


@pytest.mark.parametrize("program, options", [
    ("eval.py", ["--ckpt_path", CHECKPOINT, "--engine", "mindspore"]),
    ("predict.py", ["--model", CHECKPOINT, "--engine", "mindspore"]),
    ("export.py", ["--ckpt_file", CHECKPOINT, "--file_format", "MINDIR", "--file_name", "net"]),
])
def test_programs_that_need_mindspore_say_so_in_one_line(program, options, bare, data, drawn, trained_file):
    options = [trained_file if option == CHECKPOINT else option for option in options]
    more = {"eval.py": data, "predict.py": [drawn / "voc_val_lst.txt", "--data_root", drawn]}.get(program, [])
    result = bare(program, *more, *options)
    said = result.err.replace("mindspore was asked for\n", "")    # for its version, since pip does not know it
    assert result.code == 2 and said.count("\n") == 1, result
    assert "MindSpore is not installed" in said and "pip install" in said


def test_what_a_model_file_holds(bare, trained_file, exported):
    for path in (trained_file, exported()):
        assert "background, ball" in ran(bare("src/tools/model_info.py", path))
    said = ran(bare("src/tools/model_info.py", trained_file, "--benchmark"))
    assert "MindSpore is not installed" in said and " passes" in said.split("onnxruntime ")[1].splitlines()[0], said
