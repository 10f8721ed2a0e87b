"""One way to open a trained network: a checkpoint, an ONNX file or a MINDIR, in whatever engine runs it.

    model = open_model("deeplab_v3_s16.ckpt")
    probabilities = model.predict(inputs)

A new engine is a file with a function `load` and a row of ENGINES.
"""
import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from src import metadata
from src.config import read_options
from src.console import InputError, first_line
from src.device import prepare_environment, resolve_target
from src.nets.architecture import NETWORKS
from src.weights import checkpoint, protobuf
from src.weights.folding import fold
from src.weights.loading import Network, read_network, translated
from src.weights.names import CLASSIFIER

# Engine -> (the module that runs it, the kinds of files that it takes, the package that it needs).
ENGINES = {
    "mindspore": ("src.models.mindspore_engine", ("checkpoint", "mindir"), '"mindspore>=2.7,<2.9"'),
    "onnxruntime": ("src.models.onnxruntime_engine", ("checkpoint", "onnx"), "onnxruntime"),
    "openvino": ("src.models.openvino_engine", ("checkpoint", "onnx"), "openvino"),
}
TITLES = {"checkpoint": "checkpoint", "onnx": "ONNX", "mindir": "MINDIR"}


class Source(NamedTuple):
    """A file to open, with what is known of it."""

    path: Path
    option: str    # what errors call it
    kind: str    # checkpoint, onnx or mindir
    name: str    # of the network, for tables
    facts: dict
    network: Network    # of a checkpoint, folded; else None

    @property
    def where(self) -> str:
        return f"{self.option} {self.path}".strip()


class Loaded(NamedTuple):
    """What an engine made of a Source."""

    run: object    # inputs as the file takes them -> probabilities (N, C, H, W) float32
    shape: tuple    # of the input, None for lengths that are free
    num_classes: int
    is_uint8: bool
    device: str    # what it runs on, for the console


class Model(NamedTuple):
    """A trained network that predicts.

    `predict` takes normalised pictures (N, 3, S, S) float32, blue green red, and returns probabilities (N, C, S, S)
    float32; S is any where `size` is None.
    """

    path: Path
    title: str    # of tables: the network and what it was opened as
    facts: dict    # what the file says, see src.metadata
    num_classes: int
    crop_size: int    # side of the square input that it was trained with; `size` where that is fixed
    mean: tuple    # of each channel, blue green red
    std: tuple
    size: int    # side of the input, None where it is free
    where: str    # what errors call the file
    engine: str
    device: str
    predict: object

    def check(self, settings) -> None:
        """Raises InputError if `settings` (evaluation.inference.Settings) ask for an input of another size."""
        for scale in settings.scales:
            side = settings.input_size(scale)
            if self.size not in (None, side):
                raise InputError(
                    f"{self.where}: takes {self.size}x{self.size} only, and scale {scale:g} of crop_size "
                    f"{settings.crop_size} needs {side}x{side}; export it with --dynamic True --file_format ONNX, or "
                    "change --crop_size and --scales")


def kind_of(path, option: str) -> str:
    """checkpoint, onnx or mindir, by the first bytes and not by the name.

    All three are protobufs. ONNX begins with a number (its version), a MINDIR with a text (its version), a checkpoint
    with a message whose first field is the text of a name.

    Raises InputError for a missing file and for any other.
    """
    if not str(path):
        raise InputError(f"{option} is not given: a .ckpt of train.py, or an .onnx or .mindir of export.py")
    if not Path(path).is_file():
        raise InputError(f"{option} {path}: no such file")
    try:
        with open(path, "rb") as file:
            head = file.read(checkpoint.HEAD)
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror}") from None
    if head[:1] == b"\x08":
        return "onnx"
    if head[:1] == b"\x0a" and b"MindSpore" in head:
        return "mindir"
    if checkpoint.begins(head):
        return "checkpoint"
    is_torch = head[:4] == b"PK\x03\x04" or head[8:9] == b"{"
    what = checkpoint.OF_PYTORCH if is_torch else "is no checkpoint of MindSpore, no ONNX and no MINDIR"
    raise InputError(f"{option} {path}: {what}")


def read_facts(path, option: str) -> dict:
    """What a file says of its network, every value checked; empty where it says nothing."""
    kind = kind_of(path, option)
    if kind == "checkpoint":
        return checkpoint_facts(Path(path), option)
    facts = metadata.read_beside(path) if kind == "mindir" else metadata.from_texts(onnx_metadata(path, option))
    return metadata.checked(facts, path)


def checkpoint_facts(path: Path, option: str) -> dict:
    """The facts in a checkpoint; else those of config.yaml beside it and of its own name; the number of classes."""
    found, translation = translated(path, option)
    facts = metadata.checked(found.facts, path) if found.facts else facts_beside(path)
    named = next((name for name in NETWORKS if path.name.startswith(name)), None)
    if named and "network" not in found.facts:
        facts["network"] = named
    if CLASSIFIER[0] in translation.weights:
        facts["num_classes"] = len(translation.weights[CLASSIFIER[0]])
    if len(facts.get("class_names", ())) != facts.get("num_classes"):
        facts.pop("class_names", None)
    return facts


def facts_beside(path: Path) -> dict:
    """The facts in the config.yaml that train.py wrote beside a checkpoint of an earlier version, if it is there.

    It may be another program's, so what cannot be used is passed over.
    """
    try:
        with (path.parent / "config.yaml").open("rb") as file:
            saved = yaml.safe_load(file.read(metadata.LONGEST))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}    # not there, or somebody else's
    if not isinstance(saved, dict):
        return {}
    said = {name: saved[options[0]] for name, options in metadata.OPTIONS.items() if options[0] in saved}
    return metadata.checked(said, path, tell=lambda line: None)


def onnx_metadata(path, option: str) -> dict:
    """The texts of an ONNX file's metadata, read without its weights."""
    try:
        with open(path, "rb") as file, protobuf.mapped(file) as data:
            entries = [dict(protobuf.fields(data, span.start, span.stop))
                       for number, span in protobuf.fields(data, 0, len(data))
                       if number == 14 and isinstance(span, range)]    # metadata_props
            return {data[entry[1].start:entry[1].stop].decode(): data[entry[2].start:entry[2].stop].decode()
                    for entry in entries if isinstance(entry.get(1), range) and isinstance(entry.get(2), range)}
    except (protobuf.Damaged, OSError, ValueError):
        raise InputError(f"{option} {path}: is not a complete ONNX file") from None


def with_facts(config, path, option: str):
    """The options with what the file at `path` says in place of defaults; see metadata.believe_facts."""
    return metadata.believe_facts(config, read_facts(path, option), path)


def choose(engine: str, kind: str, target: str) -> str:
    """The engine that `auto` means for a kind of file on a device; others as they are."""
    if engine != "auto":
        return engine
    accelerated = kind == "checkpoint" and target in ("Ascend", "GPU")
    return "mindspore" if kind == "mindir" or accelerated else "onnxruntime"


def open_model(path, engine: str = "auto", device: str = "auto", device_id: int = 0, precision: str = "float32",
               option: str = "", **known) -> Model:
    """Open a checkpoint, an ONNX file or a MINDIR.

    Args:
        engine: auto, or a key of ENGINES. auto takes MindSpore on Ascend and GPU and for a MINDIR, else ONNX Runtime.
        device: auto, Ascend, GPU or CPU; auto takes an Ascend where there is one, else the CPU.
        precision: float32, or bf16 where the engine can.
        option: what errors call the file.
        known: facts (see src.metadata) that the caller knows better than the file.

    Raises:
        InputError: no such file, one that is damaged or of another kind, an engine or a device that cannot be used.
    """
    kind = kind_of(path, option)
    engine = choose(engine, kind, resolve_target(device))
    module, kinds, package = ENGINES[engine]
    if kind not in kinds:
        raise InputError(f"--engine {engine}: does not run {TITLES[kind]} files; leave the option out")
    said = read_facts(path, option)
    facts = defaults() | said | known
    network = read_folded(path, option, facts) if kind == "checkpoint" else None
    name = facts["network"] if kind == "checkpoint" else said.get("network", Path(path).stem)
    source = Source(Path(path), option, kind, name, facts, network)
    if engine == "mindspore":
        prepare_environment()    # before it is imported
    room = load_room(module, f"--engine {engine}", package)
    return assemble(source, engine, room.load(source, device, device_id, precision))


def load_room(module: str, option: str, package: str):
    """A module whose `package` may not be installed. Raises InputError that names the option and pip's command."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{option}: cannot be used here ({first_line(error)}); pip install {package}") from None


def read_folded(path, option: str, facts: dict) -> Network:
    """The network of a checkpoint without its BatchNorm."""
    shape, weights = read_network(path, option, facts["network"], facts["atrous_rates"])
    return Network(shape.folded(), fold(shape, weights))


def defaults() -> dict:
    """The facts that hold where neither file nor user says anything: those of the published networks."""
    options = read_options()
    return {name: options[names[0]].default for name, names in metadata.OPTIONS.items()}


def assemble(source: Source, engine: str, loaded: Loaded) -> Model:
    """The Model of a loaded file. Raises InputError for one that is no segmentation network."""
    batch, side, channels_last = layout(source, loaded)
    facts = source.facts | {"num_classes": loaded.num_classes} | ({"crop_size": side} if side else {})
    if source.name in NETWORKS:    # a foreign file may be any network
        facts["output_stride"] = NETWORKS[source.name][0]
    mean, std = tuple(facts["mean"]), tuple(facts["std"])

    def run(inputs):
        return loaded.run(arrange(inputs, mean, std, loaded.is_uint8, channels_last))

    title = source.name if source.kind == "checkpoint" else f"{source.name} ({TITLES[source.kind]})"
    return Model(source.path, title, facts, loaded.num_classes, facts["crop_size"], mean, std, side, source.where,
                 engine, loaded.device, in_batches(run, batch))


def layout(source: Source, loaded: Loaded) -> tuple:
    """(batch, side, whether the channels come last) of the input; None for lengths that are free."""
    shape = loaded.shape
    if len(shape) == 4 and 3 in (shape[1], shape[3]) and isinstance(loaded.num_classes, int):
        channels_last = shape[1] != 3
        height, width = shape[1:3] if channels_last else shape[2:]
        if height == width:
            return shape[0], height, channels_last
    raise InputError(f"{source.where}: is no segmentation network: one square input (N, 3, S, S) or (N, S, S, 3) of "
                     "float32 or uint8 and one output (N, classes, S, S) are expected")


def arrange(inputs: np.ndarray, mean, std, is_uint8: bool, channels_last: bool) -> np.ndarray:
    """Normalised inputs (N, 3, S, S) float32 as a file takes them.

    Args:
        is_uint8: back to what the picture's bytes were, the padding to the mean's nearest byte.
        channels_last: (N, S, S, 3).
    """
    if is_uint8:
        mean, std = (np.float32(values).reshape(1, 3, 1, 1) for values in (mean, std))
        inputs = np.clip(np.rint(inputs * std + mean), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(inputs.transpose(0, 2, 3, 1) if channels_last else inputs)


def in_batches(run, batch):
    """`run`, which takes `batch` pictures (any number if None), as a function that takes any; the last is filled up."""
    def predict(inputs):
        if batch in (None, len(inputs)):
            return run(inputs)
        count = len(inputs)
        inputs = np.concatenate([inputs, np.zeros((-count % batch, *inputs.shape[1:]), np.float32)])
        parts = [run(inputs[first:first + batch]) for first in range(0, len(inputs), batch)]
        return np.concatenate(parts)[:count]
    return predict
