"""Curves of a training run, curves.png beside metrics.jsonl: python src/tools/plot.py METRICS.jsonl ..."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.arguments import Parser
from src.console import run_program


def main(argv=None):
    parser = Parser("plot.py", description=__doc__)
    parser.add_argument("metrics", nargs="+", metavar="METRICS.jsonl", help="what train.py wrote into its train_dir")
    paths = parser.parse_args(argv).metrics
    from src.drawing.curves import plot  # after --help: it imports matplotlib
    for path in paths:
        print(f"{plot(path)} drawn")


if __name__ == "__main__":
    sys.exit(run_program(main))
