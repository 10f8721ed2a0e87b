"""The launchers: help, dry runs, paths with blanks, published places, exit codes."""
import shlex

import pytest

from tests.conftest import ROOT, TINY

SCRIPTS = ROOT / "scripts"
EVALUATIONS = {"run_eval_s16": "s16_eval", "run_eval_s8": "s8_eval", "run_eval_s8_multiscale": "s8_multiscale_eval",
               "run_eval_s8_multiscale_flip": "s8_multiscale_flip_eval",
               "run_eval_s8_multiscale_filp": "s8_multiscale_flip_eval"}
TRAININGS = {"run_standalone_train": "s16_train", "run_standalone_train_cpu": "s16_train_cpu"}
LAUNCHERS = sorted(path for path in SCRIPTS.glob("*.sh") if path.name != "common.sh")


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_help(path, shell):
    result = shell("bash", path, "--help")
    assert result.code == 0 and "Usage: bash" in result.out and not result.err


@pytest.mark.parametrize("name", EVALUATIONS)
def test_eval_dry_run(name, shell, tmp_path):
    result = shell("bash", SCRIPTS / f"{name}.sh", "my data", "", "a.ckpt", "--flip", "False", "--dry-run",
                   DATA_LST="from environment.txt", DEVICE_TARGET="CPU")
    assert result.code == 0, result.err
    command = shlex.split(result.out)
    folder = tmp_path / EVALUATIONS[name]
    for option, value in (("--data_root", "my data"), ("--data_lst", "from environment.txt"), ("--ckpt_path", "a.ckpt"),
                          ("--device_target", "CPU"), ("--result_file", str(folder / "eval_result.json"))):
        assert command[command.index(option) + 1] == value
    assert command[-2:] == ["--flip", "False"]
    assert not folder.exists(), "a dry run writes nothing"


@pytest.mark.parametrize("name", TRAININGS)
def test_train_dry_run(name, shell, tmp_path):
    result = shell("bash", SCRIPTS / f"{name}.sh", "x.mindrecord0", "--train_epochs", 3, "--dry-run",
                   CKPT_PRE_TRAINED="b.ckpt")
    command = shlex.split(result.out)
    assert result.code == 0 and command[command.index("--ckpt_pre_trained") + 1] == "b.ckpt"
    assert command[command.index("--train_dir") + 1] == str(tmp_path / TRAININGS[name] / "ckpt")
    assert command[-2:] == ["--train_epochs", "3"]


def test_paths_may_be_written_at_the_top(shell, tmp_path):
    (tmp_path / "project/scripts").mkdir(parents=True)
    for name in ("eval.py", "src", "default_config.yaml"):
        (tmp_path / "project" / name).symlink_to(ROOT / name)
    for path in SCRIPTS.glob("*.sh"):
        text = path.read_text().replace('data_root="${DATA_ROOT:-}"', 'data_root="/edited here"')
        (tmp_path / "project/scripts" / path.name).write_text(text)
    result = shell("bash", tmp_path / "project/scripts/run_eval_s8.sh", "--dry-run")
    assert "/edited here" in shlex.split(result.out)


def test_eval_launcher_runs_and_keeps_earlier_logs(drawn, trained_file, shell, tmp_path):
    arguments = ["bash", SCRIPTS / "run_eval_s16.sh", drawn, drawn / "voc_val_lst.txt", trained_file, *TINY]
    first = shell(*arguments)
    assert first.code == 0 and "mean IoU" in first.out, first
    log = tmp_path / "s16_eval/eval_log"
    assert log.read_text() in first.out and "mean IoU" in log.read_text()
    failed = shell(*arguments, "--num_classes", 9)
    assert failed.code == 2 and "error: " in log.read_text(), "the program's exit code, its error in the log"
    assert (tmp_path / "s16_eval/eval_log.1").read_text() in first.out
    assert (tmp_path / "s16_eval/eval_result.json").is_file()


def test_train_launcher_runs_from_any_folder_with_blanks(drawn, shell, tmp_path):
    folder = tmp_path / "some where"
    folder.mkdir()
    result = shell("bash", SCRIPTS / "run_standalone_train_cpu.sh", drawn / "train.mindrecord0", "", *TINY,
                   "--train_epochs", 1, cwd=folder)
    assert result.code == 0, result
    assert (folder / "s16_train_cpu/device0/log").read_text() in result.out
    assert (folder / "s16_train_cpu/ckpt/deeplab_v3_tiny_s16-1_3.ckpt").is_file()


def test_build_data_launcher(drawn, shell, tmp_path):
    result = shell("bash", SCRIPTS / "build_data.sh", drawn, drawn / "voc_val_lst.txt",
                   tmp_path / "new dir/v.mindrecord", 2, "--num_classes", 6)
    assert result.code == 0 and (tmp_path / "new dir/v.mindrecord1").is_file(), result


def test_wrong_python_is_named(shell, tmp_path):
    fake = tmp_path / "python3.13"
    fake.write_text("#!/bin/sh\necho Python 3.13.1\nexit 1\n")
    fake.chmod(0o755)
    for name in ("run_quickstart.sh", "run_tests.sh"):
        result = shell("bash", SCRIPTS / name, PYTHON=str(fake))
        assert result.code == 2 and "Python 3.13.1" in result.err and "3.9 to 3.12" in result.err, result
    result = shell("bash", SCRIPTS / "run_eval_s16.sh", "--dry-run", PYTHON="/no/python")
    assert result.code == 2 and "PYTHON=/no/python: no such program" in result.err
