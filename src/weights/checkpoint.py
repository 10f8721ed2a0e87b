"""Checkpoints: written aside and renamed, read with every parameter accounted for."""
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from src.console import InputError, RunError, first_line
from src.weights.names import BACKBONE, CLASSIFIER, misfits, shorten, translate

RGB_STEM = ("; its stem expects red green blue and gets blue green red, as in the published recipe "
            "(convert_resnet101.py turns it)")

# What other files are by their ending, and which program takes them.
OF_PYTORCH = "weights of PyTorch; convert_resnet101.py makes a checkpoint of them"
OTHER_FILES = {".pth": OF_PYTORCH, ".pt": OF_PYTORCH, ".safetensors": OF_PYTORCH,
             ".onnx": "an exported network; eval_onnx.py evaluates it, predict.py takes it",
             ".mindir": "an exported network; scripts/run_infer_cpp.sh evaluates it, predict.py takes it"}


FACTS = "deeplab_v3.facts"    # a UInt8 entry that holds JSON: every MindSpore loads it, and no network has the name


def save(cell, path, facts=None, notes=None) -> None:
    """Write all parameters of `cell` to `path`: aside first, renamed when complete.

    Args:
        cell: a Cell, or a list of {"name", "data"} as MindSpore's save_checkpoint takes it.
        facts: what the file says of itself, as JSON takes it.
        notes: name -> text to keep with them.

    Raises RunError that names the path if it cannot be written; what stood there before is untouched then.
    """
    import mindspore as ms
    path = Path(path)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.ckpt")
    try:
        entries = {FACTS: ms.Tensor(np.frombuffer(json.dumps(facts).encode(), np.uint8))} if facts else {}
        ms.save_checkpoint(cell, str(aside), append_dict=entries | (notes or {}))
        aside.chmod(0o644)    # MindSpore leaves it read-only
        os.replace(aside, path)
    except (OSError, RuntimeError, ValueError) as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"checkpoint {path} could not be written: {error}; earlier ones are whole") from None


def save_arrays(arrays: dict, path, notes: dict) -> None:
    """Write NumPy arrays and notes as a checkpoint, as `save` does."""
    import mindspore as ms
    save([{"name": name, "data": ms.Tensor(value)} for name, value in arrays.items()], path, notes=notes)


def read(path, option: str) -> dict:
    """Parameters by name. Raises InputError that names `option` and the file if it is missing or no checkpoint."""
    import mindspore as ms
    if not str(path):
        raise InputError(f"--{option} is not given")
    if not Path(path).is_file():
        raise InputError(f"--{option} {path}: no such file")
    if Path(path).suffix in OTHER_FILES:
        raise InputError(f"--{option} {path}: {OTHER_FILES[Path(path).suffix]}")
    try:
        return ms.load_checkpoint(str(path))
    except Exception as error:    # MindSpore raises ValueError, RuntimeError or protobuf's own, by what the bytes are
        raise InputError(f"--{option} {path}: is no MindSpore checkpoint ({first_line(error)})") from None


def digest(path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()


def read_network(path, option: str) -> dict:
    """The weights of a checkpoint of train.py, the zoo or MindCV, by the names of this network.

    Raises InputError for a file that is none, or whose names belong to another network.
    """
    where = f"--{option} {path}"
    parameters = read(path, option)
    if parameters.get("channel_order") == "rgb":
        raise InputError(f"{where}: was converted for red green blue pictures, and they are read as blue green red; "
                         "convert it with --channel_order bgr")
    return translate(parameters, where).weights


def load_network(cell, path, option="ckpt_path", weights=None) -> None:
    """Set every parameter of `cell` from a whole-network checkpoint, or from what read_network has read of it.

    Raises InputError that lists what is missing, unknown or of another shape; then nothing has been loaded.
    """
    where = f"--{option} {path}"
    problems = load_weights(cell, read_network(path, option) if weights is None else weights)
    if problems:
        mend = "; --num_classes must be that checkpoint's" if is_classifier(problems) else ""
        raise InputError(f"{where}: does not fit the network: {shorten(problems)}{mend}")


def load_pretrained(cell, path, filter_weight: bool) -> str:
    """Start `cell` from a ResNet-101 backbone or a whole network, told apart by the names. Returns what was done.

    The stem is loaded as it is, as the published recipe does; convert_resnet101.py turns its input channels.

    Args:
        filter_weight: leave the classifier out of a whole network, so that num_classes may differ.

    Raises:
        InputError: a name or shape that does not fit; nothing has been loaded then.
    """
    where = f"--ckpt_pre_trained {path}"
    parameters = read(path, "ckpt_pre_trained")
    source, weights, _ = translate(parameters, where)
    if filter_weight:
        weights = {name: value for name, value in weights.items() if name not in CLASSIFIER}
    wanted = {name for name in names_of(cell)
              if not (filter_weight and name in CLASSIFIER) and (source.whole or name.startswith(BACKBONE))}
    problems = load_weights(cell, weights, wanted)
    if problems:
        mend = "; --filter_weight leaves the classifier out" if is_classifier(problems) else ""
        raise InputError(f"{where}: does not fit the network: {shorten(problems)}{mend}")
    left = set(names_of(cell)) - wanted
    rest = "the new classifier" if left == set(CLASSIFIER) else f"{len(left)} left"
    said = f"{path}: {source.title}, {len(wanted)} parameters loaded, {rest} as initialised"
    return said + (RGB_STEM if parameters.get("channel_order", source.channels) == "rgb" else "")


def is_classifier(problems: list) -> bool:
    return any(name in problem for name in CLASSIFIER for problem in problems)


def names_of(cell) -> dict:
    """The network's parameters of a cell by name."""
    return {name: value for name, value in cell.parameters_and_names() if name.startswith("network.")}


def load_weights(cell, weights: dict, wanted=None) -> list:
    """Set the parameters `wanted` (all by default) from `weights`, float16 widened; or return what does not fit."""
    import mindspore as ms
    own = names_of(cell)
    wanted = set(own) if wanted is None else wanted
    problems = misfits(weights, {name: value.shape for name, value in own.items() if name in wanted})
    if not problems:
        for name in wanted:
            own[name].set_data(ms.Tensor(weights[name].asnumpy(), own[name].dtype))
    return problems
