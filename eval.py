"""Evaluate a checkpoint of DeepLabV3 on a list of pictures with masks: mIoU over the whole set."""
import sys

import numpy as np

from src.config import parse_args
from src.data.voc import class_names
from src.device import open_device
from src.evaluation.program import evaluate_pairs, read_pairs, settings_of
from src.utils.log import run_program


def make_predict(config, batch_size: int):
    """The evaluator's predict function from a checkpoint: a MindSpore network in graph mode.

    A smaller last batch is filled up, since every new shape would be compiled anew.
    """
    import mindspore as ms

    from src.nets.net_factory import InferenceNetwork, create_network
    from src.utils.checkpoint import load_network
    network = InferenceNetwork(create_network(config.model, config.num_classes, config.atrous_rates))
    load_network(network, config.ckpt_path)

    def predict(inputs):
        count = len(inputs)
        if count < batch_size:
            inputs = np.concatenate([inputs, np.zeros((batch_size - count, *inputs.shape[1:]), np.float32)])
        return network(ms.Tensor(inputs)).asnumpy()[:count]
    return predict


def main(argv=None):
    config = parse_args("eval", __doc__, argv)
    pairs = read_pairs(config)
    names = class_names(config.num_classes, config.class_names)
    settings = settings_of(config, len(pairs))
    open_device(config.device_target, config.device_id)
    predict = make_predict(config, settings.batch_size)
    evaluate_pairs(config, pairs, settings, predict, names, config.model, config.ckpt_path)


if __name__ == "__main__":
    sys.exit(run_program(main))
