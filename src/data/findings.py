"""Findings: problems of a set of pictures and masks, judged in the same way by every program that reads masks."""
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.console import InputError, warn
from src.data.labels import Labels
from src.data.summary import Summary
from src.drawing.palette import palette

# Kind of finding -> (severity, description, hint). An error would break or spoil training.
KINDS = {
    "picture": ("error", "pictures missing or damaged", "restore them, or take their lines out of the list"),
    "mask": ("error", "masks missing or damaged", "restore them, or take their lines out of the list"),
    "colour": ("error", "masks of colours or 16 bits where 8-bit class numbers are needed",
               "get_dataset_lst.py --images DIR --masks DIR --labels FILE"),
    "gray": ("error", "masks that hold the gray of VOC's colours, not class numbers",
             "they were saved from colours; write the palette's numbers, as get_dataset_lst.py does"),
    "value": ("error", "masks with values that are neither a class nor ignored",
              "--num_classes, --ignore_label, or correct the masks"),
    "size": ("error", "masks of another size than their picture", "correct or replace them"),
    "shifted": ("error", "pictures that stand beside the masks of others",
                "correct the list: each line holds a picture and its own mask"),
    "one_class": ("error", "masks that hold less than two classes together", "nothing could be learnt from them"),
    "blended": ("error", "masks that blend class numbers at edges",
                "they were drawn with antialiasing or scaled with interpolation; draw them without, scale with nearest "
                "neighbour"),
    "crossed": ("warning", "pictures that stand beside the mask of another", "is the list right?"),
    "some_blended": ("warning", "a few masks that blend class numbers at edges",
                     "were they drawn with antialiasing, or scaled with interpolation?"),
    "permuted": ("warning", "palette masks whose numbers have the colours of other classes",
                 "the numbers are trained, not the colours: are they the classes?"),
    "recoloured": ("warning", "palette masks that give a number different colours",
                   "the numbers are trained, not the colours: are they the classes? get_dataset_lst.py --labels FILE, "
                   "with lines 'R G B class name', reads the colours"),
    "lossy": ("warning", "JPEG masks", "JPEG changes class numbers at edges; use PNG"),
    "leak": ("warning", "pictures that are in training and in validation", "take them out of one of the lists"),
    "near_leak": ("warning", "pictures that look alike in training and in validation", "look at both"),
    "contradiction": ("warning", "pictures that occur with different masks", "keep the right one"),
    "repeat": ("warning", "pictures that occur more than once in a set", "they count as often"),
    "near": ("warning", "pictures of a set that look alike", "look at both"),
    "ignored": ("warning", "masks whose every pixel is ignored", "nothing is learnt from them"),
    "ignored_class": ("warning", "classes that --ignore_label takes out", "fine where it is meant"),
    "empty": ("warning", "masks of background only", "fine where it is meant"),
    "unlearnt": ("warning", "classes of validation that training does not hold", "their IoU will be 0"),
    "unmeasured": ("warning", "classes of training that validation does not hold",
                   "their IoU cannot be measured; another --seed or --split divides the pictures otherwise"),
    "alike_names": ("warning", "class names that differ only in case or in Unicode's form", "are they one class?"),
    "absent": ("warning", "classes that no mask holds", "fine if these pictures show none"),
}
SILENT = ("empty", "near", "repeat")    # of use in a report of check_data.py alone
LARGE_HIDDEN = 0.05    # share of ignored pixels that may be a class


class Finding(NamedTuple):
    """A problem: its kind (of KINDS), the set, the file or class, and details."""

    kind: str
    set: str
    item: str
    detail: str


def judge(name: str, source, summary: Summary, labels: Labels, whole: bool = True) -> list:
    """Findings about the masks of the set `name`, which came from the list or file `source`; missing classes only if
    the summary is of the `whole` set."""
    found, classes = [], [n for n in range(labels.num_classes) if n != labels.ignore_label]
    present = [n for n in classes if summary.pixels[n]]
    wrong = [int(n) for n in np.flatnonzero(summary.pixels) if n >= labels.num_classes and n != labels.ignore_label]
    hidden = summary.pixels[labels.ignore_label] / max(summary.pixels.sum(), 1)
    if wrong:
        found.append(Finding("value", name, source, labels.no_class(wrong[0])))
    if len(present) < 2:
        found.append(Finding("one_class", name, source, one_class_detail(present, summary, labels)))
    if are_grays(present):
        found.append(Finding("gray", name, source, f"all values ({', '.join(map(str, present[:5]))}) are grays of "
                             "VOC's colours"))
    if summary.blended:
        kind = "blended" if 2 * summary.blended >= summary.masks - summary.alone.sum() else "some_blended"
        found.append(Finding(kind, name, source, f"{summary.blended} of {summary.masks} masks"))
    if summary.alone[labels.ignore_label]:
        found.append(Finding("ignored", name, source, f"{summary.alone[labels.ignore_label]} of {summary.masks} masks"))
    if labels.ignore_label < labels.num_classes and summary.pixels[labels.ignore_label]:
        found.append(Finding("ignored_class", name, labels.names[labels.ignore_label],
                             f"class {labels.ignore_label}, {100 * hidden:.1f} % of the pixels"))
    if whole:
        note = (f"; {labels.ignore_label}, which is ignored, covers {100 * hidden:.0f} % of the pixels: is it a class?"
                if hidden > LARGE_HIDDEN and labels.ignore_label >= labels.num_classes else "")
        found += [Finding("absent", name, labels.names[n], f"class {n}" + note) for n in classes if n not in present]
    return found


def judge_all(name: str, source, summaries: list, labels: Labels) -> list:
    """Findings about all sets together: numbers with different colours, and class names that look alike."""
    found, alike = [], {}
    for number in (n for n in range(labels.num_classes) if n != labels.ignore_label):
        seen = {}
        for colour, mask in (entry for one in summaries for entry in one.colours.get(number, {}).items()):
            seen.setdefault(colour, mask)
        if len(seen) > 1:
            (one, mask), (other, its_mask), *_ = seen.items()
            found.append(Finding("recoloured", name, source, f"number {number} is {one} in {mask}, {other} in "
                                 f"{its_mask}"))
        alike.setdefault(unicodedata.normalize("NFC", labels.names[number]).casefold(), []).append(number)
    for first, *others in filter(lambda numbers: numbers[1:], alike.values()):
        beside = "".join(f", beside {labels.names[number]}, class {number}" for number in others)
        found.append(Finding("alike_names", name, labels.names[first], f"class {first}{beside}"))
    return found


def one_class_detail(present: list, summary: Summary, labels: Labels) -> str:
    """Detail of "one_class": the only class, and the fix if 0 and 255 are background and object."""
    held = f"class {present[0]} alone" if present else "no class"
    if not summary.pixels[labels.ignore_label]:
        return held
    if labels.ignore_label < labels.num_classes:
        return f"{held}, beside class {labels.ignore_label}, which --ignore_label takes out; leave that option out"
    return (f"{held}, beside {labels.ignore_label}, which is ignored; if that is the object, make it class 1: "
            "get_dataset_lst.py --images DIR --masks DIR --labels FILE, with the lines '0 0' and "
            f"'{labels.ignore_label} 1' in FILE")


def are_grays(present: list) -> bool:
    """Whether class numbers are all gray levels of VOC's colours, at least two beside the background."""
    levels = gray_levels(21)
    objects = [n for n in present if n]
    return len(objects) > 1 and min(objects) > 13 and all(n in levels for n in objects)


def gray_levels(num_classes: int) -> dict:
    """Gray level -> class, of VOC's colours and its 255, rounded up or down as programs do."""
    numbers = [255, *reversed(range(num_classes))]
    levels = palette()[numbers] @ np.array([0.299, 0.587, 0.114])
    return {int(round_(level)): number for number, level in zip(numbers, levels) for round_ in (np.floor, np.ceil)}


def judge_both(train: Summary, val: Summary, labels: Labels, source) -> list:
    """Findings about a validation set beside its training set."""
    both = len(train.keys & val.keys)
    found = [Finding("leak", "val", source, f"{both} of {len(val.keys)} validation pictures")] if both else []
    return found + [Finding("unlearnt", "val", labels.names[n], f"class {n}") for n in range(labels.num_classes)
                    if n != labels.ignore_label and val.pixels[n] and not train.pixels[n]]


def judge_names(name: str, source, pairs: list) -> list:
    """The finding that pictures stand beside the masks of others, told by the names alone.

    Names are compared without their ending, without what all pictures' and all masks' names begin and end with, and
    without zeros before a number. A picture is crossed if its own mask is elsewhere in the list; a picture without any
    mask of its name is ignored.
    """
    pairs = list(dict.fromkeys((Path(image).stem, Path(mask).stem) for image, mask in pairs))
    if not pairs:
        return []
    images, masks = (cores([pair[which] for pair in pairs]) for which in (0, 1))
    known, crossed = set(masks), [n for n, core in enumerate(images) if core != masks[n]]
    crossed = [n for n in crossed if images[n] in known]
    if not crossed:
        return []
    kind = "shifted" if 2 * len(crossed) >= len(pairs) else "crossed"
    first = pairs[crossed[0]]
    return [Finding(kind, name, source, f"{len(crossed)} of {len(pairs)}, the first {first[0]} beside {first[1]}")]


def cores(names: list) -> list:
    """The part of each name that is not common to all."""
    names = [re.sub(r"\d+", lambda number: number[0].lstrip("0") or "0", name.casefold()) for name in names]
    start, end = common_start(names), common_start([name[::-1] for name in names])
    start = re.sub(r"\d+$", "", start)    # of p10 and p11 the 1 belongs to the number
    end = re.sub(r"\d+$", "", end)[::-1]
    shortest = min(map(len, names))
    return [name[len(start):len(name) - len(end)] if len(start) + len(end) <= shortest else name for name in names]


def common_start(names: list) -> str:
    first, last = min(names), max(names)
    return first[:next((n for n, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))]


def tell(found: list, go_on: bool) -> None:
    """One line for each kind and set of the findings, errors last. Raises InputError for the first error, unless to
    `go_on` (--ignore_findings)."""
    groups = {}
    for one in found:
        if one.kind not in SILENT:
            groups.setdefault((one.kind, one.set), []).append(one)
    groups = {(kind, name): some for (kind, name), some in groups.items()
              if not (kind == "absent" and ("one_class", name) in groups)}    # says the same
    order = sorted(groups, key=lambda group: list(KINDS).index(group[0]))
    lines = {group: line_of(groups[group]) for group in order}
    grave = [group for group in order if KINDS[group[0]][0] == "error"]
    for group in order:
        if group not in grave or go_on:
            warn(lines[group])
    if grave and not go_on:
        more = f" (and {len(grave) - 1} more findings as grave)" if len(grave) > 1 else ""
        raise InputError(f"{lines[grave[0]]}{more}; --ignore_findings goes on")


def line_of(group: list) -> str:
    """One line for findings of one kind and set."""
    _, what, hint = KINDS[group[0].kind]
    items = [one.detail if one.item == one.set else f"{one.item} ({one.detail})" for one in group]
    shown = ", ".join(items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
    return f"{group[0].set}: {what}: {shown}; {hint}"
