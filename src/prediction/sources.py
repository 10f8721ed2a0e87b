"""Inputs of predict.py: pictures, folders, list files and videos, and the names of their output files."""
import itertools
import os
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2

from src.console import InputError, warn
from src.data.dataset_yaml import FILE
from src.data.folders import GRAY, PICTURES, find_files
from src.data.lists import UTF16, decode_names, fields_of, lines_of, read_names, spellings

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")

# Folder of pictures that our programs write -> the file that then stands beside it.
WRITTEN = {**dict.fromkeys(("masks", "overlays", "confidence", "heat_maps"), "coverage.json"), GRAY: FILE}


class Picture(NamedTuple):
    """A picture to predict."""

    image: Path
    mask: Path    # the truth, or None
    name: str     # of its output files: a relative path without extension


class Sources(NamedTuple):
    """All pictures and videos to predict."""

    pictures: list    # of Picture
    videos: list      # (path, name) pairs
    lists: list       # list files

    @property
    def count(self) -> int:
        return len(self.pictures) + len(self.videos)

    @property
    def files(self) -> list:
        """All files that are read."""
        pictures = [path for picture in self.pictures for path in (picture.image, picture.mask) if path]
        return [*pictures, *(path for path, _ in self.videos)]

    @property
    def kinds(self) -> str:
        """"pictures", "videos" or both, for messages."""
        return " and ".join(kind for kind, some in zip(self._fields, self[:2]) if some)


def find_sources(sources: list, data_root: str) -> Sources:
    """Find the pictures and videos of the arguments.

    Args:
        sources: paths of pictures, folders, list files or videos; "-" is a list on standard input.
        data_root: folder that paths in list files are relative to; empty: the working folder or the list's own.

    Raises InputError if an argument is missing, does not exist, is empty or of an unknown kind.
    """
    found, videos, lists = [], [], []
    if not any(sources):
        raise InputError("no pictures are given: predict.py IMAGE, FOLDER, LIST, VIDEO or - for a list on standard "
                         "input (see --help)")
    for source in sources:
        path = Path(source)
        kind = kind_of(source)
        if kind == "video":
            videos.append(path)
        elif kind == "folder":
            found += pictures_in(path)
        elif kind == "picture":
            found.append((path, None))
        else:
            text = (decode_names(sys.stdin.buffer.read(), "standard input") if source == "-"
                    else read_names(path, "list file"))
            lists.append(path)
            folders = [Path(data_root)] if data_root else [Path(), path.parent]
            found += read_pictures(lines_of(text), source, folders)
    names = unique_names([image for image, _ in found])
    pictures = [Picture(image, mask, name) for (image, mask), name in zip(found, names)]
    return Sources(pictures, list(zip(videos, unique_names(videos))), lists)


def check_videos(options: list, sources: Sources) -> None:
    """Say that `options` do nothing for videos. Raises InputError where there is nothing else."""
    if options and sources.videos:
        said = f"{' and '.join(f'--{name}' for name in options)}: not for videos"
        if not sources.pictures:
            raise InputError(f"{said}; extract frames (ffmpeg -i VIDEO frame_%05d.png), or leave the option out")
        warn(f"{said}, for the pictures only")


def kind_of(source: str) -> str:
    """"list", "folder", "picture" or "video", by the extension or, if that is unknown, by the contents."""
    path = Path(source)
    if source == "-":
        return "list"
    if not os.path.exists(path):    # false, unlike Path.exists, for names that are too long
        raise InputError(f"{source}: no such file or folder")
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise InputError(f"{source}: is a pipe or a device, not a file; - reads a list on standard input")
    if path.suffix.lower() in PICTURES:
        return "picture"
    if path.suffix.lower() in VIDEOS:
        return "video"
    return "picture" if cv2.haveImageReader(source) else "list" if is_text(path) else "video"


def is_text(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(4096)
    return b"\0" not in head or head[:2] in UTF16    # names are any bytes; videos hold zeros


def pictures_in(folder: Path) -> list:
    """(picture, None) pairs of all pictures in a folder and its subfolders, in order of their names.

    What predict.py and get_dataset_lst.py wrote in subfolders is left out, so that a working folder can be given again.
    """
    found = [path for path in find_files(folder, PICTURES) if not is_written(path, folder)]
    if not found:
        raise InputError(f"{folder}: contains no pictures ({' '.join(PICTURES)})")
    return [(path, None) for path in found]


def is_written(path: Path, folder: Path) -> bool:
    """Whether one of our programs wrote the picture: one of its folders in `folder` is in WRITTEN, and so is the file
    beside that."""
    within = path.relative_to(folder).parents
    return any(parent.name in WRITTEN and (folder / parent).with_name(WRITTEN[parent.name]).is_file()
               for parent in within)


def read_pictures(lines: list, source: str, folders: list) -> list:
    """(picture, mask or None) pairs of the lines "image" or "image mask"; a tab may stand between them."""
    name = "standard input" if source == "-" else source
    pairs = []
    for number, line in enumerate(lines, 1):
        if not fields_of(line):
            continue
        fields = [line.strip()]    # a picture whose name is the complete line
        if resolve(fields[0], folders) is None:
            fields = fields_of(line)
        paths = [resolve(field, folders) for field in fields]
        if len(fields) > 2 or None in paths:
            missing = fields[paths.index(None)] if len(fields) <= 2 else line.strip()
            raise InputError(f"{name}, line {number}: {missing}: no such file in "
                             f"{' or '.join(str(folder) for folder in dict.fromkeys(folders))}; "
                             "lines are 'image' or 'image mask', relative to --data_root")
        pairs.append((paths[0], paths[1] if len(paths) == 2 else None))
    if not pairs:
        raise InputError(f"{name}: lists no pictures")
    return pairs


def resolve(name: str, folders: list):
    """The file of that name, or of another of its `spellings`, in the first folder that has it, or None."""
    paths = (folder / spelling for folder in folders for spelling in spellings(name))
    return next(filter(os.path.isfile, paths), None)    # false, unlike Path.is_file, for names that are too long


def unique_names(paths: list) -> list:
    """A relative name for each path: without extension; with it if two would be equal; then with a number.

    Folders that all paths share are left out; a/x.jpg and b/x.jpg keep theirs.
    """
    if not paths:
        return []
    absolute = [Path(os.path.abspath(path)) for path in paths]
    shared = os.path.commonpath([path.parent for path in absolute])
    relative = [path.relative_to(shared) for path in absolute]
    short = [str(path.with_suffix("")) for path in relative]
    count = Counter(name.casefold() for name in short)    # some file systems do not distinguish A from a
    taken = {name for name, times in count.items() if times == 1}
    names = []
    for name, path in zip(short, relative):
        if count[name.casefold()] > 1:
            numbered = (f"{path}_{number}" for number in itertools.count(2))
            name = next(name for name in itertools.chain([str(path)], numbered) if name.casefold() not in taken)
            taken.add(name.casefold())
        names.append(name)
    return names
