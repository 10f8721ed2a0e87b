"""OpenVINO as an engine, an optional package: float32, or bf16 if the CPU has it."""
import os

import openvino

from src.console import InputError, first_line
from src.device import resolve_target
from src.foreign import printable
from src.models.model import Loaded
from src.models.model_file import ModelFile
from src.nets.onnx_graph import build_model

ISA = "ONEDNN_MAX_CPU_ISA"    # limits OpenVINO's kernels too; with AVX2 it has none in bf16
HINTS = {"float32": "f32", "bf16": "bf16"}    # without a hint OpenVINO uses bf16 if the CPU has it


def load(file: ModelFile, network: tuple, device: str, device_id: int, precision: str) -> Loaded:
    """The file, or the network of a checkpoint, compiled for the CPU. Raises InputError for another device, and for
    bf16 if the CPU lacks it."""
    target = resolve_target(device)
    if target != "CPU":
        raise InputError(f"--engine openvino: runs on the CPU here, not on {target}; give --device_target CPU")
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError("--precision bf16: this CPU has no bf16 arithmetic (AVX512_BF16 or AMX); leave the option out")
    data = str(file.path) if file.kind == "onnx" else build_model(*network, {}).SerializeToString()
    try:
        compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision],
                                                                     "PERFORMANCE_HINT": "LATENCY"})
    except RuntimeError as error:
        limit = os.environ.get(ISA)
        if precision == "bf16" and limit:
            raise InputError(f"--precision bf16: cannot be used where {ISA} is {limit}; unset it") from None
        raise InputError(f"{file.where}: OpenVINO cannot read this model ({printable(first_line(error), 200)})"
                         ) from None
    shapes = [end.partial_shape for end in (*compiled.inputs, *compiled.outputs)]
    if len(compiled.inputs) != 1 or len(shapes) != 2 or any(
            shape.rank.is_dynamic or len(shape) != 4 for shape in shapes):
        return Loaded(None, (), None, False, "CPU")    # not a segmentation network
    shape = tuple(None if length.is_dynamic else length.get_length() for length in shapes[0])
    classes = shapes[1][1]
    return Loaded(lambda batch: compiled([batch])[0], shape, None if classes.is_dynamic else classes.get_length(),
                  compiled.inputs[0].element_type.to_string() == "u8", f"CPU in {precision}")
