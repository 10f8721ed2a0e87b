"""An exported MINDIR in MindSpore as the evaluator's `predict`: one batch and one size, fixed in the file."""
import tempfile
from pathlib import Path

import numpy as np

from src.console import InputError, RunError, first_line
from src.models.fixed import check_fits, in_batches
from src.models.onnxruntime_engine import arrange

UINT8 = 2    # of the protobuf's data types


def read_signature(where: str, path) -> tuple:
    """(input's shape, output's shape, whether it takes bytes) of a MINDIR; InputError if it segments no pictures."""
    from google.protobuf.message import DecodeError
    from mindspore.train import mind_ir_pb2
    proto = mind_ir_pb2.ModelProto()
    try:
        proto.ParseFromString(Path(path).read_bytes())
    except DecodeError:
        raise InputError(f"{where}: is no whole MINDIR") from None
    ends = [value.tensor[0] for value in (*proto.graph.input, *proto.graph.output) if value.tensor]
    shapes = [list(end.dims) for end in ends]
    if len(shapes) != 2 or any(len(shape) != 4 for shape in shapes) or 3 not in (shapes[0][1], shapes[0][3]):
        raise InputError(f"{where}: is no segmentation model: one input (N, 3, H, W) or (N, H, W, 3) and one output "
                         "(N, classes, H, W) are expected")
    return shapes[0], shapes[1], ends[0].data_type == UINT8


class MindirModel:
    """A MINDIR that export.py wrote; the device must be open.

    Attributes: as those of OnnxModel. A MINDIR carries no names and no normalisation.
    """

    def __init__(self, path, option: str, device: str):
        self.path, self.where, self.device = path, f"--{option} {path}", device
        self.network = f"{Path(path).stem} (MINDIR)"
        shape, probs, self.pixels = read_signature(self.where, path)
        self.channels_last = shape[1] != 3
        self.batch, *self.size = shape[:3] if self.channels_last else (shape[0], *shape[2:])
        self.num_classes, self.crop_size = probs[1], self.size[0]
        self.names = self.mean = self.std = None

    def check(self, settings) -> None:
        """Raises InputError if the settings ask for what this model cannot do."""
        check_fits(self.where, self.num_classes, self.size, settings, "a MINDIR has one size, a .ckpt and a .onnx any")

    def make_predict(self, settings):
        """The evaluator's predict."""
        import mindspore as ms
        from mindspore import nn
        with tempfile.TemporaryDirectory() as folder:
            named = Path(folder, "network.mindir")    # MindSpore takes no other ending, and no blanks
            named.symlink_to(Path(self.path).absolute())
            try:
                cell = nn.GraphCell(ms.load(str(named)))
            except (RuntimeError, ValueError) as error:
                raise InputError(f"{self.where}: cannot be loaded by MindSpore {ms.__version__} ({first_line(error)})"
                                 ) from None

        def run(inputs):
            try:
                return cell(ms.Tensor(arrange(inputs, settings, self.pixels, self.channels_last))).asnumpy()
            except (RuntimeError, ValueError) as error:
                raise RunError(f"{self.path}: MindSpore failed on an input of {np.shape(inputs)}: {first_line(error)}"
                               ) from None
        return in_batches(run, self.batch)


def load_trained(model: str, num_classes: int, atrous_rates, path, option: str, weights=None):
    """InferenceNetwork called `model` with a checkpoint's weights, BatchNorm folded into the convolutions.

    The device must be open, since this imports MindSpore.

    Args:
        path, option, weights: as src.weights.checkpoint.load_network takes them; it raises InputError.
    """
    from src.nets.layers import fold_batch_norm
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.weights.checkpoint import load_network
    network = InferenceNetwork(create_network(model, num_classes, atrous_rates, draw=False))
    load_network(network, path, option, weights)
    fold_batch_norm(network)
    return network


def make_predict(network, batch_size: int):
    """predict(inputs (N, 3, S, S) float32, N <= batch_size) -> probabilities (N, C, S, S) float32.

    A smaller last batch is filled up, since every new shape would be compiled anew.
    """
    import mindspore as ms

    def predict(inputs):
        count = len(inputs)
        if count < batch_size:
            inputs = np.concatenate([inputs, np.zeros((batch_size - count, *inputs.shape[1:]), np.float32)])
        return network(ms.Tensor(inputs)).asnumpy()[:count]
    return predict
