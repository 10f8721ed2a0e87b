"""An exported model in ONNX Runtime as the evaluator's `predict`; nothing here needs MindSpore."""
import json
from pathlib import Path

import numpy as np

from src.console import InputError, RunError, first_line
from src.models.fixed import check_fits, in_batches

PROVIDERS = {"CPU": "CPUExecutionProvider", "GPU": "CUDAExecutionProvider"}
SILENT = 4    # ONNX Runtime's severity for fatal errors alone; what it raises is reported here


def open_session(path: Path, device_target: str, device_id: int, option: str = "file_name"):
    """onnxruntime.InferenceSession on that device alone; `option` is what errors call the file.

    Raises InputError for a missing file, one that is no ONNX, and a device that ONNX Runtime cannot use here.
    """
    import onnxruntime
    if device_target not in PROVIDERS:
        raise InputError(f"--device_target {device_target}: ONNX Runtime runs on {' or '.join(PROVIDERS)} here; "
                         "give --device_target CPU")
    if not path.is_file():
        raise InputError(f"--{option} {path}: no such file; export.py --file_format ONNX writes it")
    provider = PROVIDERS[device_target]
    onnxruntime.set_default_logger_severity(SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    settings = {"device_id": device_id} if device_target == "GPU" else {}
    try:
        usable = provider in onnxruntime.get_available_providers()
        session = onnxruntime.InferenceSession(str(path), options, [(provider, settings)]) if usable else None
    except Exception as error:    # ONNX Runtime's exceptions have no common class but Exception
        raise InputError(f"--{option} {path}: is no model that ONNX Runtime can read ({first_line(error)})") from None
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


def noted(text: str):
    """A value of the metadata; None for what export.py did not write."""
    try:
        return json.loads(text)
    except ValueError:
        return None


class OnnxModel:
    """A model written by export.py, or any with one picture input and one probability output.

    Attributes:
        path, network: its file, its name in tables.
        num_classes: channels of its output.
        names: class names it carries, or None.
        mean, std, crop_size: normalisation and input size it was trained with, or None.
        device: what it runs on.
    """

    def __init__(self, file_name: str, device_target: str, device_id: int = 0, option: str = "file_name"):
        given = Path(file_name)
        self.path = given if given.is_file() else Path(str(given).removesuffix(".onnx") + ".onnx")
        self.where, self.device = f"--{option} {self.path}", device_target
        self.session = open_session(self.path, device_target, device_id, option)
        about = self.session.get_modelmeta().custom_metadata_map
        self.network = f"{about.get('network', self.path.stem)} (ONNX)"
        self.names, self.mean, self.std, self.crop_size = (
            noted(about.get(key, "null")) for key in ("class_names", "mean", "std", "crop_size"))
        self.channels_last = about.get("input_format") == "NHWC"
        self.read_signature()

    def read_signature(self):
        """Take input and output from the file. Raises InputError if they are no picture and no probabilities."""
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        shape = inputs[0].shape if len(inputs) == len(outputs) == 1 else []
        channels = shape[3 if self.channels_last else 1] if len(shape) == 4 else None
        classes = outputs[0].shape[1] if len(outputs[0].shape) == 4 else None
        if channels != 3 or not isinstance(classes, int) or inputs[0].type not in ("tensor(float)", "tensor(uint8)"):
            raise InputError(f"{self.where}: is no segmentation model: one input (N, 3, H, W), float32 or "
                             "uint8, and one output (N, classes, H, W) are expected")
        self.input, self.pixels, self.num_classes = inputs[0].name, inputs[0].type == "tensor(uint8)", classes
        size = shape[1:3] if self.channels_last else shape[2:]
        # Free sizes are names, fixed ones numbers.
        self.batch, *self.size = (length if isinstance(length, int) else None for length in (shape[0], *size))

    def check(self, settings) -> None:
        """Raises InputError if the evaluation's settings ask for what this model cannot do."""
        check_fits(self.where, self.num_classes, self.size, settings, "export it with --dynamic True")

    def make_predict(self, settings):
        """The evaluator's predict; a model with a fixed batch gets its batches, the last one filled up."""
        def run(inputs):
            try:
                return self.session.run(None, {self.input: arrange(inputs, settings, self.pixels,
                                                                   self.channels_last)})[0]
            except Exception as error:    # see open_session
                raise RunError(f"{self.path}: ONNX Runtime failed on an input of {inputs.shape}: {first_line(error)}"
                               ) from None

        return in_batches(run, self.batch)
