"""An exported model in ONNX Runtime as the evaluator's `predict`; nothing here needs MindSpore."""
import json
from pathlib import Path

import numpy as np

from src.utils.log import InputError, RunError, first_line

PROVIDERS = {"CPU": "CPUExecutionProvider", "GPU": "CUDAExecutionProvider"}
SILENT = 4    # ONNX Runtime's severity for fatal errors alone; what it raises is reported here


def open_session(path: Path, device_target: str, device_id: int):
    """onnxruntime.InferenceSession on that device alone.

    Raises InputError for a missing file, one that is no ONNX, and a device that ONNX Runtime cannot use here.
    """
    import onnxruntime
    if device_target not in PROVIDERS:
        raise InputError(f"--device_target {device_target}: ONNX Runtime runs on {' or '.join(PROVIDERS)} here; "
                         "give --device_target CPU")
    if not path.is_file():
        raise InputError(f"--file_name {path}: no such file; export.py --file_format ONNX writes it")
    provider = PROVIDERS[device_target]
    onnxruntime.set_default_logger_severity(SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    settings = {"device_id": device_id} if device_target == "GPU" else {}
    try:
        usable = provider in onnxruntime.get_available_providers()
        session = onnxruntime.InferenceSession(str(path), options, [(provider, settings)]) if usable else None
    except Exception as error:    # ONNX Runtime's exceptions have no common class but Exception
        raise InputError(f"--file_name {path}: is no model that ONNX Runtime can read ({first_line(error)})") from None
    if not usable or session.get_providers()[0] != provider:
        raise InputError(f"--device_target {device_target}: ONNX Runtime cannot use CUDA here; it needs an NVIDIA "
                         "driver, CUDA, cuDNN and onnxruntime-gpu; or give --device_target CPU")
    return session


def arrange(inputs: np.ndarray, settings, pixels: bool, channels_last: bool) -> np.ndarray:
    """Normalised inputs (N, 3, S, S) float32 as a model takes them.

    Args:
        pixels: back to what the picture's bytes were, the padding to the mean's nearest byte.
        channels_last: (N, S, S, 3).
    """
    if pixels:
        mean, std = (np.float32(values).reshape(1, 3, 1, 1) for values in (settings.mean, settings.std))
        inputs = np.clip(np.rint(inputs * std + mean), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(inputs.transpose(0, 2, 3, 1) if channels_last else inputs)


class OnnxModel:
    """A model written by export.py, or any with one picture input and one probability output.

    Attributes:
        path, network: its file, its name in tables.
        num_classes: channels of its output.
        names: class names it carries, or None.
        mean, std: normalisation it was trained with, or None.
    """

    def __init__(self, file_name: str, device_target: str, device_id: int = 0):
        given = Path(file_name)
        self.path = given if given.is_file() else Path(str(given).removesuffix(".onnx") + ".onnx")
        self.session = open_session(self.path, device_target, device_id)
        about = self.session.get_modelmeta().custom_metadata_map
        self.network = f"{about.get('network', self.path.stem)} (ONNX)"
        self.names, self.mean, self.std = (json.loads(about[key]) if key in about else None
                                           for key in ("class_names", "mean", "std"))
        self.channels_last = about.get("input_format") == "NHWC"
        self.read_signature()

    def read_signature(self):
        """Take input and output from the file. Raises InputError if they are no picture and no probabilities."""
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        shape = inputs[0].shape if len(inputs) == len(outputs) == 1 else []
        channels = shape[3 if self.channels_last else 1] if len(shape) == 4 else None
        classes = outputs[0].shape[1] if len(outputs[0].shape) == 4 else None
        if channels != 3 or not isinstance(classes, int) or inputs[0].type not in ("tensor(float)", "tensor(uint8)"):
            raise InputError(f"--file_name {self.path}: is no segmentation model: one input (N, 3, H, W), float32 or "
                             "uint8, and one output (N, classes, H, W) are expected")
        self.input, self.pixels, self.num_classes = inputs[0].name, inputs[0].type == "tensor(uint8)", classes
        size = shape[1:3] if self.channels_last else shape[2:]
        # Free sizes are names, fixed ones numbers.
        self.batch, *self.size = (length if isinstance(length, int) else None for length in (shape[0], *size))

    def check(self, settings) -> None:
        """Raises InputError if the evaluation's settings ask for what this model cannot do."""
        if self.num_classes != settings.num_classes:
            raise InputError(f"--file_name {self.path}: has {self.num_classes} classes, not {settings.num_classes}; "
                             f"give --num_classes {self.num_classes}")
        for scale in settings.scales:
            side = settings.input_size(scale)
            if any(length not in (None, side) for length in self.size):
                raise InputError(f"--file_name {self.path}: takes {self.size[0]}x{self.size[1]} only, and scale "
                                 f"{scale:g} of crop_size {settings.crop_size} needs {side}x{side}; export it with "
                                 "--dynamic True, or fit --crop_size and --scales")

    def make_predict(self, settings):
        """The evaluator's predict; a model with a fixed batch gets its batches, the last one filled up."""
        def run(inputs):
            try:
                return self.session.run(None, {self.input: arrange(inputs, settings, self.pixels,
                                                                   self.channels_last)})[0]
            except Exception as error:    # see open_session
                raise RunError(f"{self.path}: ONNX Runtime failed on an input of {inputs.shape}: {first_line(error)}"
                               ) from None

        def predict(inputs):
            if self.batch in (None, len(inputs)):
                return run(inputs)
            count = len(inputs)
            missing = -count % self.batch
            inputs = np.concatenate([inputs, np.zeros((missing, *inputs.shape[1:]), np.float32)])
            parts = [run(inputs[first:first + self.batch]) for first in range(0, len(inputs), self.batch)]
            return np.concatenate(parts)[:count]
        return predict
