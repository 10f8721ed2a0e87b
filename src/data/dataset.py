"""MindRecord -> batches of uint8 pictures and masks, the same for one seed whatever the number of workers."""
import os
from pathlib import Path

import cv2
import numpy as np

from src.data.transforms import draw_transform, train_transform
from src.data.voc import check_labels, decode_image, decode_mask
from src.utils.log import InputError, first_line

PREFETCH = 2    # batches each stage may hold ready; MindSpore's 16 would keep 400 MB of crops at the published sizes


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
        for index, (data, label, name) in zip(indices, rows):
            yield as_bytes(data), as_bytes(label), name, np.array([epoch, index], np.int64)


def as_bytes(column) -> np.ndarray:
    """A bytes column as uint8; MindSpore hands it over as one fixed-length string."""
    return np.frombuffer(column.tobytes(), np.uint8)


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

    def __call__(self, data, label, name, key):
        try:
            return self.transform(data, label, str(name), key)
        except InputError as error:
            self.errors.append(error)
            raise

    def cause(self, error):
        """The error of the sample that ended the pipeline, if one did, else `error` itself."""
        return self.errors[0] if self.errors else error

    def transform(self, data, label, name, key):
        image, mask = decode_image(data.tobytes(), name), decode_mask(label.tobytes(), f"mask of {name}")
        if image.shape[:2] != mask.shape:
            raise InputError(f"{name}: its mask has another size")
        check_labels(mask, self.num_classes, self.ignore_label, f"mask of {name}")
        rng = np.random.default_rng([self.seed, *key.tolist()])
        draw = draw_transform(rng, *mask.shape, self.crop_size, *self.scales)
        pixels, labels = train_transform(image, mask, draw, self.crop_size, self.fill, self.ignore_label)
        return pixels, labels, np.array(rng.integers(2 ** 31), np.int32)


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
    source = SampleOrder(data_file, seed, num_shards, shard_id, first_epoch, first_step * batch_size)
    transform = TrainingTransform(seed, crop_size, min_scale, max_scale, mean, num_classes, ignore_label)
    dataset = ds.GeneratorDataset(source, ["data", "label", "name", "key"], shuffle=False, num_parallel_workers=1)
    dataset = dataset.map(transform, input_columns=["data", "label", "name", "key"],
                          output_columns=["image", "label", "dropout_key"], num_parallel_workers=workers)
    dataset = dataset.batch(batch_size, drop_remainder=True, num_parallel_workers=1)
    try:
        dataset.output_shapes()    # runs the pipeline once and remembers; done here, so that it does not cost an epoch
    except RuntimeError as error:
        raise transform.cause(error) from None
    source.epoch = first_epoch
    return dataset, transform
