"""Draw the picture of README from the overlays of run_quickstart.sh: `python docs/images/make.py OVERLAY_DIR`."""
import argparse
import sys
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from src.data.sample import CLASSES
from src.drawing.sheets import draw_sheet, save_sheet

PLACES = (3, 8, 10, 12, 13, 17)    # held-out pictures with every class and with overlapping shapes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overlay_dir", type=Path, help="pictures of eval.py --overlay_dir: picture, truth, prediction")
    folder = parser.parse_args().overlay_dir
    files = sorted(folder.glob("*.png"))
    if len(files) <= max(PLACES):
        sys.exit(f"error: {folder}: holds {len(files)} overlays; run_quickstart.sh writes 20")
    strips = [cv2.imread(str(files[place])) for place in PLACES]
    page = draw_sheet(strips, [("picture, truth, prediction", "")] * len(strips), list(CLASSES), 2)
    coarse = page & 0xF8    # 32 levels halve the file with hardly visible differences
    save_sheet(coarse, Path(__file__).with_name("quickstart.png"))


if __name__ == "__main__":
    main()
