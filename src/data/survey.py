"""What one pair of a data set holds and what is wrong with it; which pictures of a set show the same."""
import hashlib
import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from src.console import InputError
from src.data.labels import Labels
from src.data.pictures import CLASS_MODES, check_sizes, decode_image, open_mask, read_bytes, size_text, upright
from src.drawing.palette import palette

THUMB = 32    # side of the gray thumbnails that are compared
FLAT = 4.0    # gray levels: a thumbnail that varies less shows nothing to compare
ALIKE = 0.98    # correlation from which on two thumbnails are called alike; of real pictures the nearest two had 0.88
BLOCK = 2048    # thumbnails compared at a time


class Job(NamedTuple):
    """A pair to look at: the set it is of, its place there, both names, and the encoded bytes or where they are."""

    set: str
    index: int
    image: str
    mask: str
    data: tuple = ()    # (picture, mask) as bytes; empty: read from `root`
    root: str = ""

    def read(self, which: int) -> bytes:
        return self.data[which] if self.data else read_bytes(Path(self.root, self[2 + which]))


@dataclass
class Facts:
    """What look_at found; what could not be read stays None."""

    job: Job    # without its bytes
    problems: list = field(default_factory=list)    # (kind, detail); what they mean: check_data.KINDS
    size: str = ""    # width x height of the picture
    counts: np.ndarray = None    # (256,) pixels of each mask value
    key: bytes = None    # digest of the decoded picture
    mask_key: bytes = None    # digest of the class numbers
    thumb: np.ndarray = None    # (THUMB, THUMB) uint8 gray


def look_at(job: Job, labels: Labels) -> Facts:
    """Decode a pair in full and note everything that is wrong with it."""
    facts = Facts(job._replace(data=()))
    image = or_problem(facts, "picture", lambda: decode_image(job.read(0), job.image))
    mask = or_problem(facts, "mask", lambda: read_mask(facts, job, labels))
    if image is not None:
        facts.size = size_text(image)
        facts.key = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        facts.thumb = cv2.resize(gray, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    if mask is not None:
        facts.mask_key = hashlib.blake2b(mask.tobytes(), digest_size=16).digest()
        facts.counts = np.bincount(mask.reshape(-1), minlength=256)
        facts.problems += value_problems(facts.counts, labels)
    if image is not None and mask is not None:
        or_problem(facts, "size", lambda: check_sizes(image, mask, job.image, job.mask))
    return facts


def or_problem(facts: Facts, kind: str, make):
    """What `make` returns, or None with its error noted as a problem of `kind`."""
    try:
        return make()
    except InputError as error:
        facts.problems.append((kind, str(error).split(": ", 1)[-1]))    # the file is named beside it
        return None


def read_mask(facts: Facts, job: Job, labels: Labels):
    """(H, W) uint8, or None for what holds no 8-bit numbers; notes colours, lossy files and permuted palettes."""
    with open_mask(job.read(1), job.mask) as opened:
        if opened.mode not in CLASS_MODES:
            facts.problems.append(("colour", f"mode {opened.mode}"))
            return None
        mask = upright(np.array(opened), opened)
        if opened.format == "JPEG":
            facts.problems.append(("lossy", "JPEG"))
        if opened.mode == "P":
            facts.problems += palette_problems(mask, np.reshape(opened.getpalette("RGB"), (-1, 3)), labels)
    return mask


def palette_problems(mask: np.ndarray, colours: np.ndarray, labels: Labels) -> list:
    """The colours are VOC's, but of other numbers: a colour mask that was saved with a palette of its own."""
    classes = {tuple(palette()[number].tolist()): number for number in (255, *range(labels.num_classes))}
    present = np.flatnonzero(np.bincount(mask.reshape(-1)))
    used = [int(value) for value in present if value != labels.ignore_label and value < len(colours)]
    meant = {value: classes.get(tuple(colours[value].tolist())) for value in used}
    moved = [value for value, number in meant.items() if number != value]
    if not moved or None in meant.values():
        return []
    return [("permuted", f"number {moved[0]} has VOC's colour of {meant[moved[0]]}")]


def value_problems(counts: np.ndarray, labels: Labels) -> list:
    """Masks without anything to learn, and values that are no class, gray levels of VOC's colours among them."""
    values = [int(value) for value in np.flatnonzero(counts) if value != labels.ignore_label]
    if not values:
        return [("ignored", f"every pixel is {labels.ignore_label}")]
    wrong = [value for value in values if value >= labels.num_classes]
    if not wrong:
        return [("empty", "background only")] if values == [0] else []
    levels = gray_levels(labels.num_classes)
    shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
    if all(value in levels for value in [*values, labels.ignore_label] if counts[value]):
        return [("gray", f"holds {shown}; {wrong[0]} is the gray of class {levels[wrong[0]]}")]
    return [("value", f"holds {shown}")]


def gray_levels(num_classes: int) -> dict:
    """Gray level -> class, of VOC's colours and its 255, rounded up or down as programs do."""
    numbers = [255, *reversed(range(num_classes))]
    levels = palette()[numbers] @ np.array([0.299, 0.587, 0.114])
    return {int(round_(level)): number for number, level in zip(numbers, levels) for round_ in (np.floor, np.ceil)}


def in_threads(function, items, workers: int):
    """function(item) of each item, in order; decoding leaves Python's lock, and few items are in memory at a time."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 8 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def same_pictures(facts: list) -> list:
    """Groups of facts whose decoded pictures are equal to the last pixel."""
    groups = {}
    for one in facts:
        if one.key:
            groups.setdefault(one.key, []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def alike_pictures(facts: list) -> list:
    """(one, other, correlation) of pictures that look alike and are not equal: scaled, brightened, encoded again.

    Of each picture its nearest among those before it in its own set, and its nearest in the other set: frames of a
    video are all alike, and every pair of them would be their number squared.
    """
    facts = list({one.key: one for one in facts if one.key and one.thumb.std() > FLAT}.values())
    if len(facts) < 2:
        return []
    rows = np.stack([one.thumb for one in facts]).reshape(len(facts), -1).astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = {}
    for mates, values in nearest_pictures(rows, np.array([one.job.set for one in facts])):
        pairs.update({(min(i, mates[i]), max(i, mates[i])): float(values[i]) for i in np.flatnonzero(mates >= 0)})
    return [(facts[i], facts[j], value) for (i, j), value in sorted(pairs.items())]


def nearest_pictures(rows: np.ndarray, sets: np.ndarray) -> list:
    """The nearest of those before it in its set, and the nearest in another set, of each of the normalised `rows`.

    Returns:
        Two (mates, values): (N,) int64 row numbers, -1 where none has more than ALIKE, and (N,) float32 correlations.
    """
    best = [(np.full(len(rows), -1), np.full(len(rows), ALIKE, np.float32)) for _ in range(2)]
    numbers = np.arange(len(rows))
    blocks = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
    for a, b in itertools.product(blocks, blocks):
        same = sets[a, None] == sets[b]
        masks = same & (numbers[b] < numbers[a, None]), ~same
        if not any(mask.any() for mask in masks):
            continue
        close = rows[a] @ rows[b].T
        for mask, (mates, values) in zip(masks, best):
            allowed = np.where(mask, close, -1)
            places, found = allowed.argmax(1), allowed.max(1)
            nearer = found > values[a]
            mates[a][nearer], values[a][nearer] = numbers[b][places[nearer]], found[nearer]
    return best
