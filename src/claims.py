"""Claims: while a run's process lives, no other run writes to its folder or file."""
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
atexit.register(ENDING.close)    # for programs that run_program did not start


def claim_folder(path, option: str = "", is_new: bool = False) -> None:
    """Make a folder if it is missing, and claim it until this run ends; a new one that is still empty then is removed.

    Args:
        option: the path's name in errors, such as "--train_dir".
        is_new: the caller has just made it.

    Raises InputError: another run has it (the message gives its process), or it cannot be made or written.
    """
    folder = Path(os.path.realpath(path))
    where = f"{option} {path}".strip()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{where}: is a file, not a folder")
    make_folder(folder, where, is_new)
    claim(folder / NAME, where)


def claim_file(path, option: str = "") -> None:
    """Claim a file that will be written, as claim_folder does."""
    target = Path(os.path.realpath(path))
    where = f"{option} {path}".strip()
    make_folder(target.parent, where)
    claim(target.with_name(f".{target.name[:100]}{NAME}"), where)


def make_folder(folder: Path, where: str, is_new: bool = False) -> None:
    """Make a folder if it is missing; if it is new and still empty when this run ends, it is removed then."""
    check_folder(folder, where)
    is_new = is_new or not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{where}: {folder} cannot be made ({error.strerror})") from None
    if is_new:
        ENDING.callback(remove_empty, folder)    # runs after the lock in it is released: last registered, first called


def claim(lock: Path, where: str) -> None:
    """Hold the lock file until this run ends; the system releases it if the run is killed.

    Some network file systems have no locks. Then a warning says that a second run would not be noticed.
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
    if not is_same(file, lock):    # the run before released and removed it between our open and our lock
        file.close()
        return claim(lock, where)
    with contextlib.suppress(OSError):    # a full disk: the lock holds without the process number in it
        file.truncate(0)
        file.seek(0)
        file.write(str(os.getpid()).encode())
    held[str(lock)] = file
    ENDING.callback(release, lock, os.getpid())


def open_lock(lock: Path, where: str):
    """The open lock file, made if it is missing. Links and files of other programs are refused."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    file = os.fdopen(os.open(lock, flags, 0o666), "rb+", buffering=0)
    if not re.fullmatch(rb"\d*\n?", file.read(64)):
        file.close()
        raise InputError(f"{where}: {lock} is not a lock file of this program; give another place, or remove it")
    return file


def lock_file(file) -> None:
    """Lock an open file or raise OSError."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:    # a byte far behind the text, so that others can still read the text
        file.seek(1 << 30)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


def owner_of(file) -> str:
    """Number of the process that holds the lock; "" if it has not been written yet."""
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
    """Release a lock and remove its file, unless this process was forked from the owner."""
    file = held.pop(str(lock), None)
    if file is None or pid != os.getpid():
        return
    with contextlib.suppress(OSError):
        lock.unlink()    # while it is locked, so that nobody else can own it
    file.close()
