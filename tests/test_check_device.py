"""src/tools/check_device.py: on this CPU as it is, and on stand-ins of what an Ascend's driver and CANN leave."""
import sys

import pytest

from src.tools import check_device
from src.tools.check_device import Place
from tests.conftest import ROOT
from tests.test_launch import write_table

# What npu-smi 25.2.0 prints of two chips and one process.
SMI = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 25.2.0                   Version: 25.2.0                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B4-1             | OK            | 91.3        33                0    / 0             |
| 0                         | 0000:01:00.0  | 0           0    / 0          3197 / 65536         |
+===========================+===============+====================================================+
| 1     910B4-1             | Alarm         | 88.1        32                0    / 0             |
| 0                         | 0000:02:00.0  | 0           0    / 0          33792/ 65536         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 1       0                 | 12345         | python                   | 30595                   |
+===========================+===============+====================================================+
"""


def row(result, name) -> str:
    """The line of one part, its mark and name taken off."""
    (line,) = [line[2:] for line in result.out.splitlines() if line[2:].startswith(name + " ")]
    return line[len(name):].strip()


def test_a_cpu_is_ready_and_two_ranks_meet(shell):
    result = shell(sys.executable, ROOT / "src/tools/check_device.py", "--device_target", "CPU", "--ranks", 2)
    assert result.code == 0, result
    assert "platform [CPU] successfully" in row(result, "mindspore.run_check")
    assert row(result, "HCCL").startswith("2 ranks met and summed up in ")
    assert row(result, "devices").startswith("CPU, ") and "--batch_size" in row(result, "memory")
    assert result.out.endswith("ready to train on CPU: bash scripts/run_standalone_train.sh\n")
    assert [line[0] for line in result.out.splitlines() if line].count("!") == 0


@pytest.fixture
def ascend(monkeypatch, tmp_path):
    """Two devices, a driver, CANN and npu-smi, as far as they can be seen; nothing computes."""
    for name in ("davinci0", "davinci1", "davinci_manager"):
        (tmp_path / name).touch()
    (tmp_path / "driver.info").write_text("Version=25.2.0\nascendhal_version=7.35.23\n")
    (tmp_path / "cann/compiler").mkdir(parents=True)
    (tmp_path / "cann/compiler/version.info").write_text("Version=8.2.0.0.201\nversion_dir=8.2.RC1\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/npu-smi").write_text(f'#!/bin/sh\n[ "$1" = info ] || exit 1\ncat <<END\n{SMI}END\n')
    (tmp_path / "bin/npu-smi").chmod(0o755)
    monkeypatch.setattr("src.device.ASCEND_DEVICES", str(tmp_path / "davinci*"))
    monkeypatch.setattr(check_device, "DRIVER", tmp_path / "driver.info")
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "cann"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.delenv("ASCEND_RT_VISIBLE_DEVICES", raising=False)
    return tmp_path


def test_what_an_ascend_shows_and_what_fails_without_its_libraries(ascend, run):
    """MindSpore itself is asked, and cannot use the device here; an HCCL that does not start ends nothing else."""
    table = write_table(ascend / "table.json", ("127.0.0.1", (0, 1)))
    result = run(check_device.main, "--rank_table", table)
    assert result.code == 1 and "3 of 9 lines need something" in result.err, result
    assert row(result, "CANN") == f"8.2.0.0.201 in {ascend}/cann" and row(result, "driver") == "25.2.0"
    assert row(result, "devices") == "Ascend [0, 1]"
    assert row(result, "npu-smi") == "0 910B4-1 OK, 60.9 of 64.0 GB free; 1 910B4-1 Alarm, 31.0 of 64.0 GB free"
    assert row(result, "rank table").endswith("taken as the only server, with ranks 0 on device 0, 1 on device 1")
    assert "--device_target Ascend: " in row(result, "mindspore.run_check")
    todo = result.out.split("what to do:")[1]
    assert "1. device 1 is Alarm: npu-smi info -t health" in todo and "3. ranks do not meet" in todo


def test_what_is_missing_is_named_with_its_fix(ascend, monkeypatch):
    place = Place("Ascend", str(write_table(ascend / "t.json", ("127.0.0.1", (0, 7)))), -1, [0, 1])
    assert "names devices [7] that this host lacks" in check_device.table_row(place).fix
    monkeypatch.setenv("ASCEND_HOME_PATH", str(ascend))
    assert "set_env.sh" in check_device.cann_row(place).fix
    monkeypatch.delenv("ASCEND_HOME_PATH")
    assert check_device.cann_row(place).fix.startswith("source /usr/local/Ascend/cann/set_env.sh")
    monkeypatch.setenv("PATH", str(ascend))
    assert check_device.smi_row(place).text == "npu-smi: No such file or directory"
    assert "HwHiAiUser" in check_device.devices_row(place._replace(devices=[0, 1, 2])).fix, "no device 2 can be opened"
    assert "pass the devices to this container" in check_device.devices_row(place._replace(devices=[])).fix
    monkeypatch.setattr(check_device, "DRIVER", ascend / "missing")
    assert check_device.driver_row(place) == (f"no version in {ascend}/missing", "")


def test_versions_that_do_not_fit_are_said(ascend, monkeypatch):
    """MindSpore's own warning, of which the level of its log must not rob the user."""
    said = "[WARNING] ME(1:2,MainProcess):2026-01-01 [a.py:1] MindSpore version 2.8.0 and CANN 7 does not match\n"
    good = "installed on platform [Ascend] successfully!\n"
    monkeypatch.setattr(check_device, "run", lambda *_, **__: (0, good, said))
    found = check_device.run_check_row(Place("Ascend", "", 0, [0]))
    assert found.fix == "MindSpore version 2.8.0 and CANN 7 does not match" and "successfully" in found.text


def test_a_bad_table_is_said_and_the_rest_is_looked_at(run, tmp_path):
    (tmp_path / "bad.json").write_text("[]")
    result = run(check_device.main, "--device_target", "CPU", "--rank_table", tmp_path / "bad.json")
    assert result.code == 1 and row(result, "rank table") == "cannot be used"
    assert "bad.json: is not a rank table" in result.out and "successfully" in result.out
