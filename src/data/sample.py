"""A data set of drawn pictures in VOC's folder layout, to try every program without a download."""
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.config import parse_args
from src.console import InputError, counted, run_program
from src.data.dataset_yaml import FILE, write_facts
from src.data.labels import Labels
from src.drawing.palette import palette_png
from src.files import check_folder

CLASSES = ("background", "ball", "box", "tent", "star", "ring")
SIZES = ((120, 160), (160, 120), (128, 128), (110, 165), (150, 112))    # height, width
HUES = {"ball": 0, "box": 110, "tent": 60, "star": 28, "ring": 150}    # OpenCV hue, half degrees
BORDER = 2    # pixels of 255 around each object, as VOC has


def polygon(corners, radii, angle) -> np.ndarray:
    """Corner points around the origin at alternating `radii`, (corners, 2) float."""
    turns = angle + np.arange(corners) * 2 * np.pi / corners
    reach = np.resize(np.asarray(radii, float), corners)
    return np.stack([reach * np.cos(turns), reach * np.sin(turns)], 1)


def draw_shape(name: str, shape: tuple, centre: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """(H, W) uint8, 1 where an object of class `name` covers the picture."""
    canvas = np.zeros(shape, np.uint8)
    point, reach = tuple(int(value) for value in centre), int(radius)
    corners = {"box": (4, (1,)), "tent": (3, (1,)), "star": (10, (1, 0.45))}
    if name in corners:
        count, radii = corners[name]
        points = centre + radius * polygon(count, radii, angle)
        cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 1)
    else:
        cv2.circle(canvas, point, reach, 1, -1)
        if name == "ring":
            cv2.circle(canvas, point, reach // 2, 0, -1)
    return canvas


def draw_pair(rng: np.random.Generator, number: int) -> tuple:
    """A picture (H, W, 3) uint8 blue green red and its mask (H, W) uint8: one or two objects on a soft ground."""
    height, width = SIZES[number % len(SIZES)]
    ground = rng.integers(70, 190, (4, 4, 3), dtype=np.uint8)
    ground = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
    grey = ground.mean(2, keepdims=True)
    image = grey + 0.1 * (ground - grey) + rng.normal(0, 7, (height, width, 3))
    mask = np.zeros((height, width), np.uint8)
    for slot in range(rng.integers(1, 3)):
        label = 1 + (number + slot) % (len(CLASSES) - 1)
        name = CLASSES[label]
        radius = rng.uniform(0.28, 0.46) * min(height, width)
        centre = rng.uniform((radius * 0.7, radius * 0.7), (width - radius * 0.7, height - radius * 0.7))
        covered = draw_shape(name, mask.shape, centre, radius, rng.uniform(0, 2 * np.pi))
        hsv = np.uint8([[[(HUES[name] + rng.integers(-7, 8)) % 180, rng.integers(180, 250), rng.integers(150, 240)]]])
        colour = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float)
        shade = np.linspace(0.8, 1.15, height)[:, None, None] + rng.normal(0, 0.04, (height, width, 1))
        image = np.where(covered[:, :, None] > 0, colour * shade, image)
        border = cv2.dilate(covered, np.ones((2 * BORDER + 1,) * 2, np.uint8))
        mask[border > 0] = 255
        mask[cv2.erode(covered, np.ones((3, 3), np.uint8)) > 0] = label
    return np.clip(cv2.GaussianBlur(image, (3, 3), 0), 0, 255).astype(np.uint8), mask


def write_sample(folder, seed: int, train: int, val: int) -> None:
    """Draw `train` + `val` pairs into folder/VOCdevkit/VOC2012, with classes.txt in `folder`; one seed, one result."""
    voc = Path(folder, "VOCdevkit/VOC2012")
    for path in (voc, Path(folder, "classes.txt"), Path(folder, FILE)):
        if path.exists():
            raise InputError(f"--sample_dir {folder}: already holds {path}; give another folder")
    check_folder(voc, f"--sample_dir {folder}")
    names = {name: voc / name for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")}
    for path in names.values():
        path.mkdir(parents=True)
    ids = [f"sample_{number:04d}" for number in range(train + val)]
    for number, name in enumerate(counted(ids, "draw", "pair")):
        image, mask = draw_pair(np.random.default_rng([seed, number]), number)
        Image.fromarray(image[:, :, ::-1]).save(names["JPEGImages"] / f"{name}.jpg", quality=92)
        (names["SegmentationClass"] / f"{name}.png").write_bytes(palette_png(mask))
    for file, chosen in (("train", ids[:train]), ("val", ids[train:]), ("trainval", ids)):
        (names["ImageSets/Segmentation"] / f"{file}.txt").write_text("\n".join(chosen) + "\n")
    Path(folder, "classes.txt").write_text("\n".join(CLASSES) + "\n")
    write_facts(Path(folder), Labels(len(CLASSES), 255, CLASSES), f"drawn by sample.py, seed {seed}")
    print(f"{folder}: {train} training and {val} held-out pictures of {len(CLASSES)} classes")


def main(argv=None):
    config = parse_args("sample", __doc__, argv)
    if not config.sample_dir:
        raise InputError("--sample_dir is not given: the folder to write the sample to")
    write_sample(config.sample_dir, config.seed, config.sample_train, config.sample_val)


if __name__ == "__main__":
    sys.exit(run_program(main))
