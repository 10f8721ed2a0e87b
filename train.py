"""Train DeepLabV3 on a MindRecord of VOC-like data."""
import sys

from src.config import parse_args
from src.console import run_program
from src.modelarts import storage


def main(argv=None):
    with storage(parse_args("train", __doc__, argv)) as config:
        # After the options, so that --help is quick; MindSpore after its environment is prepared.
        from src.device import prepare_environment
        prepare_environment()
        from src.training.run import train
        train(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
