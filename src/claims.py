"""Claims: a folder or file that one run writes and no other, for as long as the run's process lives."""
import atexit
import contextlib
import errno
import os
import re
import time
from pathlib import Path

try:
    import fcntl
except ImportError:    # Windows
    fcntl = None
    import msvcrt

from src.console import ENDING, InputError, warn
from src.files import check_folder

NAME = ".deeplab_v3.lock"    # in a claimed folder; beside a claimed file its own name comes first
TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
held = {}    # path of a lock -> its open file
atexit.register(ENDING.close)    # of what was not started by run_program


def claim_folder(path, option: str = "", is_new: bool = False) -> None:
    """Make a folder, if need be, and claim it until this run ends; a new one that is empty then is removed.

    Args:
        option: what errors call the path, such as "--train_dir".
        is_new: the caller has just made it.

    Raises InputError, one line: another run has it (says its process), or it cannot be made or written.
    """
    folder = Path(os.path.realpath(path))
    where = f"{option} {path}".strip()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{where}: is a file, no folder")
    check_folder(folder, where)
    is_new = is_new or not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{where}: cannot be made ({error.strerror})") from None
    if is_new:
        ENDING.callback(remove_empty, folder)    # after the lock in it, for what is registered last ends first
    claim(folder / NAME, where)


def claim_file(path, option: str = "") -> None:
    """Claim a file that will be written, as claim_folder does."""
    target = Path(os.path.realpath(path))
    where = f"{option} {path}".strip()
    check_folder(target.parent, where)
    if not target.parent.exists():
        ENDING.callback(remove_empty, target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{where}: {target.parent} cannot be made ({error.strerror})") from None
    claim(target.with_name(f".{target.name[:100]}{NAME}"), where)


def claim(lock: Path, where: str) -> None:
    """Hold the lock file until this run ends; of one that is killed the system lets go of it.

    A file system that knows no locks (some network ones) is no reason to fail: a warning says that two runs at once
    would not be noticed.
    """
    if str(lock) in held:
        return
    try:
        file = open_lock(lock, where)
    except OSError as error:
        raise InputError(f"{where}: cannot be written ({error.strerror})") from None
    try:
        lock_file(file)
    except OSError as error:
        first = owner_of(file)
        if error.errno in TAKEN:
            file.close()
            raise InputError(f"{where}: process {first or 'unknown'} is writing there; wait for it, or give another "
                             "place") from None
        warn(f"{where}: cannot be locked ({error.strerror}), so a second run there would not be noticed")
    if not is_same(file, lock):    # the run before let go of it, and removed it, in this very moment
        file.close()
        return claim(lock, where)
    with contextlib.suppress(OSError):    # a full disk: the lock holds without a number in it
        file.truncate(0)
        file.seek(0)
        file.write(str(os.getpid()).encode())
    held[str(lock)] = file
    ENDING.callback(release, lock, os.getpid())


def open_lock(lock: Path, where: str):
    """The lock's file, made if need be; never one that another program made, nor what a link leads to."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    file = os.fdopen(os.open(lock, flags, 0o666), "rb+", buffering=0)
    if not re.fullmatch(rb"\d*\n?", file.read(64)):
        file.close()
        raise InputError(f"{where}: {lock} is not a lock of this program; give another place, or remove it")
    return file


def lock_file(file) -> None:
    """Lock an open file or raise OSError."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:    # a byte far behind the text, which stays readable to others
        file.seek(1 << 30)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


def owner_of(file) -> str:
    """Number of the process that wrote its own into the lock, which it does right after locking it; "" if not."""
    for _ in range(10):
        with contextlib.suppress(OSError):
            file.seek(0)
            if number := file.read(20).decode().strip():
                return number
        time.sleep(0.02)
    return ""


def is_same(file, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def release(lock: Path, pid: int) -> None:
    """Let go of a lock, and remove its file, unless this is a process that was forked from its owner."""
    file = held.pop(str(lock), None)
    if file is None or pid != os.getpid():
        return
    with contextlib.suppress(OSError):
        lock.unlink()    # while it is locked, so that it is nobody else's
    file.close()
