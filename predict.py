"""Predict the classes of pictures and videos: class maps, overlays and the coverage of each class.

python predict.py photo.jpg --model deeplabv3.onnx
"""
import sys

from src.config import parse_args
from src.console import run_program


def main(argv=None):
    config = parse_args("predict", __doc__, argv)
    from src.prediction.run import run  # here, so that --help answers at once
    run(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
