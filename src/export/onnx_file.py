"""ONNX files: float32, fp16, or int8 calibrated on pictures."""
import logging
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from src.console import counted
from src.data.lists import read_list
from src.data.pictures import decode_image
from src.evaluation.letterbox import Settings, letterbox
from src.files import read_bytes
from src.models.model import arrange
from src.nets.onnx_graph import build_model
from src.weights.metadata import to_texts

# The classifier and all nodes after it stay float32: rounding the logits would cost accuracy directly.
LAST = "network.aspp.conv2"


def write(config, network, facts: dict, path: Path) -> None:
    """Write a folded network to `path`, with the options `config`."""
    fixed = {} if config.dynamic else {"batch": config.export_batch_size, "side": config.input_size}
    model = build_model(*network, to_texts(facts), input_type=config.input_type, input_format=config.input_format,
                        mean=config.image_mean, std=config.image_std, half=config.precision == "fp16", **fixed)
    if config.precision == "int8":
        write_int8(model, calibration(config), path)
    else:
        onnx.save(model, str(path))


def calibration(config):
    """Yield the model's inputs, {"image": (1, ...)}, for the first calibration_images pictures of data_lst: letterboxed
    as evaluation does it."""
    settings = Settings(config.input_size, mean=tuple(config.image_mean), std=tuple(config.image_std))
    pairs = read_list(config.data_lst, config.data_root)[:config.calibration_images]
    for path in counted([Path(config.data_root, pair.image) for pair in pairs], "calibrate", "image"):
        out = np.zeros((1, 3, settings.crop_size, settings.crop_size), np.float32)
        letterbox(decode_image(read_bytes(path), path), settings.crop_size, settings.normalisation(), out[0])
        yield {"image": arrange(out, settings.mean, settings.std, config.input_type == "uint8",
                                config.input_format == "NHWC")}


def write_int8(model, inputs, path: Path) -> None:
    """Write the model with int8 weights and uint8 activations to `path`; ranges of activations come from `inputs`, as
    `calibration` yields them.

    Weights have a scale for each channel and use 7 of 8 bits: without VNNI a CPU adds products in 16 bits, which
    overflow with 8-bit weights.
    """
    logging.getLogger().setLevel(logging.ERROR)    # it recommends steps that were already done here
    reader = SimpleNamespace(get_next=partial(next, inputs, None))    # ONNX Runtime's interface of an iterator
    quantize_static(model, str(path), reader, quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    op_types_to_quantize=["Conv", "Relu", "Add", "MaxPool", "Concat"],
                    nodes_to_exclude=[LAST], calibrate_method=CalibrationMethod.MinMax)
