"""Load checkpoints into networks: every parameter must fit, or an error lists those that do not."""
from typing import NamedTuple

import numpy as np

from src.console import InputError
from src.nets.architecture import PREFIX, architecture
from src.weights import checkpoint
from src.weights.manifest import check_sha256
from src.weights.names import BACKBONE, CLASSIFIER, Source, misfits, shorten, translate

OTHER_CLASSES = "; its classifier is of other classes, or of another order (--filter_weight leaves it out)"
RGB_STEM = ("; its stem expects red green blue but gets blue green red, as in the published recipe "
            "(convert_resnet101.py swaps its input channels)")


class Opened(NamedTuple):
    """A checkpoint that was read, translated to this network's names."""

    where: str    # its name in errors
    found: checkpoint.Checkpoint
    source: Source
    weights: dict    # name here -> array
    dropped: list    # names of `found` that are not used here


def open_checkpoint(path, where: str) -> Opened:
    """Read a checkpoint of train.py, the zoo, MindCV or a backbone. Raises InputError that begins with `where`."""
    found = checkpoint.read(path, where)
    check_sha256(path, where)
    return Opened(where, found, *translate(found.arrays, where))


def network_of(opened: Opened, name: str, atrous_rates, allow_nonfinite: bool = False) -> tuple:
    """(Architecture, weights) of the network `name` with a checkpoint's weights, NaN and infinity only if allowed.

    Raises InputError for a backbone alone, and for parameters that are missing, unknown or of another shape.
    """
    where, weights = opened.where, opened.weights
    if said_order(opened.found) == "rgb":
        raise InputError(f"{where}: was converted for red green blue pictures, but they are read as blue green red; "
                         "convert it with --channel_order bgr")
    if CLASSIFIER[0] not in weights:
        raise InputError(f"{where}: only a backbone, without the classifier; train.py --ckpt_pre_trained starts from "
                         "it")
    shape = architecture(name, len(weights[CLASSIFIER[0]]), atrous_rates)
    check_fit(where, weights, shape.shapes())
    check_finite(where, weights, allow_nonfinite)
    return shape, weights


def said_order(found: checkpoint.Checkpoint) -> str:
    """The channel order in the file's facts, rgb or bgr, or ""."""
    return str(found.facts.get("channel_order") or found.notes.get("channel_order") or "").lower()


def check_fit(where: str, weights: dict, shapes: dict, hint: str = "") -> None:
    """Raises InputError unless `weights` are exactly the parameters `shapes`; `hint` is for another classifier."""
    problems = misfits(weights, shapes)
    if problems:
        of_classifier = any(name in problem for name in CLASSIFIER for problem in problems)
        raise InputError(f"{where}: does not fit the network: {shorten(problems)}{hint if of_classifier else ''}")


def check_finite(where: str, weights: dict, allowed: bool) -> None:
    """Raises InputError with the first weight that is not floating-point, or has NaN or infinity (as float32) unless
    they are allowed."""
    for name, value in weights.items():
        if value.dtype.kind != "f":
            raise InputError(f"{where}: {name} holds {value.dtype}, not floating-point numbers")
        with np.errstate(over="ignore"):
            if not (allowed or np.isfinite(np.asarray(value, np.float32)).all()):
                raise InputError(f"{where}: {name} holds NaN or infinity, so its results are useless; use "
                                 "an earlier checkpoint (--allow_nonfinite accepts it)")


def load_pretrained(cell, path, filter_weight: bool, allow_nonfinite: bool = False, class_names=()) -> str:
    """Load a ResNet-101 backbone or a complete network, distinguished by their names, into a training cell.

    The stem is loaded unchanged, as in the published recipe; convert_resnet101.py can swap its input channels.

    Args:
        cell: MindSpore cell whose parameters have the names of a checkpoint.
        filter_weight: do not load the classifier of a complete network, so that num_classes may differ.
        allow_nonfinite: accept NaN and infinity.
        class_names: of the training data, for the summary.

    Returns a summary for the console, with what may be wrong. Raises InputError if a name or shape does not fit; then
    nothing has been loaded.
    """
    where, found, source, weights, _ = open_checkpoint(path, f"--ckpt_pre_trained {path}")
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
    theirs = list(found.facts.get("class_names", class_names))
    if source.whole and not filter_weight and class_names and theirs != list(class_names):
        said += OTHER_CLASSES
    return said + (RGB_STEM if (said_order(found) or source.channels) == "rgb" else "")


def set_parameters(parameters: dict, values: dict) -> None:
    """Set MindSpore parameters by name from arrays; float16 is converted."""
    from mindspore import Tensor  # the rest of this module works without MindSpore
    for name, value in values.items():
        parameters[name].set_data(Tensor(np.array(value), parameters[name].dtype))
