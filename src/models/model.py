"""Open a trained network: a checkpoint, an ONNX file or a MINDIR, in any engine.

    model = open_model("deeplab_v3_s16.ckpt")
    probabilities = model.predict(inputs)

A new engine is a file with a function `load` and a row of ENGINES.
"""
import contextlib
import ctypes
import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.config import read_options
from src.console import InputError, RunError, first_line, warn
from src.data.labels import MOST_CLASSES
from src.device import prepare_environment, resolve_target
from src.foreign import printable
from src.models import onnx_file
from src.models.model_file import TITLES, ModelFile, note_assumed, read_model_file, with_facts
from src.nets.architecture import NETWORKS
from src.weights import metadata
from src.weights.folding import fold
from src.weights.loading import check_finite, network_of

# Engine -> (its module, the kinds of files that it runs, the package that it needs, its name in errors).
ENGINES = {
    "mindspore": ("src.models.mindspore_engine", ("checkpoint", "mindir"), '"mindspore>=2.7"', "MindSpore"),
    "onnxruntime": ("src.models.onnxruntime_engine", ("checkpoint", "onnx"), "onnxruntime", "ONNX Runtime"),
    "openvino": ("src.models.openvino_engine", ("checkpoint", "onnx"), "openvino", "OpenVINO"),
}
LARGEST_SIDE = 1 << 14    # of a fixed input, in pixels


class Loaded(NamedTuple):
    """A model file loaded by an engine."""

    run: object    # inputs in the file's format -> probabilities (N, C, H, W) float32; may raise anything
    shape: tuple    # of the input, None for free lengths
    num_classes: int
    is_uint8: bool
    device: str    # device and precision, for the console


class Model(NamedTuple):
    """A trained network that predicts.

    `predict` takes normalised pictures (N, 3, S, S) float32, blue green red, and returns probabilities (N, C, S, S)
    float32. S is free if `size` is None.
    """

    path: Path
    title: str    # for tables: the network and the kind of file
    facts: dict    # the file's facts, see src.weights.metadata
    num_classes: int
    crop_size: int    # side of the square input that it was trained with; `size` where that is fixed
    mean: tuple    # of each channel, blue green red
    std: tuple
    size: int    # side of the input, None where it is free
    where: str    # the file's name in errors
    engine: str
    device: str
    predict: object

    def check(self, settings) -> None:
        """Raises InputError if `settings` (evaluation.letterbox.Settings) ask for an input of another size."""
        for scale in settings.scales:
            side = settings.input_size(scale)
            if self.size not in (None, side):
                raise InputError(
                    f"{self.where}: takes {self.size}x{self.size} only, but scale {scale:g} of crop_size "
                    f"{settings.crop_size} needs {side}x{side}; export it with --dynamic True --file_format ONNX, or "
                    "change --crop_size and --scales")


def open_model(path, engine: str = "auto", device: str = "auto", device_id: int = 0, precision: str = "float32",
               option: str = "", allow_nonfinite: bool = False, **known) -> Model:
    """Open a checkpoint, an ONNX file or a MINDIR.

    Args:
        engine: auto, or a key of ENGINES. auto takes MindSpore on Ascend and GPU and for a MINDIR, else ONNX Runtime.
        device: auto, Ascend, GPU or CPU; auto takes an Ascend where there is one, else the CPU.
        precision: float32, or bf16 if the engine has it.
        option: the file's name in errors.
        allow_nonfinite: accept weights and results with NaN or infinity, which are an error otherwise.
        known: facts (see src.weights.metadata) that replace those of the file.

    Raises InputError if the file is missing, damaged, of another kind, or differs from the SHA-256 beside it, and if
    the engine or the device cannot be used.
    """
    settled = {"num_classes", *(name for fact in known for name in metadata.OPTIONS.get(fact, ()))}
    file = read_model_file(path, option, settled)
    if "network" not in known:
        note_assumed(file, defaults()["network"], "network=NAME")
    return load(file, known, engine, device, device_id, precision, allow_nonfinite)


def open_with(config, path, option: str) -> tuple:
    """(the options of a program with the facts of the file in place of defaults, the Model). Raises InputError."""
    config, file = with_facts(config, path, option)
    return config, load(file, metadata.facts_in(config), config.engine, config.device_target, config.device_id,
                        config.engine_precision, config.allow_nonfinite)


def load(file: ModelFile, known: dict, engine: str, device: str, device_id: int, precision: str, allow_nonfinite: bool
         ) -> Model:
    """Load a file into an engine; the arguments are those of open_model."""
    if engine == "auto":
        accelerated = file.kind == "checkpoint" and resolve_target(device) in ("Ascend", "GPU")
        engine = "mindspore" if file.kind == "mindir" or accelerated else "onnxruntime"
    module, kinds, package, _ = ENGINES[engine]
    if file.kind not in kinds:
        raise InputError(f"--engine {engine}: does not run {TITLES[file.kind]} files; leave the option out")
    facts = defaults() | file.facts | known
    network = folded_network(file, facts, allow_nonfinite) if file.kind == "checkpoint" else None
    file.checkpoint = None    # unmaps the file, whose pages count as memory of this process
    if file.kind == "onnx":
        onnx_file.check_external_data(file.path, file.where)
    if engine == "mindspore":
        prepare_environment()    # before it is imported
    backend = import_optional(module, f"--engine {engine}", package)
    model = assemble(file, facts, engine, backend.load(file, network, device, device_id, precision), allow_nonfinite)
    del network    # the engine has its own copy of the weights
    release_memory()
    return model


def release_memory() -> None:
    """Return freed memory to the system. glibc would keep 0.4 GB that opening a ResNet-101 needed; others have no
    such call."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def import_optional(module: str, option: str, package: str):
    """Import a module whose `package` may be missing. Raises InputError with the option and pip's command."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{option}: cannot be used here ({first_line(error)}); pip install {package}") from None


def folded_network(file: ModelFile, facts: dict, allow_nonfinite: bool = False) -> tuple:
    """(Architecture, weights) of a checkpoint without its BatchNorm. Raises InputError, see network_of."""
    shape, weights = network_of(file.checkpoint, facts["network"], facts["atrous_rates"], allow_nonfinite)
    folded = fold(shape, weights)
    check_finite(f"{file.where}: without BatchNorm", folded, allow_nonfinite)    # a negative variance, an overflow
    return shape.folded(), folded


def defaults() -> dict:
    """Default facts: those of the published networks."""
    options = read_options()
    return {name: options[names[0]].default for name, names in metadata.OPTIONS.items()}


def assemble(file: ModelFile, facts: dict, engine: str, loaded: Loaded, allow_nonfinite: bool) -> Model:
    """The Model of a loaded file. Raises InputError for a file that is not a segmentation network."""
    batch, side, channels_last = layout(file, loaded)
    where = file.where
    name = facts["network"] if file.kind == "checkpoint" else file.facts.get("network", file.path.stem)
    facts = facts | {"num_classes": loaded.num_classes} | ({"crop_size": side} if side else {})
    names = facts.pop("class_names", ())
    if len(names) == loaded.num_classes:
        facts["class_names"] = names
    elif names:
        warn(f"{where}: has {len(names)} class names but {loaded.num_classes} classes; the names are ignored")
    if name in NETWORKS:    # a foreign file may be any network
        facts["output_stride"] = NETWORKS[name][0]
    mean, std = tuple(facts["mean"]), tuple(facts["std"])
    compute = guarded(loaded.run, file.path, engine)

    def run(inputs):
        found = compute(arrange(inputs, mean, std, loaded.is_uint8, channels_last))
        expected = (len(inputs), loaded.num_classes, *inputs.shape[2:])
        if found.shape != expected:
            raise RunError(f"{where}: returns {found.shape} for an input of {inputs.shape}, not {expected}")
        if not (allow_nonfinite or np.isfinite(found.sum())):    # one pass, a hundredth of the network's time
            raise RunError(f"{where}: computes NaN or infinity; use another file (--allow_nonfinite goes on)")
        return found

    title = name if file.kind == "checkpoint" else f"{name} ({TITLES[file.kind]})"
    return Model(file.path, title, facts, loaded.num_classes, facts["crop_size"], mean, std, side, where,
                 engine, loaded.device, in_batches(run, batch))


def layout(file: ModelFile, loaded: Loaded) -> tuple:
    """(batch, side, whether the channels come last) of the input; None for free lengths."""
    shape = loaded.shape
    if len(shape) == 4 and 3 in (shape[1], shape[3]) and isinstance(loaded.num_classes, int) and (
            2 <= loaded.num_classes <= MOST_CLASSES and all(length is None or length > 0 for length in shape)):
        channels_last = shape[1] != 3
        height, width = shape[1:3] if channels_last else shape[2:]
        if height == width and (height or 0) <= LARGEST_SIDE:
            return shape[0], height, channels_last
    raise InputError(f"{file.where}: is not a segmentation network: one square input (N, 3, S, S) or (N, S, S, 3) of "
                     f"float32 or uint8 and one output (N, classes, S, S) of 2 to {MOST_CLASSES} classes are expected")


def arrange(inputs: np.ndarray, mean, std, is_uint8: bool, channels_last: bool) -> np.ndarray:
    """Normalised inputs (N, 3, S, S) float32 in a file's input format.

    Args:
        is_uint8: convert back to the picture's bytes, and the padding to the byte nearest to the mean.
        channels_last: (N, S, S, 3).
    """
    if is_uint8:
        mean, std = (np.float32(values).reshape(1, 3, 1, 1) for values in (mean, std))
        inputs = np.clip(np.rint(inputs * std + mean), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(inputs.transpose(0, 2, 3, 1) if channels_last else inputs)


def guarded(run, name, engine: str):
    """`run` whose errors, of whatever kind the engine raises, are a RunError that begins with `name`."""
    def compute(batch):
        try:
            return run(batch)
        except Exception as error:
            raise RunError(f"{name}: {ENGINES[engine][-1]} failed on an input of {batch.shape}: "
                           f"{printable(first_line(error), 200)}") from None
    return compute


def in_batches(run, batch):
    """A function that takes any number of pictures from `run`, which takes `batch` (any if None); the last batch is
    padded."""
    def predict(inputs):
        if batch in (None, len(inputs)):
            return run(inputs)
        count = len(inputs)
        inputs = np.concatenate([inputs, np.zeros((-count % batch, *inputs.shape[1:]), np.float32)])
        parts = [run(inputs[first:first + batch]) for first in range(0, len(inputs), batch)]
        return np.concatenate(parts)[:count]
    return predict
