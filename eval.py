"""Evaluate a checkpoint of DeepLabV3 on a list of pictures with masks: mIoU over the whole set."""
import sys

from src.config import parse_args
from src.console import run_program
from src.modelarts import storage


def main(argv=None):
    with storage(parse_args("eval", __doc__, argv)) as config:
        from src.evaluation.run import run  # after the options, so that --help is quick
        run(config, config.ckpt_path, "--ckpt_path")


if __name__ == "__main__":
    sys.exit(run_program(main))
