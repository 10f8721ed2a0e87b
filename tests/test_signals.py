"""A run goes on when its console closes, and ends with the documented exit code: signals, closed and full consoles."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from src.training.state import find_checkpoint
from tests.conftest import ROOT, TINY, metrics, wait_for_lines

PROGRAM = f"""import os, signal, sys, time; sys.path.insert(0, {str(ROOT)!r})
from src.console import InputError, Preempted, RunError, progress, run_program
from src.files import writing
def main(argv):
    what = sys.argv[1]
    if what == "done":
        for number in range(3000):
            print(number, "x" * 50)
        print("told", file=sys.stderr)
        with progress(2, "a", "b") as bar:
            bar.update()
    elif what == "wait":
        with writing("result.json") as aside:
            aside.write_text("half")
            print("waiting", flush=True)
            time.sleep(600)
    elif what == "import":
        sys.path.insert(0, os.getcwd())
        try:
            import slow
        except BaseException as error:    # as C extensions do
            raise ImportError("initialization failed") from error
    elif what == "pool":
        from src.data.workers import in_processes
        for _ in in_processes(time.sleep, [0.01] * 16 + [2], 6):    # most wait for work
            print("waiting", flush=True)
    elif what == "deaf":
        signal.signal(signal.SIGINT, lambda *_: os.write(1, b"heard\\n"))    # print may be what it interrupts
        print("waiting", flush=True)
        while True:
            time.sleep(0.1)
    else:
        raise {{"input": InputError, "run": RunError, "saved": Preempted}}[what]("why")
sys.exit(run_program(main))"""


def program(what, tmp_path, **options):
    """A program of the project that ends in the given way."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM, what], cwd=tmp_path, text=True, **{
        "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler), **options})


def exit_codes(page) -> dict:
    """Exit code -> meaning, from the table of a page."""
    (table,) = re.findall(r"^\| (?:exit code|退出码) \|.+\n((?:\|.+\n)+)", (ROOT / page).read_text(), re.M)
    return {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.+) \|$", table, re.M)}


def test_the_table_of_exit_codes_is_what_programs_do(tmp_path):
    found = {}
    for what in ("done", "input", "run", "saved"):
        process = program(what, tmp_path)
        process.communicate(timeout=300)
        found[what] = process.returncode
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = program("wait", tmp_path)
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signum)
        _, err = process.communicate(timeout=300)
        found[signum.name] = process.returncode
        assert err in ("interrupted\n", f"ended by {signum.name}\n") and list(tmp_path.iterdir()) == [], "nothing half"
    table = exit_codes("docs/troubleshooting.md")
    assert set(found.values()) == set(table)
    assert found == {"done": 0, "run": 1, "input": 2, "saved": 75, "SIGHUP": 129, "SIGINT": 130, "SIGTERM": 143}
    assert "Ctrl-C" in table[130] and "--resume auto" in table[75]


@pytest.mark.parametrize("signum, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_during_an_import_is_no_failed_import(signum, code, tmp_path):
    (tmp_path / "slow.py").write_text("import time\nprint('waiting', flush=True)\ntime.sleep(600)\n")
    process = program("import", tmp_path)
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signum)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err.count("\n")) == (code, 1), err


@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_the_group_ends_the_workers_too(signum, code, tmp_path):
    """As `timeout`, a scheduler or a closing terminal sends it."""
    process = program("pool", tmp_path, start_new_session=True)
    assert process.stdout.readline() == "waiting\n"
    os.killpg(process.pid, signum)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err.count("\n")) == (code, 1), err


def test_ignored_signals_stay_ignored(tmp_path):
    """As nohup does for SIGHUP, and a shell for SIGINT in the background."""
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = program("wait", tmp_path, preexec_fn=ignore)
    assert process.stdout.readline() == "waiting\n"
    for signum in (signal.SIGHUP, signal.SIGINT):
        process.send_signal(signum)
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=300)
    assert process.returncode == 143


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    process = program("deaf", tmp_path)
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "heard\n" and process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130 and err == "interrupted a second time: ended without waiting\n"


@pytest.mark.parametrize("command", [
    "{program} done | head -n 1", "{program} done > /dev/full", "{program} done > /dev/full 2>&1",
    "{program} done >&- 2>&-", "{program} done <&- >&- 2>&-", "{program} done 2>&-", "LC_ALL=C {program} done",
    "ulimit -n 64; {program} done", "umask 077; {program} done", "env -u HOME {program} done"])
def test_closed_consoles_and_odd_machines_end_no_program(command, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    text = command.format(program=f"{sys.executable} program.py")
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {text}"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0 and done.stderr in ("", "told\n"), done
    assert {path.name for path in tmp_path.iterdir()} == {"program.py"}


def test_names_that_the_console_cannot_show(tmp_path):
    code = f"""import sys; sys.path.insert(0, {str(ROOT)!r})
from src.console import run_program
sys.exit(run_program(lambda _: print("\\u4e2d \\udcff")))"""
    for encoding, shown in (("ascii", b"\\u4e2d \\udcff\n"), ("utf-8", "\u4e2d \\udcff\n".encode())):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300,
                              env={**os.environ, "PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stdout, done.stderr) == (0, shown, b"")


@pytest.fixture
def options(drawn):
    return [*TINY, "--data_file", str(drawn / "train.mindrecord0"), "--base_lr", "0.05", "--save_steps", 10**6]


def start(options, folder, *more, **streams):
    command = [sys.executable, ROOT / "train.py", *options, "--train_dir", folder, *more]
    return subprocess.Popen([str(part) for part in command], text=True, **{
        "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler), **streams})


@pytest.mark.parametrize("signals, code, said", [
    ([signal.SIGHUP], 75, "error: SIGHUP: saved"), ([signal.SIGTERM] * 4, 75, "error: SIGTERM: saved"),
    # Of signals that come within one step Python hears the lowest number first.
    ([signal.SIGTERM, signal.SIGHUP, signal.SIGINT], 75, ("error: SIGTERM: saved", "error: SIGHUP: saved"))])
def test_signals_save_once(signals, code, said, options, tmp_path):
    process = start([*options, "--train_epochs", 500], tmp_path / "ckpt")
    wait_for_lines(tmp_path / "ckpt", 3, process)
    for signum in signals:
        process.send_signal(signum)
        time.sleep(0.1)
    _, err = process.communicate(timeout=300)
    path, step = find_checkpoint("auto", tmp_path / "ckpt")
    assert process.returncode == code and err.startswith(said) and err.count("\n") == 1, err
    assert str(path) in err and step == metrics(tmp_path / "ckpt")[-1]["global_step"]


def test_sigterm_after_ctrl_c_changes_nothing(options, tmp_path):
    """Ctrl-C is said once it is heard, so that the test need not guess when."""
    process = start([*options, "--train_epochs", 500], tmp_path / "ckpt", stdout=subprocess.DEVNULL)
    wait_for_lines(tmp_path / "ckpt", 3, process)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("interrupted: the step is finished and saved")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    path, step = find_checkpoint("auto", tmp_path / "ckpt")
    assert process.returncode == 130 and err == f"interrupted: saved {path}; --resume auto goes on from it\n"
    assert step == metrics(tmp_path / "ckpt")[-1]["global_step"]


def test_a_signal_that_comes_while_the_first_is_said_changes_nothing(monkeypatch):
    """Who reads the line can answer with the next signal before the handler has returned."""
    from src.training import callbacks
    stop = callbacks.StopOnSignal(None, None)
    stop.saver = object()
    monkeypatch.setattr(callbacks.os, "write", lambda *_: stop.tell(signal.SIGTERM, None))
    stop.tell(signal.SIGINT, None)
    assert stop.signum == signal.SIGINT


def test_training_outlives_the_end_of_a_pipe(options, tmp_path):
    process = start([*options, "--train_epochs", 3], tmp_path / "ckpt")
    process.stdout.readline()
    process.stdout.close()    # as head does
    assert process.wait(300) == 0 and process.stderr.read() == ""
    assert find_checkpoint("auto", tmp_path / "ckpt")[1] == 9


def test_a_launcher_keeps_its_log_when_the_console_is_gone(options, tmp_path):
    command = ["bash", ROOT / "scripts/run_standalone_train_cpu.sh", *options, "--train_epochs", 2]
    text = " ".join(f"'{part}'" for part in command)
    for console in (" | head -n 1", " > /dev/full", " >&- 2>&-"):
        done = subprocess.run(["bash", "-c", f"set -o pipefail; {text}{console}"], cwd=tmp_path, capture_output=True,
                              text=True, timeout=300, env={**os.environ, "PYTHON": sys.executable})
        assert done.returncode == 0 and done.stderr == "", done
        assert "trained to step 6" in (tmp_path / "s16_train_cpu/device0/log").read_text()
