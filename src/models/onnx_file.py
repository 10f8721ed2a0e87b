"""Read an ONNX file before an engine loads it: its metadata, and references to files outside its folder.

Field numbers: github.com/onnx/onnx, onnx/onnx.proto3. The onnx package is not needed, and no weight is read.
"""
import os
from pathlib import Path, PurePosixPath

from src.console import InputError
from src.foreign import MOST_BYTES, shown
from src.weights import protobuf
from src.weights.protobuf import Damaged

METADATA, EXTERNAL_DATA = 14, 13    # of ModelProto, TensorProto
LONGEST_NAME, LONGEST_PATH = 200, 4096

# Message -> {field: message}, for all places of tensors.
WHERE_TENSORS_ARE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


def read_metadata(path, where: str) -> dict:
    """The texts of an ONNX file's metadata by name. Raises InputError for a damaged file and for too much text."""
    with protobuf.opened(path, where, "ONNX file") as data:
        spans = [value for number, value in protobuf.fields(data, 0, len(data)) if number == METADATA]
        if not all(isinstance(span, range) for span in spans):
            raise Damaged("metadata that are not text")
        if sum(map(len, spans)) > MOST_BYTES:
            raise Damaged(f"more than {MOST_BYTES >> 20} MB of metadata")
        return dict(read_entry(data, span) for span in spans)


def read_entry(data, span) -> tuple:
    """(name, text) of a StringStringEntryProto; the text may be empty and hold anything."""
    found = dict(protobuf.message(data, span, 16))
    text = found.get(2, range(0))
    if not isinstance(text, range):
        raise Damaged("metadata that are not text")
    return protobuf.text(data, found.get(1), LONGEST_NAME), bytes(data[text.start:text.stop]).decode(errors="replace")


def check_external_data(path, where: str) -> None:
    """Raises InputError if a tensor of an ONNX file is in a missing file or in one outside the ONNX file's folder."""
    with protobuf.opened(path, where, "ONNX file") as data:
        for place in external_places(data):
            if not is_within(Path(path).parent, place):
                raise InputError(f"{where}: a weight is in {shown(place)}, which is not a file in its folder; refused")


def external_places(data) -> set:
    """The `location` of every tensor that is in another file."""
    places = set()
    for kind, found in protobuf.walk(data, WHERE_TENSORS_ARE):
        for entry in [value for number, value in found if kind == "tensor" and number == EXTERNAL_DATA]:
            parts = dict(protobuf.message(data, entry, 16))
            if protobuf.text(data, parts.get(1), LONGEST_NAME) == "location":
                places.add(protobuf.text(data, parts.get(2), LONGEST_PATH))
    return places


def is_within(folder: Path, place: str) -> bool:
    """Whether `place` is a file in `folder`, also after following links."""
    if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts or "\\" in place or ":" in place:
        return False
    target = os.path.realpath(folder / place)
    return os.path.isfile(target) and os.path.commonpath([target, os.path.realpath(folder)]) == os.path.realpath(folder)
