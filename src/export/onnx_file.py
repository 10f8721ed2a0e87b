"""ONNX files: float32, fp16, or int8 calibrated on pictures."""
from pathlib import Path

import onnx

from src.console import counted
from src.data.lists import read_list
from src.data.pictures import decode_image
from src.evaluation.letterbox import Settings
from src.export.quantise import calibration_inputs, to_int8
from src.files import read_bytes
from src.metadata import to_texts
from src.nets.onnx_graph import build_model


def write(config, network, facts: dict, path: Path) -> None:
    """Write a folded network to `path`, with the options `config`."""
    fixed = {} if config.dynamic else {"batch": config.export_batch_size, "side": config.input_size}
    model = build_model(*network, to_texts(facts), input_type=config.input_type, input_format=config.input_format,
                        mean=config.image_mean, std=config.image_std, half=config.precision == "fp16", **fixed)
    if config.precision == "int8":
        to_int8(model, calibration(config), path)
    else:
        onnx.save(model, str(path))


def calibration(config):
    """Inputs for int8 from the first calibration_images pictures of data_lst."""
    pairs = read_list(config.data_lst, config.data_root)[:config.calibration_images]
    paths = [Path(config.data_root, pair.image) for pair in pairs]
    images = (decode_image(read_bytes(path), path) for path in counted(paths, "calibrate", "image"))
    settings = Settings(config.input_size, mean=tuple(config.image_mean), std=tuple(config.image_std))
    return calibration_inputs(images, settings, config.input_type, config.input_format)
