"""Videos through OpenCV: every frame with its classes laid over, written as an annotated video."""
import contextlib
import itertools
import os
import time
from pathlib import Path

import cv2
import numpy as np

from src.console import InputError, RunError, progress, warn
from src.data.labels import Labels
from src.drawing.legend import legend_entries
from src.drawing.overlay import overlay
from src.drawing.panels import panels
from src.evaluation.inference import Segmenter
from src.files import writing
from src.prediction.results import coverage

CODEC = "mp4v"    # MPEG-4, which every build of OpenCV can write
USUAL_RATE = 25.0    # frames a second, for files with an impossible rate
LEAST_LEGEND = 0.005    # share of a frame; below that the legend would flicker


def open_video(path):
    """cv2.VideoCapture of a file. Raises InputError if OpenCV cannot read it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")    # errors of FFmpeg are reported here
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_WIDTH) < 1:
        raise InputError(f"{path}: is not a video that OpenCV can read, a picture or a list of pictures")
    return capture


def frames_of(capture):
    """The frames, (H, W, 3) uint8 blue green red, up to the first that cannot be read."""
    while (read := capture.read())[0]:
        yield read[1]


def annotate(path, target: Path, predict, settings, labels: Labels, alpha: float) -> tuple:
    """Write `target`, the video at `path` with its classes laid over and a legend below.

    Warns of a video that ends before its announced number of frames.

    Returns:
        (coverage of each frame: list of (num_classes,) float64, height and width, frames a second).

    Raises InputError for a video that cannot be read, RunError for one that cannot be written.
    """
    capture, shares, start = open_video(path), [], time.perf_counter()
    announced, rate = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))), capture.get(cv2.CAP_PROP_FPS)
    try:
        frames = frames_of(capture)
        first = next(frames, None)
        if first is None:
            raise InputError(f"{path}: contains no frame that OpenCV can read")
        with writing(target) as aside, progress(announced or None, Path(path).name, "frame") as bar:
            with contextlib.closing(Writer(aside, target, rate)) as writer:
                frames = itertools.chain([first], frames)
                for batch in Segmenter(predict, settings).run(frames, lambda frame: (frame, None)):    # without truth
                    for item in batch:
                        shares.append(coverage(item.class_map, labels.num_classes))
                        entries = legend_entries(shares[-1], shares[-1] > LEAST_LEGEND, labels.names)
                        writer.write(panels([overlay(item.image, item.class_map, alpha)], [], entries, 2))
                        bar.update()
            check_written(aside, target, len(shares))
    finally:
        capture.release()
    if len(shares) < announced:
        warn(f"{path}: announces {announced} frames but ends after {len(shares)}; is it truncated?")
    return shares, first.shape[:2], len(shares) / (time.perf_counter() - start)


class Writer:
    """An MP4 file of frames of the first one's size, rounded to even numbers for the codec.

    Args:
        path: the file; `target`: its name in errors.
        rate: frames a second.
    """

    def __init__(self, path: Path, target: Path, rate: float):
        self.path, self.target, self.rate = path, target, rate if 0 < rate < 1000 else USUAL_RATE
        self.video = self.size = None

    def write(self, drawn: np.ndarray) -> None:
        """Add a frame (H, W, 3) uint8, cut or filled with white below and at the right: legends differ in height.

        Raises RunError if no video can be written.
        """
        if self.video is None:
            self.size = tuple(length + length % 2 for length in drawn.shape[:2])
            self.video = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*CODEC), self.rate, self.size[::-1])
            if not self.video.isOpened():
                raise RunError(f"{self.target}: OpenCV cannot write a video there")
        canvas = np.full((*self.size, 3), 255, np.uint8)
        height, width = np.minimum(self.size, drawn.shape[:2])
        canvas[:height, :width] = drawn[:height, :width]
        self.video.write(canvas)

    def close(self) -> None:
        if self.video is not None:
            self.video.release()


def check_written(path: Path, target: Path, count: int) -> None:
    """Raises RunError unless the video at `path` has `count` frames: OpenCV's writer reports no errors."""
    capture, found = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        found += 1
    capture.release()
    if found != count:
        raise RunError(f"{target}: OpenCV wrote {found} of {count} frames; is the disk full?")
