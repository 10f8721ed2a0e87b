"""The files of a folder that are meant: links to folders are followed, what systems leave about is passed over."""
import os
from pathlib import Path

from src.console import warn

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif")
LEFT_ABOUT = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r")    # Windows' and macOS's, in lower case
FOLDERS_LEFT = ("__macosx", "@eadir", "$recycle.bin")    # of macOS's zip files, of disk stations, of Windows


def is_left_about(name: str) -> bool:
    """Whether a system or an editor made the file, and no user: hidden files, ._x.jpg, Thumbs.db."""
    return name.startswith(".") or name.lower() in LEFT_ABOUT


def walk(folder):
    """Yield the (folder, names of its files) within `folder`, links to folders followed, each real folder once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        state = os.stat(place)
        if (state.st_dev, state.st_ino) in seen:    # a link back up, or a second link to the same folder
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in FOLDERS_LEFT)
        yield Path(place), names


def find_files(folder, endings: tuple) -> list:
    """Paths of all regular files in `folder` and those within that have one of the `endings` (".jpg", lower case), in
    order of their names; one line says what was passed over, and how many.

    Args:
        folder: an existing folder; a link to one is followed.
    """
    found, left = [], {}
    for place, names in walk(folder):
        for name in names:
            path = place / name
            if is_left_about(name):
                left.setdefault("that systems leave about", []).append(path)
            elif path.suffix.lower() not in endings:
                left.setdefault(f"of other kinds than {' '.join(endings)}", []).append(path)
            elif not path.is_file():
                left.setdefault("that are pipes, devices or links to nothing", []).append(path)
            else:
                found.append(path)
    if left:
        warn(f"{folder}: passed over " + ", ".join(f"{len(paths)} {'files' if len(paths) > 1 else 'file'} {why}, such "
                                                   f"as {min(paths).name}" for why, paths in left.items()))
    return sorted(found)
