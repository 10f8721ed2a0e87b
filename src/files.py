"""Output files: written under a temporary name and renamed, so that no half-written file is ever read.

An output is refused where it would replace an input, a folder, a device, or a file of another program. src/claims.py
keeps two runs from sharing a folder or file.
"""
import contextlib
import json
import os
import re
import stat
import zlib
from pathlib import Path

from src.console import InputError, RunError

MADE_BY = b"deeplab_v3 for MindSpore"    # in the first bytes of each picture and page that this project writes
HEAD = 4096    # bytes at the start of a file that are searched for it
LARGEST_JSON = 64 << 20    # bytes; this project writes no larger ones
ASIDE = re.compile(r"\..*\.(\d+)\.aside(\.\w+)?")

UMASK = os.umask(0)    # it can only be read by setting it, which must not happen while threads write
os.umask(UMASK)


def head_has(*marks):
    """A function of a path: whether its first bytes contain one of the marks."""
    def look(path: Path) -> bool:
        with open(path, "rb") as file:
            head = file.read(HEAD)
        return any(mark in head for mark in marks)
    return look


def json_has(*keys):
    """A function of a path: whether it is a JSON object with these keys."""
    def look(path: Path) -> bool:
        if path.stat().st_size > LARGEST_JSON:
            return False
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return False
        return isinstance(content, dict) and content.keys() >= set(keys)
    return look


def has_facts_beside(path: Path) -> bool:
    """Whether export.py wrote its facts beside a MINDIR."""
    return OURS["facts"](path.with_name(path.name + ".json"))


# Files of earlier runs that are replaced without --overwrite: kind -> function of a path that recognises the kind.
# Replacing any other file needs --overwrite.
OURS = {
    "result": json_has("mean_iou", "per_class_iou", "confusion_matrix"),
    "facts": json_has("network", "atrous_rates", "num_classes"),
    "coverage": json_has("pictures", "class_names", "settings"),
    "onnx": head_has(b"deeplabv3-mindspore"),    # the producer's name
    "mindir": has_facts_beside,
    "air": lambda path: False,    # the format has no mark of its writer
    "drawn": head_has(MADE_BY),
}


def check_output(path, option: str = "", kind: str = "", inputs=()) -> None:
    """Check before the work starts that `path` can be written.

    Args:
        option: the path's name in errors, such as "--file_name".
        kind: key of OURS; an existing file of another kind is refused. Empty: any may be replaced.
        inputs: files that are read and must not be replaced.

    Raises:
        InputError: the path is a folder, device, input or a file that may not be replaced; no permission to write.
    """
    check_folder(replaceable(path, option, kind, inputs).parent, f"{option} {path}".strip())


def replaceable(path, option: str = "", kind: str = "", inputs=()) -> Path:
    """The file that `path` leads to, links followed. Raises InputError if it must not be replaced."""
    target, where = Path(os.path.realpath(path)), f"{option} {path}".strip()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = target.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{where}: is a {'folder' if target.is_dir() else 'device or pipe'}, not a file")
        for source in inputs:
            if is_file(source, found):
                raise InputError(f"{where}: is the input {source}, which would be lost; give another name")
        if kind and found.st_size and not recognised(target, kind):    # an empty file may be replaced
            raise InputError(f"{where}: exists and was not written by this program; --overwrite replaces it")
    return target


def check_folder(folder: Path, where: str) -> None:
    """Raises InputError if no file can be made in a folder, or the folder itself cannot be made."""
    nearest = next((place for place in (folder, *folder.parents) if place.exists()), Path())
    if not nearest.is_dir():
        raise InputError(f"{where}: cannot be written: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{where}: cannot be written: no permission to write in {nearest}")


def is_file(path, found: os.stat_result) -> bool:
    """Whether `path` leads to the file of that stat, under any name or link."""
    try:
        return os.path.samestat(os.stat(path), found)
    except (OSError, ValueError):
        return False


def recognised(path: Path, kind: str) -> bool:
    try:
        return OURS[kind](path)
    except OSError:    # missing or not readable
        return False


@contextlib.contextmanager
def writing(path, option: str = "", kind: str = "", inputs=()):
    """Yield a path beside `path` to write to: moved to `path` when the block ends well, removed when it does not.

    Links are followed: their target is replaced. Missing folders are made. The file gets the permissions of the file
    that it replaces, or those of a new one, and is synced to the disk before it is renamed. Temporary files for the
    same path that a dead process left are removed.

    Args: as check_output takes them.

    Raises:
        InputError: as check_output. RunError: names the path and the reason, such as a full disk.
    """
    target = replaceable(path, option, kind, inputs)
    check_folder(target.parent, f"{option} {path}".strip())
    aside = aside_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, aside.name.rsplit(f".{os.getpid()}.aside", 1)[0])
        yield aside
        aside.chmod(rights_of(target))
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError as error:
        raise RunError(f"{option} {path}: cannot be written ({error.strerror or error})".strip()) from None
    finally:
        remove(aside)


def write_whole(path, data: bytes, option: str = "", kind: str = "") -> None:
    """Write `data` to `path` as `writing` does."""
    with writing(path, option, kind) as aside:
        aside.write_bytes(data)


def aside_of(target: Path) -> Path:
    """Temporary path of `target`: the beginning of its name, a checksum of it, the process, the extension.

    The name is cut because file names have a length limit; the extension is kept because some writers need it.
    """
    ending = target.suffix if re.fullmatch(r"\.\w{1,8}", target.suffix) else ""
    checksum = zlib.crc32(os.fsencode(target.name))
    return target.with_name(f".{target.stem[:30]}.{checksum:08x}.{os.getpid()}.aside{ending}")


def sweep(folder: Path, beginning: str = ".") -> None:
    """Remove the temporary files of dead processes whose names begin with `start`."""
    for name in os.listdir(folder):
        found = name.startswith(beginning) and ASIDE.fullmatch(name)
        if found and not is_alive(int(found[1])):
            remove(folder / name)


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists, of any user."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def rights_of(path: Path) -> int:
    """Permission bits of a file, or those of a new file under the umask."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0o666 & ~UMASK


def remove(path: Path) -> None:
    """Remove a file if it exists; errors are ignored."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
