"""Batches of training pictures: this pipeline, the zoo's transform and torchvision's; a turn is an epoch."""
import gc
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.prepare import Job, pairs, record, voc
from src.data.labels import Labels
from src.data.masks import decode_mask
from src.evaluation.letterbox import Settings

SCALES = (0.5, 2.0)
MEAN, STD = np.float32(Settings.mean), np.float32(Settings.std)
IMAGES, BATCH = 640, 32


def batch_of(job: Job) -> int:
    return job.fewer(BATCH)


def data_file(job: Job) -> str:
    return str(record(job, job.fewer(IMAGES, 8), "input"))


def cores() -> int:
    """The cores that the side may use."""
    return len(os.sched_getaffinity(0))


def epochs(start, workers: int = 0):
    """A turn that reads an epoch from start(); its peak memory is that of the first epoch, with `workers` processes."""
    peak = []

    def turn():
        images = 0
        for batch in start():
            images += len(batch[0])
        own, child = (resource.getrusage(who).ru_maxrss / 1024
                      for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        peak.append(own + workers * child)
        del batch
        gc.collect()    # frees the epoch's pipeline
        return {"images": images, "mb": peak[0]}
    return turn


def dataset_of(job: Job, **more):
    from src.data.dataset import Augmentation, create_dataset
    augmentation = Augmentation(job.crop, *SCALES, MEAN, **more)
    return create_dataset(data_file(job), Labels(job.classes, 255, ()), augmentation, batch_of(job), seed=1,
                          workers=cores())[0]


def ours(job: Job, **more):
    """The batches that train.py gets; `more` are fields of Augmentation."""
    dataset = dataset_of(job, **more)
    return epochs(lambda: dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))


def normalised(job: Job):
    """The same with the network's first operation: a graph on the CPU converts each batch to float32."""
    import mindspore as ms
    from mindspore import nn, ops

    from src.nets.net_factory import normalisation

    class Normalise(nn.Cell):
        def __init__(self):
            super().__init__()
            self.mean, self.factor = normalisation(MEAN, STD)

        def construct(self, image):
            return (ops.cast(image, ms.float32) - self.mean) * self.factor

    ms.set_context(mode=ms.GRAPH_MODE)
    dataset, normalise = dataset_of(job), Normalise()
    return epochs(lambda: ((normalise(ms.Tensor(batch[0])),)
                           for batch in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)))


def zoo(job: Job):
    """The published transform with MindDataset; its second shuffle (1.1 GB) is left out, which favours it."""
    import mindspore.dataset as ds
    cv2.setNumThreads(1)
    columns, crop = ["data", "label"], job.crop

    def transform(data, label):
        return zoo_transform(data, label, crop)
    dataset = ds.MindDataset(data_file(job), columns_list=columns, shuffle=True, num_parallel_workers=cores())
    dataset = dataset.map(transform, columns, columns, num_parallel_workers=cores())
    dataset = dataset.batch(batch_of(job), drop_remainder=True, num_parallel_workers=cores())
    return epochs(lambda: dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))


def zoo_transform(data, label, crop):
    """The published transform of a sample: the complete picture is resized, normalised and padded, then cropped."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    mask = cv2.imdecode(np.frombuffer(label, np.uint8), cv2.IMREAD_GRAYSCALE)
    scale = np.random.uniform(*SCALES)
    rows, columns = int(scale * mask.shape[0]), int(scale * mask.shape[1])
    image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST)
    image = (image.astype(np.float32) - MEAN) / STD
    below, right = max(0, crop - rows), max(0, crop - columns)
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        mask = cv2.copyMakeBorder(mask, 0, below, 0, right, cv2.BORDER_CONSTANT, value=255)
    top, left = (np.random.randint(0, length - crop + 1) for length in mask.shape)
    image, mask = image[top:top + crop, left:left + crop], mask[top:top + crop, left:left + crop]
    if np.random.uniform() > 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return image.transpose(2, 0, 1).copy(), mask.copy()


def import_v2():
    import torch
    try:
        from torchvision.transforms import v2
    except RuntimeError:    # torchvision for CUDA with a PyTorch without: v2 only needs its operators' names
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}",
                                 "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision.transforms import v2
    return torch, v2


class TorchvisionSamples:
    """The same steps with torchvision.transforms.v2 on uint8 tensors, from files, with or without normalisation."""

    def __init__(self, chosen, root, crop, normalise):
        torch, self.v2 = import_v2()
        from torchvision import tv_tensors
        self.pairs, self.root, self.kinds = chosen, root, (tv_tensors.Image, tv_tensors.Mask)
        steps = [self.v2.RandomCrop(crop, pad_if_needed=True, fill={self.kinds[0]: 114, self.kinds[1]: 255}),
                 self.v2.RandomHorizontalFlip()]
        if normalise:
            steps += [self.v2.ToDtype({self.kinds[0]: torch.float32, "others": None}, scale=True),
                      self.v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
        self.steps = self.v2.Compose(steps)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        from PIL import Image
        pair, v2 = self.pairs[index], self.v2
        with Image.open(Path(self.root, pair.image)) as picture, Image.open(Path(self.root, pair.mask)) as mask:
            image, mask = (kind(v2.functional.pil_to_tensor(part))
                           for kind, part in zip(self.kinds, (picture.convert("RGB"), mask)))
        scale = np.random.uniform(*SCALES)
        size = [int(scale * length) for length in mask.shape[1:]]
        image = v2.functional.resize(image, size, v2.InterpolationMode.BICUBIC)
        mask = v2.functional.resize(mask, size, v2.InterpolationMode.NEAREST)
        return self.steps(image, mask)


def torchvision(job: Job, normalise: bool):
    torch, _ = import_v2()
    torch.set_num_threads(cores())
    samples = TorchvisionSamples(pairs(job, job.fewer(IMAGES, 8), "train"), voc(job), job.crop, normalise)
    loader = torch.utils.data.DataLoader(samples, batch_of(job), shuffle=True, num_workers=cores(), drop_last=True,
                                         multiprocessing_context="fork")
    return epochs(lambda: iter(loader), workers=cores())


def decoding(job: Job):
    """Only decoding, in threads, without a pipeline: a lower limit for every input."""
    cv2.setNumThreads(1)
    chosen = pairs(job, job.fewer(IMAGES, 8), "train")
    samples = [[Path(voc(job), path).read_bytes() for path in pair] for pair in chosen[:200]]

    def decode(sample):
        return cv2.imdecode(np.frombuffer(sample[0], np.uint8), cv2.IMREAD_COLOR), decode_mask(sample[1], "")

    def epoch():
        batch = batch_of(job)
        with ThreadPoolExecutor(cores()) as pool:
            for first in range(0, len(chosen) - batch + 1, batch):
                yield [list(pool.map(decode, (samples[(first + i) % len(samples)] for i in range(batch))))]
    return epochs(epoch)
