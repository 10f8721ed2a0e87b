"""Evaluate an exported ONNX model on a list of pictures with masks: mIoU over the whole set, without MindSpore."""
import sys
from pathlib import Path

from src.config import parse_args
from src.console import run_program


def main(argv=None):
    config = parse_args("eval_onnx", __doc__, argv)
    from src.evaluation.run import run  # after the options, so that --help is quick
    given = Path(config.file_name)
    run(config, given if given.is_file() else Path(f"{config.file_name.removesuffix('.onnx')}.onnx"), "--file_name")


if __name__ == "__main__":
    sys.exit(run_program(main))
