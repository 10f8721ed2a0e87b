"""Convert weights of other projects to a checkpoint of train.py, or a trained network to PyTorch, without MindSpore."""
from collections import Counter
from pathlib import Path

import numpy as np

from src.console import InputError
from src.files import check_output
from src.nets.architecture import NETWORKS, architecture
from src.weights.checkpoint import digest, write
from src.weights.formats import read_arrays, write_safetensors
from src.weights.loading import check_finite, check_fit, said_order
from src.weights.metadata import believe_facts, checked, settled_by
from src.weights.names import BACKBONE, CLASSIFIER, STEM, torch_names, translate

ORDERS = {"rgb": "red green blue", "bgr": "blue green red"}


def run(config) -> None:
    """Convert --src to --dst. Raises InputError for options that do not fit."""
    for name in ("src", "dst"):
        if not getattr(config, name):
            raise InputError(f"--{name} is not given")
    if Path(config.dst).exists() and not config.overwrite:
        raise InputError(f"--dst {config.dst}: exists; give another name, or --overwrite to replace it")
    check_output(config.dst, "--dst", inputs=[config.src])
    {"mindspore": to_mindspore, "torch": to_torch}[config.to](config)


def read_source(config) -> tuple:
    """(options with the facts of --src, float32 weights by this network's names, channel order, facts).

    Raises InputError unless --src has every parameter of --model once, in the right shape.
    """
    where = f"--src {config.src}"
    found = read_arrays(config.src, where)
    config = believe_facts(config, checked(found.facts, config.src, settled_by(config)), config.src)
    source, weights, dropped = translate(found.arrays, where)
    classifier = weights.get(CLASSIFIER[0])
    shape = architecture(config.model, 21 if classifier is None else len(classifier), config.atrous_rates)
    wanted = {name: size for name, size in shape.shapes().items() if source.whole or name.startswith(BACKBONE)}
    check_fit(f"{where}: a {source.title}", weights, wanted)
    check_finite(where, weights, config.allow_nonfinite)
    weights = {name: np.array(value, np.float32) for name, value in weights.items()}
    sha = digest(config.src)
    print(f"{config.src}: {source.title}, {len(found.arrays)} arrays, SHA-256 {sha}")
    print(f"{len(weights)} parameters set, each once; dropped: {summary(dropped)}")
    facts = found.facts | {"source": Path(config.src).name, "source_sha256": sha}
    return config, weights, said_order(found) or source.channels, facts


def summary(names: list) -> str:
    """Text of the dropped names; names of one kind are counted."""
    kinds = Counter("moments of the optimiser" if name.startswith("moments.") else
                    "num_batches_tracked" if name.endswith("num_batches_tracked") else name for name in names)
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items()) or "nothing"


def to_mindspore(config) -> None:
    """Write --src as a checkpoint of train.py, its stem's input channels in --channel_order."""
    config, weights, order, facts = read_source(config)
    if order == config.channel_order:
        print(f"stem: unchanged, {ORDERS[order]}")
    else:
        weights[STEM] = np.ascontiguousarray(weights[STEM][:, ::-1])
        print(f"stem: input channels swapped from {ORDERS[order]} to {ORDERS[config.channel_order]}")
    if config.channel_order == "rgb":
        print("note: train.py and eval.py read blue green red")
    write(weights, config.dst, facts | {"channel_order": config.channel_order.upper()})
    print(f"{config.dst} written; start from it with train.py --ckpt_pre_trained {config.dst}")


def to_torch(config) -> None:
    """Write a complete network as .safetensors for docs/deeplab_v3_torch.py."""
    config, weights, order, facts = read_source(config)
    if CLASSIFIER[0] not in weights:
        raise InputError(f"--src {config.src}: only a backbone; --to torch needs a complete trained network")
    notes = {"format": "pt", "source": facts["source"], "source_sha256": facts["source_sha256"], "channel_order": order,
             "output_stride": str(NETWORKS[config.model][0]), "atrous_rates": " ".join(map(str, config.atrous_rates)),
             "image_mean": " ".join(map(str, config.image_mean)), "image_std": " ".join(map(str, config.image_std))}
    write_safetensors(config.dst, torch_names(weights), notes)
    print(f"{config.dst} written; docs/deeplab_v3_torch.py loads it")
