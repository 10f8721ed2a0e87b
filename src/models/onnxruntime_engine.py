"""ONNX Runtime as an engine: an ONNX file, or a checkpoint whose graph is made in memory."""
import ctypes
import os

import onnxruntime

from src.console import InputError, first_line
from src.device import resolve_target
from src.foreign import printable
from src.models.model import Loaded
from src.models.model_file import ModelFile
from src.nets.onnx_graph import build_skeleton

PROVIDERS = {"CPU": "CPUExecutionProvider", "GPU": "CUDAExecutionProvider", "Ascend": "CANNExecutionProvider"}
NEEDED = {"GPU": "an NVIDIA driver, CUDA, cuDNN and the package onnxruntime-gpu",
          "Ascend": "CANN and the package onnxruntime-cann, in place of onnxruntime and onnxruntime-gpu"}
SILENT = 4    # ONNX Runtime's severity for fatal errors alone; its exceptions are reported here
TYPES = {"tensor(float)": False, "tensor(uint8)": True}    # type of the input -> whether it is uint8


def load(file: ModelFile, network: tuple, device: str, device_id: int, precision: str) -> Loaded:
    """Load the file, or the network of a checkpoint, in a session on that device alone. Raises InputError for a file or
    device that cannot be used."""
    if precision != "float32":
        raise InputError(f"--precision {precision}: ONNX Runtime uses that of the file; give --engine openvino")
    target = "GPU" if device == "auto" and resolve_target(device) == "CPU" and has_cuda() else resolve_target(device)
    session = open_session(file, network, target, device_id)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    is_plain = len(inputs) == len(outputs) == 1 and inputs[0].type in TYPES and (
        len(outputs[0].shape) == 4 and outputs[0].type == "tensor(float)")

    def run(batch):
        return session.run(None, {inputs[0].name: batch})[0]

    lengths = [length if isinstance(length, int) else None for length in inputs[0].shape] if is_plain else []
    return Loaded(run, tuple(lengths), outputs[0].shape[1] if is_plain else None, TYPES.get(inputs[0].type), target)


def open_session(file: ModelFile, network: tuple, target: str, device_id: int):
    """onnxruntime.InferenceSession of the file, or of the network with weights that it takes from memory and copies."""
    provider = PROVIDERS[target]
    if provider not in onnxruntime.get_available_providers():
        raise unusable(target)
    onnxruntime.set_default_logger_severity(SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")    # the arena doubles it
    settings = {} if target == "CPU" else {"device_id": device_id}
    try:
        model = str(file.path)
        if network:
            skeleton, constants = build_skeleton(*network)
            model = skeleton.SerializeToString()
            weights = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in constants.values()]
            options.add_external_initializers(list(constants), weights)
        session = onnxruntime.InferenceSession(model, options, [(provider, settings)],
                                               enable_fallback=0)    # else it prints a banner
    except Exception as error:    # the only common class of ONNX Runtime's exceptions
        raise InputError(f"{file.where}: ONNX Runtime cannot read this model ({printable(first_line(error), 200)})"
                         ) from None
    if session.get_providers()[0] != provider:
        raise unusable(target)
    return session


def unusable(target: str) -> InputError:
    return InputError(f"--device_target {target}: ONNX Runtime cannot use it here; it needs {NEEDED[target]}; or give "
                      "--device_target CPU")


def has_cuda() -> bool:
    """Whether ONNX Runtime could use an NVIDIA GPU: its CUDA provider and the driver's library are there."""
    if PROVIDERS["GPU"] not in onnxruntime.get_available_providers():
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True
