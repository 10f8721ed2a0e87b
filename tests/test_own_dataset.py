"""Every command of docs/own_dataset.md, in its order, on drawn pictures with the tiny network."""
import re
import shlex
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

torch = pytest.importorskip("torch")
from tests.torch_resnet import random_resnet

TINY_NET = "--model deeplab_v3_tiny_s16"
# What makes a command quick; behind the documented options, so these win.
QUICKER = {
    "get_dataset_lst.py": "", "build_data.sh": "", "printf": "",
    "convert_resnet101.py": TINY_NET,
    "run_standalone_train.sh": f"{TINY_NET} --crop_size 65 --train_epochs 1 --batch_size 4",
    "run_eval_s16.sh": f"{TINY_NET} --batch_size 2",
    "export.py": "",
    "predict.py": "",
}


def commands():
    text = (ROOT / "docs/own_dataset.md").read_text()
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines()]


def color_table():
    text = (ROOT / "docs/own_dataset.md").read_text()
    return "\n".join(re.findall(r"^    (\d+ \d+ \d+ \d+ .*)$", text, re.M)) + "\n"


def draw(root, count=5):
    """Pictures of a dark line on a bright ground, masks in the document's three colours."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        image = rng.normal(180, 10, (70, 90, 3))
        mask = np.zeros((70, 90, 3), np.uint8)
        row = int(rng.integers(10, 55))
        image[row:row + 6] -= 120
        mask[row - 1:row + 7] = 255
        mask[row:row + 6] = (255, 0, 0)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(root / f"images/p{number}.jpg")
        Image.fromarray(mask).save(root / f"masks/p{number}.png")


def test_every_command(tmp_path, shell):
    data, work = tmp_path / "data/mine", tmp_path / "work"
    draw(data)
    work.mkdir()
    (data / "colors.txt").write_text(color_table())
    torch.save(random_resnet(blocks=(1, 1, 1, 3), width=8).state_dict(), work / "resnet101.pth")
    seen = []
    for command in commands():
        program = next(name for name in QUICKER if name in command)
        if "deeplab_v3_s16.ckpt" in command:    # a network of other classes, trained elsewhere
            make_foreign_network(work / "deeplab_v3_s16.ckpt")
        line = command.replace("/data/mine", shlex.quote(str(data))).replace("python ", f"{sys.executable} {ROOT}/")
        line = line.replace("scripts/", f"{ROOT}/scripts/").replace("s16-200_10", "tiny_s16-1_1")
        result = shell("bash", "-c", f"{line} {QUICKER[program]}", cwd=work, timeout=300)
        assert result.code == 0, (command, result)
        seen.append(program)
        check(program, command, result, data, work)
    assert seen.count("run_standalone_train.sh") == 3 and "run_eval_s16.sh" in seen


def make_foreign_network(path):
    """A whole tiny network with 21 classes, as a checkpoint."""
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.weights.checkpoint import save
    save(InferenceNetwork(create_network("deeplab_v3_tiny_s16", 21)), path)


def test_nothing_is_typed_twice():
    """The page gives names and crop size once; the files carry them from then on."""
    page = "\n".join(commands())
    assert "--num_classes" not in page and page.count("--class_names") == 1
    assert all("--crop_size" in line for line in commands() if "run_standalone_train.sh" in line)
    assert not any("--crop_size" in line for line in commands() if "run_standalone_train.sh" not in line)


def onnx_facts(path):
    import onnx
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


def check(program, command, result, data, work):
    """What the document says of the command."""
    if program == "get_dataset_lst.py":
        assert "2 classes (background, crack), 255 is ignored" in result.out
        assert (data / "masks_gray/p0.png").is_file()
        assert len((data / "train_lst.txt").read_text().splitlines()) == 4
    if "--filter_weight" in command:
        assert "whole network of train.py or the model zoo" in result.out
        assert "parameters loaded, the new classifier as initialised" in result.out
    if "--class_weights" in command:
        assert "class weights: " in result.out
    if program == "run_eval_s16.sh":
        assert re.search(r"^crack .*\d", result.out, re.M) and "mean IoU" in result.out
    if program == "export.py":
        assert "crack" in str(onnx_facts(work / "mine.onnx"))
    if program == "predict.py":
        assert "2 classes" in result.out and (work / "predictions/masks/p0.png").is_file()
        assert (work / "predictions/overlays").is_dir()
    if "--to torch" in command:
        assert (work / "mine.safetensors").is_file()
