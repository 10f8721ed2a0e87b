"""Turn a ResNet-101 or DeepLabV3 of another project into a checkpoint of train.py, or a trained one into PyTorch's."""
import sys

from src.config import parse_args
from src.console import run_program


def main(argv=None):
    config = parse_args("convert_resnet101", __doc__, argv)
    from src.weights.convert import run  # after the options, so that --help is quick
    run(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
