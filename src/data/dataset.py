"""MindRecord -> batches of uint8 pictures and masks, the same for one seed whatever the number of workers."""
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from src.console import InputError, first_line
from src.data.labels import check_labels
from src.data.pictures import decode_image, decode_mask
from src.data.transforms import draw_transform, train_transform

PREFETCH = 2    # batches that wait for the network; MindSpore's 16 would keep 540 MB at the published sizes
AHEAD = 2    # batches in the making, so that no thread waits for a batch's last sample


class Record(NamedTuple):
    """One encoded sample, and what its random draws are made from."""

    data: bytes
    label: bytes
    name: str
    epoch: int
    index: int


class SampleOrder:
    """Encoded samples of one device, epoch after epoch, each with the key its random draws are made from.

    Every epoch is one permutation of the whole set made from (seed, epoch), of which each device takes every
    num_shards-th sample: shards are disjoint and equally long, whatever is left over waits for the next epoch.
    """

    def __init__(self, data_file, seed, num_shards, shard_id, first_epoch=0, skip=0):
        self.data_file, self.seed, self.epoch, self.skip = str(data_file), seed, first_epoch, skip
        self.num_shards, self.shard_id = num_shards, shard_id
        self.total = count_samples(data_file)

    def __len__(self):
        return self.total // self.num_shards - self.skip

    def indices(self, epoch: int) -> np.ndarray:
        """Sample numbers that this device sees in `epoch`, in order; the first `skip` are left out."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.total)
        return order[self.shard_id::self.num_shards][self.skip:self.total // self.num_shards]

    def __iter__(self):
        import mindspore.dataset as ds
        epoch, self.epoch = self.epoch, self.epoch + 1
        indices = self.indices(epoch)
        records = ds.MindDataset(self.data_file, columns_list=["data", "label", "file_name"],
                                 sampler=ds.SubsetSampler(indices.tolist()), num_parallel_workers=1)
        rows = records.create_tuple_iterator(num_epochs=1, output_numpy=True)
        for index, (data, label, name) in zip(indices, rows):    # MindSpore hands bytes over as one fixed-length string
            yield Record(data.tobytes(), label.tobytes(), str(name), epoch, int(index))


def count_samples(data_file) -> int:
    """Samples in a MindRecord, all shards together. Raises InputError for a file that is missing or none."""
    import mindspore.dataset as ds
    if not str(data_file):
        raise InputError("--data_file is not given; scripts/build_data.sh makes a MindRecord")
    if not Path(data_file).is_file():
        shard = f"{data_file}0"
        hint = f"; its first shard is {shard}" if Path(shard).is_file() else "; scripts/build_data.sh makes it"
        raise InputError(f"--data_file {data_file}: no such file{hint}")
    try:
        return ds.MindDataset(str(data_file)).get_dataset_size()
    except RuntimeError as error:
        raise InputError(f"--data_file {data_file}: not a whole MindRecord: {first_line(error)}") from None


def steps_in_epoch(data_file, batch_size: int, num_shards: int) -> int:
    """Batches of an epoch on each of `num_shards` devices. Raises InputError if there is none."""
    samples = count_samples(data_file) // num_shards
    if samples < batch_size:
        raise InputError(f"--batch_size {batch_size}: larger than the {samples} samples a device in {data_file}; "
                         "an epoch would have no step")
    return samples // batch_size


class TrainingTransform:
    """Decode and transform one sample; draws depend on (seed, epoch, sample) alone, so not on threads or devices.

    What is wrong with a sample is kept in `errors` too, since MindSpore wraps an exception in pages of its own.
    """

    def __init__(self, seed, crop_size, min_scale, max_scale, mean, num_classes, ignore_label):
        self.seed, self.crop_size, self.scales = seed, crop_size, (min_scale, max_scale)
        self.fill, self.num_classes, self.ignore_label = np.rint(mean).astype(np.uint8), num_classes, ignore_label
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
        name, mask_name = record.name, f"mask of {record.name}"
        image, mask = decode_image(record.data, name), decode_mask(record.label, mask_name)
        if image.shape[:2] != mask.shape:
            raise InputError(f"{name}: its mask has another size")
        check_labels(mask, self.num_classes, self.ignore_label, mask_name)
        rng = np.random.default_rng([self.seed, record.epoch, record.index])
        draw = draw_transform(rng, *mask.shape, self.crop_size, *self.scales)
        train_transform(image, mask, draw, self.crop_size, self.fill, self.ignore_label, (out_image, out_label))
        out_key[...] = rng.integers(2 ** 31)


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
    """The batch, once it is whole. Raises what was wrong with a sample."""
    for future in futures:
        future.result()
    return batch


def create_dataset(data_file, *, seed, batch_size, crop_size, min_scale, max_scale, mean, num_classes, ignore_label,
                   num_shards=1, shard_id=0, workers=0, first_epoch=0, first_step=0):
    """Batches for one device of `num_shards`.

    Args:
        data_file: any shard of a MindRecord written by build_seg_data.py.
        workers: threads that decode and transform; 0 or more than the cores means one a core.
        first_epoch: number of the epoch to begin with; decides order and draws.
        first_step: batches to leave out of an epoch, for the rest of one that was cut.

    Returns:
        (dataset, transform): a mindspore dataset with columns image (N, 3, crop, crop) uint8 blue green red,
        label (N, crop, crop) uint8 and dropout_key (N,) int32, the random draws left to the network; and the
        TrainingTransform, whose `errors` name the sample that ended it.

    Raises:
        InputError: data_file missing or damaged, or fewer samples than a batch.
    """
    import mindspore.dataset as ds
    cores = os.cpu_count() or 1
    workers = min(workers or cores, cores)
    cv2.setNumThreads(1)    # the workers are the parallelism
    ds.config.set_prefetch_size(PREFETCH)
    steps_in_epoch(data_file, batch_size, num_shards)
    order = SampleOrder(data_file, seed, num_shards, shard_id, first_epoch, first_step * batch_size)
    transform = TrainingTransform(seed, crop_size, min_scale, max_scale, mean, num_classes, ignore_label)
    dataset = ds.GeneratorDataset(Batches(order, transform, batch_size, workers), ["image", "label", "dropout_key"],
                                  shuffle=False, num_parallel_workers=1)
    try:
        dataset.output_shapes()    # runs the pipeline once and remembers; done here, so that it does not cost an epoch
    except RuntimeError as error:
        raise transform.cause(error) from None
    order.epoch = first_epoch
    return dataset, transform
