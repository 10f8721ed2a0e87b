"""Evaluate an exported ONNX model on a list of pictures with masks: mIoU over the whole set, without MindSpore."""
import dataclasses
import sys

from src.config import parse_args
from src.console import run_program
from src.data.labels import class_names
from src.device import Device
from src.evaluation.run import evaluate_pairs, read_pairs, settings_of
from src.models.onnxruntime_engine import OnnxModel


def main(argv=None):
    config = parse_args("eval_onnx", __doc__, argv)
    pairs = read_pairs(config)
    settings = settings_of(config, len(pairs))
    target = "CPU" if config.device_target == "auto" else config.device_target
    model = OnnxModel(config.file_name, target, config.device_id)
    if model.mean and model.std:
        settings = dataclasses.replace(settings, mean=tuple(model.mean), std=tuple(model.std))
    model.check(settings)
    own = model.names and not config.class_names
    names = model.names if own else class_names(model.num_classes, config.class_names)
    evaluate_pairs(config, pairs, settings, model.make_predict(settings), names, model.network, model.path,
                   Device(target, 0, 1))


if __name__ == "__main__":
    sys.exit(run_program(main))
