"""Why MindSpore's CUDA plugin cannot be used on this machine.

The wheels for x86-64 contain the plugin twice, for CUDA 11.1 and 11.6. MindSpore does not load it where one of its
libraries is missing.
"""
import ctypes
import mmap
import re
from pathlib import Path

CUDNN = {"11.1": "8.0", "11.6": "8.5"}    # the pairs that mindspore.run_check names


def needed(plugin: Path) -> list:
    """The CUDA libraries that a plugin is linked with, by the names in its file."""
    with plugin.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        names = {name.decode() for name in re.findall(rb"\0(lib(?:cu|nvrtc)\w*\.so\.[.\d]+)(?=\0)", data)}
    own = {path.name for path in plugin.parent.rglob("*.so*")}
    return sorted(names - own)


def found(name: str, cuda: str) -> bool:
    """Whether the loader finds a library, or it is in one of the plugin's own folders."""
    try:
        ctypes.CDLL(name)
        return True
    except OSError:
        return Path(f"/usr/local/cuda-{cuda}/lib64", name).exists()


def hint(folder: Path) -> str:
    """Hint that names the libraries missing for --device_target GPU; `folder` is MindSpore's lib/plugin."""
    plugins = {path.name.split(".so.")[1]: path for path in folder.glob("libmindspore_gpu.so.*")}
    if not plugins:
        return "this MindSpore contains no CUDA plugin (the wheels for x86-64 do); give --device_target CPU"
    missing = {cuda: [name for name in needed(path) if not found(name, cuda)] for cuda, path in plugins.items()}
    cuda = min(sorted(missing, reverse=True), key=lambda cuda: len(missing[cuda]))    # the newer where they are equal
    plugin, names = plugins[cuda].name, missing[cuda]
    if not names:
        return f"{plugin} finds its libraries; import mindspore and mindspore.run_check() may say more"
    driver = "; libcuda.so.1 comes with NVIDIA's driver" if "libcuda.so.1" in names else ""
    return (f"MindSpore's plugin {plugin} does not find {', '.join(names)}: install CUDA {cuda} and cuDNN "
            f"{CUDNN.get(cuda, '8')} and put their folders into LD_LIBRARY_PATH{driver}; or give --device_target CPU")
