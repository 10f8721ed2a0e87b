"""A training step compared with PyTorch eager.

Both sides normalise uint8 pictures, run forward and backward, and update with momentum and weight decay; dropout and
BatchNorm's statistics are on. MindSpore's step is that of train.py.
"""
import numpy as np

from benchmarks.networks import torch_network
from benchmarks.prepare import Job
from src.config import parse_args
from src.data.labels import Labels
from src.device import open_device
from src.evaluation.letterbox import Settings


def random_batch(job: Job, size: int) -> tuple:
    rng = np.random.RandomState(0)
    return (rng.randint(0, 256, (size, 3, job.crop, job.crop)).astype(np.uint8),
            rng.randint(0, job.classes, (size, job.crop, job.crop)).astype(np.uint8))


def ours(job: Job, batch: int):
    """The step of train.py."""
    device = open_device("CPU")
    import mindspore as ms

    from src.training.model import build_model
    config = parse_args("train", "", ["--device_target", "CPU", "--model", job.network("s16"), "--base_lr", "0.001",
                                      "--num_classes", str(job.classes)])
    cell = build_model(config, Labels(job.classes, 255, ()), device, np.full(1000, 0.001)).model.train_network
    cell.set_train()
    image, label = random_batch(job, batch)

    def turn():
        loss = cell(ms.Tensor(image), ms.Tensor(label), ms.Tensor(np.arange(batch, dtype=np.int32)))
        loss = float((loss[0] if isinstance(loss, tuple) else loss).asnumpy())
        return {"images": batch, "loss": loss}
    return turn


def eager(job: Job, batch: int):
    """PyTorch eager."""
    import torch
    network = torch_network(job, "s16")[0].train().requires_grad_(True)
    optimizer = torch.optim.SGD(network.parameters(), 0.001, momentum=0.9, weight_decay=1e-4)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (Settings.mean, Settings.std))
    image, label = random_batch(job, batch)

    def turn():
        logits = network((torch.from_numpy(image).float() - mean) / std)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(label).long(), ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"images": batch, "loss": float(loss.detach())}
    return turn
