"""VOC and SBD folders, or your own pictures with masks or annotation files -> gray masks, lists and dataset.yaml."""
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.claims import claim_file
from src.config import parse_args
from src.console import InputError, counted, number_of, run_program
from src.data.dataset_yaml import FILE, believe_ignore_label, labels_of_masks, lists_written, write_facts
from src.data.labels import CLASSES, count_values
from src.data.lists import Pair, check_lists, read_lines
from src.data.masks import decode_mask, write_mask
from src.data.own_data import make_own_lists
from src.data.pictures import limit_pixels
from src.data.workers import in_processes
from src.files import read_bytes

VOC, SBD = Path("VOCdevkit/VOC2012"), Path("benchmark_RELEASE/dataset")
LISTS = ("voc_train_lst.txt", "voc_val_lst.txt", "vocaug_train_lst.txt")


def read_ids(*paths) -> list:
    """Picture ids of ImageSets files, stripped, in their order, without repetitions. Raises InputError if all files
    together have none."""
    ids = list(dict.fromkeys(line.split()[0] for path in paths for line in read_lines(path, "picture set")))
    if not ids:
        raise InputError(f"picture set {paths[0]}: is empty; it takes the names of pictures, one in each line")
    return ids


def read_sbd_mask(path) -> np.ndarray:
    """(H, W) uint8 class numbers of an SBD .mat file (its GTcls.Segmentation)."""
    from scipy.io import loadmat
    try:
        return np.asarray(loadmat(path)["GTcls"][0]["Segmentation"][0], np.uint8)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:    # scipy raises many kinds for a damaged file
        raise InputError(f"{path}: not an SBD annotation ({type(error).__name__}: {error})") from None


def write_gray(job, kind: str) -> tuple:
    """Write the mask `source` as 8-bit gray class numbers to `target`, see masks.write_mask.

    Returns (whether it was written, (256,) pixels of each number).
    """
    source, target = job
    mask = read_sbd_mask(source) if source.suffix == ".mat" else decode_mask(read_bytes(source), source)
    return write_mask(mask, target, kind, [source]), count_values(mask)


def write_masks(jobs: list, config, what: str) -> np.ndarray:
    """write_gray for each (source, target) on all cores; prints how many were new, returns (256,) pixels of each
    number."""
    for folder in {target.parent for _, target in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    written, counts = 0, np.zeros(256, np.int64)
    write = partial(write_gray, kind="" if config.overwrite else "gray")
    for new, own in counted(in_processes(write, jobs, config.workers), what, "mask", len(jobs)):
        written, counts = written + new, counts + own
    print(f"{what}: {number_of(len(jobs), 'gray mask')}, {written} written, {len(jobs) - written} unchanged")
    return counts


def pairs_of(ids, images: Path, masks: Path) -> list:
    return [Pair(f"{images / name}.jpg", f"{masks / name}.png") for name in ids]


def make_lists(config) -> None:
    """Write gray masks beside those of VOC and SBD, and three list files and dataset.yaml in data_root."""
    root = Path(config.data_root)
    voc = VOC if (root / VOC).is_dir() else Path()
    sets = root / voc / "ImageSets/Segmentation"
    if not sets.is_dir():
        raise InputError(f"--data_root {root}: neither it nor {root / VOC} is a VOC2012 folder "
                         "(no ImageSets/Segmentation)")
    train, val = read_ids(sets / "train.txt"), read_ids(sets / "val.txt")
    if set(train) & set(val):
        raise InputError(f"{sets}: {sorted(set(train) & set(val))[0]} is in train.txt and in val.txt")
    config = believe_ignore_label(config, root / FILE)
    check_lists(map(root.joinpath, LISTS), lists_written(root), config.overwrite)
    claim_file(root / FILE, "--data_root")
    images, gray = voc / "JPEGImages", voc / "SegmentationClassGray"
    counts = write_masks([(root / voc / "SegmentationClass" / f"{name}.png", root / gray / f"{name}.png")
                          for name in train + val], config, "VOC")
    lists = {LISTS[0]: pairs_of(train, images, gray), LISTS[1]: pairs_of(val, images, gray)}
    if (root / SBD).is_dir():
        extra, more = sbd_pairs(root, train, val, config)
        lists[LISTS[2]] = extra + lists[LISTS[0]]
        counts += more
    else:
        print(f"no SBD in {root / SBD}: {LISTS[2]} is not written")
    # Others keep data in VOC's folders; only its own pictures, called 2007_000032, have its classes.
    names = CLASSES if all(re.fullmatch(r"20\d\d_\d{6}", name) for name in train + val) else ()
    write_facts(root, labels_of_masks(config, root, counts, names), f"VOC folders in {root}", lists)


def sbd_pairs(root: Path, train: list, val: list, config) -> tuple:
    """(pairs of SBD's pictures that are not in VOC, (256,) pixels of each class number); writes their gray masks."""
    listed = read_ids(root / SBD / "train.txt", root / SBD / "val.txt")
    known = set(train) | set(val)
    extra = [name for name in listed if name not in known]
    gray = SBD / "cls_png_gray"
    counts = write_masks([(root / SBD / "cls" / f"{name}.mat", root / gray / f"{name}.png") for name in extra],
                         config, "SBD")
    print(f"vocaug: {len(listed)} in SBD, {len(listed) - len(extra)} of them in VOC train or val, "
          f"{len(extra)} + {len(train)} VOC train")
    return pairs_of(extra, SBD / "img", gray), counts


def main(argv=None):
    config = parse_args("get_dataset_lst", __doc__, argv)
    limit_pixels(config.max_pixels)
    if any(getattr(config, start + kind) for start in ("", "val_") for kind in ("images", "masks", "annotations")):
        return make_own_lists(config)
    if config.out:
        raise InputError("--out goes with --images or --annotations; VOC's lists are written into --data_root")
    if not config.data_root:
        raise InputError("--data_root is not given: the folder that holds VOCdevkit/VOC2012, or VOC2012 itself; "
                         "for data of your own give --images and --masks, or --annotations")
    make_lists(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
