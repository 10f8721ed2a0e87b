"""--device_target auto: an Ascend if there is one, never the CPU in its place; which MindSpore there is."""
import os
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from src.console import InputError
from src.device import MINDSPORE, cores, mindspore_version, open_device, prepare_environment, resolve_target
from src.tools import check_device, install


@pytest.fixture
def ascend(monkeypatch, tmp_path):
    """The file that an Ascend's driver makes, without a device."""
    (tmp_path / "davinci0").touch()
    monkeypatch.setattr("src.device.ASCEND_DEVICES", str(tmp_path / "davinci*"))


def test_auto_is_the_cpu_without_an_ascend_and_says_so(capsys):
    assert resolve_target("auto") == "CPU"
    assert open_device().target == "CPU"
    assert capsys.readouterr().out == "--device_target auto: CPU, for this machine has no Ascend (/dev/davinci*)\n"


def test_an_ascend_that_cannot_be_used_is_an_error(ascend, capsys):
    assert resolve_target("auto") == "Ascend"
    with pytest.raises(InputError, match="--device_target Ascend: .*install CANN.* or give --device_target CPU"):
        open_device("auto")
    assert "auto: Ascend, for this machine has an Ascend" in capsys.readouterr().out
    assert open_device("CPU").target == "CPU", "the CPU can still be chosen"


def test_a_gpu_that_cannot_be_used_is_an_error(monkeypatch):
    """MindSpore's own words without a GPU, so that the test is the same on a machine that has one."""
    import mindspore as ms

    def refuse(target, device_id):
        raise RuntimeError(f"Unsupported device target {target}. This process only supports one of the ['CPU'].")
    monkeypatch.setattr(ms, "set_device", refuse)
    with pytest.raises(InputError, match="^--device_target GPU: Unsupported device target GPU; MindSpore's plugin "
                                         "needs CUDA 11.6 with cuDNN 8.5.* or give --device_target CPU$"):
        open_device("GPU")


@pytest.mark.parametrize("target", ["Ascend", "GPU", "CPU"])
def test_published_spellings_mean_themselves(target, ascend, capsys):
    assert resolve_target(target) == target


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")    # as on macOS
    assert cores() == 8


@pytest.mark.parametrize("package, built, found", [
    ("mindspore", "9", "2.8.0"), ("mindspore-ascend", "9", "2.8.0"), (None, "2.7.0", "2.7.0"), (None, None, None)])
def test_mindspore_is_found_by_any_name_and_without_pip(package, built, found, monkeypatch):
    def version(name):
        if name != package:
            raise PackageNotFoundError(name)
        return "2.8.0"
    monkeypatch.setattr("src.device.version", version)
    monkeypatch.setitem(sys.modules, "mindspore", built and SimpleNamespace(__version__=built))    # None: cannot be
    assert mindspore_version() == found
    row = check_device.mindspore_row(None)
    assert row.text.startswith(found or "is not installed") and bool(row.fix) == (not found)
    if not found:
        with pytest.raises(InputError, match="MindSpore is not installed"):
            prepare_environment()


def test_the_installer_knows_the_same_names_of_mindspore():
    assert MINDSPORE == install.MINDSPORE
