"""Images/s of the training pipeline beside the zoo's transform and torchvision's, in one run, and what bounds it.

    python benchmarks/input.py DATA_ROOT [--data_lst voc_train_lst.txt] [--cores 1 2] [--images 640] [--rounds 5]

for a DATA_ROOT in which get_dataset_lst.py wrote the list. Each pipeline is a process of its own, held to the given
number of cores and to as many workers; in each round all run one after the other, an epoch each from its start to its
last batch of 32 crops of 513. torchvision is left out where it is not installed.
"""
import argparse
import gc
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
os.environ.setdefault("GLOG_v", "3")
from src.data.labels import Labels
from src.data.lists import format_pair, read_list
from src.data.pictures import decode_mask

BATCH, CROP, SCALES = 32, 513, (0.5, 2.0)
MEAN, STD = np.float32([103.53, 116.28, 123.675]), np.float32([57.375, 57.120, 58.395])


def ours(job):
    """() -> an iterator of one epoch's batches, as train.py gets them."""
    from src.data.dataset import Augmentation, create_dataset
    dataset, _ = create_dataset(job.record, Labels(21, 255, ()), Augmentation(CROP, *SCALES, MEAN), BATCH, seed=1,
                                workers=job.cores)
    return lambda: dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)


def ours_normalised(job):
    """The same, and the network's first operation: a graph on the CPU makes float32 of each batch."""
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
    start_epoch, normalise = ours(job), Normalise()
    return lambda: ((normalise(ms.Tensor(batch[0])),) for batch in start_epoch())


def zoo_transform(data, label):
    """What the published implementation does to a sample: all of it is resized, normalised and padded, then cropped."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    mask = cv2.imdecode(np.frombuffer(label, np.uint8), cv2.IMREAD_GRAYSCALE)
    scale = np.random.uniform(*SCALES)
    rows, columns = int(scale * mask.shape[0]), int(scale * mask.shape[1])
    image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST)
    image = (image.astype(np.float32) - MEAN) / STD
    below, right = max(0, CROP - rows), max(0, CROP - columns)
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        mask = cv2.copyMakeBorder(mask, 0, below, 0, right, cv2.BORDER_CONSTANT, value=255)
    top, left = (np.random.randint(0, length - CROP + 1) for length in mask.shape)
    image, mask = image[top:top + CROP, left:left + CROP], mask[top:top + CROP, left:left + CROP]
    if np.random.uniform() > 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return image.transpose(2, 0, 1).copy(), mask.copy()


def zoo(job):
    """The published transform under MindDataset; its second shuffle (1.1 GB) is left out, in its favour."""
    import mindspore.dataset as ds
    cv2.setNumThreads(1)
    columns = ["data", "label"]
    dataset = ds.MindDataset(job.record, columns_list=columns, shuffle=True, num_parallel_workers=job.cores)
    dataset = dataset.map(zoo_transform, columns, columns, num_parallel_workers=job.cores)
    dataset = dataset.batch(BATCH, drop_remainder=True, num_parallel_workers=job.cores)
    return lambda: dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)


def import_v2():
    import torch
    try:
        from torchvision.transforms import v2
    except RuntimeError:    # torchvision built for CUDA beside a PyTorch without: v2 needs its operators' names alone
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}",
                                 "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision.transforms import v2
    return torch, v2


class TorchvisionSamples:
    """The same steps by torchvision.transforms.v2 on uint8 tensors, from files; normalised at the end, or not."""

    def __init__(self, pairs, root, normalise):
        torch, v2 = import_v2()
        self.pairs, self.root, self.v2 = pairs, root, v2
        steps = [v2.RandomCrop(CROP, pad_if_needed=True, fill={self.kinds()[0]: 114, self.kinds()[1]: 255}),
                 v2.RandomHorizontalFlip()]
        if normalise:
            steps += [v2.ToDtype({self.kinds()[0]: torch.float32, "others": None}, scale=True),
                      v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
        self.steps = v2.Compose(steps)

    @staticmethod
    def kinds():
        from torchvision import tv_tensors
        return tv_tensors.Image, tv_tensors.Mask

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        from PIL import Image
        pair, v2 = self.pairs[index], self.v2
        with Image.open(Path(self.root, pair.image)) as picture, Image.open(Path(self.root, pair.mask)) as mask:
            image, mask = (kind(v2.functional.pil_to_tensor(part))
                           for kind, part in zip(self.kinds(), (picture.convert("RGB"), mask)))
        scale = np.random.uniform(*SCALES)
        size = [int(scale * length) for length in mask.shape[1:]]
        image = v2.functional.resize(image, size, v2.InterpolationMode.BICUBIC)
        mask = v2.functional.resize(mask, size, v2.InterpolationMode.NEAREST)
        return self.steps(image, mask)


def torchvision(job, normalise=False):
    torch, _ = import_v2()
    torch.set_num_threads(job.cores)
    loader = torch.utils.data.DataLoader(TorchvisionSamples(job.pairs, job.root, normalise), BATCH, shuffle=True,
                                         num_workers=job.cores, drop_last=True, multiprocessing_context="fork")
    return lambda: iter(loader)


def torchvision_float(job):
    return torchvision(job, normalise=True)


def decoding(job):
    """The floor: nothing but decoding, in threads, without a pipeline around it."""
    cv2.setNumThreads(1)
    samples = [[Path(job.root, path).read_bytes() for path in pair] for pair in job.pairs[:200]]

    def decode(sample):
        return cv2.imdecode(np.frombuffer(sample[0], np.uint8), cv2.IMREAD_COLOR), decode_mask(sample[1], "")

    def epoch():
        with ThreadPoolExecutor(job.cores) as pool:
            for first in range(0, len(job.pairs) - BATCH + 1, BATCH):
                yield [list(pool.map(decode, (samples[(first + i) % len(samples)] for i in range(BATCH))))]
    return epoch


SIDES = {"this pipeline": ours, "this pipeline, normalised by a graph": ours_normalised,
         "the zoo's transform, float32": zoo, "torchvision v2 + DataLoader, uint8": torchvision,
         "torchvision v2 + DataLoader, float32": torchvision_float, "floor: decoding alone": decoding}


def serve(name, job, pipe):
    """Run epochs of one side, each when told; send images/s and the peak MB so far."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:job.cores])
    try:
        start_epoch = SIDES[name](job)
    except ImportError as error:
        pipe.send(f"left out: {name} ({error}); mend: pip install torch torchvision")
        return
    pipe.send("ready")
    while pipe.recv():
        begin, images = time.perf_counter(), 0
        for batch in start_epoch():
            images += len(batch[0])
        rate = images / (time.perf_counter() - begin)
        del batch
        gc.collect()    # the epoch's pipeline and what it holds
        own, children = (resource.getrusage(who).ru_maxrss / 1024
                         for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        pipe.send((rate, own + (job.cores * children if name.startswith("torchvision") else 0)))    # its workers
    os._exit(0)    # MindSpore's threads need no farewell


def measure(job, rounds: int) -> tuple:
    """({side: images/s of each round}, {side: peak MB of its first epoch}); in turns: a disturbance meets all."""
    context, pipes = multiprocessing.get_context("spawn"), {}
    for name in SIDES:
        here, there = context.Pipe()
        context.Process(target=serve, args=(name, job, there)).start()
        if (said := here.recv()) == "ready":
            pipes[name] = here
        else:
            print(said)
    rates, peaks = {name: [] for name in pipes}, {}
    for number in range(rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            rate, peak = pipe.recv()
            peaks.setdefault(name, peak)
            rates[name] += [rate][:number]    # none of the first round, which warms up
    for pipe in pipes.values():
        pipe.send(False)
    return rates, peaks


def bandwidth() -> float:
    """GB/s of copying a batch of uint8 crops, reading and writing counted."""
    source = np.ones((BATCH, 4, CROP, CROP), np.uint8)
    target, times = np.empty_like(source), []
    for _ in range(9):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / statistics.median(times) / 1e9


def write_record(options, folder: Path):
    """A MindRecord of `images` samples, the list's pictures over and over; its first shard and its pairs."""
    from src.data import build_seg_data
    pairs = read_list(Path(options.data_root, options.data_lst))
    pairs = (pairs * -(-options.images // len(pairs)))[:options.images]
    (folder / "list.txt").write_text("".join(map(format_pair, pairs)))
    build_seg_data.main(["--data_root", options.data_root, "--data_lst", str(folder / "list.txt"), "--dst_path",
                         str(folder / "r.mindrecord"), "--num_shards", "2"])
    return str(folder / "r.mindrecord0"), pairs


def report(job, rates, peaks):
    middle = {name: statistics.median(values) for name, values in rates.items()}
    own = middle["this pipeline"]
    print(f"\n| {job.cores} cores, batch {BATCH}, crop {CROP} | images/s | ms an image and core | this pipeline is | "
          "peak MB |\n| --- | --- | --- | --- | --- |")
    for name, rate in middle.items():
        print(f"| {name} | {rate:.0f} | {1e3 * job.cores / rate:.2f} | {own / rate:.2f} x | {peaks[name]:.0f} |")
    print(f"| floor: copying the crops once at {(speed := bandwidth()):.1f} GB/s | "
          f"{speed * 1e9 / (2 * 4 * CROP ** 2):.0f} | | | |", flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root")
    parser.add_argument("--data_lst", default="voc_train_lst.txt", help="list file in data_root")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, os.cpu_count()])
    parser.add_argument("--images", type=int, default=640, help="samples of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        record, pairs = write_record(options, Path(folder))
        for cores in options.cores:
            job = argparse.Namespace(record=record, pairs=pairs, root=options.data_root, cores=cores)
            report(job, *measure(job, options.rounds))


if __name__ == "__main__":
    main()
