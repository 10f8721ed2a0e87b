"""What a model file is in numbers, without running it: its parameters, and the multiply-adds of a picture."""
import math
from typing import NamedTuple, Optional

from src.console import InputError, warn
from src.models import mindir_file
from src.models.model import import_optional
from src.models.model_file import ModelFile
from src.nets.architecture import NETWORKS, architecture, multiply_adds
from src.weights import protobuf
from src.weights.loading import check_fit
from src.weights.names import CLASSIFIER, misfits

FLOATS = (1, 10, 11, 16)    # types of a MINDIR's tensors: float32, float16, float64, bfloat16


class Counts(NamedTuple):
    """The numbers of a model file."""

    contents: str    # what is in it, in words
    parameters: int    # learned numbers; BatchNorm's statistics are not
    multiply_adds: Optional[int]    # of a picture of side x side pixels; None where it is not known
    side: int
    network: str = ""    # of NETWORKS, "" where it is not known


def count(file: ModelFile, facts: dict, side: int) -> Counts:
    """The numbers of a model file.

    Args:
        facts: what is known of it; network, num_classes and atrous_rates count.
        side: of the picture in pixels, where the file leaves it free.

    Raises InputError for a damaged file, and for a checkpoint that is not of its network.
    """
    if file.kind == "onnx":
        onnx_counts = import_optional("src.models.onnx_counts", file.where, "onnx")
        return Counts(*onnx_counts.count(file.path, file.where, side), facts.get("network", ""))
    return (of_checkpoint if file.kind == "checkpoint" else of_mindir)(file, facts, side)


def of_checkpoint(file: ModelFile, facts: dict, side: int) -> Counts:
    """Those of a checkpoint, of another project's too; of a backbone alone without the multiply-adds."""
    where, _, source, weights, dropped = file.checkpoint
    contents = f"{source.title}, {' and '.join(sorted({str(value.dtype) for value in weights.values()}))}"
    contents += ", with momenta" * any(name.startswith("moments.") for name in dropped)
    learned = sum(value.size for name, value in weights.items() if "moving_" not in name)
    if CLASSIFIER[0] not in weights:
        return Counts(contents, learned, None, side)
    rest = len(weights[CLASSIFIER[0]]), tuple(facts["atrous_rates"])
    network = architecture(facts.get("network") or fitting(where, weights, rest), *rest)
    check_fit(where, weights, network.shapes())
    return Counts(contents, learned, multiply_adds(network, side), side, network.name)


def fitting(where: str, weights: dict, rest: tuple) -> str:
    """The first of NETWORKS whose parameters these are, said. Raises InputError if no network fits."""
    names = [name for name in NETWORKS if not misfits(weights, architecture(name, *rest).shapes())]
    if not names:
        raise InputError(f"{where}: has the parameters of none of the networks {', '.join(NETWORKS)}")
    warn(f"{where}: does not say which network it is; read as {names[0]} (--net {' or '.join(names)})")
    return names[0]


def of_mindir(file: ModelFile, facts: dict, side: int) -> Counts:
    """Those of a MINDIR: its floating-point parameters, and the multiply-adds of the network that the facts beside it
    name."""
    shape, classes, _ = mindir_file.read_signature(file.path, file.where)
    side = max((length for length in shape[1:] if length > 3), default=side)
    with protobuf.opened(file.path, file.where, "MINDIR") as data:
        learned = sum(math.prod(mindir_file.dims_of(data, found))
                      for kind, found in protobuf.walk(data, mindir_file.WHERE_TENSORS_ARE)
                      if kind == "content" and dict(found).get(mindir_file.TYPE) in FLOATS)
    if "network" not in facts:
        return Counts("a graph", learned, None, side)
    network = architecture(facts["network"], classes or facts["num_classes"], facts["atrous_rates"])
    return Counts("a graph, BatchNorm within the convolutions", learned, multiply_adds(network, side), side,
                  network.name)
