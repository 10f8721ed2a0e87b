"""get_dataset_lst.py and build_seg_data.py on VOC and SBD, compared with simple code in one process.

The pictures of --data_root are repeated by links until they are a share of the full sets: 2,913 of VOC, 11,355 of SBD,
10,582 in the augmented training list.
"""
import itertools
import os
import shutil
import sys
from pathlib import Path

from benchmarks.commands import timed
from benchmarks.prepare import SBD, VOC, Job, Unavailable

TRAIN, VAL, IN_SBD, ONLY_SBD = 1464, 1449, 2237, 9118    # pictures of the full sets; 2,237 of VOC's are in SBD too
PLAIN = "import sys; from benchmarks import lists; lists.plainly(*map(lists.Path, sys.argv[1:]))"


def repeat(files, names, folder: Path, ending: str) -> None:
    """Make a link folder/name to a file for each name; the files are repeated."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in zip(names, itertools.cycle(sorted(files))):
        (folder / (name + ending)).symlink_to(file.resolve())


def write_ids(path: Path, names) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def make_tree(sample: Path, root: Path, share: float) -> None:
    """Make VOC and SBD with `share` of their full sizes in `root`."""
    train, val, both, extra = (max(4, int(share * count)) for count in (TRAIN, VAL, IN_SBD, ONLY_SBD))
    voc = [f"2007_{number:06d}" for number in range(train + val)]
    sbd = [f"2008_{number:06d}" for number in range(extra)]
    masks = sorted((sample / VOC / "SegmentationClass").glob("*.png"))
    pictures = [sample / VOC / f"JPEGImages/{path.stem}.jpg" for path in masks]
    repeat(pictures, voc, root / VOC / "JPEGImages", ".jpg")
    repeat(masks, voc, root / VOC / "SegmentationClass", ".png")
    write_ids(root / VOC / "ImageSets/Segmentation/train.txt", voc[:train])
    write_ids(root / VOC / "ImageSets/Segmentation/val.txt", voc[train:])
    repeat((sample / SBD / "img").glob("*.jpg"), sbd, root / SBD / "img", ".jpg")
    repeat((sample / SBD / "cls").glob("*.mat"), sbd, root / SBD / "cls", ".mat")
    write_ids(root / SBD / "train.txt", sbd + voc[:both])
    write_ids(root / SBD / "val.txt", [])


def plainly(root: Path, dst_path: Path) -> None:
    """The same work in simple loops: gray masks, lists, a check of every pair, MindRecord."""
    import numpy as np
    from PIL import Image
    from scipy.io import loadmat
    train, val, sbd = ((root / part).read_text().split() for part in (
        VOC + "/ImageSets/Segmentation/train.txt", VOC + "/ImageSets/Segmentation/val.txt", SBD + "/train.txt"))
    known = set(train) | set(val)
    extra = [name for name in sbd if name not in known]
    gray, sbd_gray = root / VOC / "SegmentationClassGray", root / SBD / "cls_png_gray"
    gray.mkdir()
    sbd_gray.mkdir()
    for name in train + val:
        Image.fromarray(np.array(Image.open(root / VOC / f"SegmentationClass/{name}.png"))).save(gray / f"{name}.png")
    for name in extra:
        mask = loadmat(root / SBD / f"cls/{name}.mat")["GTcls"][0]["Segmentation"][0]
        Image.fromarray(mask).save(sbd_gray / f"{name}.png")
    pairs = [(root / SBD / f"img/{name}.jpg", sbd_gray / f"{name}.png") for name in extra]
    pairs += [(root / VOC / f"JPEGImages/{name}.jpg", gray / f"{name}.png") for name in train]
    for image, mask in pairs:
        values = np.array(Image.open(mask))
        with Image.open(image) as picture:
            size = picture.size
            picture.draft("L", (size[0] // 8, size[1] // 8))    # as fast as the program's own check
            picture.load()
        if not np.isin(np.unique(values), [*range(21), 255]).all() or size != values.shape[::-1]:
            raise SystemExit(f"{mask}: wrong")
    write_plainly(pairs, np.random.default_rng(1).permutation(len(pairs)), dst_path)


def write_plainly(pairs: list, order, dst_path: Path) -> None:
    from mindspore.mindrecord import FileWriter
    dst_path.parent.mkdir(parents=True)
    writer = FileWriter(str(dst_path), shard_num=8)
    writer.add_schema({"file_name": {"type": "string"}, "data": {"type": "bytes"}, "label": {"type": "bytes"}}, "s")
    for first in range(0, len(order), 64):
        writer.write_raw_data([{"file_name": pairs[i][0].name, "data": pairs[i][0].read_bytes(),
                                "label": pairs[i][1].read_bytes()} for i in order[first:first + 64]])
    writer.commit()


def full_set(job: Job, side: str, share: float = 1.0):
    """`side` is plain or programs; the files of a turn are removed after it."""
    if not Path(job.data_root, SBD).is_dir() or not job.data_root:
        raise Unavailable(f"--data_root with {VOC} and {SBD} is needed")
    root, out = Path(job.folder, f"full_{share}"), Path(job.folder, f"full_{share}_out")
    if not root.exists():
        make_tree(Path(job.data_root), root, 0 if job.smallest else share)
    record = out / "r.mindrecord"
    commands = {"plain": [["-c", PLAIN, root, record]],
                "programs": [["src/data/get_dataset_lst.py", "--data_root", root],
                             ["src/data/build_seg_data.py", "--data_root", root, "--data_lst",
                              root / "vocaug_train_lst.txt", "--dst_path", record]]}[side]

    def turn():
        found = [timed(sys.executable, *command) for command in commands]
        for made in (out, root / VOC / "SegmentationClassGray", root / SBD / "cls_png_gray"):
            shutil.rmtree(made)
        os.sync()    # its pages are written before the next side starts
        return {"s": sum(part["s"] for part in found), "mb": max(part["mb"] for part in found),
                "parts": [part["s"] for part in found]}
    return turn
