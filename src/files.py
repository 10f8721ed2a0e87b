"""Files that are written aside and renamed, so that a reader never sees half of one."""
import os
from pathlib import Path

from src.console import RunError


def write_whole(path, data: bytes, option: str = "") -> None:
    """Write `data` to `path`, its folder made if missing. Raises RunError that names the file (and `option`)."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(data)
        os.replace(aside, path)
    except OSError as error:
        raise RunError(f"{f'{option} ' if option else ''}{path}: cannot be written ({error.strerror})") from None
    finally:
        remove(aside)


def remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass    # its folder is none
