"""Launching on many devices: environments, rank tables, a rank's death, signals; with a stand-in for train.py."""
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest

from src.tools import launch
from tests.conftest import ROOT, TINY, wait_for_lines, wait_until

TRAININGS = {"s16_r1": "s16_aug_train", "s8_r1": "s8_aug_train", "s8_r2": "s8_voc_train"}

# A rank that hears signals, starts a child process, prints its environment, and then acts as its options tell it.
RANK = """
import os, signal, subprocess, sys, time
rank = os.environ["RANK_ID"]
names = ("RANK_SIZE", "DEVICE_ID", "RANK_TABLE_FILE", "MS_ROLE", "MS_NODE_ID")
how = dict(pair.split("=") for pair in sys.argv if "=" in pair)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
if "deaf" in how:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if "wait" in how:
    subprocess.Popen(["sleep", how["wait"]])
print("rank", rank, *(f"{name}={os.environ.get(name)}" for name in names), flush=True)
if how.get("die") == rank:
    time.sleep(0.5)
    print("the reason", flush=True)
    sys.exit(3) if "code" in how else os.kill(os.getpid(), signal.SIGKILL)
time.sleep(float(how.get("wait", 0)))
"""


def write_table(path, *servers):
    """A rank table; each server is its address and its devices."""
    ranks = iter(range(100))
    path.write_text(json.dumps({"version": "1.0", "server_count": str(len(servers)), "status": "completed",
                                "server_list": [{"server_id": server, "device": [
                                    {"device_id": str(device), "device_ip": "10.0.0.1", "rank_id": str(next(ranks))}
                                    for device in devices]} for server, devices in servers]}))
    return path


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A rank table, on a machine whose ranks connect through it."""
    monkeypatch.setenv("DEVICE_TARGET", "Ascend")
    return write_table(tmp_path / "hccl 2p.json", ("203.0.113.1", (4, 5)))


@pytest.fixture
def project(tmp_path):
    """The project with a stand-in for train.py."""
    folder = tmp_path / "project"
    (folder / "scripts").mkdir(parents=True)
    for path in (ROOT / "src", ROOT / "default_config.yaml", *(ROOT / "scripts").iterdir()):
        (folder / path.relative_to(ROOT)).symlink_to(path)
    (folder / "train.py").write_text(RANK)
    return folder


def mark():
    """An argument that finds the processes of one test."""
    return f"mark=m{time.time_ns()}"


def alive(text):
    """Processes with `text` among their arguments, zombies left out."""
    found = []
    for folder in os.listdir("/proc"):
        try:
            with open(f"/proc/{folder}/cmdline", "rb") as file:
                if text.encode() in file.read() and folder != str(os.getpid()):
                    found.append(int(folder))
        except OSError:
            pass
    return found


@pytest.mark.parametrize("name", TRAININGS)
def test_launchers_start_a_rank_for_each_device_of_the_table(name, project, table, shell, tmp_path):
    result = shell("bash", project / f"scripts/run_distribute_train_{name}.sh", table, "x.mindrecord0", "", "--",
                   "--train_epochs", 3, MS_ROLE="MS_WORKER", CKPT_PRE_TRAINED="b.ckpt")
    assert result.code == 0, result
    folder = tmp_path / TRAININGS[name]
    for rank, device in ((0, 4), (1, 5)):
        log = (folder / f"device{rank}/log").read_text()
        assert log == (f"rank {rank} RANK_SIZE=2 DEVICE_ID={device} RANK_TABLE_FILE={table} MS_ROLE=None "
                       "MS_NODE_ID=None\n")
    assert result.out == (folder / "device0/log").read_text(), "rank 0 is shown, the others are not"
    assert not (folder / "scheduler").exists(), "HCCL connects by the table"
    dry = shell("bash", project / f"scripts/run_distribute_train_{name}.sh", table, "x.mindrecord0", "", "--dry-run",
                "--train_epochs", 3, CKPT_PRE_TRAINED="b.ckpt", DEVICE_TARGET="")
    command = shlex.split(dry.out.splitlines()[1])
    for option, value in (("--data_file", "x.mindrecord0"), ("--ckpt_pre_trained", "b.ckpt"), ("--train_epochs", "3"),
                          ("--config_path", str(ROOT / f"scripts/recipes/{name}.yaml")),
                          ("--train_dir", str(folder / "ckpt")), ("--is_distributed", "--config_path")):
        assert command[command.index(option) + 1] == value.replace(str(ROOT), str(project))
    again = shell("bash", project / f"scripts/run_distribute_train_{name}.sh", table)
    assert again.code == 0 and (folder / "device0/log.1").read_text().startswith("rank 0"), "earlier logs are kept"


def test_without_a_table_ranks_meet_at_a_free_port(shell):
    result = shell("bash", ROOT / "scripts/run_distribute_train_s16_r1.sh", "--dry-run", DEVICE_TARGET="CPU",
                   RANK_SIZE="2", RANK_TABLE_FILE="")
    lines = result.out.splitlines()
    ports = {part for line in lines for part in shlex.split(line) if part.startswith("MS_SCHED_PORT=")}
    assert len(lines) == 3 and len(ports) == 1 and result.out.count("MS_ROLE=MS_WORKER") == 2, result
    assert "MS_ROLE=MS_SCHED" in lines[2] and "MS_SCHED_HOST=127.0.0.1" in lines[0] and "MS_NODE_ID=1" in lines[1]
    eight = shell("bash", ROOT / "scripts/run_distribute_train_s16_r1.sh", "--dry-run")
    assert eight.out.count("MS_ROLE=MS_WORKER") == 8 and "RANK_SIZE=8" in eight.out


def test_several_machines(shell):
    result = shell("bash", ROOT / "scripts/run_distribute_train_s16_r1.sh", "--dry-run", RANK_SIZE="4", NODES="2",
                   NODE_RANK="1", MASTER_ADDR="203.0.113.7", MASTER_PORT="9000")
    lines = result.out.splitlines()
    assert len(lines) == 2 and "MS_SCHED" not in result.out.replace("MS_SCHED_", ""), "the scheduler is on machine 0"
    for rank, line in zip((2, 3), lines):
        assert f"RANK_ID={rank} DEVICE_ID={rank - 2}" in line and "MS_WORKER_NUM=4" in line
        assert "MS_SCHED_HOST=203.0.113.7 MS_SCHED_PORT=9000" in line and f"device{rank}/log" in line


@pytest.mark.parametrize("environment, ranks", [({}, "0 1"), ({"NODE_RANK": "1"}, "2")])
def test_a_table_of_two_servers(environment, ranks, shell, tmp_path):
    table = write_table(tmp_path / "t.json", ("127.0.0.1", (0, 1)), ("203.0.113.9", (6,)))
    result = shell("bash", ROOT / "scripts/run_distribute_train_s8_r1.sh", table, "--dry-run", DEVICE_TARGET="Ascend",
                   **environment)
    found = [part[8:] for line in result.out.splitlines() for part in line.split() if part.startswith("RANK_ID=")]
    assert " ".join(found) == ranks and "RANK_SIZE=3" in result.out, result


@pytest.mark.parametrize("devices, meet", [([], True), (["davinci0", "davinci_manager"], False)])
def test_auto_connects_by_a_table_only_where_an_ascend_is(devices, meet, monkeypatch, capsys, tmp_path):
    for name in devices:
        (tmp_path / name).touch()
    monkeypatch.setattr("src.device.ASCEND_DEVICES", str(tmp_path / "davinci*"))
    table = write_table(tmp_path / "t.json", ("203.0.113.1", (0, 1)))
    launch.main(["--rank_table", str(table), "--log_dir", str(tmp_path / "logs"), "--dry_run", "--", "train.py"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (3 if meet else 2) and ("MS_ROLE=MS_SCHED" in lines[-1]) is meet, lines


@pytest.mark.parametrize("cores, count, shares", [
    ((0, 1, 2, 3), 2, [(0, 1), (2, 3)]), ((4, 5, 6, 7, 8), 2, [(4, 5), (6, 7, 8)]), ((1, 3, 5), 1, [(1, 3, 5)]),
    ((0, 1), 3, [(0,), (0,), (1,)]), ((), 2, [(), ()])])
def test_cores_are_shared_evenly_by_neighbours(cores, count, shares):
    assert [launch.share(cores, place, count) for place in range(count)] == shares


@pytest.mark.parametrize("value", ["True", "False", ""])
def test_bound_ranks_run_on_their_cores(value, project, table, shell, tmp_path):
    (project / "train.py").write_text("import os; print(*sorted(os.sched_getaffinity(0)))")
    result = shell("bash", project / "scripts/run_distribute_train_s8_r1.sh", table, BIND_CORE=value)
    assert result.code == 0, result
    own = tuple(sorted(os.sched_getaffinity(0)))
    found = [tuple(map(int, (tmp_path / f"s8_aug_train/device{rank}/log").read_text().split())) for rank in (0, 1)]
    assert found == ([launch.share(own, rank, 2) for rank in (0, 1)] if value == "True" else [own, own])


def test_the_option_alone_binds_and_a_dry_run_shows_it(table, capsys, tmp_path):
    launch.main(["--rank_table", str(table), "--bind_core", "--log_dir", str(tmp_path), "--dry_run", "--", "train.py"])
    assert capsys.readouterr().out.count("taskset -c ") == 2


BAD = [
    ({"RANK_SIZE": "3", "NODES": "2"}, None, "RANK_SIZE 3: cannot be spread evenly over NODES 2"),
    ({"NODES": "2", "NODE_RANK": "0"}, None, "set MASTER_ADDR"),
    ({"NODES": "2", "MASTER_ADDR": "203.0.113.1"}, None, "set NODE_RANK on each machine, 0 to 1"),
    ({}, [("203.0.113.1", (0,)), ("203.0.113.2", (0,))], "none of its servers 203.0.113.1, 203.0.113.2 is an address"),
    ({"NODE_RANK": "2"}, [("203.0.113.1", (0,)), ("203.0.113.2", (0,))], "lists 2 servers"),
    ({"RANK_TABLE_FILE": "missing.json"}, None, "rank table missing.json: cannot be read"),
    ({"RANK_SIZE": "two"}, None, "--ranks"), ({"BIND_CORE": "yes"}, None, "--bind_core"),
]


@pytest.mark.parametrize("environment, servers, part", BAD, ids=[part[:30] for *_, part in BAD])
def test_bad_input_is_one_line(environment, servers, part, shell, tmp_path):
    if servers:
        environment = {"RANK_TABLE_FILE": str(write_table(tmp_path / "t.json", *servers)), **environment}
    result = shell("bash", ROOT / "scripts/run_distribute_train_s16_r1.sh", **environment)
    assert result.code == 2 and part in result.err and len(result.err.splitlines()) == 1, result


def test_a_master_port_in_use_is_an_error(shell):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = shell("bash", ROOT / "scripts/run_distribute_train_s16_r1.sh", RANK_SIZE="2", DEVICE_TARGET="CPU",
                       MASTER_PORT=port, RANK_TABLE_FILE="")
    assert result.code == 2 and f"MASTER_PORT {port}: cannot be used" in result.err, result
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("how, code, said", [("code=3", 3, "ended with exit code 3"), ("", 1, "was killed by SIGKILL")])
def test_a_dead_rank_ends_all_and_is_named(how, code, said, project, table, shell, tmp_path):
    found = mark()
    result = shell("bash", project / "scripts/run_distribute_train_s16_r1.sh", table, "", "", "--", "die=1", how or "x",
                   "wait=6000", found, timeout=300)
    assert result.code == code, result
    log = tmp_path / "s16_aug_train/device1/log"
    assert f"error: rank 1 {said}; the last lines of {log}:" in result.err and "    the reason" in result.err
    assert not alive(found)


def test_ranks_that_ignore_signals_are_killed_with_their_children(project, table, tmp_path):
    """Like ranks that wait in C++ for the dead one."""
    seconds = f"7{time.time_ns() % 10**6}"
    code = "import src.tools.launch as launch; launch.FAILURE_GRACE = 1; launch.main()"
    done = subprocess.run([sys.executable, "-c", code, "--rank_table", table, "--log_dir", tmp_path / "logs", "--",
                           project / "train.py", "deaf=1", "die=0", f"wait={seconds}"],
                          cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "rank 0 was killed by SIGKILL" in done.stderr, done
    wait_until(lambda: not alive(seconds))


@pytest.mark.parametrize("options, signals", [(("--grace", "1"), [signal.SIGTERM]),
                                              ((), [signal.SIGINT, signal.SIGINT])])
def test_grace_and_a_second_ctrl_c_bound_the_time_to_save(options, signals, project, table, tmp_path):
    found = mark()
    launcher = subprocess.Popen([sys.executable, ROOT / "src/tools/launch.py", "--rank_table", table, "--log_dir",
                                 tmp_path / "logs", *options, "--", project / "train.py", "deaf=1", "wait=6000",
                                 found], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                preexec_fn=hear_signals())
    wait_for_ranks(tmp_path / "logs")
    start = time.monotonic()
    for signum in signals:
        launcher.send_signal(signum)
        time.sleep(1)    # two at once are one
    launcher.wait(50)    # without the option or the second signal the ranks had 60 seconds
    assert time.monotonic() - start > 1 and not alive(found)


def wait_for_ranks(folder):
    """Wait until both ranks have printed, and so hear signals."""
    logs = [folder / f"device{rank}/log" for rank in (0, 1)]
    wait_until(lambda: all(log.exists() and "rank" in log.read_text() for log in logs))


def hear_signals(hangup=signal.SIG_DFL):
    """The default signal handlers of a terminal's child, however the tests were started."""
    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, hangup)
    return prepare


def start_waiting(project, table, tmp_path, found, hangup=signal.SIG_DFL):
    """A launcher whose two ranks wait."""
    process = subprocess.Popen(
        ["bash", str(project / "scripts/run_distribute_train_s16_r1.sh"), str(table), "", "", "--", "wait=6000", found],
        cwd=tmp_path, env={**os.environ, "PYTHON": sys.executable}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, preexec_fn=hear_signals(hangup))
    wait_for_ranks(tmp_path / "s16_aug_train")
    return process


@pytest.mark.parametrize("signum, expected", [
    (signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGKILL, -9)])
def test_signals_end_all(signum, expected, project, table, tmp_path):
    found = mark()
    process = start_waiting(project, table, tmp_path, found)
    process.send_signal(signum)
    assert process.wait(300) == expected
    wait_until(lambda: not alive(found))


def test_a_run_under_nohup_outlives_the_terminal(project, table, tmp_path):
    found = mark()
    process = start_waiting(project, table, tmp_path, found, hangup=signal.SIG_IGN)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None and len(alive(found)) >= 3
    process.terminate()
    assert process.wait(300) == 75 and not alive(found)


def start_training(drawn, tmp_path, *options, **environment):
    return subprocess.Popen(
        ["bash", ROOT / "scripts/run_distribute_train_s16_r1.sh", "", drawn / "train.mindrecord0", "", "--", *TINY,
         "--batch_size", "4", "--train_epochs", "1000", *options], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHON": sys.executable, "DEVICE_TARGET": "CPU", "RANK_SIZE": "2", **environment})


def test_kill_of_a_training_worker(drawn, tmp_path):
    """Two real ranks of a table on a CPU; one is killed during training."""
    table = write_table(tmp_path / "t.json", ("203.0.113.1", (0, 1)))
    process = start_training(drawn, tmp_path, RANK_TABLE_FILE=str(table))
    folder = tmp_path / "s16_aug_train"
    wait_for_lines(folder / "ckpt", 1, process)
    worker = min(pid for pid in alive(str(folder / "ckpt"))    # the first: it may have children
                 if "RANK_ID=1" in open(f"/proc/{pid}/environ").read().split("\0"))
    os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=300)    # the other rank would wait for it for ever
    assert process.returncode == 1, err
    assert f"error: rank 1 was killed by SIGKILL; the last lines of {folder / 'device1/log'}:" in err
    assert "8 pictures a step on 2 x CPU" in out and "epoch: 1 step: 1, loss is" in out
    assert not alive(str(folder / "ckpt"))
