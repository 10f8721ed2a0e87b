"""Videos through OpenCV: every frame with its classes laid over, written as an annotated video."""
import os
import time
from pathlib import Path

import cv2
import numpy as np

from src.console import InputError, RunError, progress
from src.drawing.overlay import overlay
from src.drawing.panels import legend_entries, panels
from src.evaluation.inference import Segmenter
from src.files import remove
from src.prediction.results import coverage

CODEC = "mp4v"    # MPEG-4, which every build of OpenCV can write
LEAST_LEGEND = 0.005    # share of a frame; below that the legend would flicker


def open_video(path):
    """cv2.VideoCapture of a file. Raises InputError if OpenCV cannot read it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")    # what FFmpeg says of a file is reported here
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_WIDTH) < 1:
        raise InputError(f"{path}: is no video that OpenCV can read, no picture and no list of pictures")
    return capture


def frames_of(capture):
    while True:
        whole, frame = capture.read()
        if not whole:
            return
        yield frame


def annotate(path, target: Path, predict, settings, names: list, alpha: float) -> tuple:
    """Write `target`, the video at `path` with its classes laid over and a legend below.

    Returns:
        (coverage of each frame: list of (num_classes,) float64, height and width, frames a second).

    Raises:
        InputError: a video that cannot be read. RunError: one that cannot be written.
    """
    capture = open_video(path)
    aside = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    total = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    rate = capture.get(cv2.CAP_PROP_FPS)
    writer, shares, start = None, [], time.perf_counter()
    try:
        with progress(total or None, Path(path).name, "frame") as bar:
            for batch in Segmenter(predict, settings).run(frames_of(capture), lambda frame: (frame, None)):
                for frame, class_map in zip(batch.images, batch.maps):
                    shares.append(coverage(class_map, len(names)))
                    drawn = draw_frame(frame, class_map, shares[-1], names, alpha)
                    writer = writer or open_writer(aside, rate, drawn.shape)
                    writer.write(fitted(drawn, writer.size))
                    bar.update()
        if not shares:
            raise InputError(f"{path}: holds no frame that OpenCV can read")
        writer.release()
        os.replace(aside, target)
    finally:
        capture.release()
        remove(aside)
    return shares, frame.shape[:2], len(shares) / (time.perf_counter() - start)


class Writer:
    """cv2.VideoWriter that knows its height and width."""

    def __init__(self, path, rate, size):
        self.size = size
        self.video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODEC), rate, size[::-1])
        self.write, self.release = self.video.write, self.video.release


def open_writer(path: Path, rate: float, shape: tuple) -> Writer:
    """A writer of frames like the first drawn one, made even, which the codec asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate = rate if 0 < rate < 1000 else 25.0    # what some files say is nonsense
    writer = Writer(path, rate, (shape[0] + shape[0] % 2, shape[1] + shape[1] % 2))
    if not writer.video.isOpened():
        raise RunError(f"{path.parent}: OpenCV cannot write a video there")
    return writer


def draw_frame(frame, class_map, shares, names: list, alpha: float) -> np.ndarray:
    """The frame with its classes laid over; the legend below keeps out what covers next to nothing."""
    return panels([overlay(frame, class_map, alpha)], [], legend_entries(shares, shares > LEAST_LEGEND, names), 2)


def fitted(drawn: np.ndarray, size: tuple) -> np.ndarray:
    """The drawn frame cut or filled with white at the bottom and the right: legends differ in height."""
    height, width = min(size[0], drawn.shape[0]), min(size[1], drawn.shape[1])
    canvas = np.full((*size, 3), 255, np.uint8)
    canvas[:height, :width] = drawn[:height, :width]
    return canvas
