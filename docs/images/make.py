"""The picture of README: `python docs/images/make.py OVERLAY_DIR`, from what run_quickstart.sh left in overlays."""
import argparse
import sys
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from src.data.sample import CLASSES
from src.drawing.sheets import draw_sheet, save_sheet

PLACES = (3, 8, 10, 12, 13, 17)    # of the held-out pictures: every class, and shapes that overlap


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overlay_dir", type=Path, help="pictures of eval.py --overlay_dir: picture, truth, prediction")
    folder = parser.parse_args().overlay_dir
    files = sorted(folder.glob("*.png"))
    if len(files) <= max(PLACES):
        sys.exit(f"error: {folder}: holds {len(files)} overlays; run_quickstart.sh writes 20")
    strips = [cv2.imread(str(files[place])) for place in PLACES]
    page = draw_sheet(strips, [("picture, truth, prediction", "")] * len(strips), list(CLASSES), 2)
    coarse = page & 0xF8    # 32 levels, which the eye hardly tells, halve the file
    save_sheet(coarse, Path(__file__).with_name("quickstart.png"))


if __name__ == "__main__":
    main()
