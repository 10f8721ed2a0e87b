"""Evaluate a checkpoint of DeepLabV3 on a list of pictures with masks: mIoU over the whole set."""
import sys

from src.config import parse_args
from src.console import run_program
from src.data.labels import class_names
from src.device import open_device
from src.evaluation.run import evaluate_pairs, read_pairs, settings_of
from src.modelarts import storage
from src.models.mindspore_engine import load_trained, make_predict


def run(config) -> None:
    """One evaluation: predict, score, report."""
    pairs = read_pairs(config)
    names = class_names(config.num_classes, config.class_names)
    settings = settings_of(config, len(pairs))
    device = open_device(config.device_target, config.device_id, config.is_distributed)
    network = load_trained(config.model, config.num_classes, config.atrous_rates, config.ckpt_path, "ckpt_path")
    predict = make_predict(network, settings.batch_size)
    evaluate_pairs(config, pairs, settings, predict, names, config.model, config.ckpt_path, device)


def main(argv=None):
    with storage(parse_args("eval", __doc__, argv)) as config:
        run(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
