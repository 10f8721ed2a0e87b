"""Check before the first step whether training on a CPU fits into memory: the kernel kills a process without a message.

The needs are fitted to measured peaks on CPUs (MindSpore 2.8, float32; see TABLE), with errors of about 10 %.
"""
import resource
from pathlib import Path
from typing import NamedTuple

from src.console import InputError, warn
from src.device import numbers_of

GB = 1e9
SURE = 0.9    # a suggested batch takes at most this share of the free memory


class Need(NamedTuple):
    """Bytes: constant, per pixel of the crop, and per pixel of each picture of a batch."""

    base: float
    crop: float
    picture: float


# Peaks in GB, batch x crop (classes): s16 2x129 2.5 (3), 2x257 3.3 (3), 8x257 4.6 (3), 2x513 5.8 (21), 8x513 12.2 (21);
# s8 2x257 4.6, 4x257 6.5 (3); tiny_s16 2x513 1.04, 8x513 1.61 (3); tiny_s8 4x513 1.84 (3).
TABLE = {"deeplab_v3_s16": Need(2.4e9, 4.8e3, 3.28e3), "deeplab_v3_s8": Need(2.4e9, 4.8e3, 14.5e3),
         "deeplab_v3_tiny_s16": Need(0.85e9, 0, 0.25e3), "deeplab_v3_tiny_s8": Need(0.85e9, 0, 0.84e3)}
# Bytes for each pixel of each picture and class: scores, probabilities and their gradients; what the Dice loss adds.
PER_CLASS, DICE = 37, 55


def needed(model: str, batch_size: int, crop_size: int, num_classes: int, dice: bool = False) -> float:
    """Bytes that a training takes at its peak, the process itself included."""
    need, pixels, per_class = TABLE[model], crop_size ** 2, PER_CLASS + DICE * dice
    return need.base + need.crop * pixels + batch_size * pixels * (need.picture + per_class * num_classes)


def largest_batch(model: str, crop_size: int, num_classes: int, room: float, dice: bool = False) -> int:
    """The largest batch that `room` bytes are enough for, 0 where one picture is too much."""
    least = needed(model, 0, crop_size, num_classes, dice)
    return max(0, int((room - least) / (needed(model, 1, crop_size, num_classes, dice) - least)))


def group_rooms(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")):
    """Yield the free bytes in the control groups of this process, such as a container's (cgroup v1 and v2)."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, place in (line for line in lines if len(line) == 3):
        names = ("memory.max", "memory.current") if not controllers else (
            "memory.limit_in_bytes", "memory.usage_in_bytes")
        top = root / "memory" if controllers else root
        folder = top / place.lstrip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(top):
                break
            try:
                limit, used = ((group / name).read_text().strip() for name in names)
            except OSError:
                continue
            if limit.isdigit() and used.isdigit():
                yield int(limit) - int(used)


def free_memory() -> tuple:
    """(bytes that this process can still take, text of the limit); (inf, "") where the system has no such figure."""
    rooms = [(float("inf"), "")]
    memory = numbers_of("/proc/meminfo")
    if "MemAvailable" in memory:
        rooms.append((memory["MemAvailable"] * 1024, "available on this machine"))
    rooms += [(room, "left to this container") for room in group_rooms()]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        rooms.append((soft - numbers_of("/proc/self/status").get("VmSize", 0) * 1024, "left by ulimit -v"))
    return min(rooms)


def check_memory(config, num_classes: int) -> None:
    """Raises InputError, with the largest batch that fits, if this one does not; only warns with --ignore_memory."""
    if config.model not in TABLE:    # a network that was not measured
        return
    own = numbers_of("/proc/self/status").get("VmRSS", 0) * 1024
    free, where = free_memory()
    dice = bool(config.dice)
    need = needed(config.model, config.batch_size, config.crop_size, num_classes, dice) - own
    if need <= free:
        return
    batch = largest_batch(config.model, config.crop_size, num_classes, SURE * (free + own), dice)
    hint = f"--batch_size {batch} fits" if batch else "a smaller --crop_size or --model deeplab_v3_tiny_s16 needs less"
    text = (f"--batch_size {config.batch_size}: {config.model} at --crop_size {config.crop_size} takes about "
            f"{need / GB:.1f} GB more on a CPU, and {max(free, 0) / GB:.1f} GB are {where}; {hint}")
    if not config.ignore_memory:
        raise InputError(f"{text}, and --ignore_memory goes on")
    warn(text)
