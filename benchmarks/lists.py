"""Seconds and memory of get_dataset_lst.py and build_seg_data.py beside one process, plainly written, in one run.

    python benchmarks/lists.py VOC_SAMPLE [--share 1.0] [--rounds 1]

VOC_SAMPLE holds VOCdevkit/VOC2012 and benchmark_RELEASE/dataset, of any size. Its files are repeated by links under
other names into the size of the full set: 2,913 of VOC, 11,355 of SBD, 10,582 in the augmented training list.
--share 0.25 takes a quarter of that: peak memory should hardly differ.
"""
import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
os.environ.setdefault("GLOG_v", "3")
VOC, SBD = Path("VOCdevkit/VOC2012"), Path("benchmark_RELEASE/dataset")
TRAIN, VAL, IN_SBD, ONLY_SBD = 1464, 1449, 2237, 9118    # pictures of the full sets; 2,237 of VOC's are in SBD too


def repeat(files, names, folder: Path, ending: str) -> None:
    """Links folder/name for each name to the files, over and over."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in zip(names, itertools.cycle(sorted(files))):
        (folder / (name + ending)).symlink_to(file.resolve())


def write_ids(path: Path, names) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def make_tree(sample: Path, root: Path, share: float) -> None:
    """VOC and SBD of `share` of their full sizes in `root`."""
    train, val, both, extra = (max(4, int(share * count)) for count in (TRAIN, VAL, IN_SBD, ONLY_SBD))
    voc = [f"2007_{number:06d}" for number in range(train + val)]
    sbd = [f"2008_{number:06d}" for number in range(extra)]
    sets = sample / VOC / "SegmentationClass"
    pictures = [sample / VOC / "JPEGImages" / (path.stem + ".jpg") for path in sorted(sets.glob("*.png"))]
    repeat(pictures, voc, root / VOC / "JPEGImages", ".jpg")
    repeat(sets.glob("*.png"), voc, root / VOC / "SegmentationClass", ".png")
    write_ids(root / VOC / "ImageSets/Segmentation/train.txt", voc[:train])
    write_ids(root / VOC / "ImageSets/Segmentation/val.txt", voc[train:])
    repeat((sample / SBD / "img").glob("*.jpg"), sbd, root / SBD / "img", ".jpg")
    repeat((sample / SBD / "cls").glob("*.mat"), sbd, root / SBD / "cls", ".mat")
    write_ids(root / SBD / "train.txt", sbd + voc[:both])
    write_ids(root / SBD / "val.txt", [])


def plain(root: Path, dst_path: Path) -> None:
    """The same work in one loop after the other: gray masks, lists, every pair checked, MindRecord."""
    from mindspore.mindrecord import FileWriter
    from scipy.io import loadmat
    train, val, sbd = ((root / part).read_text().split() for part in (
        VOC / "ImageSets/Segmentation/train.txt", VOC / "ImageSets/Segmentation/val.txt", SBD / "train.txt"))
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
            picture.draft("L", (size[0] // 8, size[1] // 8))    # as quick as the program's own check
            picture.load()
        if not np.isin(np.unique(values), [*range(21), 255]).all() or size != values.shape[::-1]:
            raise SystemExit(f"{mask}: wrong")
    dst_path.parent.mkdir(parents=True)
    writer = FileWriter(str(dst_path), shard_num=8)
    writer.add_schema({"file_name": {"type": "string"}, "data": {"type": "bytes"}, "label": {"type": "bytes"}}, "s")
    order = np.random.default_rng(1).permutation(len(pairs))
    for first in range(0, len(order), 64):
        writer.write_raw_data([{"file_name": pairs[i][0].name, "data": pairs[i][0].read_bytes(),
                                "label": pairs[i][1].read_bytes()} for i in order[first:first + 64]])
    writer.commit()


def run(commands) -> tuple:
    """(seconds of each command, peak MB of the largest process among them)."""
    seconds, peak = [], 0
    for command in commands:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)    # ru_maxrss: of the process or its largest worker
        if status:
            sys.exit(f"{command[0]} failed")
        seconds.append(time.perf_counter() - start)
        peak = max(peak, usage.ru_maxrss / 1024)
    return seconds, peak


def clear(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def one_round(root: Path, folder: Path, workers: list) -> dict:
    """{side: (seconds, peak MB)}; what a side wrote is removed before the next."""
    found = {}
    for side in ("one process, plainly written", *workers):
        if isinstance(side, str):
            commands = [[__file__, "--plain", root, folder / "out/r.mindrecord"]]
        else:
            commands = [[ROOT / "src/data/get_dataset_lst.py", "--data_root", root, "--workers", side],
                        [ROOT / "src/data/build_seg_data.py", "--data_root", root, "--workers", side, "--data_lst",
                         root / "vocaug_train_lst.txt", "--dst_path", folder / "out/r.mindrecord"]]
        found[side] = run(commands)
        for made in (folder / "out", root / VOC / "SegmentationClassGray", root / SBD / "cls_png_gray"):
            clear(made)
    return found


def main(argv=None):
    if sys.argv[1:2] == ["--plain"]:
        return plain(Path(sys.argv[2]), Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voc_sample", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the full sets' sizes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, os.cpu_count()])
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "data")
        make_tree(options.voc_sample, root, options.share)
        rounds = [one_round(root, Path(folder), options.workers) for _ in range(options.rounds)]
    print(f"{options.share:g} of the full sets, median of {options.rounds}\n\n"
          "| | s | faster than plain | peak MB of a process |\n| --- | --- | --- | --- |")
    totals = {side: statistics.median(sum(found[side][0]) for found in rounds) for side in rounds[0]}
    base = next(iter(totals.values()))
    for side, total in totals.items():
        name = side if isinstance(side, str) else f"the programs, {side} workers"
        parts = " + ".join(f"{statistics.median(values):.1f}"
                           for values in zip(*(found[side][0] for found in rounds)))
        print(f"| {name} | {total:.1f} ({parts}) | {base / total:.2f} x | "
              f"{max(found[side][1] for found in rounds):.0f} |")


if __name__ == "__main__":
    main()
