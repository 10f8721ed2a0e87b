"""The kind of a file with weights, from its first bytes, not from its name."""
from src.console import InputError
from src.files import check_input
from src.foreign import reason

HEAD = 64    # bytes that tell the kind
# Kind -> which program takes such a file, for errors of programs that do not.
WAYS_OUT = {"torch": "weights of PyTorch; convert_resnet101.py makes a checkpoint of them",
            "safetensors": "weights as .safetensors; convert_resnet101.py makes a checkpoint of them",
            "onnx": "an exported network; eval_onnx.py and predict.py take it",
            "mindir": "an exported network; predict.py and scripts/run_infer_cpp.sh take it"}


def kind_of(path, where: str) -> str:
    """checkpoint, onnx, mindir, safetensors or torch; "" for any other kind of file. `where` is its name in errors.

    Raises InputError if it is missing, empty or cannot be read.
    """
    check_input(path, where)
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"{where}: {reason(error)}") from None
    if not head:
        raise InputError(f"{where}: is empty")
    if head[8:9] == b"{":    # a JSON header, after its length
        return "safetensors"
    if head.startswith((b"PK\x03\x04", b"\x80")):    # a ZIP archive, or a bare pickle
        return "torch"
    if head[:1] == b"\x08":    # of the three protobufs, ONNX begins with a number: its version
        return "onnx"
    if head[:1] == b"\x0a" and b"MindSpore" in head:    # a MINDIR with a text: its version
        return "mindir"
    length = next((place for place, byte in enumerate(head[1:11], 1) if byte < 0x80), 0)    # a varint ends there
    is_entry = head[:1] == b"\x0a" and length > 0 and head[length + 1:length + 2] == b"\x0a"
    return "checkpoint" if is_entry else ""    # a message whose first field is the text of a name
