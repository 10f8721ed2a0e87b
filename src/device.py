"""The device a program runs on, and its place among the devices of a distributed run."""
import os
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from src.utils.log import InputError, first_line

MENDS = {
    "Ascend": "install CANN and its MindSpore build and source set_env.sh, or give --device_target CPU",
    "GPU": "this MindSpore has no GPU backend; give --device_target CPU",
    "CPU": "",
}


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
        raise InputError(f"--device_target {target}: {first_line(error)}; {MENDS[target]}") from None
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
