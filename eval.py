"""Evaluate a checkpoint of DeepLabV3 on a list of pictures with masks: mIoU over the whole set."""
import dataclasses
import sys
from functools import partial

from src.config import parse_args
from src.data.voc import check_files, class_names, read_list, read_pair
from src.device import open_device
from src.evaluation.backend import make_predict, sum_over_ranks
from src.evaluation.inference import FIVE_SCALES, Settings, evaluate
from src.evaluation.report import EvaluationLog, format_table, write_result
from src.modelarts import storage
from src.utils.checkpoint import digest
from src.utils.log import InputError, run_program


def settings_of(config, count: int) -> Settings:
    """The evaluator's settings for `count` pictures, from the options."""
    if config.scales_type == 1 and config.scales != [1.0]:
        raise InputError(f"--scales_type 1 stands for the scales {FIVE_SCALES}; give it or --scales, not both")
    return Settings(config.crop_size, FIVE_SCALES if config.scales_type else tuple(config.scales), config.flip,
                    min(config.batch_size, count), config.num_classes, config.ignore_label,
                    tuple(config.image_mean), tuple(config.image_std))


def load_network(config):
    """The network of --model with the weights of --ckpt_path, ready for the evaluator."""
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.utils import checkpoint
    network = InferenceNetwork(create_network(config.model, config.num_classes, config.atrous_rates))
    checkpoint.load_network(network, config.ckpt_path)
    return network


def run(config) -> None:
    """One evaluation: predict, score, report."""
    pairs = read_list(config.data_lst)
    check_files(pairs, config.data_root, config.data_lst)
    names = class_names(config.num_classes, config.class_names)
    settings = settings_of(config, len(pairs))
    device = open_device(config.device_target, config.device_id, config.is_distributed)
    predict = make_predict(load_network(config), settings.batch_size)

    log = EvaluationLog(len(pairs[device.rank::device.size]), config.overlay_dir, config.overlay_max)
    load = partial(read_pair, config.data_root, num_classes=config.num_classes, ignore_label=config.ignore_label)
    matrix = evaluate(predict, pairs[device.rank::device.size], load, settings, log)
    log.close()
    matrix.counts = sum_over_ranks(matrix.counts, device)
    if device.rank == 0:
        print(format_table(matrix, names))
        write_result(config.result_file, matrix, names, {
            "images": len(pairs), "images_per_s": round(log.rate() * device.size, 3),
            "settings": dataclasses.asdict(settings), "options": dataclasses.asdict(config),
            "checkpoint_sha256": digest(config.ckpt_path)})
        print(f"result written to {config.result_file}")


def main(argv=None):
    with storage(parse_args("eval", __doc__, argv)) as config:
        run(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
