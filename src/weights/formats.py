"""Read weight files of MindSpore, PyTorch and safetensors as NumPy arrays; the format is detected from the content."""
import math
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np

from src.console import InputError, first_line
from src.files import writing
from src.foreign import MOST_BYTES, load_json, printable, shown
from src.weights import checkpoint, protobuf
from src.weights.kinds import kind_of
from src.weights.manifest import check_sha256

SAFE_TORCH = (2, 6)    # weights_only of earlier releases could be made to run code (CVE-2025-32434)
SAFE_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "U8": "u1", "I8": "i1",
              "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8"}


def read_arrays(path, where: str) -> checkpoint.Checkpoint:
    """Read a weight file of any of the three formats; no code in it is run. `where` is its name in errors.

    Raises InputError if it is missing, damaged, or contains other things than arrays.
    """
    read = {"safetensors": read_safetensors, "torch": read_torch}.get(kind_of(path, where))
    check_sha256(path, where)
    return checkpoint.Checkpoint(read(path, where), {}, {}) if read else checkpoint.read(path, where)


def read_safetensors(path, where: str) -> dict:
    """Arrays of a .safetensors file, views of the mapped file, bfloat16 as float32. Header and file size are compared
    first.

    Source: github.com/huggingface/safetensors, "Format": 8 bytes of the header's length, little endian; the header,
    JSON of name -> dtype, shape, data_offsets; the arrays one after the other without gaps.

    Raises InputError for a damaged file and for unknown number types.
    """
    with protobuf.opened(path, where, ".safetensors file of floats or integers") as data:
        return parse_safetensors(data)


def parse_safetensors(data) -> dict:
    """Name -> array of a .safetensors file's bytes. Raises protobuf.Damaged, Unreadable."""
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, MOST_BYTES):
        raise protobuf.Damaged(f"a header of {length} bytes; {min(len(data) - 8, MOST_BYTES)} at most are expected")
    header, start, place = load_json(data[8:8 + length]), 8 + length, 0
    if not isinstance(header, dict):
        raise protobuf.Damaged("its header is not a table of arrays")
    header.pop("__metadata__", None)
    arrays, size = {}, len(data) - start
    for name, entry in sorted(header.items(), key=lambda item: offsets(*item)):
        begin, end = offsets(name, entry)
        if begin != place or end > size:
            raise protobuf.Damaged(f"{shown(name)} takes bytes {begin} to {end}, but the rest begins at {place} of "
                                   f"{size}")
        arrays[name], place = one_array(data, name, entry, start + begin, end - begin), end
    if place != size:
        raise protobuf.Damaged(f"{size - place} bytes belong to no array")
    return arrays


def offsets(name: str, entry) -> tuple:
    """(begin, end) of an array after the header. Raises protobuf.Damaged for another kind of entry."""
    span = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not (isinstance(span, list) and len(span) == 2 and all(type(part) is int for part in span)
            and 0 <= span[0] <= span[1]):
        raise protobuf.Damaged(f"{shown(name)} has no place in the file")
    return tuple(span)


def one_array(data, name: str, entry: dict, start: int, size: int) -> np.ndarray:
    """The array of an entry of the header. Raises protobuf.Damaged if its shape does not fit `size` bytes."""
    kind, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(kind, str) or kind not in SAFE_TYPES:
        raise protobuf.Damaged(f"{shown(name)} is of the unknown type {shown(kind)}")
    dtype = np.dtype(SAFE_TYPES[kind])
    if not (is_name(name) and isinstance(shape, list) and len(shape) <= checkpoint.MOST_DIMS
            and all(type(length) is int and 0 < length < 1 << 62 for length in shape)
            and math.prod(shape) * dtype.itemsize == size):
        raise protobuf.Damaged(f"{shown(name)} holds {size} bytes for shape {shown(shape)} of {kind}")
    array = np.frombuffer(data, dtype, size // dtype.itemsize, start).reshape(shape)
    return checkpoint.from_bfloat16(array) if kind == "BF16" else array


def is_name(name) -> bool:
    """Whether a weight can have this name."""
    return isinstance(name, str) and 0 < len(name) <= checkpoint.LONGEST_NAME and name.isprintable()


def read_torch(path, where: str) -> dict:
    """Arrays of a PyTorch file, or of the state_dict in it; PyTorch loads only tensors (weights_only)."""
    try:
        import torch  # large, and only needed here
    except ImportError:
        raise InputError(f"{where}: a PyTorch file; reading it needs PyTorch (pip install torch), "
                         "a .safetensors file of the same weights does not") from None
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_TORCH:
        raise InputError(f"{where}: PyTorch {torch.__version__} is installed; 2.6 or later is needed, "
                         "which reads a file without running what is in it")
    try:
        check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")    # about pickles that PyTorch did not write
            values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{where}: refused, it is damaged or holds more than tensors, and loading that "
                         f"could run code ({printable(first_line(error), 120)})") from None
    except Exception as error:    # PyTorch raises many kinds for damaged files
        raise InputError(f"{where}: is not a complete PyTorch file ({printable(first_line(error), 120)})"
                         ) from None
    values = values.get("state_dict", values) if isinstance(values, dict) else {}
    if not isinstance(values, dict) or not values or not all(map(is_name, values)) or not all(
            isinstance(value, torch.Tensor) for value in values.values()):
        raise InputError(f"{where}: contains no state_dict (named tensors)")
    return as_arrays(values, path, where)


def check_archive(path) -> None:
    """Raises protobuf.Damaged for a PyTorch archive that unpacks to more than its size: PyTorch does not compress."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > os.path.getsize(path):
                raise protobuf.Damaged("its parts are larger than the file")


def as_arrays(tensors: dict, path, where: str) -> dict:
    """PyTorch's tensors as float32 arrays, integers unchanged. Raises InputError for tensors that are larger than the
    file (by repeated numbers), and for kinds that NumPy does not have."""
    if sum(value.numel() * value.element_size() for value in tensors.values()) > 2 * os.path.getsize(path):
        raise InputError(f"{where}: its tensors are larger than the file")
    arrays = {}
    for name, value in tensors.items():
        try:
            arrays[name] = (value.detach().float() if value.is_floating_point() else value.detach()).numpy()
        except Exception as error:    # sparse, quantised, on no device
            raise InputError(f"{where}: {name} cannot be read ({printable(first_line(error), 120)})") from None
    return arrays


def write_safetensors(path, arrays: dict, notes: dict) -> None:
    """Write arrays and texts by name as .safetensors. Raises RunError, and InputError without the package."""
    try:
        from safetensors.numpy import save  # only needed here
    except ImportError:
        raise InputError(f"{path}: needs the package safetensors; pip install safetensors") from None
    data = save({name: np.ascontiguousarray(value) for name, value in arrays.items()}, metadata=notes)
    with writing(Path(path)) as aside:
        aside.write_bytes(data)
