"""Weight files of MindSpore, PyTorch and safetensors as NumPy arrays, told apart by their first bytes."""
from pathlib import Path

from src.console import InputError, first_line
from src.weights import checkpoint

SAFE_TORCH = (2, 6)    # weights_only of earlier releases could be made to run code (CVE-2025-32434)


def read_arrays(path, option: str) -> tuple:
    """Read a weight file of any of the three formats; nothing in it is ever run.

    Returns:
        (name -> array, name -> text): the values, and the notes that a file of convert_resnet101.py holds.

    Raises:
        InputError: names `option` and the file if it is missing, damaged, or holds more than arrays.
    """
    if not str(path):
        raise InputError(f"--{option} is not given")
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f"--{option} {path}: {error.strerror}") from None
    if head[8:9] == b"{":    # the length of a JSON header, then the header
        return read_safetensors(path, option), {}
    if head.startswith((b"PK\x03\x04", b"\x80")):    # a ZIP archive, or a bare pickle
        return read_torch(path, option), {}
    values = checkpoint.read(path, option)
    notes = {name: value for name, value in values.items() if isinstance(value, str)}
    return {name: value.asnumpy() for name, value in values.items() if hasattr(value, "asnumpy")}, notes


def read_safetensors(path, option: str) -> dict:
    """Arrays of a .safetensors file. Raises InputError for a damaged one and for number types NumPy lacks."""
    import safetensors
    from safetensors.numpy import load_file
    try:
        return load_file(path)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"--{option} {path}: is no whole .safetensors file of float32 or float16 "
                         f"({type(error).__name__}: {first_line(error)})") from None


def read_torch(path, option: str) -> dict:
    """Arrays of a PyTorch file, its state_dict if it holds one; PyTorch is told to load tensors and nothing else."""
    import pickle
    import warnings
    try:
        import torch
    except ImportError:
        raise InputError(f"--{option} {path}: a PyTorch file; reading it needs PyTorch (pip install torch), "
                         "a .safetensors file of the same weights does not") from None
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_TORCH:
        raise InputError(f"--{option} {path}: PyTorch {torch.__version__} is installed; 2.6 or later is needed, "
                         "which reads a file without running what is in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")    # of pickles written in other ways than PyTorch's
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"--{option} {path}: refused, it is damaged or holds more than tensors, and loading that "
                         f"could run code ({first_line(error)[:120]})") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"--{option} {path}: is no whole PyTorch file ({first_line(error)})") from None
    values = values.get("state_dict", values) if isinstance(values, dict) else {}
    if not values or not all(isinstance(value, torch.Tensor) for value in values.values()):
        raise InputError(f"--{option} {path}: holds no table of named tensors (a state_dict)")
    return {name: (value.float() if value.is_floating_point() else value).numpy() for name, value in values.items()}


def write_safetensors(path, arrays: dict, notes: dict) -> None:
    """Write arrays and text notes as .safetensors: aside first, renamed when complete. Raises RunError."""
    import os

    import numpy as np
    from safetensors.numpy import save_file

    from src.console import RunError
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, aside, metadata=notes)
        aside.chmod(0o644)
        os.replace(aside, path)
    except Exception as error:    # safetensors has an error class of its own for a full disk or a missing folder
        aside.unlink(missing_ok=True)
        raise RunError(f"{path} could not be written: {first_line(error)}") from None
