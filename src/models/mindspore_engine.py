"""MindSpore as an engine: a checkpoint in its cells, or an exported MINDIR."""
import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn
from mindspore.train import mind_ir_pb2

from src.console import InputError, RunError, first_line
from src.device import resolve_target, use_device
from src.models.model import Loaded, Source
from src.nets.net_factory import create_inference

UINT8 = 2    # of the protobuf's data types


def load(source: Source, device: str, device_id: int, precision: str) -> Loaded:
    """The source on that device. Raises InputError for what cannot be used."""
    if precision != "float32":
        raise InputError(f"--precision {precision}: MindSpore computes in float32 here; give --engine openvino")
    target = resolve_target(device)
    use_device(target, device_id)
    if source.kind == "checkpoint":
        cell = create_inference(*source.network)
        classes = source.network.architecture.num_classes
        return Loaded(steady(cell_runner(cell, source.path)), (None, 3, None, None), classes, False, target)
    shape, classes, is_uint8 = read_signature(source)
    return Loaded(cell_runner(load_mindir(source), source.path), shape, classes, is_uint8, target)


def cell_runner(cell, name):
    """inputs -> probabilities of a cell; errors are one line that begins with `name`."""
    def run(batch):
        try:
            return cell(ms.Tensor(batch)).asnumpy()
        except (RuntimeError, ValueError) as error:
            raise RunError(f"{name}: MindSpore failed on an input of {np.shape(batch)}: {first_line(error)}"
                           ) from None
    return run


def steady(run):
    """`run` with every smaller batch filled up to the largest so far, since each new shape is compiled."""
    largest = 0

    def predict(batch):
        nonlocal largest
        count = len(batch)
        largest = max(largest, count)
        if count < largest:
            batch = np.concatenate([batch, np.zeros((largest - count, *batch.shape[1:]), batch.dtype)])
        return run(batch)[:count]
    return predict


def load_mindir(source: Source) -> nn.Cell:
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, "network.mindir")    # MindSpore takes no other ending, and no blanks
        named.symlink_to(source.path.absolute())
        try:
            return nn.GraphCell(ms.load(str(named)))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{source.where}: cannot be loaded by MindSpore {ms.__version__} ({first_line(error)})"
                             ) from None


def read_signature(source: Source) -> tuple:
    """(input's shape, classes, whether it takes bytes) of a MINDIR; () and None if it has not one input and output."""
    proto = mind_ir_pb2.ModelProto()
    try:
        proto.ParseFromString(source.path.read_bytes())
    except Exception as error:    # protobuf's own class, which differs between its implementations
        raise InputError(f"{source.where}: is not a complete MINDIR ({first_line(error)})") from None
    if proto.mind_ir_version == 1:
        raise InputError(f"{source.where}: is a MINDIR of version 1, which MindSpore Lite reads and MindSpore does "
                         "not; export it without --mindir_version 1")
    ends = [value.tensor[0] for value in (*proto.graph.input, *proto.graph.output) if value.tensor]
    shapes = [tuple(end.dims) for end in ends]
    if len(shapes) != 2 or any(len(shape) != 4 for shape in shapes):
        return (), None, False
    return shapes[0], shapes[1][1], ends[0].data_type == UINT8
