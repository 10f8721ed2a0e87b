"""Time of check_data.py on as many pairs as VOC has: `python benchmarks/check_data.py DATA_ROOT [--pairs 2913]`.

DATA_ROOT holds VOCdevkit/VOC2012; where it has fewer pairs they are repeated by links under other names.
"""
import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from src.data.lists import Pair, format_pair


def link_pairs(source: Path, folder: Path, pairs: int) -> Path:
    """`pairs` links to the pictures and masks of `source`, and a list of them."""
    masks = sorted((source / "SegmentationClass").glob("*.png"))
    lines = []
    for number in range(pairs):
        mask = masks[number % len(masks)].resolve()
        pair = Pair(f"{number}.jpg", f"{number}.png")
        (folder / pair.image).symlink_to(source.resolve() / "JPEGImages" / f"{mask.stem}.jpg")
        (folder / pair.mask).symlink_to(mask)
        lines.append(format_pair(pair))
    (folder / "list.txt").write_text("".join(lines))
    return folder / "list.txt"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--pairs", type=int, default=2913, help="1,464 + 1,449 of VOC 2012 train and val")
    parser.add_argument("--num_classes", type=int, default=21)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_lst = link_pairs(options.data_root / "VOCdevkit/VOC2012", Path(folder), options.pairs)
        start = time.perf_counter()
        done = subprocess.run([sys.executable, ROOT / "src/data/check_data.py", "--data_root", folder, "--data_lst",
                               data_lst, "--check_dir", Path(folder, "check"), "--num_classes",
                               str(options.num_classes)], capture_output=True, text=True)
        seconds = time.perf_counter() - start
    found = re.search(r"^\d+ pairs in", done.stdout, re.M)
    if not found:
        sys.exit(done.stdout[-2000:] + done.stderr)
    print(f"{options.pairs} pairs in {seconds:.1f} s, {options.pairs / seconds:.0f} pairs/s")


if __name__ == "__main__":
    main()
