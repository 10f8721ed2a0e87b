"""Weight files of MindSpore, PyTorch and safetensors as NumPy arrays, told apart by their first bytes."""
import pickle
import warnings
from pathlib import Path

import numpy as np

from src.console import InputError, first_line
from src.files import writing
from src.weights import checkpoint

SAFE_TORCH = (2, 6)    # weights_only of earlier releases could be made to run code (CVE-2025-32434)


def read_arrays(path, option: str) -> checkpoint.Checkpoint:
    """Read a weight file of any of the three formats; nothing in it is ever run.

    Args:
        option: what errors call the file.

    Raises:
        InputError: it is missing, damaged, or holds more than arrays.
    """
    if not str(path):
        raise InputError(f"{option} is not given")
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror}") from None
    if head[8:9] == b"{":    # the length of a JSON header, then the header
        return checkpoint.Checkpoint(read_safetensors(path, option), {}, {})
    if head.startswith((b"PK\x03\x04", b"\x80")):    # a ZIP archive, or a bare pickle
        return checkpoint.Checkpoint(read_torch(path, option), {}, {})
    return checkpoint.read(path, option)


def read_safetensors(path, option: str) -> dict:
    """Arrays of a .safetensors file. Raises InputError for a damaged one and for number types NumPy lacks."""
    safetensors = needed("safetensors", f"{option} {path}")
    try:
        return safetensors.numpy.load_file(path)
    except Exception as error:    # of safetensors, and whatever NumPy makes of its answers
        raise InputError(f"{option} {path}: is not a complete .safetensors file of float32 or float16 "
                         f"({type(error).__name__}: {first_line(error)})") from None


def needed(package: str, where: str):
    """safetensors with its NumPy part, which only these files need. Raises InputError if it is not installed."""
    try:
        import safetensors.numpy
        return safetensors
    except ImportError:
        raise InputError(f"{where}: needs the package {package}; pip install {package}") from None


def read_torch(path, option: str) -> dict:
    """Arrays of a PyTorch file, its state_dict if it holds one; PyTorch is told to load tensors and nothing else."""
    try:
        import torch  # large, and needed here alone
    except ImportError:
        raise InputError(f"{option} {path}: a PyTorch file; reading it needs PyTorch (pip install torch), "
                         "a .safetensors file of the same weights does not") from None
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_TORCH:
        raise InputError(f"{option} {path}: PyTorch {torch.__version__} is installed; 2.6 or later is needed, "
                         "which reads a file without running what is in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")    # of pickles written in other ways than PyTorch's
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{option} {path}: refused, it is damaged or holds more than tensors, and loading that "
                         f"could run code ({first_line(error)[:120]})") from None
    except Exception as error:    # damaged files lead it to many
        raise InputError(f"{option} {path}: is not a complete PyTorch file ({first_line(error)[:120]})") from None
    values = values.get("state_dict", values) if isinstance(values, dict) else {}
    if not values or not all(isinstance(value, torch.Tensor) for value in values.values()):
        raise InputError(f"{option} {path}: holds no table of named tensors (a state_dict)")
    return {name: (value.float() if value.is_floating_point() else value).numpy() for name, value in values.items()}


def write_safetensors(path, arrays: dict, notes: dict) -> None:
    """Write arrays and texts by name as .safetensors, aside first. Raises RunError."""
    safetensors = needed("safetensors", str(path))
    data = safetensors.numpy.save({name: np.ascontiguousarray(value) for name, value in arrays.items()}, metadata=notes)
    with writing(Path(path)) as aside:
        aside.write_bytes(data)
