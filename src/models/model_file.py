"""What a model file is, read before an engine loads it: its kind, its facts, and the weights of a checkpoint."""
import dataclasses
import re
from pathlib import Path

from src.console import InputError, warn
from src.models import onnx_file
from src.nets.architecture import NETWORKS
from src.weights import metadata
from src.weights.kinds import WAYS_OUT, kind_of
from src.weights.loading import Opened, open_checkpoint
from src.weights.manifest import check_sha256
from src.weights.names import CLASSIFIER

TITLES = {"checkpoint": "checkpoint", "onnx": "ONNX", "mindir": "MINDIR"}    # of the kinds that are opened


@dataclasses.dataclass
class ModelFile:
    """A model file."""

    path: Path
    where: str    # its name in errors
    kind: str    # of TITLES
    facts: dict    # what it says of its network, see src.weights.metadata; every value is checked
    checkpoint: Opened = None    # of that kind alone


def read_model_file(path, option: str, settled=()) -> ModelFile:
    """Read a model file, but for the weights of an exported one.

    Args:
        option: what its name in errors begins with.
        settled: see metadata.checked; what the network is like, an exported file need not say.

    Raises InputError for a missing, damaged or foreign file, and for one that differs from the SHA-256 beside it.
    """
    if not str(path):
        raise InputError(f"{option or 'path'} is not given: a .ckpt of train.py, or an .onnx or .mindir of export.py")
    where, path = f"{option} {path}".strip(), Path(path)
    kind = kind_of(path, where)
    if kind not in TITLES:
        raise InputError(f"{where}: {WAYS_OUT.get(kind, 'is not a MindSpore checkpoint, ONNX file or MINDIR')}")
    if kind == "checkpoint":
        opened = open_checkpoint(path, where)
        return ModelFile(path, where, kind, checkpoint_facts(path, opened, settled), opened)
    check_sha256(path, where)
    said = metadata.read_beside(path) if kind == "mindir" else metadata.from_texts(
        onnx_file.read_metadata(path, where))
    settled = {*settled, *metadata.OPTIONS["network"], *metadata.OPTIONS["atrous_rates"]}
    return ModelFile(path, where, kind, metadata.checked(said, path, settled))


def checkpoint_facts(path: Path, opened: Opened, settled) -> dict:
    """The facts in a checkpoint; the network of its name, if it does not say it; the number of classes."""
    facts = metadata.checked(opened.found.facts, path, settled)
    named = named_network(path.name)
    if named and "network" not in opened.found.facts:
        facts["network"] = named
    if CLASSIFIER[0] in opened.weights:
        facts["num_classes"] = len(opened.weights[CLASSIFIER[0]])
    if len(facts.get("class_names", ())) != facts.get("num_classes"):
        facts.pop("class_names", None)
    return facts


def named_network(name: str):
    """The network in a file's name: as train.py writes it, or as the zoo and MindCV published theirs
    (deeplabv3s16_ascend_..., deeplabv3-s8-best.ckpt); else None."""
    published = re.match(r"deeplabv3[-_]?(s16|s8)(?!\d)", name)
    return next(filter(name.startswith, NETWORKS), published and f"deeplab_v3_{published[1]}")


def note_assumed(file: ModelFile, network: str, option: str) -> None:
    """Warn of a checkpoint that does not say which network it holds: another stride would give wrong results. `option`
    is how to name it."""
    if file.kind == "checkpoint" and "network" not in file.facts:
        warn(f"{file.path}: does not say which network it holds; {network} is assumed; {option} names another")


def with_facts(config, path, option: str) -> tuple:
    """(the options with what the file at `path` says in place of defaults, see metadata.believe_facts; ModelFile)."""
    file = read_model_file(path, option, metadata.settled_by(config))
    for name in metadata.OPTIONS["network"]:
        if hasattr(config, name) and name not in config.given:
            note_assumed(file, getattr(config, name), config.spelled[name])
    return metadata.believe_facts(config, file.facts, path), file
