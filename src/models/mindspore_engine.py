"""MindSpore as an engine: a checkpoint in its cells, or an exported MINDIR."""
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from src.console import InputError, first_line
from src.device import resolve_target, use_device
from src.files import temporary_folder
from src.models import mindir_file
from src.models.model import Loaded
from src.models.model_file import ModelFile
from src.nets.net_factory import create_inference


def load(file: ModelFile, network: tuple, device: str, device_id: int, precision: str) -> Loaded:
    """Load the file, or the network of a checkpoint. Raises InputError for a file or device that cannot be used."""
    if precision != "float32":
        raise InputError(f"--precision {precision}: MindSpore computes in float32 here; give --engine openvino")
    target = resolve_target(device)
    use_device(target, device_id)
    if file.kind == "checkpoint":
        architecture, weights = network
        run = steady(runner(create_inference(architecture, weights)))
        return Loaded(run, (None, 3, None, None), architecture.num_classes, False, target)
    mindir_file.check(file.path, file.where)
    shape, classes, is_uint8 = mindir_file.read_signature(file.path, file.where)
    return Loaded(runner(load_mindir(file)), shape, classes, is_uint8, target)


def runner(cell):
    """A function inputs -> probabilities that runs a cell."""
    return lambda batch: cell(ms.Tensor(batch)).asnumpy()


def steady(run):
    """`run` with smaller batches padded to the largest one so far, since MindSpore compiles each new shape."""
    largest = 0

    def predict(batch):
        nonlocal largest
        count = len(batch)
        largest = max(largest, count)
        if count < largest:
            batch = np.concatenate([batch, np.zeros((largest - count, *batch.shape[1:]), batch.dtype)])
        return run(batch)[:count]
    return predict


def load_mindir(file: ModelFile) -> nn.Cell:
    with temporary_folder() as folder:
        named = Path(folder, "network.mindir")    # MindSpore takes no other ending, and no blanks
        named.symlink_to(file.path.absolute())
        try:
            return nn.GraphCell(ms.load(str(named)))
        except Exception as error:    # MindSpore raises many kinds for a damaged graph
            raise InputError(f"{file.where}: cannot be loaded by MindSpore {ms.__version__} ({first_line(error)})"
                             ) from None
