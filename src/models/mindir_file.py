"""Check a MINDIR before MindSpore loads it: sizes are compared with contents, which MindSpore's loader does not do.

Field numbers: MindSpore's mindspore/core/proto/mind_ir.proto. MindSpore is not needed, and no weight is read.
"""
import math

from src.console import InputError
from src.weights import protobuf
from src.weights.protobuf import Damaged

# Message -> {field: message}, for all places of tensors; a parameter and a constant are tensors with content.
WHERE_TENSORS_ARE = {
    "model": {7: "graph", 8: "graph", 12: "primitive"},
    "graph": {1: "node", 3: "content", 5: "value", 6: "value", 8: "attribute", 10: "map"},
    "node": {5: "attribute", 8: "attribute", 9: "attribute"},
    "primitive": {3: "attribute"},
    "attribute": {6: "tensor", 7: "graph", 12: "tensor", 13: "graph", 17: "attribute"},
    "map": {2: "attribute", 3: "tensor", 4: "tensor", 5: "tensor"},
    "value": {2: "tensor", 5: "attribute"},
    "tensor": {}, "content": {},
}
DIMS, TYPE, CONTENT, EXTERNAL, COMPRESSION = 1, 2, 9, 12, 16    # fields of a tensor
BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2, 17: 8}
GRAPH, VERSION, INPUT, OUTPUT, TENSOR = 7, 13, 5, 6, 2    # of the model, twice; of the graph; of an input
MOST_DIMS, UINT8 = 16, 2


def check(path, where: str) -> None:
    """Raises InputError for a MINDIR of version 1, and for a tensor with more or fewer bytes than its shape needs."""
    with protobuf.opened(path, where, "MINDIR") as data:
        if dict(protobuf.fields(data, 0, len(data))).get(VERSION) == 1:
            raise InputError(f"{where}: is a MINDIR of version 1, which only MindSpore Lite reads; "
                             "export it without --mindir_version 1")
        for kind, found in protobuf.walk(data, WHERE_TENSORS_ARE):
            if kind in ("tensor", "content"):
                check_tensor(dims_of(data, found), dict(found), kind == "content")


def read_signature(path, where: str) -> tuple:
    """(input's shape, classes, whether the input is uint8) of a MINDIR with one input and one output, else ((), None,
    False). Raises InputError."""
    with protobuf.opened(path, where, "MINDIR") as data:
        graph = list(protobuf.message(data, dict(protobuf.fields(data, 0, len(data))).get(GRAPH)))
        ends = []
        for field in (INPUT, OUTPUT):
            values = [dict(protobuf.message(data, value)) for number, value in graph if number == field]
            ends += [list(protobuf.message(data, value[TENSOR])) for value in values if TENSOR in value]
        shapes = [dims_of(data, end) for end in ends]
        if len(shapes) != 2 or any(len(shape) != 4 for shape in shapes):
            return (), None, False
        return shapes[0], shapes[1][1], dict(ends[0]).get(TYPE) == UINT8


def check_tensor(dims: tuple, found: dict, is_content: bool) -> None:
    content = found.get(CONTENT)
    if found.get(COMPRESSION) or EXTERNAL in found:
        raise Damaged("a weight is compressed, or is in another file")
    if content is None and not is_content:
        return
    size = len(content) if isinstance(content, range) else -1
    if math.prod(dims) * BYTES.get(found.get(TYPE), 0) != size or min(dims, default=1) < 0:
        raise Damaged(f"a tensor holds {size} bytes for shape {dims} of type {found.get(TYPE)}")


def dims_of(data, found: list) -> tuple:
    """The lengths of a tensor; negative for a free one."""
    dims = []
    for number, value in found:
        if number == DIMS:
            dims += [value] if isinstance(value, int) else protobuf.packed(data, value, MOST_DIMS)
        if len(dims) > MOST_DIMS:
            raise Damaged(f"a tensor of more than {MOST_DIMS} dimensions")
    return tuple(length - (1 << 64) if length >> 63 else length for length in dims)
