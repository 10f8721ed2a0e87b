"""Describe the machine of a measurement, and detect other programs that used it meanwhile. Reads Linux's /proc."""
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("mindspore", "numpy", "opencv-python-headless", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino",
            "torch", "torchvision", "onnxscript")
ISA = ("avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd",
       "bf16", "sve")    # instruction sets that decide the engines' kernels
TICK = os.sysconf("SC_CLK_TCK")
MOST_OTHERS = 0.15    # cores that other programs may use before a figure counts as taken on a busy machine
MOST_LOAD = 0.5    # load average before the first figure, for each core


def describe() -> dict:
    """CPU, cores, instruction sets, memory, system and versions."""
    lines = [line.partition(":")[::2] for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    info = {name.strip(): value.strip() for name, value in reversed(lines)}    # of the first core
    flags = info.get("flags", info.get("Features", "")).split()
    return {"cpu": info.get("model name", platform.machine()), "cores": len(os.sched_getaffinity(0)),
            "isa": [name for name in ISA if name in flags],
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "system": platform.platform(), "versions": {"python": platform.python_version(), **versions()}}


def versions() -> dict:
    """Package -> version, of installed packages."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


def load() -> list:
    """Load averages of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def used_by_all() -> float:
    """Seconds that all cores have been busy since the machine started, including time stolen by the host."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, soft, stolen = map(int, words[:8])
    return (user + nice + system + irq + soft + stolen) / TICK


def used_by_own() -> float:
    """Seconds that this process and its descendants have been busy, including ended ones."""
    parents, spent = {}, {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                words = (place / "stat").read_text().rpartition(")")[2].split()    # a name may contain blanks
            except OSError:
                continue    # it has just ended
            parents[int(place.name)] = int(words[1])
            spent[int(place.name)] = sum(map(int, words[11:15])) / TICK    # its own time, and that of ended children
    own, total = os.getpid(), 0
    for process, seconds in spent.items():
        ancestor = process
        while ancestor not in (own, 0, 1):
            ancestor = parents.get(ancestor, 0)
        total += seconds if ancestor == own else 0
    return total


class Watch:
    """The number of cores that other programs have used since this object was made."""

    def __init__(self):
        self.start, self.before = time.perf_counter(), used_by_all() - used_by_own()

    def others(self) -> float:
        spent = used_by_all() - used_by_own() - self.before
        return round(max(0.0, spent / (time.perf_counter() - self.start)), 2)


def others_now(seconds: float = 1.0) -> float:
    """Cores that other programs use while this one waits."""
    watch = Watch()
    time.sleep(seconds)
    return watch.others()


def reasons(first_load: list, before: float, during: float) -> list:
    """Reasons not to trust figures from a busy machine; [] for a quiet one."""
    bound = MOST_LOAD * len(os.sched_getaffinity(0))
    found = [f"load {first_load[0]} before the first figure, more than {bound:g}"] if first_load[0] > bound else []
    for cores, when in ((before, "just before"), (during, "while measuring")):
        if cores > MOST_OTHERS:
            found.append(f"other programs used {cores} cores {when}, more than {MOST_OTHERS}")
    return found
