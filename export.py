"""Export a checkpoint of DeepLabV3 with its softmax to ONNX, MINDIR or AIR."""
import sys

from src.config import parse_args
from src.console import run_program
from src.modelarts import storage


def main(argv=None):
    with storage(parse_args("export", __doc__, argv)) as config:
        from src.export.run import run  # after the options, so that --help is quick
        run(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
