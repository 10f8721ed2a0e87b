"""Your own pictures, with masks or annotation files -> gray masks, list files and dataset.yaml."""
import io
import os
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple, Union

import numpy as np
from PIL import Image

from src.claims import claim_file
from src.console import InputError, counted, number_of
from src.data.annotations.item import Embedded, image_bytes
from src.data.annotations.label_map import read_label_map
from src.data.annotations.reader import read_annotations
from src.data.dataset_yaml import (
    FILE,
    believe_ignore_label,
    check_facts,
    check_order,
    facts_beside,
    facts_of,
    labels_of_masks,
    lists_written,
    read_class_names,
    write_facts,
)
from src.data.findings import Finding, judge, judge_all, judge_both, tell
from src.data.folders import EMBEDDED, GRAY, MASKS, PICTURES
from src.data.labels import MOST_CLASSES, Labels, count_values
from src.data.lists import Pair, check_list_name, check_lists, read_list
from src.data.mask_values import read_classes
from src.data.masks import check_sizes, colours_held, write_mask
from src.data.matching import contains, files_of, listed, match
from src.data.pictures import decode_image
from src.data.splits import split_names
from src.data.summary import file_key, summary_of
from src.data.survey import Look, is_blended
from src.data.workers import in_processes
from src.files import check_output, folder_aside, move_files, write_whole
from src.foreign import printable, shown

LISTS = ("train_lst.txt", "val_lst.txt")
EMBEDDED_AS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}    # Pillow's formats with another extension


class Conversion(NamedTuple):
    """A picture and its mask: draw() -> (H, W) uint8 class numbers; `mask` is their name in errors, and if they
    `are_numbers` the file that has them as they are."""

    name: str    # relative path without extension, separated by /
    image: Union[Path, Embedded]
    mask: str
    draw: Callable
    are_numbers: bool = False


def check_earlier_lists(jobs: list, root: Path, overwrite: bool) -> None:
    """Raises InputError where `root` cannot be written into, its lists are edited or of other pictures, or a mask there
    is of another picture of an earlier run, whose lists would pair it with the wrong mask from now on."""
    if root.exists() and not os.access(root, os.W_OK):
        raise InputError(f"{root}: cannot be written into; --out DIR takes masks, lists and {FILE}")
    written = lists_written(root)
    check_lists(map(root.joinpath, LISTS), written, overwrite)
    lists = [root / name for name in LISTS if name in written and (root / name).is_file()]
    owners = {} if overwrite else {pair.mask: pair.image for path in lists for pair in read_list(path)}
    images = {f"{GRAY}/{job.name}.png": job.image for job in jobs}
    for path in (*images, *(listed(image, root) for image in images.values() if isinstance(image, Path))):
        check_list_name(path)    # now, and not after hours of drawing masks
    for path in (FILE, *images):
        check_output(root / path)
    if owners and not owners.keys() & images.keys():
        raise InputError(f"{lists[0]}: is of other pictures, such as {owners.popitem()[1]}; --out DIR takes another "
                         "folder, --overwrite replaces it")
    for mask, owner in owners.items():
        image = images.get(mask)
        if (isinstance(image, Path) and not owner.startswith(EMBEDDED) and os.path.isfile(root / owner)
                and owner != listed(image, root)):
            raise InputError(f"{root / mask}: is the mask of {owner} from an earlier run; --val_images and --val_masks "
                             "take validation data in one run, --out DIR another folder, --overwrite replaces it")


def convert(job: Conversion, root: Path, made: Path, kind: str) -> tuple:
    """Check a picture against its mask and write the mask as gray class numbers; a picture from inside an annotation
    file is written, too. Both are written into the folder `made`, to be moved to their places in `root` later.

    Returns (Pair of paths, absolute for a picture outside `root`, Look with what summary_of needs).
    """
    data = image_bytes(job.image)
    image = decode_image(data, job.image)
    labels = job.draw()
    check_sizes(image, labels, job.image, job.mask)
    target = root / GRAY / f"{job.name}.png"
    write_mask(labels, target, kind, [path for path in (job.image, job.mask) if not isinstance(path, Embedded)],
               made / target.relative_to(root))
    picture = job.image
    if isinstance(picture, Embedded):
        with Image.open(io.BytesIO(data)) as opened:
            picture = root / EMBEDDED / f"{job.name}.{EMBEDDED_AS.get(opened.format, opened.format.lower())}"
        if not (picture.is_file() and picture.read_bytes() == data):
            check_output(picture, "", kind)
            write_whole(made / picture.relative_to(root), data)
    look = Look(None, counts=count_values(labels), file_key=file_key(data), mask_name=job.mask)
    look.blended = is_blended(labels, look.counts)
    if job.are_numbers:
        with Image.open(job.mask) as mask:    # of a GIF the gray levels are the numbers, see masks.unscaled
            look.colours = {} if mask.format == "GIF" else colours_held(mask, look.counts)
    return Pair(listed(picture, root), listed(target, root)), look


def convert_all(jobs: list, root: Path, made: Path, config) -> dict:
    """`convert` on all cores: name -> (Pair, Look)."""
    write = partial(convert, root=root, made=made, kind="" if config.overwrite else "gray")
    found = counted(in_processes(write, jobs, config.workers), "masks", "mask", len(jobs))
    done = {job.name: result for result, job in zip(found, jobs)}
    print(f"{root / GRAY}: {number_of(len(jobs), 'gray mask')}")
    return done


def places_of(config) -> list:
    """(prefix of the names, pictures, masks, annotations) of the data, and of separate validation data if given."""
    given = [("", config.images, config.masks, config.annotations)]
    if config.val_images or config.val_masks or config.val_annotations:
        given = [("train/", *given[0][1:]), ("val/", config.val_images, config.val_masks, config.val_annotations)]
    for _, images, masks, annotations in given:
        if not annotations and not (images and masks) or annotations and masks:
            raise InputError("--images and --masks go together, or --annotations in place of --masks; --val_images, "
                             "--val_masks and --val_annotations likewise")
    if len({bool(annotations) for *_, annotations in given}) > 1:
        raise InputError("training and validation data need the same kind: --masks for both, or --annotations for both")
    return given


def jobs_of_masks(places: list, config) -> tuple:
    """(jobs, names of the classes if --labels or --colors has them)."""
    if config.labels and config.colors:
        raise InputError("--labels and --colors: give only one of them: both map mask values to classes")
    option, given, jobs = "--labels" if config.labels else "--colors", config.labels or config.colors, []
    table = read_label_map(given, config.ignore_label, option) if given else None
    for prefix, folder, mask_folder, _ in places:
        start = "val_" if prefix == "val/" else ""
        masks = files_of(mask_folder, MASKS, f"{start}masks", config.mask_suffix)
        images = files_of(folder, PICTURES, f"{start}images", config.image_suffix,
                          set(map(os.path.realpath, masks.values())) if contains(folder, mask_folder) else ())
        jobs += [Conversion(prefix + name, images[name], str(masks[name]),
                            partial(read_classes, images[name], masks[name], table, option), table is None)
                 for name in match(images, masks, (folder, mask_folder))]
    return jobs, table.classes if table else []


def in_known_order(found: list, known: list, path: Path, overwrite: bool) -> list:
    """The classes `found` in annotations, numbered as in the dataset.yaml at `path` with the names `known`: another
    order would give masks of an earlier run, and what was trained on them, other classes. New ones come last.

    Raises InputError if some are new and others gone, as where a name was changed; `overwrite` numbers them from 0
    again if any is gone.
    """
    new, gone = ([name for name in one if name not in other] for one, other in ((found, known), (known, found)))
    if gone and overwrite:
        return found
    if gone and new:
        raise InputError(f"{path}: has a class {shown(gone[0])}, and the annotations have {shown(new[0])} in its "
                         "place; --class_names FILE gives the names in order, --overwrite numbers them from 0 again")
    return [*known, *new]


def jobs_of_annotations(places: list, config, known: list, path: Path) -> tuple:
    """(jobs, names of the classes): those of --class_names, else of the annotations, see in_known_order.

    Raises InputError for more classes than a mask can number.
    """
    if config.labels or config.colors:
        raise InputError("--labels and --colors are for --masks; annotation files name their classes")
    found = [read_annotations(annotations, images) for _, images, _, annotations in places]
    classes = list(dict.fromkeys(name for one in found for name in one.classes))
    if config.class_names:
        classes = read_class_names(config.class_names)["class_names"]
    else:
        classes = in_known_order(classes, known, path, config.overwrite)
    if len(classes) > MOST_CLASSES:
        raise InputError(f"--annotations {places[0][3]}: {len(classes)} classes with the background, but an 8-bit mask "
                         f"holds at most {MOST_CLASSES}: merge or remove some")
    jobs = [Conversion(prefix + item.name, item.image, f"{annotations}, {item.name}",
                       partial(item.draw, classes, config.ignore_label))
            for (prefix, *_, annotations), one in zip(places, found) for item in one.items]
    return jobs, classes


def find_root(places: list, config) -> Path:
    """The output folder: --out, --data_root, or the nearest folder that contains all data."""
    if config.out:
        return Path(os.path.abspath(config.out))
    folders = [[os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path)) for path in place[1:] if path]
               for place in places]
    root = os.path.abspath(config.data_root or os.path.commonpath(sum(folders, [])))
    for pictures, *_ in folders:    # annotations without --images have them beside or inside themselves
        if os.path.commonpath([root, pictures]) != root:
            raise InputError(f"--data_root {config.data_root}: the pictures in {pictures} must be inside it, since "
                             "the paths of list files are relative to it; --out writes elsewhere")
    return Path(root)


def print_shares(counts: np.ndarray, labels: Labels) -> None:
    """Print which classes the masks contain."""
    for number in np.flatnonzero(counts).tolist():
        share = f"{100 * counts[number] / counts.sum():.2f} %"
        print(f"ignored ({number}): {share}" if number == labels.ignore_label else
              f"class {number} ({printable(labels.names[number])}): {share} of the pixels")


def make_own_lists(config) -> None:
    """Write gray masks, train_lst.txt, val_lst.txt and dataset.yaml into --out or --data_root, by default the folder
    that contains all data."""
    places = places_of(config)
    root = find_root(places, config)
    config = believe_ignore_label(config, root / FILE)
    kinds = ("pictures", "masks", "annotations")
    source = "; ".join(", ".join(f"{kind} of {path}" for kind, path in zip(kinds, place[1:]) if path)
                       for place in places)
    source += "".join(f", {table}" for table in (config.labels, config.colors) if table)
    known = facts_beside(root / FILE)[0].get("class_names", [])
    jobs, classes = (jobs_of_annotations(places, config, known, root / FILE) if config.annotations else
                     jobs_of_masks(places, config))
    if not (config.class_names or config.overwrite):
        check_order(classes, config.labels or config.colors, known, root / FILE)
    sides = split_names([job.name for job in jobs], config)
    check_earlier_lists(jobs, root, config.overwrite)
    claim_file(root / FILE)
    with folder_aside(root / GRAY) as made:    # the masks of earlier lists stay while this run may be refused
        jobs = [job for job in jobs if job.name in {*sides[0], *sides[1]}]
        write_all(jobs, sides, classes, root, made, config, source)


def write_all(jobs: list, sides: tuple, classes: list, root: Path, made: Path, config, source: str) -> None:
    """Convert into the folder `made`, judge, and only then write into `root`.

    Args:
        sides: names for training and for validation.
        classes: their names, as far as the data has some.
        source: what dataset.yaml says of where the data is from.
    """
    done = convert_all(jobs, root, made, config)
    train, val = (summary_of([done[name][1] for name in side]) for side in sides)
    whole = summary_of([look for _, look in done.values()])
    named = classes if config.annotations or not config.class_names else []
    labels = (Labels(len(named), config.ignore_label, named) if named else
              labels_of_masks(config, root, whole.pixels, classes))
    print_shares(whole.pixels, labels)
    given = str(config.masks or config.annotations)
    unmeasured = [Finding("unmeasured", "val", name, f"class {number}") for number, name in enumerate(labels.names)
                  if train.pixels[number] and not val.pixels[number] and number != labels.ignore_label]
    tell(judge(given, given, whole, labels) + judge_both(train, val, labels, given) + unmeasured
         + judge_all(given, given, [whole], labels), config.ignore_findings)
    check_facts(facts_of(labels, source), root / FILE)    # before the masks of an earlier run are replaced
    move_files(made, root)
    write_facts(root, labels, source, {file: [done[name][0] for name in side] for file, side in zip(LISTS, sides)})
