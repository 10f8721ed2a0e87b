"""A network to predict with, from a checkpoint, an ONNX file or a MINDIR; only what the file needs is imported."""
from pathlib import Path

import yaml

from src.config import believe, check_value, read_options
from src.console import InputError
from src.device import open_device
from src.models.mindspore_engine import load_trained, make_predict
from src.models.onnxruntime_engine import OnnxModel
from src.weights.checkpoint import OF_PYTORCH, read_network

CLASSIFIER = "network.aspp.conv2.weight"    # its first length is the number of classes
OF_THE_NETWORK = ("model", "atrous_rates", "image_mean", "image_std", "crop_size")    # what config.yaml is asked for


def kind_of(path) -> str:
    """"checkpoint", "onnx" or "mindir", by the first bytes and not by the name.

    All three are protobufs. ONNX begins with a number (its version), a MINDIR with a text (its version), a checkpoint
    with a message whose first field is the text of a name.

    Raises InputError for a missing file and for any other.
    """
    if not str(path):
        raise InputError("--model is not given: the network to predict with, a .ckpt of train.py, or an .onnx or "
                         ".mindir of export.py")
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InputError(f"--model {path}: {error.strerror}") from None
    if head[:1] == b"\x08":
        return "onnx"
    length = next((place for place, byte in enumerate(head[1:6], 1) if byte < 0x80), 0)    # a varint ends there
    if head[:1] == b"\x0a" and length:
        if b"MindSpore" in head:
            return "mindir"
        if head[length + 1:length + 2] == b"\x0a":
            if Path(path).suffix != ".ckpt":
                raise InputError(f"--model {path}: a checkpoint, which MindSpore reads by the ending .ckpt only; "
                                 "mend: rename it")
            return "checkpoint"
    is_torch = head[:4] == b"PK\x03\x04" or head[8:9] == b"{"
    what = OF_PYTORCH if is_torch else "is no checkpoint of MindSpore, no ONNX and no MINDIR"
    raise InputError(f"--model {path}: {what}")


def open_target(target: str, device_id: int, candidates: tuple, opener):
    """opener(target), for auto of the first of `candidates` that can be used."""
    if target != "auto":
        return opener(target, device_id)
    for candidate in candidates[:-1]:
        try:
            return opener(candidate, device_id)
        except InputError:
            pass
    return opener(candidates[-1], device_id)


def accepted(values: dict) -> dict:
    """Of what a file says of its network, what the options would take; the file may be somebody else's."""
    options, kept = read_options(), {}
    for name in OF_THE_NETWORK:
        try:
            kept[name] = check_value(options[name], values[name], "")
        except (KeyError, InputError):
            pass
    return kept


def settings_beside(path: Path) -> dict:
    """What is known of a checkpoint's network: config.yaml that train.py wrote beside it, and the file's own name."""
    saved, networks = None, read_options()["model"].choices
    try:
        saved = yaml.safe_load((path.parent / "config.yaml").read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        pass    # none there, or somebody else's
    known = accepted(saved) if isinstance(saved, dict) else {}
    named = next((name for name in networks if path.name.startswith(name)), None)
    return known | ({"model": named} if named else {})


class CheckpointModel:
    """A checkpoint in MindSpore.

    Attributes: as those of OnnxModel; also `cell`, what runs, and `place`, the opened src.device.Device.
    """

    names = None

    def __init__(self, config):
        self.path, self.network = config.model_file, config.model
        self.place = open_target(config.device_target, config.device_id, ("Ascend", "CPU"), open_device)
        self.device = self.place.target
        weights = read_network(self.path, "model")
        if CLASSIFIER not in weights:
            raise InputError(f"--model {self.path}: a backbone alone, without the classifier; train.py "
                             "--ckpt_pre_trained starts from it")
        self.num_classes = weights[CLASSIFIER].shape[0]
        self.cell = load_trained(self.network, self.num_classes, config.atrous_rates, self.path, "model", weights)

    def check(self, settings) -> None:
        """Any settings will do."""

    def make_predict(self, settings):
        """The evaluator's predict."""
        return make_predict(self.cell, settings.batch_size)


def open_model(config):
    """(options, model): the file that the options name, and the options once more with what it says of itself."""
    path, kind = config.model_file, kind_of(config.model_file)
    if kind == "checkpoint":
        config = believe(config, settings_beside(Path(path)), path)
        return config, CheckpointModel(config)
    if kind == "onnx":
        model = open_target(config.device_target, config.device_id, ("GPU", "CPU"),
                            lambda target, number: OnnxModel(path, target, number, "model"))
    else:
        from src.models.mindspore_engine import MindirModel
        device = open_target(config.device_target, config.device_id, ("Ascend", "CPU"), open_device)
        model = MindirModel(path, "model", device.target)
    said = {"image_mean": model.mean, "image_std": model.std, "crop_size": model.crop_size}
    return believe(config, accepted(said), path), model
