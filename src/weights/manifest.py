"""The files beside weight files that say what these must be: checkpoints.json of a run, and FILE.sha256."""
import json
import os
import re
from pathlib import Path

from src.console import InputError
from src.files import write_whole
from src.foreign import Unreadable, load_json, read_bounded, reason, shown
from src.weights.checkpoint import digest

MANIFEST = "checkpoints.json"
NAME = re.compile(r"\w+-\d+_\d+\.ckpt", re.ASCII)    # train.py's names of checkpoints; never a path
SHA256 = re.compile("[0-9a-f]{64}")
LARGEST = 1 << 53    # of a size or a step


def read_manifest(folder) -> dict:
    """File name -> {size, sha256, step} of a run's complete checkpoints, oldest first.

    A run later removes files of this list, so it may only list checkpoints in its own folder. Raises InputError for any
    other entry.
    """
    path = Path(folder, MANIFEST)
    try:
        entries = load_json(read_bounded(path))
    except FileNotFoundError:
        return {}
    except (OSError, Unreadable) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)}); move it away") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: is not a list of checkpoints; move it away")
    for name, entry in entries.items():
        if not NAME.fullmatch(name) or not is_entry(entry):
            raise InputError(f"{path}: the entry {shown(name)} is not one of train.py's; remove it")
    return entries


def is_entry(entry) -> bool:
    """Whether `entry` has a valid size, SHA-256 and step."""
    return (isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and bool(SHA256.fullmatch(entry["sha256"]))
            and all(type(entry.get(key)) is int and 0 <= entry[key] <= LARGEST for key in ("size", "step")))


def add_to_manifest(path: Path, step: int) -> None:
    """Enter a checkpoint that is complete."""
    entry = {"size": path.stat().st_size, "sha256": digest(path), "step": step}
    write_manifest(path.parent, {**read_manifest(path.parent), path.name: entry})


def drop_from_manifest(paths: list) -> None:
    """Remove checkpoints of one folder and then their entries, so that none is left that no entry names."""
    for path in paths:
        path.unlink(missing_ok=True)
    names = {path.name for path in paths}
    entries = {name: entry for name, entry in read_manifest(paths[0].parent).items() if name not in names}
    write_manifest(paths[0].parent, entries)


def write_manifest(folder: Path, entries: dict) -> None:
    write_whole(folder / MANIFEST, json.dumps(entries, indent=1).encode())


def is_whole(path: Path, entry: dict) -> bool:
    return os.path.isfile(path) and path.stat().st_size == entry["size"] and digest(path) == entry["sha256"]


def check_sha256(path, where: str) -> None:
    """Raises InputError that begins with `where` if a file's SHA-256 differs from FILE.sha256 (of sha256sum) or
    checkpoints.json."""
    path = Path(path)
    beside = path.with_name(path.name + ".sha256")
    said = {beside: read_sha256(beside)}
    if NAME.fullmatch(path.name):
        said[path.parent / MANIFEST] = read_manifest(path.parent).get(path.name, {}).get("sha256", "")
    for source, sha in said.items():
        if sha and sha != digest(path):
            raise InputError(f"{where}: has another SHA-256 ({digest(path)[:12]}...) than {source} says "
                             f"({sha[:12]}...); fetch it again, or remove {source.name} if it is of another file")


def read_sha256(path: Path) -> str:
    """The SHA-256 in a file, "" if the file does not exist. Raises InputError if it has none."""
    try:
        words = read_bounded(path, 1 << 20).split()
    except FileNotFoundError:
        return ""
    except (OSError, Unreadable) as error:
        raise InputError(f"{path}: {reason(error)}") from None
    if not words or not SHA256.fullmatch(words[0].lower()):
        raise InputError(f"{path}: does not begin with a SHA-256 of 64 hexadecimal digits")
    return words[0].lower()
