"""Count every primitive in the training graphs and in the inference graph."""
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.arguments import Parser
from src.config import parse_args, read_options
from src.console import run_program
from src.data.labels import make_labels
from src.device import open_device
from src.files import temporary_folder
from src.nets.architecture import architecture

BATCH, SIZE = 2, 65
# Primitives that only order and group values in a graph, without a kernel.
BOOKKEEPING = {"Depend", "Load", "MakeTuple", "Partial", "Switch", "TupleGetItem", "UpdateState"}
# Graph -> options of train.py; the first has the published ones.
TRAINING = {
    "training": [],
    "balanced loss": ["--class_weights", "weights.txt", "--ohem", "0.7", "--ohem_min_kept", "9"],
    "O2, dropping": ["--amp_level", "O2", "--loss_scale_type", "dynamic"],
}


def primitives(cell, *inputs) -> Counter:
    """Primitive -> number of its nodes in the graph that MindSpore compiles from `cell`, before device-specific passes.

    It contains the gradient and the optimizer of a training cell. mindspore.export compiles the same graph but sets the
    cell to evaluation first, so its two internal calls are made here.
    """
    from mindspore.common.api import _cell_graph_executor as executor
    from mindspore.train.mind_ir_pb2 import ModelProto
    graph, _ = executor.compile(cell, *inputs, phase="operators", do_convert=False)
    model = ModelProto.FromString(executor._get_func_graph_proto(cell, graph, "mind_ir"))
    kinds = {f"REF::{primitive.name}": primitive.op_type for primitive in model.primitives}
    # Other nodes are constants and calls of other graphs.
    names = [kinds.get(node.op_type) for part in (model.graph, *model.functions) for node in part.node]
    return Counter(name for name in names if name and name not in BOOKKEEPING)


def training_primitives(network: str, options: list) -> Counter:
    """Primitives of the step that train.py runs with these options: the CPU's step, with the dropout of an Ascend."""
    import mindspore as ms

    from src.nets.net_factory import use_unkeyed_dropout
    from src.training.model import build_model
    with temporary_folder() as folder:
        Path(folder, "weights.txt").write_text("1\n" * 21)
        options = [str(Path(folder, option)) if option == "weights.txt" else option for option in options]
        config = parse_args("train", "", ["--model", network, *options])
        model, cell = build_model(config, make_labels(21, 255), open_device("CPU"), np.full(3, 0.1))
        use_unkeyed_dropout(cell)
    return primitives(model.train_network.set_train(), ms.Tensor(np.zeros((BATCH, 3, SIZE, SIZE), np.uint8)),
                      ms.Tensor(np.zeros((BATCH, SIZE, SIZE), np.uint8)), ms.Tensor(np.zeros(BATCH, np.int32)))


def inference_primitives(network: str) -> Counter:
    """Primitives of the network that eval.py, predict.py and export.py run, BatchNorm folded, with uint8 NHWC input."""
    import mindspore as ms

    from src.nets.deeplab_v3.deeplab_v3 import DeepLabV3
    from src.nets.net_factory import InferenceNetwork
    cell = DeepLabV3(architecture(network).folded())
    return primitives(InferenceNetwork(cell, "uint8", "NHWC"), ms.Tensor(np.zeros((1, SIZE, SIZE, 3), np.uint8)))


def all_primitives(network: str) -> dict:
    """Graph -> its primitives; the graphs are those of TRAINING, and inference."""
    open_device("CPU")
    graphs = {name: training_primitives(network, options) for name, options in TRAINING.items()}
    return graphs | {"inference": inference_primitives(network)}


def main(argv=None):
    parser = Parser("operators.py", description=__doc__)
    parser.add_argument("--model", choices=read_options()["model"].choices, default="deeplab_v3_tiny_s16",
                        help="network; the tiny one has the same primitives as the real one and compiles in seconds "
                             "(default: %(default)s)")
    graphs = all_primitives(parser.parse_args(argv).model)
    names = sorted(set().union(*graphs.values()))
    width = max(map(len, names))
    print("  ".join([f"{'primitive':<{width}}", *graphs]))
    for name in names:
        counts = [f"{graph[name] or '-':>{len(title)}}" for title, graph in graphs.items()]
        print("  ".join([f"{name:<{width}}", *counts]))


if __name__ == "__main__":
    sys.exit(run_program(main))
