"""MindRecord -> batches of uint8 pictures and masks; for one seed the same with any number of workers."""
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import cv2
import mindspore.dataset as ds
import numpy as np

from src.console import InputError
from src.data.augmentation import augment, draw_extra
from src.data.labels import Labels
from src.data.masks import decode_pair
from src.data.mindrecord import count_samples, read_records
from src.data.transforms import draw_transform
from src.device import cores

PREFETCH = 2    # batches that wait for the network; MindSpore's 16 would keep 540 MB at the published sizes
AHEAD = 2    # unfinished batches, so that no thread waits for a batch's last sample


class Augmentation(NamedTuple):
    """What is done to a sample: resized by a random factor, padded with the mean, cropped, flipped at random; and for
    small data sets recoloured and turned.
    """

    crop_size: int    # side of the result, pixels
    min_scale: float
    max_scale: float
    mean: tuple    # of each channel, blue green red, 0 to 255
    photometric: tuple = (0.0, 0.0, 0.0, 0.0)    # strength of brightness, contrast, saturation and hue
    rotate: float = 0.0    # largest angle, degrees


class Record(NamedTuple):
    """One encoded sample, and the key of its random draws."""

    data: bytes
    label: bytes
    name: str
    epoch: int
    index: int


class SampleOrder:
    """Encoded samples of one device, epoch after epoch, each with the key its random draws are made from.

    Every epoch is one permutation of the complete set made from (seed, epoch); each device takes every num_shards-th
    sample of it. Shards are disjoint and equally long; the few samples left over are not used in that epoch.
    """

    def __init__(self, data_file, seed, shard=(0, 1), first_epoch=0, skip=0):
        self.data_file, self.seed, self.epoch, self.skip = data_file, seed, first_epoch, skip
        self.shard_id, self.num_shards = shard
        self.total = count_samples(data_file)

    def __len__(self):
        return self.total // self.num_shards - self.skip

    def indices(self, epoch: int) -> np.ndarray:
        """Sample numbers that this device sees in `epoch`, in order; the first `skip` are left out."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.total)
        return order[self.shard_id::self.num_shards][self.skip:self.total // self.num_shards]

    def __iter__(self):
        epoch, self.epoch = self.epoch, self.epoch + 1
        indices = self.indices(epoch).tolist()
        for index, row in zip(indices, read_records(self.data_file, ["data", "label", "file_name"], indices)):
            yield Record(*row, epoch, index)


def steps_in_epoch(data_file, batch_size: int, num_shards: int) -> int:
    """Batches of an epoch on each of `num_shards` devices. Raises InputError if there would be no batch."""
    samples = count_samples(data_file) // num_shards
    if samples < batch_size:
        raise InputError(f"--batch_size {batch_size}: larger than the {samples} samples a device in {data_file}; "
                         "an epoch would have no step")
    return samples // batch_size


class TrainingTransform:
    """Decode and transform one sample; draws depend on (seed, epoch, sample) alone, so not on threads or devices.

    The error of a damaged sample is also kept in `errors`, since MindSpore hides exceptions in pages of text.
    """

    def __init__(self, seed: int, labels: Labels, augmentation: Augmentation):
        self.seed, self.labels, self.crop_size = seed, labels, augmentation.crop_size
        self.scales = (augmentation.min_scale, augmentation.max_scale)
        self.fill = np.rint(augmentation.mean).astype(np.uint8)
        self.strengths = augmentation.photometric, augmentation.rotate
        self.errors = []

    def __call__(self, record: Record, out: tuple) -> None:
        """Write the sample to its place `out` in a batch: image (3, crop, crop), label (crop, crop), dropout_key ()."""
        try:
            self.transform(record, *out)
        except InputError as error:
            self.errors.append(error)
            raise

    def cause(self, error):
        """The error of the sample that ended the pipeline, if one did, else `error` itself."""
        return self.errors[0] if self.errors else error

    def transform(self, record, out_image, out_label, out_key):
        names = record.name, f"mask of {record.name}"
        image, mask = decode_pair((record.data, record.label), names, self.labels, strict=False)
        rng = np.random.default_rng([self.seed, record.epoch, record.index])
        draw = draw_transform(rng, *mask.shape, self.crop_size, *self.scales)
        out_key[...] = rng.integers(2 ** 31)
        extra = draw_extra(rng, *self.strengths)    # last, so that the published draws stay what they are
        augment(image, mask, draw, extra, (out_image, out_label), self.fill, self.labels.ignore_label)


class Batches:
    """Batches of one device, epoch after epoch. Threads write the samples straight to their places in a batch.

    OpenCV, Pillow and NumPy release Python's lock while they work; MindSpore gets a whole batch, which it copies once,
    where a map of its own copies each sample three times.
    """

    def __init__(self, order: SampleOrder, transform: TrainingTransform, batch_size: int, workers: int):
        self.order, self.transform, self.batch_size, self.workers = order, transform, batch_size, workers

    def __len__(self):
        return len(self.order) // self.batch_size

    def __iter__(self):
        records, making = iter(self.order), deque()
        pool = ThreadPoolExecutor(self.workers)
        try:
            for _ in range(len(self)):
                making.append(self.begin(pool, islice(records, self.batch_size)))
                if len(making) == AHEAD:
                    yield finish(*making.popleft())
            while making:
                yield finish(*making.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def begin(self, pool, records) -> tuple:
        """A batch's arrays, and the futures that fill them."""
        count, side = self.batch_size, self.transform.crop_size
        batch = (np.empty((count, 3, side, side), np.uint8), np.empty((count, side, side), np.uint8),
                 np.empty(count, np.int32))
        places = zip(batch[0], batch[1], (batch[2][i:i + 1] for i in range(count)))
        return batch, [pool.submit(self.transform, record, place) for record, place in zip(records, places)]


def finish(batch: tuple, futures: list) -> tuple:
    """The batch, once it is complete. Raises the error of a sample."""
    for future in futures:
        future.result()
    return batch


def create_dataset(data_file, labels: Labels, augmentation: Augmentation, batch_size: int, *, seed: int,
                   shard=(0, 1), start=(0, 0), workers=0):
    """Batches for one device.

    Args:
        data_file: any shard of a MindRecord written by build_seg_data.py.
        shard: (this device's number, how many devices there are).
        start: (epoch to begin with, batches of it to leave out); the epoch decides order and draws.
        workers: threads that decode and transform; 0 or more than the cores means one a core.

    Returns:
        (dataset, transform): a mindspore dataset with columns image (N, 3, crop, crop) uint8 blue green red,
        label (N, crop, crop) uint8 and dropout_key (N,) int32, the random draws left to the network; and the
        TrainingTransform, whose `errors` name the sample that ended it.

    Raises InputError: data_file missing or damaged, fewer samples than a batch, or a first sample that is wrong.
    """
    workers = min(workers or cores(), cores())
    cv2.setNumThreads(1)    # the workers are the parallelism
    ds.config.set_prefetch_size(PREFETCH)
    steps_in_epoch(data_file, batch_size, shard[1])
    first_epoch, first_step = start
    order = SampleOrder(data_file, seed, shard, first_epoch, first_step * batch_size)
    transform = TrainingTransform(seed, labels, augmentation)
    dataset = ds.GeneratorDataset(Batches(order, transform, batch_size, workers), ["image", "label", "dropout_key"],
                                  shuffle=False, num_parallel_workers=1)
    try:
        # Sinking to an Ascend asks for the shapes, for which MindSpore runs the pipeline once. Asked for here, that
        # costs no epoch, and a wrong first sample is named before anything else happens.
        dataset.output_shapes()
    except RuntimeError as error:
        raise transform.cause(error) from None
    order.epoch = first_epoch
    return dataset, transform
