"""Turn a ResNet-101 or DeepLabV3 of another project into a checkpoint of train.py, or a trained one into PyTorch's."""
import sys
from pathlib import Path

from src.config import parse_args
from src.console import InputError, run_program
from src.device import prepare_environment
from src.weights.names import BACKBONE, CLASSIFIER, STEM, misfits, shorten, torch_names, translate

ORDERS = {"rgb": "red green blue", "bgr": "blue green red"}


def target_shapes(config, translation) -> dict:
    """Name -> shape of the parameters to set: all of --model, with the source's number of classes, or its backbone."""
    from src.nets.net_factory import create_network
    classifier = translation.weights.get(CLASSIFIER[0])
    network = create_network(config.model, 21 if classifier is None else len(classifier), config.atrous_rates)
    shapes = {f"network.{name}": value.shape for name, value in network.parameters_and_names()}
    return {name: shape for name, shape in shapes.items() if translation.source.whole or name.startswith(BACKBONE)}


def read_source(config) -> tuple:
    """The weights of --src under this network's names as float32, their channel order, and what was found, as text.

    Raises InputError that names --src unless every parameter of --model is there once, in its shape.
    """
    import numpy as np

    from src.weights.checkpoint import digest
    from src.weights.formats import read_arrays
    where = f"--src {config.src}"
    values, notes = read_arrays(config.src, "src")
    translation = translate(values, where)
    problems = misfits(translation.weights, target_shapes(config, translation))
    if problems:
        raise InputError(f"{where}: a {translation.source.title}, but it does not fit {config.model}: "
                         f"{shorten(problems)}")
    weights = {name: np.asarray(value, np.float32) for name, value in translation.weights.items()}
    sha = digest(config.src)
    print(f"{config.src}: {translation.source.title}, {len(values)} arrays, SHA-256 {sha}")
    print(f"{len(weights)} parameters set, each once; dropped: {summary(translation.dropped)}")
    return weights, notes.get("channel_order", translation.source.channels), sha


def summary(names: list) -> str:
    """Dropped names; the many of one kind as a count."""
    kinds = {}
    for name in names:
        kind = next((end for end in ("num_batches_tracked",) if name.endswith(end)), None)
        kind = "moments of the optimiser" if name.startswith("moments.") else kind or name
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items()) or "nothing"


def to_mindspore(config) -> None:
    """Write --src as a checkpoint of train.py, its stem's input channels in --channel_order."""
    import numpy as np

    from src.weights.checkpoint import save_arrays
    weights, order, sha = read_source(config)
    if order == config.channel_order:
        print(f"stem: left as it is, {ORDERS[order]}")
    else:
        weights[STEM] = np.ascontiguousarray(weights[STEM][:, ::-1])
        print(f"stem: input channels turned round from {ORDERS[order]} to {ORDERS[config.channel_order]}")
    if config.channel_order == "rgb":
        print("note: train.py and eval.py read blue green red")
    save_arrays(weights, config.dst, {"source": Path(config.src).name, "source_sha256": sha,
                                      "channel_order": config.channel_order})
    print(f"{config.dst} written; start from it with train.py --ckpt_pre_trained {config.dst}")


def to_torch(config) -> None:
    """Write a whole network as .safetensors for docs/deeplab_v3_torch.py."""
    from src.weights.formats import write_safetensors
    weights, order, sha = read_source(config)
    if CLASSIFIER[0] not in weights:
        raise InputError(f"--src {config.src}: a backbone alone; --to torch takes a whole trained network")
    notes = {"format": "pt", "source": Path(config.src).name, "source_sha256": sha, "channel_order": order,
             "output_stride": config.model.rsplit("_s", 1)[1], "atrous_rates": " ".join(map(str, config.atrous_rates)),
             "image_mean": " ".join(map(str, config.image_mean)), "image_std": " ".join(map(str, config.image_std))}
    write_safetensors(config.dst, torch_names(weights), notes)
    print(f"{config.dst} written; docs/deeplab_v3_torch.py loads it")


def main(argv=None):
    config = parse_args("convert_resnet101", __doc__, argv)
    for name in ("src", "dst"):
        if not getattr(config, name):
            raise InputError(f"--{name} is not given")
    if Path(config.dst).exists() and not config.overwrite:
        raise InputError(f"--dst {config.dst}: exists; give another name, or --overwrite to replace it")
    prepare_environment()
    {"mindspore": to_mindspore, "torch": to_torch}[config.to](config)


if __name__ == "__main__":
    sys.exit(run_program(main))
