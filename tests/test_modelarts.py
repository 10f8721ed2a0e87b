"""ModelArts: train.py and eval.py with a stand-in for moxing that uses a folder as object storage."""
import json
import os
import subprocess
import sys
import zipfile

import pytest

from src.config import parse_args
from src.console import InputError, RunError
from src.modelarts import localize, storage
from tests.conftest import ROOT, TINY
from tests.foreign import archive

# moxing's file.copy_parallel; object storage is the folder OBS, where each copy is recorded.
MOXING = """
import os, shutil, time
class file:
    @staticmethod
    def copy_parallel(source, target):
        time.sleep(float(os.environ.get("COPY_SECONDS", 0)))
        source, target = (place.replace("obs:/", os.environ["OBS"]) for place in (source, target))
        with open(os.path.join(os.environ["OBS"], "copies"), "a") as notes:
            notes.write(f"{source} {target}\\n")
        shutil.copytree(source, target, dirs_exist_ok=True)
"""


@pytest.fixture
def obs(tmp_path, monkeypatch):
    """Object storage and its module; a new job."""
    folder = tmp_path / "object storage"
    (folder / "data").mkdir(parents=True)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/moxing.py").write_text(MOXING)
    (tmp_path / "tmp").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "modules")
    for name, value in (("OBS", folder), ("PYTHONPATH", tmp_path / "modules"), ("JOB_ID", "job 7"),
                        ("TMPDIR", tmp_path / "tmp")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    yield folder
    sys.modules.pop("moxing", None)


@pytest.fixture
def options(obs, tmp_path):
    cache = tmp_path / "cache"
    return ["--enable_modelarts", "--data_url", "obs://data", "--train_url", "obs://results",
            "--data_path", str(cache / "data"), "--output_path", str(cache / "train"),
            "--load_path", str(cache / "checkpoints")]


def copies(obs):
    path = obs / "copies"
    return path.read_text().splitlines() if path.exists() else []


def test_train_and_eval_from_storage_to_storage(obs, options, drawn, run, tmp_path):
    with zipfile.ZipFile(obs / "data/vocaug.zip", "w") as file:    # fewer than 100 members, which the zoo fails on
        for path in drawn.rglob("*"):
            file.write(path, f"vocaug/{path.relative_to(drawn)}")
    import eval
    import train
    result = run(train.main, *TINY, *options, "--data_file", "vocaug/train.mindrecord0", "--train_epochs", 1)
    assert result.code == 0, result
    checkpoint = obs / "results/ckpt/deeplab_v3_tiny_s16-1_3.ckpt"
    assert checkpoint.is_file() and (obs / "results/ckpt/metrics.jsonl").is_file()
    (obs / "checkpoints").mkdir()
    checkpoint.rename(obs / "checkpoints/a.ckpt")
    result = run(eval.main, *TINY, *options, "--checkpoint_url", "obs://checkpoints", "--ckpt_path", "a.ckpt",
                 "--data_root", tmp_path / "cache/data/vocaug", "--data_lst", "vocaug/voc_val_lst.txt")
    assert result.code == 0, result
    assert json.loads((obs / "results/eval_result.json").read_text())["images"] == 6
    assert len(copies(obs)) == 4, "in, out; checkpoint in, out: the job has its data already"


def test_a_failed_run_uploads_too(obs, options, run):
    import train
    (obs / "data/file").write_text("x")
    result = run(train.main, *TINY, *options, "--data_file", "missing.mindrecord0")
    assert result.code == 2 and "missing.mindrecord0: no such file" in result.err
    assert not (obs / "results").exists(), "nothing had been written yet"
    with pytest.raises(RunError, match="loss is nan"), storage(parse_args("train", "", options)) as config:
        os.makedirs(config.train_dir)
        with open(os.path.join(config.train_dir, "metrics.jsonl"), "w") as file:
            file.write("{}\n")
        raise RunError("loss is nan")
    assert (obs / "results/ckpt/metrics.jsonl").read_text() == "{}\n"


RANK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from src.config import parse_args
from src.modelarts import storage
with storage(parse_args("train", "", sys.argv[2:])) as config:
    print(open(os.path.join(config.data_path, "vocaug/file")).read())
"""


def test_one_rank_of_a_server_copies_and_the_others_wait(obs, options, monkeypatch, tmp_path):
    """Ranks of a job have the same JOB_ID or parent process; another job copies again."""
    archive(obs / "data/vocaug.zip", **{"vocaug/file": "here"})
    monkeypatch.setenv("COPY_SECONDS", "0.5")
    (tmp_path / "cache/train").mkdir(parents=True)
    for number, job_id in enumerate(["", "one", "two"]):
        monkeypatch.setenv("JOB_ID", job_id)
        ranks = [subprocess.Popen([sys.executable, "-c", RANK, ROOT, *options], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, "RANK_ID": str(rank)}) for rank in range(4)]
        printed = [rank.communicate(timeout=300)[0] for rank in ranks]
        assert all("here" in text for text in printed) and not any(rank.returncode for rank in ranks)
        assert len(copies(obs)) == 2 * (number + 1), "once in by any rank, once out by rank 0"


def test_a_rank_that_fails_uploads_though_it_is_not_the_first(obs, options, monkeypatch, tmp_path):
    monkeypatch.setenv("RANK_ID", "3")
    (tmp_path / "cache/train").mkdir(parents=True)
    with storage(parse_args("train", "", options)):
        pass
    assert len(copies(obs)) == 1
    with pytest.raises(KeyboardInterrupt), storage(parse_args("train", "", options)):
        raise KeyboardInterrupt
    assert len(copies(obs)) == 2


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "..\\outside"])
def test_members_outside_the_folder_are_refused(name, obs, options, tmp_path):
    archive(obs / "data/vocaug.zip", **{"first": "x", name: "x"})
    with pytest.raises(InputError, match="would land outside"), storage(parse_args("train", "", options)):
        pytest.fail("the run must not start")
    assert not list(tmp_path.rglob("outside")) and not (tmp_path / "cache/data/first").exists()


def test_archives_left_alone(obs, options, tmp_path):
    (obs / "data/vocaug.zip").write_bytes(b"PK no more")
    with storage(parse_args("train", "", [*options, "--need_modelarts_dataset_unzip", "False"])):
        assert (tmp_path / "cache/data/vocaug.zip").is_file()


def test_errors_of_the_storage(obs, options, monkeypatch):
    with pytest.raises(RunError, match="obs://nowhere -> .*: could not be copied"), \
            storage(parse_args("train", "", [*options, "--data_url", "obs://nowhere"])):
        pytest.fail("the run must not start")
    (obs / "blocked").write_text("a file")
    with pytest.raises(RunError, match="--train_url obs://blocked"), \
            storage(parse_args("train", "", [*options, "--train_url", "obs://blocked"])) as config:
        os.makedirs(config.output_path)
    with pytest.raises(InputError, match="no such file"), \
            storage(parse_args("train", "", [*options, "--train_url", "obs://blocked"])):
        raise InputError("no such file")    # the run's own error, not the upload's


def test_places(options, tmp_path):
    """Relative paths go into the local folders; an output elsewhere would be lost."""
    given = ["--ckpt_pre_trained", "r.ckpt", "--data_file", "/elsewhere/x.mindrecord0"]
    config = localize(parse_args("train", "", [*options, *given]))
    assert config.data_file == "/elsewhere/x.mindrecord0" and config.eval_data_lst == ""
    assert config.ckpt_pre_trained == str(tmp_path / "cache/checkpoints/r.ckpt")
    assert config.train_dir == str(tmp_path / "cache/train/ckpt")
    with pytest.raises(InputError, match="--train_dir /tmp/ckpt: lies outside --output_path"):
        localize(parse_args("train", "", [*options, "--train_dir", "/tmp/ckpt"]))


def test_without_the_flag_nothing_changes_and_a_missing_moxing_is_an_error(options, monkeypatch):
    config = parse_args("train", "", options[1:])
    with storage(config) as same:
        assert same is config and "moxing" not in sys.modules
    monkeypatch.setitem(sys.modules, "moxing", None)
    with pytest.raises(InputError, match="no module moxing"), storage(parse_args("train", "", options)):
        pytest.fail("the run must not start")
