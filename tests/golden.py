"""The reference network: every weight is made from its parameter's name; expected values."""
import zlib
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent / "data"
STEP = 4    # see tests/data/make.py


def golden_shapes() -> dict:
    """Name -> shape of the 552 parameters of a published checkpoint."""
    rows = (line.split("\t") for line in (DATA / "params.tsv").read_text().splitlines())
    return {name: tuple(map(int, shape.split("x"))) for name, shape in rows}


def golden_weight(name: str, shape: tuple) -> np.ndarray:
    """float32 values of a parameter, by the reference's rule for the suffix of its name."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    rules = {
        "weight": lambda: rng.randn(*shape) * np.sqrt(2 / np.prod(shape[1:])),
        "gamma": lambda: (0.2 if ".bn3." in name else 1.0) + 0.05 * rng.randn(*shape),
        "beta": lambda: 0.1 * rng.randn(*shape),
        "bias": lambda: 0.1 * rng.randn(*shape),
        "moving_mean": lambda: 0.1 * rng.randn(*shape),
        "moving_variance": lambda: 0.75 + 0.5 * rng.rand(*shape),
    }
    return rules[name.rsplit(".", 1)[1]]().astype(np.float32)


def golden_weights(architecture) -> dict:
    """Name in a checkpoint -> reference value, of the network that src.nets.architecture describes."""
    return {name: golden_weight(name, shape) for name, shape in architecture.shapes().items()}


def save_checkpoint(path, arrays, **options):
    """A file of MindSpore's own writer; returns its path."""
    import mindspore as ms
    ms.save_checkpoint([{"name": name, "data": ms.Tensor(value)} for name, value in arrays.items()], str(path),
                       **options)
    return path


def set_golden(cell, replaced=()) -> None:
    """Give every parameter of `cell` its reference value, or the one in `replaced`."""
    import mindspore as ms
    replaced = dict(replaced)
    for name, parameter in cell.parameters_and_names():
        value = replaced[name] if name in replaced else golden_weight(name, parameter.shape)
        parameter.set_data(ms.Tensor(value))
