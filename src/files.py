"""Output files: written under a temporary name and renamed, so that no half-written file is ever read.

An output is refused where it would replace an input, a folder, a device, or a file of another program. src/claims.py
keeps two runs from sharing a folder or file.
"""
import contextlib
import errno
import functools
import json
import os
import re
import shutil
import stat
import tempfile
import zlib
from pathlib import Path

from src.console import InputError, RunError
from src.foreign import reason

MADE_BY = b"deeplab_v3 for MindSpore"    # in the first bytes of each picture and page that this project writes
GRAY_MASK = b"deeplab_v3 gray mask"    # in masks of get_dataset_lst.py, which predict.py must not take for its own
HEAD = 4096    # bytes of a file that are looked at for it
PER_IMAGE = b"image,mean_iou,pixel_accuracy,"    # a table of these figures begins so
LARGEST_JSON = 64 << 20    # bytes; a larger file is not a result of ours
SEAL = b'{"made_by": "%s %08x",\n'    # the first line of files that people change
KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
         (stat.S_ISSOCK, "a socket"))
ASIDE = re.compile(r"\..*\.(\d+)\.aside(\.\w+)?")    # of process (1); files and folders

UMASK = os.umask(0)    # it can only be read by setting it, which must not happen while threads write
os.umask(UMASK)


def head_has(mark: bytes, most: int = HEAD):
    """A function of a path: whether its first `most` bytes contain the mark."""
    def look(path: Path) -> bool:
        with open(path, "rb") as file:
            return mark in file.read(most)
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


def sealed(text: str) -> bytes:
    """A JSON object with a first line that holds the checksum of the rest, so that a change is noticed.

    Names that are no UTF-8 are kept as escapes.
    """
    rest = text[1:].encode("utf-8", "backslashreplace")
    return SEAL % (MADE_BY, zlib.crc32(rest)) + rest


def is_sealed(path: Path) -> bool:
    """Whether a file is what `sealed` made, unchanged."""
    checksum = 0
    with open(path, "rb") as file:
        head = file.read(len(SEAL % (MADE_BY, 0)))
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return head == SEAL % (MADE_BY, checksum)


# Files of earlier runs that are replaced without --overwrite: kind -> function of a path that recognises the kind.
# Replacing any other file needs --overwrite.
OURS = {
    "result": json_has("mean_iou", "per_class_iou", "confusion_matrix"),
    "per_image": head_has(PER_IMAGE, len(PER_IMAGE)),
    "facts": json_has("network", "atrous_rates", "num_classes"),
    "outlines": is_sealed,
    "onnx": head_has(b"deeplabv3-mindspore"),    # the producer's name
    "mindir": lambda path: OURS["facts"](path.with_name(path.name + ".json")),    # it has no mark itself
    "air": lambda path: False,    # the format has no mark of its writer
    "drawn": head_has(MADE_BY),
    "gray": head_has(GRAY_MASK),
    "checked": json_has("sets", "findings"),
    "rank_table": lambda path: any(json_has(servers, "status")(path) for servers in ("server_list", "group_list")),
}


def check_output(path, option: str = "", kind: str = "", inputs=()) -> Path:
    """The file that `path` leads to, links followed, once it is sure that it can be written.

    Args:
        option: the path's name in errors, such as "--file_name".
        kind: key of OURS; an existing file of another kind is refused. Empty: any may be replaced.
        inputs: files that are read and must not be replaced; for many outputs, the `identities` of these files.

    Raises InputError: the path is a folder, device, input or a file that may not be replaced; its name is too long; no
    permission to write.
    """
    target, where = Path(os.path.realpath(path)), f"{option} {path}".strip()
    check_name(target, where)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = target.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{where}: is {kind_of_file(found.st_mode)}, not a file")
        source = (inputs if isinstance(inputs, dict) else identities(inputs)).get((found.st_dev, found.st_ino))
        if source is not None:
            raise InputError(f"{where}: is the input {source}, which would be lost; give another name")
        if kind and found.st_size and not recognised(target, kind):    # an empty file may be replaced
            raise InputError(f"{where}: exists and was not written by this program; --overwrite replaces it")
    check_folder(target.parent, where)
    return target


def check_name(target: Path, where: str) -> None:
    """Raises InputError if a part of a path is longer than the system allows."""
    known = Path(target.anchor)
    for part in target.parts[1:]:
        try:
            os.lstat(known / part)    # beside what is there, so that a missing folder hides nothing
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(f"{where}: cannot be written: its name is too long; shorten it, or the name of what "
                                 "it is made from") from None
        else:
            known /= part


def check_input(path, where) -> None:
    """Raises InputError if a file to read is missing or not a regular file: a pipe could wait, a device never end.
    `where` is its name in errors."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise InputError(f"{where}: no such file") from None
    except (OSError, ValueError) as error:    # ValueError: a name with a zero byte
        raise InputError(f"{where}: {reason(error)}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{where}: is {kind_of_file(mode)}, not a file")


def read_bytes(path, option: str = "") -> bytes:
    """A file's content. Raises InputError if it is missing, not a regular file or cannot be read."""
    where = f"{option} {path}".strip()
    check_input(path, where)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{where}: {reason(error)}") from None
    except MemoryError:
        raise InputError(f"{where}: too large for the free memory") from None


def kind_of_file(mode: int) -> str:
    """What a path is that is not a regular file, in words."""
    return next((kind for is_kind, kind in KINDS if is_kind(mode)), "a special file")


def check_folder(folder: Path, where: str) -> None:
    """Raises InputError if no file can be made in a folder, or the folder itself cannot be made."""
    nearest = next((place for place in (folder, *folder.parents) if os.path.exists(place)), Path())
    if not nearest.is_dir():
        raise InputError(f"{where}: cannot be written: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        is_fixed = hasattr(os, "statvfs") and os.statvfs(nearest).f_flag & os.ST_RDONLY
        raise InputError(f"{where}: cannot be written: {'the disk is read-only' if is_fixed else 'no permission'} in "
                         f"{nearest}; give another place")


def identities(paths) -> dict:
    """(device, number) -> path of each file that is there: the same under all its names and links."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(path)
            found.setdefault((status.st_dev, status.st_ino), path)
    return found


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
    same path that a dead process left are removed. Raises InputError as check_output, whose arguments these are, and
    RunError with the path and the reason, such as a full disk.
    """
    target = check_output(path, option, kind, inputs)
    ending = target.suffix if re.fullmatch(r"\.\w{1,8}", target.suffix) else ""    # some writers look at it
    aside = target.with_name(f"{beginning_of(target)}{os.getpid()}.aside{ending}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent, beginning_of(target))
        yield aside
        with open(aside, "rb+") as file:    # Windows syncs only what may be written
            os.fsync(file.fileno())
        aside.chmod(rights_of(target))
        os.replace(aside, target)
    except OSError as error:
        raise RunError(f"{option} {path}: cannot be written ({reason(error)})".strip()) from None
    finally:
        remove(aside)


def write_whole(path, data: bytes, option: str = "", kind: str = "", inputs=()) -> None:
    """Write `data` to `path` as `writing` does."""
    with writing(path, option, kind, inputs) as aside:
        aside.write_bytes(data)


def beginning_of(target: Path) -> str:
    """How the names begin of what becomes `target`: its own name, cut so that it is not too long, and a checksum."""
    return f".{target.stem[:30]}.{zlib.crc32(os.fsencode(target.name)):08x}."


@contextlib.contextmanager
def folder_aside(target: Path):
    """Yield a new folder beside `target`, for its user alone, to make it in; removed at the end, as are those of
    processes that died. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, beginning_of(target))
    aside = Path(tempfile.mkdtemp(prefix=f"{beginning_of(target)}{os.getpid()}.aside.", dir=target.parent))
    try:
        yield aside
    finally:
        remove(aside)


def move_files(folder: Path, root: Path) -> None:
    """Move all files of a folder, made by `write_whole`, to the same places in `root`, as `writing` would put them
    there. Raises RunError."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        target = Path(os.path.realpath(root / path.relative_to(folder)))
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.stat().st_dev == target.parent.stat().st_dev:
            path.chmod(rights_of(target))
            os.replace(path, target)
        else:    # a link leads to another disk
            write_whole(target, path.read_bytes())


def temporary_folder():
    """`folder_aside` where the system has its temporary files. Raises RunError if there is no such place."""
    try:
        return folder_aside(Path(tempfile.gettempdir(), "deeplab_v3"))
    except FileNotFoundError as error:
        raise RunError(f"{error.strerror}; TMPDIR=DIR in front of the command names a folder that can be written"
                       ) from None


def sweep(folder: Path, beginning: str = ".") -> None:
    """Remove what dead processes were writing in a folder, under names with this beginning."""
    for name in left_in(os.path.abspath(folder)):
        if name.startswith(beginning) and not is_alive(int(ASIDE.fullmatch(name)[1])):
            remove(Path(folder, name))


@functools.lru_cache(maxsize=1000)
def left_in(folder: str) -> list:
    """Names of what processes were writing in a folder when this one first looked: thousands of masks in one folder
    are written without listing it as often."""
    return [name for name in os.listdir(folder) if ASIDE.fullmatch(name)]


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists, of any user."""
    if os.name == "nt":    # there os.kill(pid, 0) would send Ctrl-C to that process, so none counts as dead
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:    # of another user
        pass
    return True


def rights_of(path: Path) -> int:
    """Permission bits of a file, or those of a new file under the umask."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0o666 & ~UMASK


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there; whatever prevents it is no reason to fail."""
    if path.is_dir() and not path.is_symlink():
        return shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
