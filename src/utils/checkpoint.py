"""Checkpoints: written aside and renamed, read with every parameter accounted for."""
import hashlib
import os
from pathlib import Path

from src.utils.log import InputError, RunError, first_line

CLASSIFIER = ("network.aspp.conv2.weight", "network.aspp.conv2.bias")
BACKBONE = "network.resnet."

# Optimiser state and counters of a full checkpoint, which are no weights of the network.
NO_WEIGHT = ("moments.", "learning_rate", "momentum", "global_step", "scale_sense", "current_iterator",
             "epoch_num", "step_num")

# Names of a ResNet-101 that the zoo or MindCV trained for classification, and what has no place here.
RENAMED = {"down_sample_layer.": "downsample.", "down_sample.": "downsample."}
HEADS = ("end_point.", "classifier.", "fc.", "head.")


def save(cell, path) -> None:
    """Write all parameters of `cell` to `path`: aside first, renamed when complete.

    Raises RunError that names the path if it cannot be written; what stood there before is untouched then.
    """
    import mindspore as ms
    path = Path(path)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.ckpt")
    try:
        ms.save_checkpoint(cell, str(aside))
        aside.chmod(0o644)    # MindSpore leaves it read-only
        os.replace(aside, path)
    except (OSError, RuntimeError, ValueError) as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"checkpoint {path} could not be written: {error}; earlier ones are whole") from None


def read(path, option: str) -> dict:
    """Parameters by name. Raises InputError that names `option` and the file if it is missing or no checkpoint."""
    import mindspore as ms
    if not str(path):
        raise InputError(f"--{option} is not given")
    if not Path(path).is_file():
        raise InputError(f"--{option} {path}: no such file")
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


def weights_of(parameters: dict) -> dict:
    """The network's weights of a checkpoint of train.py or the zoo, under today's names, without optimiser state."""
    return {name: value for name, value in parameters.items() if not name.startswith(NO_WEIGHT)}


def backbone_of(parameters: dict) -> dict:
    """Weights of a classification ResNet-101 of the zoo or MindCV under this network's names, its head left out."""
    weights = {}
    for name, value in weights_of(parameters).items():
        if name.startswith(HEADS):
            continue
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        weights[BACKBONE + name] = value
    return weights


def load_network(cell, path, option="ckpt_path") -> None:
    """Set every parameter of `cell` from a whole-network checkpoint.

    Raises InputError that lists what is missing, unknown or of another shape; then nothing has been loaded.
    """
    problems = load_weights(cell, weights_of(read(path, option)))
    if problems:
        raise InputError(f"--{option} {path}: does not fit the network: {shorten(problems)}")


def load_pretrained(cell, path, filter_weight: bool) -> str:
    """Start `cell` from a ResNet-101 backbone or a whole network, told apart by the names. Returns what was done.

    Args:
        filter_weight: leave the classifier out of a whole network, so that num_classes may differ.

    Raises:
        InputError: a name or shape that does not fit; nothing has been loaded then.
    """
    option = "ckpt_pre_trained"
    weights = weights_of(read(path, option))
    whole = any(name.startswith("network.aspp.") for name in weights)
    if not whole and not any(name.startswith(BACKBONE) for name in weights):
        weights = backbone_of(weights)
    if filter_weight:
        weights = {name: value for name, value in weights.items() if name not in CLASSIFIER}
    wanted = {name for name in names_of(cell)
              if not (filter_weight and name in CLASSIFIER) and (whole or name.startswith(BACKBONE))}
    problems = load_weights(cell, weights, wanted)
    if problems:
        mend = "; --filter_weight leaves the classifier out" if any(name in text for name in CLASSIFIER
                                                                    for text in problems) else ""
        raise InputError(f"--{option} {path}: does not fit the network: {shorten(problems)}{mend}")
    kind = "whole network" if whole else "backbone"
    left = len(names_of(cell)) - len(wanted)
    return f"{path}: {kind}, {len(wanted)} parameters loaded, {left} left as initialised"


def names_of(cell) -> dict:
    """The network's parameters of a cell by name."""
    return {name: value for name, value in cell.parameters_and_names() if name.startswith("network.")}


def load_weights(cell, weights: dict, wanted=None) -> list:
    """Set the parameters `wanted` (all by default) from `weights`, float16 widened; or return what does not fit."""
    import mindspore as ms
    own = names_of(cell)
    wanted = set(own) if wanted is None else wanted
    problems = [f"{name} is missing" for name in own if name in wanted and name not in weights]
    problems += [f"{name} is unknown" for name in weights if name not in wanted]
    problems += [f"{name} has shape {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"
                 for name in own if name in wanted and name in weights and weights[name].shape != own[name].shape]
    if problems:
        return problems
    for name in wanted:
        own[name].set_data(ms.Tensor(weights[name].asnumpy(), own[name].dtype))
    return []


def shorten(problems: list, most: int = 6) -> str:
    more = f" and {len(problems) - most} more" if len(problems) > most else ""
    return ", ".join(problems[:most]) + more
