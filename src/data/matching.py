"""Which mask belongs to which picture: by their names in two folders."""
import os
import unicodedata
from pathlib import Path

from src.console import InputError, warn
from src.data.folders import EMBEDDED, GRAY, MASKS, find_files


def files_of(folder, endings: tuple, option: str, suffix: str, others=()) -> dict:
    """Relative path without `suffix` and extension -> file, sorted. Files without the suffix are ignored, those whose
    real paths are in `others`, and what an earlier run wrote in the folder. Accented letters are in the shorter of
    Unicode's forms: macOS writes the longer one, which looks the same.

    Raises InputError for two files of one name, and if no file has the suffix.
    """
    if not Path(folder).is_dir():
        raise InputError(f"--{option} {folder}: no such folder")
    files, suffix = {}, unicodedata.normalize("NFC", suffix)
    for path in find_files(folder, endings):
        place = path.relative_to(folder)
        name = unicodedata.normalize("NFC", place.with_suffix("").as_posix())
        if (not name.endswith(suffix) or place.parts[0] in (GRAY, EMBEDDED)
                or others and os.path.realpath(path) in others):
            continue
        name = name[:len(name) - len(suffix)]
        if name in files:
            raise InputError(f"--{option}: {files[name]} and {path} have the same name")
        files[name] = path
    if suffix and not files:
        raise InputError(f"--{option} {folder}: no file name (without extension) ends in '{suffix}'")
    return files


def contains(folder, other) -> bool:
    """Whether `other` is the folder itself or lies inside it."""
    folder = os.path.realpath(folder)
    return os.path.commonpath([folder, os.path.realpath(other)]) == folder


def match(images: dict, masks: dict, folders: tuple) -> list:
    """Names that have a picture and a mask; warns of the others. Raises InputError if none has both."""
    names = [name for name in images if name in masks]
    if not names:
        first = next(iter(masks), "")
        suffix = next((first[len(name):] for name in images if first.startswith(name)), "")
        hint = f"; here with --mask_suffix {suffix}" if suffix else ""
        raise InputError(f"--masks {folders[1]}: no mask ({' '.join(MASKS)}) has the name of a picture in "
                         f"{folders[0]}; a mask has the name of its picture; the extension may differ{hint}")
    for one, other, what in ((images, masks, "pictures without a mask"), (masks, images, "masks without a picture")):
        left = [path for name, path in one.items() if name not in other]
        if left:
            warn(f"{len(left)} {what} left out, such as {left[0]}")
    return names


def listed(path, root: Path) -> str:
    """A path for the lists in `root`: relative if it is inside `root`, else absolute."""
    path = os.path.abspath(path)
    return os.path.relpath(path, root) if os.path.commonpath([path, root]) == str(root) else path
