"""From pictures to class maps: letterbox, scales, flip, and the evaluator that every backend shares.

A backend is a function `predict: (N, 3, S, S) float32 -> (N, C, S, S) float32` from normalised pictures to
probabilities. Reading, resizing and counting run in threads while it works.
"""
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np

from src.evaluation.metrics import ConfusionMatrix

FIVE_SCALES = (0.5, 0.75, 1.0, 1.25, 1.75)    # the published multi-scale evaluation


@dataclass(frozen=True)
class Settings:
    """How a picture becomes network inputs, and what is counted."""

    crop_size: int = 513
    scales: tuple = (1.0,)
    flip: bool = False
    batch_size: int = 16
    num_classes: int = 21
    ignore_label: int = 255
    mean: tuple = (103.53, 116.28, 123.675)    # blue green red
    std: tuple = (57.375, 57.120, 58.395)

    def input_size(self, scale: float) -> int:
        """Side of the square input at a scale: (crop_size - 1) * scale + 1, truncated."""
        return int((self.crop_size - 1) * scale) + 1

    def normalisation(self) -> np.ndarray:
        """(3, 256) float32: the network's input for each channel and byte; exact, and quicker than arithmetic."""
        levels = np.arange(256, dtype=np.float64)
        return ((levels - np.reshape(self.mean, (3, 1))) / np.reshape(self.std, (3, 1))).astype(np.float32)


def letterbox_size(height: int, width: int, side: int) -> tuple:
    """Height and width of a picture whose long side becomes `side`; the short one truncated, at least 1."""
    if height > width:
        return side, max(1, side * width // height)
    return max(1, side * height // width), side


def letterbox(image: np.ndarray, side: int, table: np.ndarray, out: np.ndarray) -> tuple:
    """Resize (H, W, 3) uint8 to long side `side`, normalise by `table`, write into the corner of `out` (3, side, side).

    The rest of `out` must be 0. Returns the height and width that the picture takes there.
    """
    rows, columns = letterbox_size(*image.shape[:2], side)
    for channel, plane in enumerate(cv2.split(cv2.resize(image, (columns, rows)))):
        out[channel, :rows, :columns] = cv2.LUT(plane, table[channel])
    return rows, columns


def add_resized(total, probs: np.ndarray, valid: tuple, size: tuple) -> np.ndarray:
    """Cut the letterbox's corner `valid` out of probs (C, S, S), resize to `size`, add to `total` (C, H, W) or begin it."""
    first = total is None
    total = np.empty((len(probs), *size), np.float32) if first else total
    for channel, plane in enumerate(probs[:, :valid[0], :valid[1]]):
        resized = cv2.resize(plane, size[::-1])
        if first:
            total[channel] = resized
        else:
            cv2.add(total[channel], resized, dst=total[channel])
    return total


def argmax_map(scores: np.ndarray) -> np.ndarray:
    """(C, H, W) float32 -> (H, W) uint8: the first class with the highest score, plane by plane."""
    best, winner = scores[0].copy(), np.zeros(scores.shape[1:], np.uint8)
    for number in range(1, len(scores)):
        higher = cv2.compare(scores[number], best, cv2.CMP_GT)    # 255 where this class beats all before it
        cv2.max(best, scores[number], dst=best)
        cv2.max(winner, cv2.bitwise_and(higher, number), dst=winner)
    return winner


@dataclass
class Batch:
    """Some samples on their way through the scales."""

    samples: list
    images: list = field(default_factory=list)
    masks: list = field(default_factory=list)
    totals: list = field(default_factory=list)    # summed probabilities (C, H, W) of each image
    maps: list = field(default_factory=list)    # class maps (H, W), once all scales are summed


class Segmenter:
    """Class maps of many pictures: `for batch in segmenter.run(samples, load)`.

    While `predict` works on one input, threads read and letterbox the next and resize and sum the one before,
    so at most two batches are in memory however long the list is.
    """

    def __init__(self, predict, settings: Settings):
        self.predict, self.settings, self.table = predict, settings, settings.normalisation()

    def run(self, samples, load):
        """Yield a Batch with images, masks, totals and maps for every batch_size samples, in order.

        Args:
            samples: sequence of whatever `load` takes.
            load: sample -> (image (H, W, 3) uint8 blue green red, mask (H, W) uint8 or None).
        """
        size, scales = self.settings.batch_size, self.settings.scales
        jobs = [(first, number) for first in range(0, len(samples), size) for number in range(len(scales))]
        cv2.setNumThreads(1)    # the pool is the parallelism
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(os.cpu_count()) as pool:
            batch, done, pending = None, None, []

            def prepare(job):
                nonlocal batch
                first, number = job
                if number == 0:
                    batch = Batch(samples[first:first + size])
                    for image, mask in pool.map(load, batch.samples):
                        batch.images.append(image)
                        batch.masks.append(mask)
                    batch.totals = [None] * len(batch.images)
                return batch, self.prepare(batch, scales[number])

            ahead = reader.submit(prepare, jobs[0]) if jobs else None
            for position, (_, number) in enumerate(jobs):
                current, (inputs, valid) = ahead.result()
                if position + 1 < len(jobs):
                    ahead = reader.submit(prepare, jobs[position + 1])
                probs = self.probabilities(inputs)
                for future in pending:
                    future.result()
                if done:
                    yield done
                last = number == len(scales) - 1
                pending = [pool.submit(self.finish, current, i, probs[i], valid[i], last)
                           for i in range(len(current.images))]
                if last:
                    current.maps = [None] * len(current.images)
                done = current if last else None
            for future in pending:
                future.result()
            if done:
                yield done

    def prepare(self, batch, scale):
        """Inputs (N, 3, S, S) float32 of a batch at a scale, and the height and width that each picture takes in it."""
        side = self.settings.input_size(scale)
        inputs = np.zeros((len(batch.images), 3, side, side), np.float32)
        return inputs, [letterbox(image, side, self.table, out) for image, out in zip(batch.images, inputs)]

    def probabilities(self, inputs):
        probs = self.predict(inputs)
        if self.settings.flip:
            mirrored = self.predict(np.ascontiguousarray(inputs[:, :, :, ::-1]))
            probs = probs + mirrored[:, :, :, ::-1]
        return probs

    def finish(self, batch, number, probs, valid, last):
        """Add one picture's probabilities of one scale; after the last scale make its class map."""
        batch.totals[number] = add_resized(batch.totals[number], probs, valid, batch.images[number].shape[:2])
        if last:
            batch.maps[number] = argmax_map(batch.totals[number])


def evaluate(predict, samples, load, settings: Settings, on_image=None) -> ConfusionMatrix:
    """Confusion matrix of `predict` over samples with masks; memory does not grow with their number.

    Args:
        predict, samples, load: see the module and Segmenter.run; masks hold class numbers or ignore_label.
        on_image: called as on_image(sample, image, mask, class_map) in the samples' order.
    """
    matrix = ConfusionMatrix(settings.num_classes, settings.ignore_label)
    for batch in Segmenter(predict, settings).run(samples, load):
        for sample, image, mask, class_map in zip(batch.samples, batch.images, batch.masks, batch.maps):
            matrix.update(mask, class_map)
            if on_image:
                on_image(sample, image, mask, class_map)
    return matrix
