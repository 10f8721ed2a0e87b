"""From pictures to class maps: letterbox or windows, scales, flip, and the evaluator that every backend shares.

A backend is a function `predict: (N, 3, S, S) float32 -> (N, C, S, S) float32` from normalised pictures to
probabilities. Reading, resizing and counting run in threads while it works.
"""
import itertools
import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
class Batch:
    """Some samples on their way through the scales; lists have one entry for each."""

    samples: list
    images: list    # (H, W, 3) uint8
    masks: list    # (H, W) uint8 or None
    totals: list    # summed probabilities (C, H, W) float32; None of a picture too large to keep them
    parts: list    # of such a picture: its probabilities (C, h, w) at each scale
    maps: list    # class maps (H, W) uint8, once all scales are summed


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
        """Yield a finished Batch for every batch_size samples, in order.

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

    def batches(self, triples, reader, pool):
        """Yield the finished batches of (sample, (image, mask)), letterboxed."""
        pending, finished = [], None
        for batch, last, inputs, sizes in ahead(reader, self.inputs(triples)):
            probs = self.probabilities(inputs)
            for future in pending:    # sums of the scale before: done by now, and the order of adding is kept
                future.result()
            if finished:
                yield finished
            finished = batch if last else None
            pending = [pool.submit(self.add, batch, number, probs[number], size, last)
                       for number, size in enumerate(sizes)]
        for future in pending:
            future.result()
        if finished:
            yield finished

    def exceeds_a_window(self, triple) -> bool:
        return max(self.settings.tile.size(*triple[1][0].shape[:2])) > self.settings.crop_size

    def tiled(self, triple) -> Batch:
        """The finished batch of one picture in windows, see src.evaluation.tiles."""
        sample, (image, mask) = triple
        side, size, tile = self.settings.crop_size, image.shape[:2], self.settings.tile

        def predict(windows):
            inputs = np.zeros((len(windows), 3, side, side), np.float32)
            for window, out in zip(windows, inputs):
                normalise(window, self.table, out)
            probs = self.probabilities(inputs)
            bar.update(len(windows))
            return probs
        class_map = np.empty(size, np.uint8)
        with progress(tile.windows(*size, side), "tiles", "window") as bar:    # a picture may take minutes
            for place, planes in strips(image, predict, side, tile, self.settings.batch_size):
                class_map[place] = argmax_map(self.watch(sample, size, place, planes))
        return Batch([sample], [image], [mask], [None], [[]], [class_map])

    def inputs(self, triples):
        """Yield (batch, whether it is the last scale, inputs (N, 3, S, S) float32, sizes within S) in order."""
        scales = self.settings.scales
        for chunk, images, masks in self.chunks(triples):
            batch = Batch(chunk, images, masks, [None] * len(chunk), [[] for _ in chunk], [None] * len(chunk))
            for number, scale in enumerate(scales, 1):
                side = self.settings.input_size(scale)
                inputs = np.zeros((len(chunk), 3, side, side), np.float32)
                sizes = [letterbox(image, side, self.table, out) for image, out in zip(images, inputs)]
                yield batch, number == len(scales), inputs, sizes

    def chunks(self, triples):
        """Yield (samples, images, masks) of batch_size, or of fewer with BATCH_PIXELS together."""
        chunk, pixels = [], 0
        for sample, (image, mask) in triples:
            size = image.shape[0] * image.shape[1]
            if chunk and (len(chunk) == self.settings.batch_size or pixels + size > BATCH_PIXELS):
                yield tuple(map(list, zip(*chunk)))
                chunk, pixels = [], 0
            chunk.append((sample, image, mask))
            pixels += size
        if chunk:
            yield tuple(map(list, zip(*chunk)))

    def probabilities(self, inputs):
        probs = self.predict(inputs)
        if self.settings.flip:
            mirrored = self.predict(np.ascontiguousarray(inputs[:, :, :, ::-1]))
            probs = probs + mirrored[:, :, :, ::-1]
        return probs

    def add(self, batch, number, probs, size, last):
        """Add one picture's probabilities at one scale; after the last scale make its class map."""
        own_size, parts = batch.images[number].shape[:2], batch.parts[number]
        if self.is_large(*own_size):
            parts.append(np.ascontiguousarray(probs[:, :size[0], :size[1]]))
        else:
            batch.totals[number] = add_resized(batch.totals[number], probs, size, own_size)
        if last:
            planes = summed_planes(parts, own_size) if parts else batch.totals[number]
            batch.maps[number] = argmax_map(self.watch(batch.samples[number], own_size, COMPLETE, planes))
            batch.parts[number] = []

    def is_large(self, height: int, width: int) -> bool:
        """Whether sums of a picture's size take more memory than what is summed, and much: 1 GB for 21 classes of 12
        megapixels."""
        sides = [self.settings.input_size(scale) for scale in self.settings.scales]
        return height * width > max(LARGE, sum(math.prod(letterbox_size(height, width, side)) for side in sides))


def loaded(samples, load, pool, most: int):
    """Yield (sample, what `load` gives of it) in order; `most` at most, and one a core, are loaded ahead."""
    waiting, most = deque(), min(most, cores())
    for sample in samples:
        waiting.append((sample, pool.submit(load, sample)))
        if len(waiting) >= most:
            sample, future = waiting.popleft()
            yield sample, future.result()
    for sample, future in waiting:
        yield sample, future.result()


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
    return next(Segmenter(model.predict, settings).run([image], lambda image: (image, None))).maps[0]


def evaluate(predict, samples, load, settings: Settings, labels, observers=()) -> ConfusionMatrix:
    """Confusion matrix of `predict` over samples with masks; memory does not grow with their number.

    Args:
        predict, samples, load: see the module and Segmenter.run; masks hold class numbers or ignore_label.
        labels: src.data.labels.Labels.
        observers: each is called with (sample, image, mask, class_map, its own ConfusionMatrix) in the samples' order.

    Raises:
        RunError: memory does not suffice.
    """
    matrix = ConfusionMatrix(labels.num_classes, labels.ignore_label)
    try:
        for batch in Segmenter(predict, settings).run(samples, load):
            for sample, image, mask, class_map in zip(batch.samples, batch.images, batch.masks, batch.maps):
                own = matrix.update(mask, class_map)
                for observe in observers:
                    observe(sample, image, mask, class_map, own)
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        raise RunError(f"not enough memory for batches of {settings.batch_size} pictures; a smaller --batch_size, "
                       "--crop_size or fewer --scales need less") from None
    return matrix
