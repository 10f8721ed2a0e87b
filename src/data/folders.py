"""Find the files of a folder: links to folders are followed, files of the operating system are skipped."""
import os
from pathlib import Path

from src.console import warn

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".heic", ".heif", ".avif")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")    # lossless formats: JPEG would change class numbers
GRAY = "masks_gray"    # folder for the masks that get_dataset_lst.py writes, beside its dataset.yaml
EMBEDDED = f"{GRAY}_pictures"    # folder for the pictures in labelme's files
LEFT_ABOUT = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r")    # Windows' and macOS's, in lower case
FOLDERS_LEFT = ("__macosx", "@eadir", "$recycle.bin")    # of macOS's zip files, of disk stations, of Windows


def is_left_about(name: str) -> bool:
    """Whether a system or an editor made the file, not a user: hidden files, ._x.jpg, Thumbs.db."""
    return name.startswith(".") or name.lower() in LEFT_ABOUT


def walk(folder):
    """Yield (folder, names of its files) of `folder` and all subfolders; links are followed, each folder comes once."""
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
    """Paths, sorted, of all regular files in an existing folder, links followed, and its subfolders, with one of the
    extensions `endings` (".jpg", lower case); one warning says which kinds of files were skipped, and how many."""
    found, left = [], {}
    for place, names in walk(folder):
        for name in names:
            path = place / name
            if is_left_about(name):
                left.setdefault("of the operating system", []).append(path)
            elif path.suffix.lower() not in endings:
                left.setdefault(f"of other kinds than {' '.join(endings)}", []).append(path)
            elif not path.is_file():
                left.setdefault("that are pipes, devices or broken links", []).append(path)
            else:
                found.append(path)
    if left:
        warn(f"{folder}: skipped " + ", ".join(f"{len(paths)} {'files' if len(paths) > 1 else 'file'} {why}, such "
                                                   f"as {min(paths).name}" for why, paths in left.items()))
    return sorted(found)
