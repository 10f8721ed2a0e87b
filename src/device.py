"""The device a program runs on, and its place among the devices of a distributed run.

MindSpore is imported in the functions that need it: what runs without it imports this module too.
"""
import contextlib
import functools
import glob
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.console import InputError, first_line

ASCEND_DEVICES = "/dev/davinci*"    # what the driver makes of an Ascend
CANN = ("src/tools/check_device.py says what is missing: install CANN and the MindSpore that fits it, source "
        "set_env.sh (docs/ascend.md), or give --device_target CPU")
CUDA = ("MindSpore's plugin needs CUDA 11.6 with cuDNN 8.5, or 11.1 with 8.0, in LD_LIBRARY_PATH, and NVIDIA's driver; "
        "the wheels for x86-64 contain it; or give --device_target CPU")
# Distributions that contain MindSpore; src/tools/install.py, which can import nothing from here, names them too.
MINDSPORE = ("mindspore", "mindspore-dev", "mindspore-ascend", "mindspore-gpu")


class Device(NamedTuple):
    """Where this process runs."""

    target: str    # Ascend, GPU or CPU
    rank: int
    size: int


def cores() -> int:
    """The cores that this process may use; a rank that is bound to its share has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def numbers_of(path) -> dict:
    """The first number of each line of a /proc file, by name; {} where there is no such file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    parts = [line.replace(":", " ").split() for line in lines]
    return {part[0]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdigit()}


def resolve_target(target: str) -> str:
    """The device that --device_target means: for auto "Ascend" on a machine that has one, whether it can be used or
    not, and "CPU" on any other; else `target` itself.
    """
    if target != "auto":
        return target
    return "Ascend" if glob.glob(ASCEND_DEVICES) else "CPU"


def mindspore_version():
    """MindSpore's version, None if it is not installed. One that pip does not know, as when it was built from source,
    is imported for it."""
    for name in MINDSPORE:
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    try:
        import mindspore
    except ImportError:
        return None
    return getattr(mindspore, "__version__", None)    # a mere folder of that name has none


def prepare_environment() -> None:
    """Environment that must stand before MindSpore is imported; what the user has set is left alone.

    From 2.9 on MindSpore's oneDNN falls to a reference kernel for convolutions on CPUs with AVX-512
    (49 s a picture in place of 0.7 s); held to AVX2 it does not.
    """
    os.environ.setdefault("GLOG_v", "3")    # errors only; MindSpore's warnings bury the programs' own lines
    found = mindspore_version()
    if not found:
        raise InputError("MindSpore is not installed: pip install -r requirements.txt")
    if tuple(int(part) for part in found.split(".")[:2]) >= (2, 9):
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")


@functools.lru_cache
def use_device(target: str, device_id: int = 0) -> None:
    """Make `target` the device of this process, in graph mode. Raises InputError if this MindSpore cannot use it."""
    prepare_environment()
    import mindspore as ms
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        if target != "CPU":
            ms.set_device(target, int(os.environ.get("DEVICE_ID", device_id)))
        elif ms.get_context("device_target") != "CPU":    # it cannot be set again once something has run
            ms.set_device("CPU")
    except (RuntimeError, ValueError) as error:
        hint = CUDA if target == "GPU" else CANN
        raise InputError(f"--device_target {target}: {first_line(error).split('. ')[0]}; {hint}") from None


def open_device(target: str = "auto", device_id: int = 0, is_distributed: bool = False) -> Device:
    """Make `target` the device of this process, in graph mode; says which one auto is.

    Args:
        target: as resolve_target takes it.
        device_id: number of the device, unless the environment has DEVICE_ID.
        is_distributed: join the run that the launcher (msrun, mpirun or a rank table) describes.

    Raises InputError: this MindSpore cannot use the target, or no launcher described a distributed run.
    """
    asked, target = target, resolve_target(target)
    if asked == "auto":
        has = "has an" if target == "Ascend" else "has no"
        print(f"--device_target auto: {target}, for this machine {has} Ascend ({ASCEND_DEVICES})", flush=True)
    use_device(target, device_id)
    if not is_distributed:
        return Device(target, 0, 1)
    import mindspore as ms
    from mindspore.communication import get_group_size, get_rank, init
    try:
        init()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"--is_distributed: {first_line(error)}; start it with msrun or a launcher of scripts/"
                         ) from None
    ms.set_auto_parallel_context(parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True)
    return Device(target, get_rank(), get_group_size())


def all_reduce(array: np.ndarray) -> np.ndarray:
    """Sum of a float32 array over the devices of a distributed run.

    Outside any graph, since its shape may depend on the data, and each shape would be compiled.
    """
    import mindspore as ms
    from mindspore import ops
    return ops.AllReduce()(ms.Tensor(array)).asnumpy()


def sum_over_ranks(counts: np.ndarray, device) -> np.ndarray:
    """Sum of int64 counts over the devices, exact up to 2 ** 45.

    Communication is sure to know float32, so each count travels as three 15-bit parts.
    """
    if device.size == 1:
        return counts
    parts = all_reduce(np.stack([counts >> shift & 0x7FFF for shift in (0, 15, 30)]).astype(np.float32))
    return sum(part << shift for part, shift in zip(parts.astype(np.int64), (0, 15, 30)))


def gather(data: bytes, device) -> list:
    """The bytes of every device, in the order of their ranks; each travels as a float32, see sum_over_ranks."""
    if device.size == 1:
        return [data]
    lengths = np.zeros(device.size, np.int64)
    lengths[device.rank] = len(data)
    lengths = sum_over_ranks(lengths, device)
    buffer = np.zeros((device.size, lengths.max()), np.float32)
    buffer[device.rank, :len(data)] = np.frombuffer(data, np.uint8)
    return [row[:length].astype(np.uint8).tobytes() for row, length in zip(all_reduce(buffer), lengths)]


def take_statistics_of_rank_0(network, device) -> None:
    """Give every device rank 0's moving statistics: those that checkpoints hold.

    In data parallel training each device has statistics of its own batches; weights are equal everywhere.
    """
    if device.size == 1:
        return
    import mindspore as ms
    own = [value for name, value in network.parameters_and_names() if "moving_" in name]
    flat = np.concatenate([value.asnumpy() for value in own])
    flat = all_reduce(flat if device.rank == 0 else np.zeros_like(flat))
    for value, part in zip(own, np.split(flat, np.cumsum([value.size for value in own])[:-1])):
        value.set_data(ms.Tensor(part))
