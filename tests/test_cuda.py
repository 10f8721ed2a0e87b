"""--device_target GPU without CUDA: the libraries that the plugin does not find, read from the plugin itself."""
import shutil
import subprocess
import sys
from pathlib import Path

import mindspore
import pytest

from src import cuda

PLUGINS = Path(mindspore.__file__).parent / "lib/plugin"


def test_the_names_are_those_that_the_loader_asks_for():
    """readelf's list of the plugin's libraries, without those of the system and of MindSpore itself."""
    if not shutil.which("readelf"):
        pytest.skip("no readelf")
    plugins = sorted(PLUGINS.glob("libmindspore_gpu.so.*"))
    if not plugins:
        pytest.skip("this MindSpore contains no CUDA plugin")
    for plugin in plugins:
        listed = subprocess.run(["readelf", "-d", plugin], capture_output=True, text=True, check=True).stdout
        names = [line.split("[")[1].split("]")[0] for line in listed.splitlines() if "(NEEDED)" in line]
        wanted = {name for name in names if name.startswith(("libcu", "libnvrtc")) and "cuda_ops" not in name}
        assert len(wanted) == 9 and set(cuda.needed(plugin)) == wanted


@pytest.fixture
def folder(tmp_path):
    """Plugins of a few bytes, linked with libraries that every Linux has or that do not exist."""
    def make(**libraries):
        for number, names in libraries.items():
            path = tmp_path / f"libmindspore_gpu.so.{number.replace('_', '.').strip('v.')}"
            path.write_bytes(b"\x7fELF" + b"\0".join([b"", *(name.encode() for name in names), b""]))
        return tmp_path
    return make


def test_what_is_missing_is_named_with_its_fix(folder):
    said = cuda.hint(folder(v11_1=["libcuda_nowhere.so.1", "libcu_nowhere.so.2"], v11_6=["libcuda_nowhere.so.1"]))
    assert "libmindspore_gpu.so.11.6 does not find libcuda_nowhere.so.1: install CUDA 11.6 and cuDNN 8.5" in said
    assert "LD_LIBRARY_PATH" in said and "--device_target CPU" in said and "libcu_nowhere" not in said


def test_other_libraries_and_the_plugins_own_are_not_asked_for(folder):
    place = folder(v11_6=["libm.so.6", "libnowhere.so.1", "libcupti.so", "libcuda_ops.so.11"])
    (place / "gpu").mkdir()
    (place / "gpu/libcuda_ops.so.11").touch()
    assert "finds its libraries" in cuda.hint(place)


def test_no_plugin(tmp_path):
    assert "contains no CUDA plugin" in cuda.hint(tmp_path)


def test_programs_give_the_hint(shell):
    program = "from src.device import open_device; open_device('GPU')"
    result = shell(sys.executable, "-c", program, cwd=Path(cuda.__file__).parents[1])
    if result.code == 0:
        pytest.skip("this machine has a GPU that MindSpore can use")
    last = result.err.strip().splitlines()[-1]
    assert "InputError: --device_target GPU: Unsupported device target GPU" in last
    assert " does not find lib" in last or "no CUDA plugin" in last, last
