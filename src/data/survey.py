"""What the pairs of a data set hold and what is wrong with them."""
import contextlib
import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from src.console import InputError, counted
from src.data.findings import KINDS, Finding, gray_levels, judge, judge_all, judge_names
from src.data.labels import HINT, Labels, count_values
from src.data.masks import check_headers, check_sizes, colours_held, numbers_of, open_mask
from src.data.pictures import decode_image, size_text
from src.data.summary import Summary, file_key
from src.data.workers import in_threads
from src.drawing.palette import palette
from src.files import read_bytes

THUMB = 32    # side of the gray thumbnails that are compared
SQUARE = np.ones((3, 3), np.uint8)
BETWEEN = 0.95    # share of a value's pixels at edges from which on it is a blend of others
MANY = 8    # from this number on, values that are not classes are probably gray levels


class Job(NamedTuple):
    """A pair to check: its set, its place there, both names, and the encoded bytes or the folder to read them from."""

    set: str
    index: int
    image: str
    mask: str
    data: tuple = ()    # (picture, mask) as bytes; empty: read from `root`
    root: str = ""

    def read(self, which: int) -> bytes:
        return self.data[which] if self.data else read_bytes(Path(self.root, self[2 + which]))


@dataclass
class Look:
    """Result of look_at; fields that could not be read stay None."""

    job: Job    # without its bytes
    problems: list = field(default_factory=list)    # (kind, detail); what they mean: findings.KINDS
    size: str = ""    # width x height of the picture
    counts: np.ndarray = None    # (256,) pixels of each mask value
    key: bytes = None    # digest of the decoded picture
    mask_key: bytes = None    # digest of the class numbers
    thumb: np.ndarray = None    # (THUMB, THUMB) uint8 gray
    file_key: bytes = b""    # digest of the encoded picture
    blended: bool = False    # the mask has values that occur at edges between others only
    colours: dict = field(default_factory=dict)    # see masks.colours_held
    mask_name: str = ""    # where the colours are from

    def error(self) -> str:
        """The first problem that would stop training, as an error text, or ""."""
        for kind, detail in self.problems:
            if KINDS[kind][0] == "error":
                name = self.job.image if kind == "picture" else self.job.mask
                hint = "; it begins with a slash, so --data_root is not used" if name.startswith("/") else ""
                return f"{Path(self.job.root, name)}: {detail}{hint}"
        return ""


def look_at(job: Job, labels: Labels, alike: bool = False) -> Look:
    """Decode a pair completely and record all its problems; with `alike`, also what a comparison with others needs."""
    look, names, data = Look(job._replace(data=())), (job.image, job.mask), [None, None]
    image = mask = None
    for which, kind in enumerate(("picture", "mask")):
        with noted(look, kind, names[which]):
            data[which] = job.read(which)
    if None not in data:
        look.file_key = file_key(data[0])
        with noted(look, "size", job.mask):
            check_headers(data, names)
        if look.problems:    # not to be decoded: the mask may unpack to gigabytes
            return look
    if data[0] is not None:
        with noted(look, "picture", job.image):
            image = decode_image(data[0], job.image)
    if data[1] is not None:
        with noted(look, "mask", job.mask):
            mask = note_mask(look, data[1], job.mask, labels)
    if image is not None:
        look.size = size_text(image)
        if alike:
            look.key = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
            gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            look.thumb = cv2.resize(gray, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    if mask is not None:
        look.mask_key = hashlib.blake2b(mask.tobytes(), digest_size=16).digest() if alike else None
        look.problems += value_problems(look.counts, labels)
        look.blended = is_blended(mask, look.counts)
    if image is not None and mask is not None:
        with noted(look, "size", job.mask):
            check_sizes(image, mask, *names)
    return look


@contextlib.contextmanager
def noted(look: Look, kind: str, name):
    """Record an InputError of the block as a problem of `kind`; `name` is the file's, which stands beside it."""
    try:
        yield
    except InputError as error:
        look.problems.append((kind, str(error).split(f"{Path(name).name}: ", 1)[-1]))


def note_mask(look: Look, data: bytes, name, labels: Labels):
    """(H, W) uint8, or None for what holds no 8-bit numbers; notes its values, colours, lossy files and permuted
    palettes."""
    with open_mask(data, name) as opened, noted(look, "colour", name):
        mask = numbers_of(opened, name)
        look.counts = count_values(mask)
        if opened.format == "JPEG":
            look.problems.append(("lossy", "JPEG"))
        look.colours, look.mask_name = colours_held(opened, look.counts), str(name)
        if opened.mode == "P" and not palette().tobytes().startswith(colours := bytes(opened.getpalette("RGB"))):
            look.problems += palette_problems(look.counts, np.frombuffer(colours, np.uint8).reshape(-1, 3), labels)
        return mask


def is_blended(mask: np.ndarray, counts: np.ndarray) -> bool:
    """Whether at least two values of a mask occur (almost) only between a lower and a higher one: at edges that were
    blended. Classes have areas of their own; a thin border is one value, and noise is between everywhere."""
    held = np.sort(counts[counts > 0])
    if len(held) < 4:
        return False
    between = (cv2.erode(mask, SQUARE) < mask) & (mask < cv2.dilate(mask, SQUARE))
    total = np.count_nonzero(between)
    if total < BETWEEN * held[:2].sum() or 4 * total >= mask.size:    # too few for two values, or noise
        return False
    edges = np.bincount(mask[between], minlength=256)
    return np.count_nonzero((counts > 0) & (edges >= BETWEEN * counts)) > 1


def palette_problems(counts: np.ndarray, colours: np.ndarray, labels: Labels) -> list:
    """The colours are VOC's, but of other numbers: a colour mask that was saved with a palette of its own."""
    classes = numbers_of_colours(labels.num_classes)
    used = [int(value) for value in np.flatnonzero(counts) if value != labels.ignore_label and value < len(colours)]
    meant = {value: classes.get(tuple(colours[value].tolist())) for value in used}
    moved = [value for value, number in meant.items() if number != value]
    if not moved or None in meant.values():
        return []
    return [("permuted", f"number {moved[0]} has VOC's colour of {meant[moved[0]]}")]


@functools.lru_cache
def numbers_of_colours(num_classes: int) -> dict:
    """VOC's colour (red, green, blue) -> number, of the classes and of 255."""
    return {tuple(palette()[number].tolist()): number for number in (255, *range(num_classes))}


def value_problems(counts: np.ndarray, labels: Labels) -> list:
    """Masks without anything to learn, and values that are not classes, including gray levels of VOC's colours."""
    values = [int(value) for value in np.flatnonzero(counts) if value != labels.ignore_label]
    if not values:
        return [("ignored", f"every pixel is {labels.ignore_label}")]
    wrong = [value for value in values if value >= labels.num_classes]
    if not wrong:
        return [("empty", "background only")] if values == [0] else []
    levels = gray_levels(labels.num_classes)
    shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
    says = f"mask {labels.no_class(wrong[0])}"
    if all(value in levels for value in [*values, labels.ignore_label] if counts[value]):
        return [("gray", f"{says}; holds {shown}; {wrong[0]} is the gray of class {levels[wrong[0]]}")]
    many = (f"; {len(wrong)} such values: gray levels of an antialiased drawing, or of a picture?"
            if len(wrong) > MANY else f"; {HINT}")
    return [("value", says + (f", holds {shown}" if len(wrong) > 1 else "") + many)]


def survey(looked, pairs: list, source, labels: Labels) -> tuple:
    """(Summary, findings) of a whole list, for programs that go on to use it; `looked` yields the Look of each of
    `pairs`, `source` is the list file. Raises InputError for a pair that would stop training or evaluation, with the
    number of such pairs."""
    source, summary, found, errors = str(source), Summary(), [], []
    for look in counted(looked, "check", "pair", len(pairs)):
        summary.add_look(look)
        found += [Finding(kind, source, look.job.mask, detail) for kind, detail in look.problems
                  if kind in ("lossy", "permuted")]
        errors += [error] if (error := look.error()) else []
    if errors:
        raise InputError(errors[0] + (f" (and {len(errors) - 1} more pairs with problems)" if errors[1:] else ""))
    return summary, [*found, *judge_names(source, source, pairs), *judge(source, source, summary, labels),
                     *judge_all(source, source, [summary], labels)]


def survey_list(pairs: list, data_root, source, labels: Labels, workers: int = 0) -> tuple:
    """`survey` of the pairs of a list file, by `workers` threads (0: one a core)."""
    look = functools.partial(look_at, labels=labels)
    return survey(in_threads(look, jobs_of(pairs, data_root), workers), pairs, source, labels)


def jobs_of(pairs: list, data_root, set_name: str = "") -> list:
    return [Job(set_name, index, image, mask, root=str(data_root)) for index, (image, mask) in enumerate(pairs)]
