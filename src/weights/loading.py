"""Checkpoints as the weights of a network: every parameter accounted for, or an error that lists what does not fit."""
from typing import NamedTuple

import numpy as np

from src.console import InputError
from src.nets.architecture import PREFIX, Architecture, architecture
from src.weights import checkpoint
from src.weights.manifest import check_sha256
from src.weights.names import BACKBONE, CLASSIFIER, misfits, shorten, translate

RGB_STEM = ("; its stem expects red green blue and gets blue green red, as in the published recipe "
            "(convert_resnet101.py swaps its input channels)")


class Network(NamedTuple):
    """A trained network."""

    architecture: Architecture
    weights: dict    # name in a checkpoint -> array


def read_network(path, option: str, name: str, atrous_rates, allow_nonfinite: bool = False) -> Network:
    """The network called `name` with the weights of a checkpoint of train.py, the zoo or MindCV.

    Args:
        option: what errors call the file.
        allow_nonfinite: take NaN and infinity.

    Raises InputError for a file that is not a checkpoint, and lists what is missing, unknown or of another shape.
    """
    where = f"{option} {path}"
    found, translation = translated(path, option)
    if said_order(found) == "rgb":
        raise InputError(f"{where}: was converted for red green blue pictures, and they are read as blue green red; "
                         "convert it with --channel_order bgr")
    classifier = translation.weights.get(CLASSIFIER[0])
    if classifier is None:
        raise InputError(f"{where}: a backbone alone, without the classifier; train.py --ckpt_pre_trained starts from "
                         "it")
    shape = architecture(name, len(classifier), tuple(atrous_rates))
    check_fit(where, translation.weights, shape.shapes())
    check_finite(where, translation.weights, allow_nonfinite)
    return Network(shape, translation.weights)


def translated(path, option: str) -> tuple:
    """(Checkpoint, Translation) of a file, its weights under this network's names. Raises InputError."""
    found = checkpoint.read(path, option)
    check_sha256(path, option)
    return found, translate(found.arrays, f"{option} {path}")


def said_order(found: checkpoint.Checkpoint) -> str:
    """The channel order that a file says of itself, rgb or bgr, or ""."""
    return str(found.facts.get("channel_order") or found.notes.get("channel_order") or "").lower()


def check_fit(where: str, weights: dict, shapes: dict, hint: str = "") -> None:
    """Raises InputError unless `weights` are exactly the parameters `shapes`; `hint` is for another classifier."""
    problems = misfits(weights, shapes)
    if problems:
        of_classifier = any(name in problem for name in CLASSIFIER for problem in problems)
        raise InputError(f"{where}: does not fit the network: {shorten(problems)}{hint if of_classifier else ''}")


def check_finite(where: str, weights: dict, allowed: bool) -> None:
    """Raises InputError that names the first weight that is not of floating-point numbers, or holds NaN or infinity
    (as float32, which everything computes in) unless they are allowed."""
    for name, value in weights.items():
        if value.dtype.kind != "f":
            raise InputError(f"{where}: {name} holds {value.dtype}, not floating-point numbers")
        with np.errstate(over="ignore"):
            if not (allowed or np.isfinite(np.asarray(value, np.float32)).all()):
                raise InputError(f"{where}: {name} holds NaN or infinity, so nothing it computes means anything; take "
                                 "an earlier checkpoint (--allow_nonfinite takes it all the same)")


def load_pretrained(cell, path, filter_weight: bool, allow_nonfinite: bool = False) -> str:
    """Start a training cell from a ResNet-101 backbone or a whole network, told apart by the names.

    The stem is loaded as it is, as the published recipe does; convert_resnet101.py swaps its input channels.

    Args:
        cell: MindSpore cell whose parameters have the names of a checkpoint.
        filter_weight: leave the classifier out of a whole network, so that num_classes may differ.
        allow_nonfinite: take NaN and infinity.

    Returns:
        What was done, for the console.

    Raises:
        InputError: a name or shape that does not fit; nothing has been loaded then.
    """
    where = f"--ckpt_pre_trained {path}"
    found, translation = translated(path, "--ckpt_pre_trained")
    source, weights, _ = translation
    left_out = CLASSIFIER if filter_weight else ()
    weights = {name: value for name, value in weights.items() if name not in left_out}
    own = {name: value for name, value in cell.parameters_and_names() if name.startswith(PREFIX)}
    wanted = {name: value.shape for name, value in own.items()
              if name not in left_out and (source.whole or name.startswith(BACKBONE))}
    check_fit(where, weights, wanted, "; --filter_weight leaves the classifier out")
    check_finite(where, weights, allow_nonfinite)
    set_parameters(own, weights)
    left = set(own) - set(wanted)
    rest = "the new classifier" if left == set(CLASSIFIER) else f"{len(left)} left"
    said = f"{path}: {source.title}, {len(wanted)} parameters loaded, {rest} as initialised"
    return said + (RGB_STEM if (said_order(found) or source.channels) == "rgb" else "")


def set_parameters(parameters: dict, values: dict) -> None:
    """Set MindSpore parameters by name from arrays, float16 widened."""
    from mindspore import Tensor  # the rest of this module works without MindSpore
    for name, value in values.items():
        parameters[name].set_data(Tensor(np.array(value), parameters[name].dtype))
