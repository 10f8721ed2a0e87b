"""Two runs never share a folder or a file: the second is refused before it changes anything, and names the first."""
import errno
import signal
import subprocess
import sys

import pytest

from src import claims
from src.console import ENDING, InputError
from tests.conftest import ROOT, TINY

HOLD = f"""import sys; sys.path.insert(0, {str(ROOT)!r})
from src.claims import claim_file, claim_folder
(claim_folder if sys.argv[1] == "folder" else claim_file)(sys.argv[2], "--x")
print("held", flush=True); sys.stdin.read()"""


@pytest.fixture
def hold():
    """hold(kind, path) -> a process that has claimed it, until its input closes."""
    started = []

    def start(kind, path):
        process = subprocess.Popen([sys.executable, "-c", HOLD, kind, str(path)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process
    yield start
    for process in started:
        process.kill()
        process.communicate()
    ENDING.close()


@pytest.mark.parametrize("kind, take", [("folder", claims.claim_folder), ("file", claims.claim_file)])
def test_the_second_is_refused_with_the_process_of_the_first(kind, take, hold, tmp_path):
    first = hold(kind, tmp_path / "out")
    (tmp_path / "link").symlink_to("out")
    for path in ("out", "link", "../" + tmp_path.name + "/out"):
        with pytest.raises(InputError, match=f"^--x .*process {first.pid} is writing there"):
            take(tmp_path / path, "--x")
    first.send_signal(signal.SIGKILL)
    first.wait()
    take(tmp_path / "out", "--x")    # a lock dies with its process
    take(tmp_path / "out", "--x")    # and its own lock does not prevent it
    ENDING.close()
    assert [path.name for path in tmp_path.rglob("*") if path.name.endswith("lock")] == []


def test_a_new_folder_that_stays_empty_goes(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        claims.claim_folder(tmp_path / name)
    ENDING.close()
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, capfd):
    def fails(_):
        raise OSError(errno.ENOLCK, "No locks available")
    monkeypatch.setattr(claims, "lock_file", fails)
    claims.claim_folder(tmp_path / "a", "--x")
    assert "cannot be locked (No locks available)" in capfd.readouterr().err
    ENDING.close()


def test_a_lock_is_never_somebody_elses_file(tmp_path):
    (tmp_path / claims.NAME).write_text("precious")
    with pytest.raises(InputError, match="is not a lock file of this program"):
        claims.claim_folder(tmp_path)
    assert (tmp_path / claims.NAME).read_text() == "precious"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / claims.NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="cannot be written"):
        claims.claim_folder(tmp_path / "b")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("program", ["train", "predict", "eval_onnx", "export", "src.data.build_seg_data"])
def test_every_program_is_refused_where_another_writes(program, hold, drawn, trained, exported, run, tmp_path):
    import importlib
    kind, out = ("folder", tmp_path / "out") if program in ("train", "predict") else ("file", tmp_path / "out.onnx")
    data = ["--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt"]
    options = {
        "train": [*TINY, "--data_file", drawn / "train.mindrecord0", "--train_epochs", 1, "--train_dir", out],
        "predict": [drawn / "VOCdevkit/VOC2012/JPEGImages", "--model", exported(), "--crop_size", 65, "--output_dir",
                    out],
        "eval_onnx": ["--file_name", exported(), *data, "--num_classes", 6, "--crop_size", 65, "--result_file", out],
        "export": ["--ckpt_file", trained / "deeplab_v3_tiny_s16-2_3.ckpt", "--file_format", "ONNX", "--file_name", out,
                   "--export_model", "deeplab_v3_tiny_s16", "--num_classes", 6],
        "src.data.build_seg_data": [*data, "--dst_path", out, "--num_shards", 1],
    }[program]
    first = hold(kind, out)
    before = sorted(tmp_path.rglob("*"))
    result = run(importlib.import_module(program).main, *options)
    assert result.code == 2 and f"process {first.pid} is writing there" in result.err, result
    assert result.err.count("\n") == 1 and sorted(tmp_path.rglob("*")) == before


def test_predictions_take_the_next_number(exported, drawn, tmp_path):
    pictures = drawn / "VOCdevkit/VOC2012/JPEGImages"
    command = [sys.executable, ROOT / "predict.py", pictures, "--model", exported(), "--crop_size", "65"]
    runs = [subprocess.Popen(list(map(str, command)), cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [run.wait(300) for run in runs] == [0, 0, 0]
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["predictions", "predictions_2", "predictions_3"]
    assert all((tmp_path / name / "coverage.csv").is_file() for name in made)


@pytest.mark.parametrize("launcher", ["run_standalone_train_cpu.sh", "run_distribute_train_s16_r1.sh"])
def test_launchers_refuse_before_a_log_is_moved(launcher, hold, shell, tmp_path):
    folder = tmp_path / "work/device0"
    folder.mkdir(parents=True)
    (folder / "log").write_text("the first run's")
    standalone = launcher.startswith("run_standalone")
    first = hold("file", folder / "log") if standalone else hold("folder", tmp_path / "work")
    result = shell("bash", ROOT / "scripts" / launcher, "--", "--data_file", "x.mindrecord0",
                   TRAIN_PATH=str(tmp_path / "work"), RANK_SIZE="2", DEVICE_TARGET="CPU", RANK_TABLE_FILE="")
    assert result.code == 2 and f"process {first.pid} is writing" in result.err, result
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["log"]
