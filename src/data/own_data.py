"""A folder of pictures and a folder of masks -> gray masks and list files; masks in palette, gray or colours."""
import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from src.console import InputError, progress, warn
from src.data.facts import believe_ignore_label, facts_of_lists, write_facts
from src.data.lists import Pair, read_text, write_list
from src.data.pictures import check_sizes, decode_image, open_mask, png_bytes, read_bytes, upright
from src.files import write_whole
from src.foreign import printable

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")    # without loss: JPEG would change class numbers
NUMBERS = ("P", "L", "1", "I", "I;16", "I;16B")    # modes whose pixels are numbers
GRAY = "masks_gray"


def files_of(folder, endings: tuple, option: str) -> dict:
    """Path without ending, relative to `folder` -> file, sorted. Raises InputError for two files of one name."""
    if not Path(folder).is_dir():
        raise InputError(f"--{option} {folder}: no such folder")
    files = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() in endings and not path.name.startswith("."):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in files:
                raise InputError(f"--{option}: {files[name]} and {path} have one name")
            files[name] = path
    return files


def match(images: dict, masks: dict, config) -> list:
    """Names that have a picture and a mask; says what is left out. Raises InputError if none has both."""
    names = [name for name in images if name in masks]
    if not names:
        raise InputError(f"--masks {config.masks}: no mask ({' '.join(MASKS)}) has the name of a picture in "
                         f"{config.images}; a mask is named like its picture, but for the ending")
    for one, other, what in ((images, masks, "pictures without a mask"), (masks, images, "masks without a picture")):
        left = [path for name, path in one.items() if name not in other]
        if left:
            warn(f"{len(left)} {what} left out, such as {left[0]}")
    return names


def is_number(field: str) -> bool:
    """Whether a text is a whole number of at most nine digits: int() takes other alphabets' and refuses thousands."""
    return field.isascii() and field.isdigit() and len(field) < 10


def read_colors(path) -> dict:
    """Table of mask values: lines `R G B class` or, for masks of numbers, `value class`; # begins a comment.

    Returns (R, G, B) or (value,) -> class, 0 to 255. Raises InputError that names the line.
    """
    table = {}
    for number, line in enumerate(read_text(path, "--colors").splitlines(), 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        if len(fields) not in (2, 4) or not all(map(is_number, fields)) or int(fields[-1]) > 255:
            raise InputError(f"--colors {path}, line {number}: '{printable(line.strip())}' is neither 'R G B class' "
                             "nor 'value class' in whole numbers, the class up to 255")
        *value, label = map(int, fields)
        if tuple(value) in table:
            raise InputError(f"--colors {path}, line {number}: {printable(' '.join(fields[:-1]))} stands there twice")
        table[tuple(value)] = label
    if len({len(value) for value in table}) != 1:
        raise InputError(f"--colors {path}: one kind of line is needed, either 'R G B class' or 'value class'")
    return table


def decode_values(data: bytes, path, colors: bool) -> np.ndarray:
    """Encoded mask -> (H, W) int64: its numbers, or red * 65536 + green * 256 + blue with `colors`."""
    with open_mask(data, path) as mask:
        if colors:
            red, green, blue = np.moveaxis(np.asarray(mask.convert("RGB"), np.int64), 2, 0)
            return upright(red << 16 | green << 8 | blue, mask)
        if mask.mode not in NUMBERS:
            raise InputError(f"{path}: a mask of mode {mask.mode}, colours and not class numbers; --colors FILE "
                             "gives the class of each colour")
        return upright(np.asarray(mask).astype(np.int64), mask)


def class_map(data: bytes, path, table) -> np.ndarray:
    """Encoded mask -> (H, W) uint8 class numbers by `table` of read_colors, or as they stand for None.

    Raises InputError that names the first value with no class and where it stands.
    """
    colors = table is not None and len(next(iter(table))) == 3
    values = decode_values(data, path, colors)
    found, where = np.unique(values, return_inverse=True)
    if colors:
        keys = [(value >> 16, value >> 8 & 255, value & 255) for value in found.tolist()]
    else:
        keys = [(value,) for value in found.tolist()]
    labels = [key[0] if table is None else table.get(key, -1) for key in keys]
    for key, label in zip(keys, labels):
        if not 0 <= label <= 255:
            row, column = np.argwhere(values == found[keys.index(key)])[0]
            hint = ("class numbers go to 254, and --colors FILE can give values others" if table is None
                    else "--colors has no line for it")
            raise InputError(f"{path}: value {' '.join(map(str, key))} at row {row}, column {column}: {hint}")
    return np.asarray(labels, np.uint8)[where.reshape(values.shape)]


def convert(job, table) -> np.ndarray:
    """Check a picture against its mask and write the mask as gray class numbers; (256,) pixels of each number."""
    image, mask, target = job
    labels = class_map(read_bytes(mask), mask, table)
    check_sizes(decode_image(read_bytes(image), image), labels, image, mask)
    write_whole(target, png_bytes(Image.fromarray(labels)))
    return np.bincount(labels.reshape(-1), minlength=256)


def split(names: list, share: float, seed: int) -> tuple:
    """(training names, validation names), both sorted. Each name's place depends on (seed, name) alone, so a picture
    more moves hardly any other from one side to the other."""
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    return sorted(ranked[:count]), sorted(ranked[count:])


def report(counts: np.ndarray, ignore_label: int) -> None:
    """Say which classes the masks hold. Raises InputError for masks of one class only: nothing could be learnt."""
    present = [int(number) for number in np.flatnonzero(counts) if number != ignore_label]
    if len(present) < 2:
        held = ", ".join(map(str, np.flatnonzero(counts)))
        raise InputError(f"--masks: all masks together hold only {held}, and {ignore_label} is ignored "
                         f"(--ignore_label); --colors FILE gives values classes, with lines such as '255 1'")
    total = counts.sum()
    for number in present:
        print(f"class {number}: {100 * counts[number] / total:.2f} % of the pixels")
    if counts[ignore_label]:
        print(f"ignored ({ignore_label}): {100 * counts[ignore_label] / total:.2f} %")
    absent = sorted(set(range(present[-1] + 1)) - set(present))
    if absent:
        warn(f"classes that no mask holds: {' '.join(map(str, absent))}")


def make_own_lists(config) -> None:
    """Gray masks, train_lst.txt, val_lst.txt and dataset.yaml in --data_root, by default the folder that holds both
    others."""
    images = files_of(config.images, PICTURES, "images")
    names = match(images, masks := files_of(config.masks, MASKS, "masks"), config)
    if len(names) < 2:
        raise InputError(f"--images {config.images}: one picture cannot be split into training and validation")
    folders = [os.path.abspath(config.images), os.path.abspath(config.masks)]
    root = os.path.abspath(config.data_root or os.path.commonpath(folders))
    if os.path.commonpath([root, folders[0]]) != root:
        raise InputError(f"--data_root {config.data_root}: --images {config.images} must lie within it, since the "
                         "paths of list files are relative to it")
    config = believe_ignore_label(config, Path(root))
    table = read_colors(config.colors) if config.colors else None
    targets = {name: Path(root, GRAY, name + ".png") for name in names}
    for folder in {path.parent for path in targets.values()}:
        folder.mkdir(parents=True, exist_ok=True)
    counts = np.zeros(256, np.int64)
    with ProcessPoolExecutor(config.workers or os.cpu_count()) as pool, progress(len(names), "masks", "mask") as bar:
        jobs = [(images[name], masks[name], targets[name]) for name in names]
        for one in pool.map(partial(convert, table=table), jobs, chunksize=16):
            counts += one
            bar.update()
    print(f"{Path(root, GRAY)}: {len(names)} gray masks")
    report(counts, config.ignore_label)
    source = f"pictures of {config.images}, masks of {config.masks}"
    facts = facts_of_lists(config, Path(root), counts, source + (f", {config.colors}" if config.colors else ""))
    for file, chosen in zip(("train_lst.txt", "val_lst.txt"), split(names, config.split, config.seed)):
        write_list(Path(root), file, [Pair(os.path.relpath(os.path.abspath(images[name]), root),
                                           os.path.relpath(targets[name], root)) for name in chosen])
    write_facts(Path(root), facts)
