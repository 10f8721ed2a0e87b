"""Export a checkpoint of DeepLabV3 with its softmax to ONNX, MINDIR or AIR."""
import json
import os
import sys
from pathlib import Path

from src.config import parse_args
from src.console import InputError, RunError, counted, run_program
from src.data.labels import class_names
from src.data.lists import read_list
from src.data.pictures import decode_image, read_bytes
from src.device import open_device, resolve_target
from src.evaluation.inference import Settings
from src.export.quantise import calibration_inputs
from src.modelarts import storage


def target_path(config) -> Path:
    """The file to write, its extension added if missing. Raises InputError if nothing can be written there."""
    suffix = "." + config.file_format.lower()
    path = Path(config.file_name if config.file_name.endswith(suffix) else config.file_name + suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--file_name {path}: {error.strerror}") from None
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"--file_name {path}: cannot be written there")
    return path


def check_precision(config) -> None:
    """Raises InputError for a precision that the other options do not fit."""
    if config.precision == "float32":
        return
    if config.file_format != "ONNX":
        raise InputError(f"--precision {config.precision}: with --file_format ONNX only, not {config.file_format}")
    if config.precision == "int8" and (not config.dynamic and config.export_batch_size > 1):
        raise InputError("--precision int8: is calibrated picture by picture; give --export_batch_size 1 or "
                         "--dynamic True")
    if config.precision == "int8":
        read_list(config.data_lst)


def open_exporter(config) -> None:
    """Bring MindSpore up for the format: ONNX is built from the weights alone and needs no device."""
    no_air = InputError("--file_format AIR: needs --device_target Ascend with CANN; give --file_format MINDIR or ONNX")
    if config.file_format == "AIR" and resolve_target(config.device_target) != "Ascend":
        raise no_air
    try:
        open_device("CPU" if config.file_format == "ONNX" else config.device_target, config.device_id)
    except InputError:
        if config.file_format == "AIR":
            raise no_air from None
        raise


def load(config):
    """InferenceNetwork with the checkpoint's weights and the input that the options ask for."""
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.weights.checkpoint import load_network
    network = create_network(config.export_model, config.num_classes, config.atrous_rates, draw=False)
    cell = InferenceNetwork(network, config.input_type, config.input_format, config.image_mean, config.image_std)
    load_network(cell, config.ckpt_file, "ckpt_file")
    return cell


def metadata(config, network, names: list) -> dict:
    """What a user of the ONNX file must know, as texts; lists are JSON."""
    from src.weights.checkpoint import digest
    return {"network": config.export_model, "output_stride": str(network.output_stride),
            "atrous_rates": json.dumps(config.atrous_rates), "class_names": json.dumps(names),
            "channel_order": "BGR", "mean": json.dumps(config.image_mean), "std": json.dumps(config.image_std),
            "input_type": config.input_type, "input_format": config.input_format,
            "crop_size": str(config.input_size), "precision": config.precision,
            "checkpoint_sha256": digest(config.ckpt_file)}


def write_onnx(config, cell, names: list, path: Path) -> None:
    import onnx

    from src.export.onnx_graph import build_model
    from src.export.quantise import to_int8
    fixed = {} if config.dynamic else {"batch": config.export_batch_size, "side": config.input_size}
    model = build_model(cell.network, metadata(config, cell.network, names), config.input_type, config.input_format,
                        mean=config.image_mean, std=config.image_std, half=config.precision == "fp16", **fixed)
    if config.precision == "int8":
        to_int8(model, calibration(config), path)
    else:
        onnx.save(model, str(path))


def calibration(config):
    """Inputs for int8 from the first calibration_images pictures of data_lst."""
    pairs = read_list(config.data_lst)[:config.calibration_images]
    paths = [Path(config.data_root, pair.image) for pair in pairs]
    images = (decode_image(read_bytes(path), path) for path in counted(paths, "calibrate", "image"))
    settings = Settings(config.input_size, mean=config.image_mean, std=config.image_std)
    return calibration_inputs(images, settings, config.input_type, config.input_format)


def export(config) -> Path:
    """Write the file aside and rename it; returns its path."""
    check_precision(config)
    path, names = target_path(config), class_names(config.num_classes, config.class_names)
    open_exporter(config)
    cell = load(config)
    aside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        if config.file_format == "ONNX":
            write_onnx(config, cell, names, aside)
        else:
            from src.export.mindspore_formats import write_mindspore
            from src.nets.layers import fold_batch_norm
            fold_batch_norm(cell.network)    # build_model does the same for ONNX
            area = (config.input_size, config.input_size)
            shape = (3, *area) if config.input_format == "NCHW" else (*area, 3)
            write_mindspore(cell, (config.export_batch_size, *shape), config.input_type, config.file_format, aside,
                            mindir_rewrite(config))
        aside.chmod(0o644)    # MindSpore leaves its files readable by the owner alone
        os.replace(aside, path)
    except OSError as error:
        raise RunError(f"--file_name {path}: cannot be written ({error.strerror})") from None
    finally:
        aside.unlink(missing_ok=True)
    return path


def mindir_rewrite(config):
    """What changes a MINDIR before it is written, if anything does."""
    from src.export.mindir import to_version_1
    return to_version_1 if config.file_format == "MINDIR" and config.mindir_version == 1 else None


def run(config) -> None:
    """One export, and what was written."""
    path = export(config)
    free = config.file_format == "ONNX" and config.dynamic
    shape = "any batch, height and width" if free else (
        f"batch {config.export_batch_size}, {config.input_size}x{config.input_size}")
    print(f"{config.export_model} exported to {path}: {path.stat().st_size / 1e6:.1f} MB, "
          f"{config.precision}, input {config.input_type} {config.input_format}, {shape}")


def main(argv=None):
    with storage(parse_args("export", __doc__, argv)) as config:
        run(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
