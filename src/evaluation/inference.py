"""From pictures to class maps: letterbox or windows, scales, flip, and the evaluator that every backend shares.

A backend is a function `predict: (N, 3, S, S) float32 -> (N, C, S, S) float32` from normalised pictures to
probabilities. Reading, resizing and counting run in threads while it works.
"""
import itertools
import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Optional

import cv2
import numpy as np

from src.console import InputError, RunError, progress
from src.device import cores
from src.evaluation.letterbox import Settings, letterbox, letterbox_size, normalise
from src.evaluation.metrics import ConfusionMatrix
from src.evaluation.planes import add_resized, argmax_map, summed_planes
from src.evaluation.tiles import Tile, strips

BATCH_PIXELS = 1 << 25    # of a batch's pictures together: 5 bytes each with masks and maps, three batches at a time
LARGE = 1 << 20    # pixels of a picture up to which its sums are always kept
COMPLETE = (slice(None), slice(None))    # the place of all rows and columns


@dataclass
class Item:
    """A sample on its way through the scales."""

    sample: object
    image: np.ndarray    # (H, W, 3) uint8
    mask: np.ndarray    # (H, W) uint8 or None
    total: np.ndarray = None    # summed probabilities (C, H, W) float32; None of a picture too large to keep them
    parts: list = field(default_factory=list)    # of such a picture: its probabilities (C, h, w) at each scale
    class_map: np.ndarray = None    # (H, W) uint8, once all scales are summed


class Segmenter:
    """Class maps of many pictures: `for batch in segmenter.run(samples, load)`.

    While `predict` works on one input, threads read and letterbox the next and resize and sum the one before,
    so at most three batches are in memory however long the list is, and batches of large pictures hold fewer of them.
    With settings.tile each picture larger than a window is a batch of its own.

    Args:
        watch: (sample, size, place, planes) -> planes: sees the probabilities of which a class map is made, as it is
            made. `size` is the picture's, `place` (rows, columns) as slices of it, `planes` yields C times (rows,
            columns) float32, and all together sum to settings.passes. It is called in threads.
    """

    def __init__(self, predict, settings: Settings, watch=lambda sample, size, place, planes: planes):
        self.predict, self.settings, self.watch = predict, settings, watch
        self.table = settings.normalisation()

    def run(self, samples, load):
        """Yield the finished Items of every batch_size samples, a list, in order.

        Args:
            samples: any number of whatever `load` takes; an iterator is read one batch ahead.
            load: sample -> (image (H, W, 3) uint8 blue green red, mask (H, W) uint8 or None).
        """
        cv2.setNumThreads(1)    # the threads here are the parallelism
        tile, most = self.settings.tile, self.settings.batch_size
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(cores()) as pool:
            if not tile:
                yield from self.batches(loaded(samples, load, pool, most), reader, pool)
                return
            for is_large, some in itertools.groupby(loaded(samples, load, pool, 2), self.exceeds_a_window):
                if is_large:
                    yield from map(self.tiled, some)
                else:
                    yield from self.batches(some, reader, pool)

    def batches(self, items, reader, pool):
        """Yield the items in finished batches, letterboxed."""
        pending, finished = [], None
        for batch, last, inputs, sizes in ahead(reader, self.inputs(items)):
            probs = self.probabilities(inputs)
            for future in pending:    # sums of the scale before: done by now, and the order of adding is kept
                future.result()
            if finished:
                yield finished
            finished = batch if last else None
            pending = [pool.submit(self.add, item, found, size, last) for item, found, size in zip(batch, probs, sizes)]
        for future in pending:
            future.result()
        if finished:
            yield finished

    def exceeds_a_window(self, item: Item) -> bool:
        return max(self.settings.tile.size(*item.image.shape[:2])) > self.settings.crop_size

    def tiled(self, item: Item) -> list:
        """The finished batch of one picture in windows, see src.evaluation.tiles."""
        side, size, tile = self.settings.crop_size, item.image.shape[:2], self.settings.tile

        def predict(windows):
            inputs = np.zeros((len(windows), 3, side, side), np.float32)
            for window, out in zip(windows, inputs):
                normalise(window, self.table, out)
            probs = self.probabilities(inputs)
            bar.update(len(windows))
            return probs
        item.class_map = np.empty(size, np.uint8)
        with progress(tile.windows(*size, side), "tiles", "window") as bar:    # a picture may take minutes
            for place, planes in strips(item.image, predict, side, tile, self.settings.batch_size):
                item.class_map[place] = argmax_map(self.watch(item.sample, size, place, planes))
        return [item]

    def inputs(self, items):
        """Yield (batch, whether it is the last scale, inputs (N, 3, S, S) float32, sizes within S) in order."""
        scales = self.settings.scales
        for batch in self.chunks(items):
            for number, scale in enumerate(scales, 1):
                side = self.settings.input_size(scale)
                inputs = np.zeros((len(batch), 3, side, side), np.float32)
                sizes = [letterbox(item.image, side, self.table, out) for item, out in zip(batch, inputs)]
                yield batch, number == len(scales), inputs, sizes

    def chunks(self, items):
        """Yield lists of batch_size items, or of fewer with BATCH_PIXELS together."""
        chunk, pixels = [], 0
        for item in items:
            size = item.image.shape[0] * item.image.shape[1]
            if chunk and (len(chunk) == self.settings.batch_size or pixels + size > BATCH_PIXELS):
                yield chunk
                chunk, pixels = [], 0
            chunk.append(item)
            pixels += size
        if chunk:
            yield chunk

    def probabilities(self, inputs):
        probs = self.predict(inputs)
        if self.settings.flip:
            mirrored = self.predict(np.ascontiguousarray(inputs[:, :, :, ::-1]))
            probs = probs + mirrored[:, :, :, ::-1]
        return probs

    def add(self, item: Item, probs, size, last):
        """Add one picture's probabilities at one scale; after the last scale make its class map."""
        own_size = item.image.shape[:2]
        if self.is_large(*own_size):
            item.parts.append(np.ascontiguousarray(probs[:, :size[0], :size[1]]))
        else:
            item.total = add_resized(item.total, probs, size, own_size)
        if last:
            planes = summed_planes(item.parts, own_size) if item.parts else item.total
            item.class_map = argmax_map(self.watch(item.sample, own_size, COMPLETE, planes))
            item.parts = []

    def is_large(self, height: int, width: int) -> bool:
        """Whether sums of a picture's size take more memory than what is summed, and much: 1 GB for 21 classes of 12
        megapixels."""
        sides = [self.settings.input_size(scale) for scale in self.settings.scales]
        return height * width > max(LARGE, sum(math.prod(letterbox_size(height, width, side)) for side in sides))


def loaded(samples, load, pool, most: int):
    """Yield the Item of each sample in order; `most` at most, and one a core, are loaded ahead."""
    waiting, most = deque(), min(most, cores())
    for sample in samples:
        waiting.append((sample, pool.submit(load, sample)))
        if len(waiting) >= most:
            sample, future = waiting.popleft()
            yield Item(sample, *future.result())
    for sample, future in waiting:
        yield Item(sample, *future.result())


def ahead(executor, iterator):
    """The items of `iterator`, none of them None, each made in `executor` while the one before is used."""
    future = executor.submit(next, iterator, None)
    while (item := future.result()) is not None:
        future = executor.submit(next, iterator, None)
        yield item


def segment(model, image: np.ndarray, tile: Optional[Tile] = None) -> np.ndarray:
    """Class map (H, W) uint8 of one picture (H, W, 3) uint8, blue green red, as OpenCV reads it.

    Args:
        model: of src.models.model.open_model.
        tile: src.evaluation.tiles.Tile() for a large picture in windows, at full resolution.

    Raises InputError for anything else than a picture, such as the None of cv2.imread for a missing file.
    """
    if getattr(image, "dtype", None) != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"segment: a picture is a (H, W, 3) uint8 array, not {what}; cv2.imread returns None for a "
                         "file that is missing or no picture")
    settings = Settings(model.crop_size, batch_size=1, mean=model.mean, std=model.std, tile=tile)
    (item,) = next(Segmenter(model.predict, settings).run([image], lambda image: (image, None)))
    return item.class_map


def evaluate(predict, samples, load, settings: Settings, labels, observers=()) -> ConfusionMatrix:
    """Confusion matrix of `predict` over samples with masks; memory does not grow with their number.

    Args:
        predict, samples, load: see the module and Segmenter.run; masks hold class numbers or ignore_label.
        labels: src.data.labels.Labels.
        observers: each is called with (sample, image, mask, class_map, its own ConfusionMatrix) in the samples' order.

    Raises RunError if memory does not suffice.
    """
    matrix = ConfusionMatrix(labels.num_classes, labels.ignore_label)
    try:
        for batch in Segmenter(predict, settings).run(samples, load):
            for item in batch:
                own = matrix.update(item.mask, item.class_map)
                for observe in observers:
                    observe(item.sample, item.image, item.mask, item.class_map, own)
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        raise RunError(f"not enough memory for batches of {settings.batch_size} pictures; a smaller --batch_size, "
                       "--crop_size or fewer --scales need less") from None
    return matrix
