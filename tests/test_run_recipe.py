"""The complete recipe with two real ranks and the tiny network; and one stage after a failure."""
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, wait_until
from tests.test_launch import alive, hear_signals

SMALL = "num_classes: 6\ncrop_size: 65\nbatch_size: 4\ndevice_target: CPU\n"
STAGES = {"s16_r1": ("s16_aug_train", "deeplab_v3_tiny_s16"), "s8_r1": ("s8_aug_train", "deeplab_v3_tiny_s8"),
          "s8_r2": ("s8_voc_train", "deeplab_v3_tiny_s8")}
EVALUATIONS = ("s16_eval", "s8_eval", "s8_multiscale_eval", "s8_multiscale_flip_eval")


def small(source, folder):
    """The shipped recipes with small sizes; all other options are unchanged."""
    shutil.copytree(source, folder)
    for path in folder.glob("*.yaml"):
        text = path.read_text().replace("deeplab_v3_s", "deeplab_v3_tiny_s")
        text = text.replace("train_epochs: ", "train_epochs: 1 #")
        kept = [line for line in text.splitlines() if not line.startswith(("batch_size", "crop_size", "device_target"))]
        path.write_text("\n".join(kept) + "\n" + SMALL)
    return folder


@pytest.fixture
def recipes(tmp_path):
    return small(ROOT / "scripts/recipes", tmp_path / "my recipes")


@pytest.fixture
def evaluated(tmp_path):
    """Results of the two slow evaluations, newer than any checkpoint, so that they count as finished."""
    for folder, flip, figure in (("s8_multiscale_eval", False, 0.111), ("s8_multiscale_flip_eval", True, 0.222)):
        path = tmp_path / folder / "eval_result.json"
        path.parent.mkdir()
        path.write_text(json.dumps({
            "network": "deeplab_v3_tiny_s8", "output_stride": 8,
            "settings": {"scales": [0.5, 0.75, 1.0, 1.25, 1.75], "flip": flip}, "mean_iou": figure,
            "pixel_accuracy": 0.5, "images_per_s": 1.0}))
        os.utime(path, (4e9, 4e9))


@pytest.fixture
def command(drawn):
    data = drawn / "train.mindrecord0"
    return ["bash", ROOT / "scripts/run_recipe.sh", "", data, data, "", drawn, drawn / "voc_val_lst.txt"]


def test_three_stages_the_evaluations_that_are_missing_and_the_table(command, recipes, evaluated, shell, tmp_path):
    """test_quickstart.py runs the slow evaluations."""
    environment = {"DEVICE_TARGET": "CPU", "RANK_SIZE": "2", "RECIPES": str(recipes), "RANK_TABLE_FILE": ""}
    result = shell(*command, "--", "--seed", "3", **environment)
    assert result.code == 0, result.out[-3000:] + result.err
    logs = {}
    for stage, (folder, model) in STAGES.items():
        assert (tmp_path / folder / f"ckpt/{model}-1_3.ckpt").is_file(), stage
        logs[stage] = (tmp_path / folder / "device0/log").read_text()
        assert f"{model}: 1 epoch of 3 steps, 8 pictures a step on 2 x CPU" in logs[stage]
        assert "seed: 3\n" in (tmp_path / folder / "ckpt/config.yaml").read_text()
        assert (tmp_path / folder / "device1/log").is_file()
    for stage, before in (("s8_r1", "s16_aug_train/ckpt/deeplab_v3_tiny_s16"),
                          ("s8_r2", "s8_aug_train/ckpt/deeplab_v3_tiny_s8")):
        assert f"{tmp_path / before}-1_3.ckpt: complete network" in logs[stage], "the last checkpoint is handed over"
    table = result.out[result.out.index("== mIoU in percent"):]
    assert "published" in table
    rows = [line for line in table.splitlines() if line.startswith("deeplab_v3_tiny")]
    for folder, row in zip(EVALUATIONS, rows):
        found = json.loads((tmp_path / folder / "eval_result.json").read_text())
        assert f"{100 * found['mean_iou']:.2f}" in row
    assert len(rows) == 4
    for folder, stage in (("s16_eval", "s16_aug_train"), ("s8_eval", "s8_voc_train")):
        found = json.loads((tmp_path / folder / "eval_result.json").read_text())
        assert found["options"]["ckpt_path"].startswith(str(tmp_path / stage / "ckpt"))

    again = shell(*command, **environment)
    assert again.code == 0 and again.out.count(" is finished: ") == 7, again
    assert again.out[again.out.index("== mIoU in percent"):] == table
    (tmp_path / "s8_eval/eval_result.json").unlink()
    rest = shell(*command, "--dry-run", **environment)
    assert rest.out.count(" is finished: ") == 6 and "scripts/run_eval_s8.sh" in rest.out


@pytest.mark.parametrize("voc, stages, environment", [
    ("voc0", 3, {}), ("", 2, {"RECIPES": str(ROOT / "scripts/recipes/a2")})], ids=["published", "Atlas A2"])
def test_dry_run_prints_every_command(voc, stages, environment, shell, tmp_path):
    result = shell("bash", ROOT / "scripts/run_recipe.sh", "hccl.json", "aug 0", voc, "r.ckpt", "/data", "val.txt",
                   "--dry-run", "--", "--seed", "3", **environment)
    assert result.code == 0, result.err
    commands = [shlex.split(line) for line in result.out.splitlines() if " bash " in line]
    last = [f"<last checkpoint of {tmp_path / folder}/ckpt>" for folder, _ in STAGES.values()]
    for parts, (stage, (folder, _)), data, start in zip(commands[:stages], STAGES.items(), ("aug 0", "aug 0", "voc0"),
                                                       ("r.ckpt", *last)):
        launcher = str(ROOT / f"scripts/run_distribute_train_{stage}.sh")
        assert parts == [f"TRAIN_PATH={tmp_path / folder}", "bash", launcher, "hccl.json", data, start,
                         "--", "--resume", "auto", "--seed", "3"]
    assert [(Path(parts[-4]).stem, *parts[-3:]) for parts in commands[stages:]] == [
        (f"run_eval_{name}", "/data", "val.txt", checkpoint) for name, checkpoint in zip(
            ("s16", "s8", "s8_multiscale", "s8_multiscale_flip"), [last[0], *3 * [last[stages - 1]]])]
    assert not list(tmp_path.iterdir()), "a dry run writes nothing"


def test_the_recipe_of_atlas_a2_has_two_stages(drawn, evaluated, shell, tmp_path):
    """MindCV's settings: float16 except in BatchNorm and the loss; a CPU can compute it too."""
    folder = small(ROOT / "scripts/recipes/a2", tmp_path / "a2")
    result = shell("bash", ROOT / "scripts/run_recipe.sh", "", drawn / "train.mindrecord0", "", "", drawn,
                   drawn / "voc_val_lst.txt", DEVICE_TARGET="CPU", RANK_SIZE="2", RECIPES=str(folder),
                   RANK_TABLE_FILE="")
    assert result.code == 0, result.out[-3000:] + result.err
    assert not (tmp_path / "s8_voc_train").exists() and "--published" not in result.out
    for stage, scale in (("s16_aug_train", 3072), ("s8_aug_train", 2048)):
        options = yaml.safe_load((tmp_path / stage / "ckpt/config.yaml").read_text())
        assert (options["amp_level"], options["jit_level"], options["loss_scale"]) == ("O2", "O2", scale)
    found = json.loads((tmp_path / "s8_eval/eval_result.json").read_text())
    assert found["options"]["ckpt_path"].startswith(str(tmp_path / "s8_aug_train/ckpt"))


@pytest.mark.parametrize("arguments, part", [
    ([], "VOCAUG_FILE is not given"), (["", "a", "b", "", "c"], "DATA_LST is not given"),
    (["", "/dev/null", "b", "", "c", "d"], "VOCTRAIN_FILE b: no such file")])
def test_a_missing_input_is_found_at_once(arguments, part, shell):
    result = shell("bash", ROOT / "scripts/run_recipe.sh", *arguments, RANK_TABLE_FILE="")
    assert result.code == 2 and part in result.err, result


def test_several_nodes_are_refused(shell):
    several = shell("bash", ROOT / "scripts/run_recipe.sh", NODES="2")
    assert several.code == 2 and "NODES 2" in several.err


def test_a_failure_ends_it_with_the_exit_code(command, recipes, shell, tmp_path):
    result = shell(*command, "--", "--no_such_option", DEVICE_TARGET="CPU", RANK_SIZE="2", RECIPES=str(recipes))
    assert result.code == 2 and "s16_r1 ended with exit code 2" in result.err and "--no_such_option" in result.err
    assert "s8_r1" not in result.out and not (tmp_path / "s16_aug_train/finished").exists()


@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_the_recipe_and_all_ranks(signum, code, command, recipes, tmp_path):
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=hear_signals(),
                               env={**os.environ, "PYTHON": sys.executable, "DEVICE_TARGET": "CPU", "RANK_SIZE": "2",
                                    "RECIPES": str(recipes)})
    log = tmp_path / "s16_aug_train/device1/log"
    wait_until(log.exists)
    process.send_signal(signum)
    assert process.wait(300) == code
    wait_until(lambda: not alive(str(tmp_path / "s16_aug_train")))
