"""Evaluate a checkpoint of DeepLabV3 on a list of pictures with masks: mIoU over the whole set."""
import dataclasses
import sys
from functools import partial
from pathlib import Path

import numpy as np

from src.config import parse_args
from src.data.voc import class_names, read_list, read_pair
from src.device import open_device
from src.evaluation.inference import FIVE_SCALES, Settings, evaluate
from src.evaluation.report import EvaluationLog, format_table, write_result
from src.modelarts import storage
from src.utils.log import InputError, run_program


def settings_of(config, count: int) -> Settings:
    """The evaluator's settings for `count` pictures, from the options."""
    if config.scales_type == 1 and config.scales != [1.0]:
        raise InputError(f"--scales_type 1 stands for the scales {FIVE_SCALES}; give it or --scales, not both")
    return Settings(config.crop_size, FIVE_SCALES if config.scales_type else tuple(config.scales), config.flip,
                    min(config.batch_size, count), config.num_classes, config.ignore_label,
                    tuple(config.image_mean), tuple(config.image_std))


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


def run(config) -> None:
    """One evaluation: predict, score, report."""
    pairs = read_list(config.data_lst)
    missing = [path for pair in pairs for path in pair if not Path(config.data_root, path).is_file()]
    if missing:
        raise InputError(f"{Path(config.data_root, missing[0])}: no such file, though {config.data_lst} lists it "
                         f"({len(missing)} files missing); paths are relative to --data_root")
    names = class_names(config.num_classes, config.class_names)
    settings = settings_of(config, len(pairs))
    open_device(config.device_target, config.device_id)
    predict = make_predict(config, settings.batch_size)

    from src.utils.checkpoint import digest
    log = EvaluationLog(len(pairs), config.overlay_dir, config.overlay_max)
    load = partial(read_pair, config.data_root, num_classes=config.num_classes, ignore_label=config.ignore_label)
    matrix = evaluate(predict, pairs, load, settings, log)
    log.close()
    print(format_table(matrix, names))
    write_result(config.result_file, matrix, names, {
        "images": len(pairs), "images_per_s": round(log.rate(), 3), "settings": dataclasses.asdict(settings),
        "options": dataclasses.asdict(config), "checkpoint_sha256": digest(config.ckpt_path)})
    print(f"result written to {config.result_file}")


def main(argv=None):
    with storage(parse_args("eval", __doc__, argv)) as config:
        run(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
