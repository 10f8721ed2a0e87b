"""Static quantisation of an ONNX model to int8, calibrated on pictures."""
import logging

import numpy as np
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from src.evaluation.letterbox import Settings, letterbox
from src.models.model import arrange

# The classifier and all nodes after it stay float32: rounding the logits would cost accuracy directly.
LAST = "network.aspp.conv2"


class Calibration:
    """Inputs (1, ...) of a model one after the other, in the interface of ONNX Runtime's calibration."""

    def __init__(self, inputs):
        self.inputs = iter(inputs)

    def get_next(self):
        image = next(self.inputs, None)
        return None if image is None else {"image": image}


def to_int8(model, inputs, path) -> None:
    """Write the model with int8 weights and uint8 activations to `path`; ranges of activations come from `inputs`.

    Weights have a scale for each channel and use 7 of 8 bits: without VNNI a CPU adds products in 16 bits, which
    overflow with 8-bit weights.

    Args:
        inputs: iterable of arrays (1, ...), inputs of the model.
    """
    logging.getLogger().setLevel(logging.ERROR)    # it recommends steps that were already done here
    quantize_static(model, str(path), Calibration(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
                    reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    op_types_to_quantize=["Conv", "Relu", "Add", "MaxPool", "Concat"],
                    nodes_to_exclude=[LAST], calibrate_method=CalibrationMethod.MinMax)


def calibration_inputs(images, settings: Settings, input_type: str, input_format: str):
    """Yield a letterboxed input (1, ...) for each picture (H, W, 3) uint8, as evaluation makes it."""
    for image in images:
        out = np.zeros((1, 3, settings.crop_size, settings.crop_size), np.float32)
        letterbox(image, settings.crop_size, settings.normalisation(), out[0])
        yield arrange(out, settings.mean, settings.std, input_type == "uint8", input_format == "NHWC")
