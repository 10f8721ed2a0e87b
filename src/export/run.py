"""Export a checkpoint with softmax as ONNX, MINDIR or AIR, with the facts in the checkpoint."""
import json
from pathlib import Path

from src.claims import claim_file
from src.console import InputError
from src.data.labels import make_labels
from src.data.lists import read_list
from src.device import prepare_environment, resolve_target
from src.files import check_output, write_whole, writing
from src.models.model import folded_network, import_optional
from src.models.model_file import with_facts
from src.nets.architecture import architecture
from src.weights.checkpoint import digest
from src.weights.metadata import beside, describe

# Format -> (module whose `write` makes it, packages that it needs); MindSpore and onnx must not be imported together.
MINDSPORE = ("src.export.mindspore_file", '"mindspore>=2.7"')
WRITERS = {"ONNX": ("src.export.onnx_file", "onnx onnxruntime"), "MINDIR": MINDSPORE, "AIR": MINDSPORE}


def run(config) -> None:
    """Write the file and print a summary."""
    check_options(config)
    config, file = with_facts(config, config.ckpt_file, "--ckpt_file")
    suffix = "." + config.file_format.lower()
    path, kind = Path(config.file_name.removesuffix(suffix) + suffix), "" if config.overwrite else suffix[1:]
    inputs = [config.ckpt_file, config.class_names, config.data_lst]
    check_output(path, "--file_name", kind, inputs)    # before the work
    if config.file_format == "MINDIR":
        check_output(beside(path), "--file_name", "" if config.overwrite else "facts", inputs)
    claim_file(path, "--file_name")
    facts = facts_of(config, file.facts)
    network = folded_network(file, facts, config.allow_nonfinite)
    if config.file_format != "ONNX":
        prepare_environment()    # before MindSpore is imported
    module, packages = WRITERS[config.file_format]
    writer = import_optional(module, f"--file_format {config.file_format}", packages)
    with writing(path, "--file_name", kind, inputs) as aside:
        writer.write(config, network, facts, aside)
    if config.file_format == "MINDIR":
        write_whole(beside(path), json.dumps(facts, indent=1, ensure_ascii=False).encode())
    free = config.file_format == "ONNX" and config.dynamic
    shape = "any batch, height and width" if free else (
        f"batch {config.export_batch_size}, {config.input_size}x{config.input_size}")
    print(f"{facts['network']} exported to {path}: {path.stat().st_size / 1e6:.1f} MB, {config.precision}, "
          f"input {config.input_type} {config.input_format}, {shape}")


def check_options(config) -> None:
    """Raises InputError for options that do not fit together or do not fit this machine."""
    if config.file_format == "AIR" and resolve_target(config.device_target) != "Ascend":
        raise InputError("--file_format AIR: needs --device_target Ascend with CANN; give --file_format MINDIR or ONNX")
    if config.precision == "float32":
        return
    if config.file_format != "ONNX":
        raise InputError(f"--precision {config.precision}: with --file_format ONNX only, not {config.file_format}")
    if config.precision == "int8":
        if not config.dynamic and config.export_batch_size > 1:
            raise InputError("--precision int8: is calibrated picture by picture; give --export_batch_size 1 or "
                             "--dynamic True")
        read_list(config.data_lst)


def facts_of(config, said: dict) -> dict:
    """What the exported file will say: what the checkpoint `said`, the options, and the form of the input."""
    num_classes = said.get("num_classes", config.num_classes)
    labels = make_labels(num_classes, config.ignore_label, config.class_names, said.get("class_names", ()))
    network = architecture(config.export_model, num_classes, config.atrous_rates)
    facts = describe(network, labels, config.input_size, config.image_mean, config.image_std)
    recipe = {"recipe": said["recipe"]} if "recipe" in said else {}
    return {**facts, **recipe, "input_type": config.input_type, "input_format": config.input_format,
            "precision": config.precision, "checkpoint_sha256": digest(config.ckpt_file)}
