"""MindSpore's checkpoint files (.ckpt) as NumPy arrays, read and written without MindSpore.

A checkpoint is a protobuf of MindSpore's train/checkpoint.proto:

    Checkpoint { repeated Value value = 1 }
    Value      { string tag = 1; TensorProto tensor = 2 }
    TensorProto { repeated int64 dims = 1; string tensor_type = 2; bytes tensor_content = 3 }

A large tensor is split: several values in a row have the same tag. With crc_check the file ends in "crc_num" and ten
bytes. The reader maps the file and reads only these few fields, so the momenta, half of a checkpoint of train.py, are
never read. All lengths and shapes of a damaged or crafted file are compared with its size before they are used.
"""
import functools
import hashlib
import json
import math
import os
import zlib
from typing import NamedTuple

import numpy as np

from src.console import InputError
from src.files import writing
from src.foreign import MOST_BYTES, Unreadable, load_json
from src.weights.kinds import WAYS_OUT, kind_of
from src.weights.protobuf import Damaged, as_varint, field, fields, message, opened, packed
from src.weights.protobuf import text as text_at

FACTS = "deeplab_v3.facts"    # entry of train.py: JSON as bytes, which every MindSpore loads
TYPES = {"Float32": np.float32, "Float16": np.float16, "Float64": np.float64, "Bool": np.bool_,
         **{f"{sign}Int{bits}": np.dtype(f"{sign.lower()}int{bits}").type for sign in ("", "U")
            for bits in (8, 16, 32, 64)}}
BFLOAT16 = "BFloat16"    # NumPy does not have it; read as float32
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}
CRC, CRC_LENGTH = b"crc_num", 17
LONGEST_NAME, MOST_DIMS = 300, 16
MOST_IN_VALUE, MOST_IN_TENSOR = 16, 64    # fields; four are known


class Checkpoint(NamedTuple):
    """Contents of a checkpoint."""

    arrays: dict    # name -> array; views of the mapped file, bfloat16 as float32
    notes: dict    # name -> text, of entries that are texts
    facts: dict    # facts of the network, from train.py or convert_resnet101.py; {} in other files


def read(path, where: str) -> Checkpoint:
    """Read a checkpoint; `where` is its name in errors, such as "--ckpt_path net.ckpt".

    Raises InputError if it is missing, of another kind, or damaged.
    """
    kind = kind_of(path, where)
    if kind != "checkpoint":
        raise InputError(f"{where}: {WAYS_OUT.get(kind, 'is not a MindSpore checkpoint')}")
    with opened(path, where, "MindSpore checkpoint") as data:
        return parse(data)


def parse(data) -> Checkpoint:
    """The entries of a checkpoint's bytes. Raises Damaged."""
    entries, last = {}, None    # name -> (type, shape, spans of bytes)
    for number, value in fields(data, 0, end_of_values(data)):
        if number != 1 or not isinstance(value, range):
            raise Damaged("its first bytes are not an entry")
        name, kind, dims, span = read_value(data, value)
        if name in entries and name != last:
            raise Damaged(f"{name!r} occurs twice")
        entry = entries.setdefault(name, (kind, dims, []))
        if entry[:2] != (kind, dims):
            raise Damaged(f"the parts of {name!r} differ in shape or type")
        entry[2].append(span)
        last = name
    if not entries:
        raise Damaged("it has no entry")
    arrays = {name: join(data, name, *entry) for name, entry in entries.items() if entry[0] != "str"}
    notes = {name: text(data, name, spans) for name, (kind, _, spans) in entries.items() if kind == "str"}
    return Checkpoint(arrays, notes, parse_facts(arrays.pop(FACTS, None)))


def end_of_values(data) -> int:
    """The end of the values: before the checksum, if there is one. Raises Damaged if it is wrong."""
    end = len(data)
    if data[-CRC_LENGTH:-CRC_LENGTH + len(CRC)] != CRC:
        return end
    if zlib.crc32(memoryview(data)[:end - CRC_LENGTH]) != int.from_bytes(data[end - 10:end], "big"):
        raise Damaged("its checksum differs")
    return end - CRC_LENGTH


def read_value(data, span: range) -> tuple:
    """(name, type, shape, span of bytes) of a tensor, or of a part of one."""
    found = dict(message(data, span, MOST_IN_VALUE))
    name = text_at(data, found.get(1), LONGEST_NAME)
    if not isinstance(found.get(2), range):
        raise Damaged(f"{name!r} is not a tensor")
    dims, kind, content = [], None, range(0)
    for number, value in message(data, found[2], MOST_IN_TENSOR):
        if number == 1:    # one dimension, or all of them packed
            dims += [value] if isinstance(value, int) else packed(data, value, MOST_DIMS)
        elif number == 2:
            kind = text_at(data, value, LONGEST_NAME)
        elif number == 3 and isinstance(value, range):
            content = value
        if len(dims) > MOST_DIMS:
            raise Damaged(f"{name!r} has more than {MOST_DIMS} dimensions")
    if kind not in (*TYPES, BFLOAT16, "str"):
        raise Damaged(f"{name!r} is of the unknown type {kind!r}")
    return name, kind, tuple(dims), content


def join(data, name: str, kind: str, dims: tuple, spans: list) -> np.ndarray:
    """The array of an entry. Raises Damaged if its bytes do not fit its shape."""
    shape = () if dims == (0,) else dims    # MindSpore's form of a scalar
    size = sum(map(len, spans))
    dtype = np.dtype(np.uint16 if kind == BFLOAT16 else TYPES[kind])
    if not all(shape) or max(shape, default=1) >= 1 << 62 or math.prod(shape) * dtype.itemsize != size:
        raise Damaged(f"{name!r} holds {size} bytes for shape {shape} of {kind}")
    whole = [np.frombuffer(data, np.uint8, len(span), span.start) for span in spans]
    array = (whole[0] if len(whole) == 1 else np.concatenate(whole)).view(dtype).reshape(shape)
    return from_bfloat16(array) if kind == BFLOAT16 else array


def from_bfloat16(array: np.ndarray) -> np.ndarray:
    """bfloat16 numbers, as uint16, as float32: they are the upper halves of float32 numbers."""
    return (array.reshape(-1).astype(np.uint32) << 16).view(np.float32).reshape(array.shape)    # not of a scalar


def text(data, name: str, spans: list) -> str:
    """The text of an entry; MindSpore stores 32-bit characters."""
    if sum(map(len, spans)) > MOST_BYTES:
        raise Damaged(f"{name!r} is a text of more than {MOST_BYTES} bytes")
    content = b"".join(data[span.start:span.stop] for span in spans)
    try:
        return content.decode("utf-32-le").rstrip("\0")
    except UnicodeDecodeError:
        raise Damaged(f"{name!r} is not text") from None


def parse_facts(array) -> dict:
    """The facts in a file. No other program uses the entry's name, so an invalid entry is damage."""
    if array is None:
        return {}
    try:
        facts = load_json(array.tobytes() if array.nbytes <= MOST_BYTES else "")
    except Unreadable as error:
        raise Damaged(f"{FACTS!r} is not in train.py's form: it {error}") from None
    if not isinstance(facts, dict):
        raise Damaged(f"{FACTS!r} is not in train.py's form")
    return facts


def save(cell, path, facts=None) -> None:
    """Write all parameters of a MindSpore cell, and `facts`, as `write` does."""
    write({parameter.name: parameter.asnumpy() for _, parameter in cell.parameters_and_names()}, path, facts)


def write(arrays: dict, path, facts=None) -> None:
    """Write name -> array as a checkpoint, and the `facts` of its network, see src.weights.metadata.

    An existing file is replaced only when the new one is complete. Raises RunError that names the path.
    """
    if facts:
        arrays = {**arrays, FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    with writing(path, "checkpoint") as aside, open(aside, "wb") as file:
        for name, array in arrays.items():
            array = np.ascontiguousarray(array).reshape(np.shape(array))    # NumPy makes (1,) of a scalar
            tensor = b"".join([*(b"\x08" + as_varint(length) for length in array.shape),
                               field(2, NAMES[array.dtype].encode()), b"\x1a" + as_varint(array.nbytes)])
            value = field(1, name.encode()) + b"\x12" + as_varint(len(tensor) + array.nbytes) + tensor
            file.write(b"\x0a" + as_varint(len(value) + array.nbytes) + value)
            file.write(array.reshape(-1).view(np.uint8))


def digest(path) -> str:
    """SHA-256 of a file in hexadecimal, cached until the file changes."""
    state = os.stat(path)
    return compute(os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@functools.lru_cache(maxsize=16)
def compute(path: str, *_) -> str:
    """SHA-256 of a file; the other arguments are only keys of the cache."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()
