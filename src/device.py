"""The device a program runs on, and its place among the devices of a distributed run."""
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src import cuda
from src.console import InputError, first_line

CANN = "install CANN and the MindSpore that fits it, source set_env.sh (docs/ascend.md), or give --device_target CPU"


class Device(NamedTuple):
    """Where this process runs."""

    target: str    # Ascend, GPU or CPU
    rank: int
    size: int


def prepare_environment() -> None:
    """Environment that must stand before MindSpore is imported; what the user has set is left alone.

    From 2.9 on MindSpore's oneDNN falls to a reference kernel for convolutions on CPUs with AVX-512
    (49 s a picture in place of 0.7 s); held to AVX2 it does not.
    """
    try:
        release = tuple(int(part) for part in version("mindspore").split(".")[:2])
    except PackageNotFoundError:
        raise InputError("MindSpore is not installed: pip install -r requirements.txt") from None
    if release >= (2, 9):
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
    os.environ.setdefault("GLOG_v", "3")    # errors only; MindSpore's warnings bury the programs' own lines


def open_device(target: str, device_id: int = 0, is_distributed: bool = False) -> Device:
    """Make `target` the device of this process, in graph mode.

    Args:
        device_id: number of the device, unless the environment has DEVICE_ID.
        is_distributed: join the run that the launcher (msrun, mpirun or a rank table) describes.

    Raises:
        InputError: this MindSpore cannot use the target, or no launcher described a distributed run.
    """
    prepare_environment()
    import mindspore as ms
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        if target != "CPU":
            ms.set_device(target, int(os.environ.get("DEVICE_ID", device_id)))
        elif ms.get_context("device_target") != "CPU":    # it cannot be set again once something has run
            ms.set_device("CPU")
    except (RuntimeError, ValueError) as error:
        fix = cuda.hint(Path(ms.__file__).parent / "lib/plugin") if target == "GPU" else CANN
        raise InputError(f"--device_target {target}: {first_line(error).split('. ')[0]}; {fix}") from None
    if not is_distributed:
        return Device(target, 0, 1)
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

    Outside any graph: its shape may hang on the data, and the compile cache knows graphs by their number alone.
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
