"""The names of this network's weights in other projects' checkpoints, in one table."""
import re
from typing import NamedTuple

from src.console import InputError
from src.foreign import printable

BACKBONE = "network.resnet."
CLASSIFIER = ("network.aspp.conv2.weight", "network.aspp.conv2.bias")
STEM = "network.resnet.conv1.weight"

# MindSpore's names of a BatchNorm's values, and PyTorch's.
BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}

# Entries that are not weights: optimiser state, counters, and what a .ckpt says of itself, in MindSpore's .safetensors.
NO_WEIGHT = (r"(?:moments\.|accum\.|learning_rate|momentum|global_step|scale_sense|current_iterator|epoch_num|step_num"
             r"|dropped_steps|source|channel_order|deeplab_v3\.facts).*")

PLAIN = r"(conv1|bn1|layer[1-4]\.\d+\.(?:conv|bn)[1-3])"    # a convolution or BatchNorm of the residual branches
VALUE = rf"(weight|{'|'.join(BATCH_NORM)})"


class Source(NamedTuple):
    """One kind of checkpoint."""

    title: str
    marker: str    # pattern of a name that only this kind has
    rules: tuple    # (pattern of a complete name, the name here); the first match is used
    dropped: str    # pattern of names that are not used here
    channels: str    # order of the input channels it was trained on: rgb or bgr
    whole: bool    # the complete network, not only the backbone


def mindspore_backbone(prefix: str, down_sample: str) -> tuple:
    """Rules for a ResNet of MindSpore's layers with projections named `down_sample`."""
    return ((rf"{prefix}{PLAIN}\.{VALUE}", rf"{BACKBONE}\1.\2"),
            (rf"{prefix}(layer[1-4]\.\d+)\.{down_sample}\.([01])\.{VALUE}", rf"{BACKBONE}\1.downsample.\2.\3"))


def torch_backbone() -> tuple:
    """Rules for torchvision's ResNet; timm uses the same names."""
    norm = r"(bn1|layer[1-4]\.\d+\.(?:bn[1-3]|downsample\.1))"
    return ((r"(conv1|layer[1-4]\.\d+\.(?:conv[1-3]|downsample\.0))\.weight", rf"{BACKBONE}\1.weight"),
            *((rf"{norm}\.{theirs}", rf"{BACKBONE}\1.{ours}") for ours, theirs in BATCH_NORM.items()))


def mindcv_network() -> tuple:
    """Rules for the DeepLabV3 of MindCV's examples: this network part by part, ASPP's branches in a list."""
    prefix = r"(?:network\.)?"
    branches = tuple((rf"{prefix}aspp\.aspp_convs\.{number}\._aspp_conv\.([01])\.{VALUE}",
                      rf"network.aspp.aspp{number + 1}.aspp_conv.\1.\2") for number in range(4))
    return (*mindspore_backbone(prefix + r"backbone\.(?:net\.)?", "down_sample"), *branches,
            (rf"{prefix}aspp\.aspp_convs\.4\.conv\.([01])\.{VALUE}", r"network.aspp.aspp_pooling.conv.\1.\2"),
            (rf"{prefix}aspp\.(conv1|bn1)\.{VALUE}", r"network.aspp.\1.\2"),
            (rf"{prefix}conv\.(weight|bias)", r"network.aspp.conv2.\1"))


SOURCES = (
    Source("complete network of train.py or the model zoo", r"network\.aspp\.aspp1\..*",
           ((r"(network\..*)", r"\1"),), NO_WEIGHT, "bgr", True),
    Source("converted backbone", r"network\.resnet\.layer1\..*",
           ((r"(network\..*)", r"\1"),), NO_WEIGHT, "bgr", False),
    Source("DeepLabV3 of MindCV", r"(?:network\.)?aspp\.aspp_convs\..*",
           mindcv_network(), NO_WEIGHT, "bgr", True),
    Source("ResNet classifier of the model zoo", r"layer1\.0\.down_sample_layer\..*",
           mindspore_backbone("", "down_sample_layer"), rf"end_point\..*|{NO_WEIGHT}", "rgb", False),
    Source("ResNet classifier of MindCV", r"layer1\.0\.down_sample\..*",
           mindspore_backbone("", "down_sample"), rf"classifier\..*|{NO_WEIGHT}", "rgb", False),
    Source("ResNet classifier of torchvision or timm", r"layer1\.0\..*running_mean",
           torch_backbone(), r"fc\..*|.*\.num_batches_tracked", "rgb", False),
)


def translate(values: dict, where: str) -> tuple:
    """(Source, {name here: value}, names there that are not used here) of a checkpoint; `where` begins the error lines.

    Raises InputError for a kind that is not in SOURCES, for a name without a rule, and for two names with the same
    translation.
    """
    source = next((source for source in SOURCES if any(re.fullmatch(source.marker, name) for name in values)), None)
    if source is None:
        raise InputError(f"{where}: does not fit the network: names such as {shorten(list(values), 3)} belong to none "
                         f"of: {', '.join(source.title for source in SOURCES)}")
    weights, dropped, unknown = {}, [], []
    for name, value in values.items():
        ours = next((re.sub(pattern, new, name) for pattern, new in source.rules if re.fullmatch(pattern, name)), None)
        if ours in weights:
            raise InputError(f"{where}: {ours} would be set twice, by {printable(name, 120)} too")
        if ours:
            weights[ours] = value
        else:
            (dropped if re.fullmatch(source.dropped, name) else unknown).append(name)
    if unknown:
        raise InputError(f"{where}: a {source.title} by its names, but this network has no place for "
                         f"{shorten(unknown)}")
    return source, weights, dropped


def misfits(weights: dict, shapes: dict) -> list:
    """List the differences between `weights` (values with a shape) and the parameters `shapes`; [] if there are none.

    A different number of residual blocks is reported alone, since it explains all missing and unknown names.
    """
    blocks, expected = block_counts(weights), block_counts(shapes)
    if blocks and expected and blocks != expected:
        return [f"a ResNet of {blocks} blocks, not {expected}"]
    problems = [f"{name} is missing" for name in shapes if name not in weights]
    problems += [f"{name} is unknown" for name in weights if name not in shapes]
    given = {name: tuple(weights[name].shape) for name in shapes if name in weights}
    return problems + [f"{name} has shape {shape}, not {tuple(shapes[name])}"
                       for name, shape in given.items() if shape != tuple(shapes[name])]


def block_counts(names) -> str:
    """Residual blocks of each layer, by the names of their first convolutions: "3 4 23 3" for ResNet-101."""
    found = [re.fullmatch(r"network\.resnet\.layer([1-4])\.\d+\.conv1\.weight", name) for name in names]
    layers = [match.group(1) for match in found if match]
    return " ".join(str(layers.count(number)) for number in "1234" if number in layers)


def shorten(problems: list, most: int = 6) -> str:
    more = f" and {len(problems) - most} more" if len(problems) > most else ""
    return ", ".join(printable(problem, 120) for problem in problems[:most]) + more


def torch_names(weights: dict) -> dict:
    """This network's weights by the names in docs/deeplab_v3_torch.py: no `network.`, BatchNorm as in PyTorch."""
    names = {}
    for name, value in weights.items():
        cell, _, last = name.removeprefix("network.").rpartition(".")
        names[f"{cell}.{BATCH_NORM.get(last, last)}"] = value
    return names
