"""Files are written beside their place and renamed into it, so that nobody ever reads half of one."""
import contextlib
import os
import stat
from pathlib import Path

from src.console import RunError


@contextlib.contextmanager
def writing(path, option: str = ""):
    """Yield a path beside `path` to write to: moved to `path` when the block ends well, removed when it does not.

    A link is followed, so that what it points to is replaced. Missing folders are made. The file gets the rights of
    the one that it replaces, or those that new files have; it is on the disk before it is renamed.

    Args:
        option: what errors call the path, such as "--file_name".

    Raises:
        RunError: names the path and the reason: a full disk, no right to write, a folder or device in its place.
    """
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")    # some writers look at the ending
    try:
        if target.exists() and not target.is_file():
            raise RunError(f"{option} {path}: is a {'folder' if target.is_dir() else 'device'}, not a file".strip())
        target.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.chmod(rights_of(target))
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError as error:
        raise RunError(f"{option} {path}: cannot be written ({error.strerror or error})".strip()) from None
    finally:
        remove(aside)


def write_whole(path, data: bytes, option: str = "") -> None:
    """Write `data` to `path` as `writing` does."""
    with writing(path, option) as aside:
        aside.write_bytes(data)


def rights_of(path: Path) -> int:
    """Permission bits of a file, or those that the umask leaves a new one."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def remove(path: Path) -> None:
    """Remove a file, if it is there; whatever prevents it is no reason to fail."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
