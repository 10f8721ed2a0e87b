"""Curves of a training run, curves.png beside metrics.jsonl: python src/tools/plot.py METRICS.jsonl ..."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.arguments import Parser
from src.console import run_program


def main(argv=None):
    parser = Parser("plot.py", description=__doc__)
    parser.add_argument("metrics", nargs="+", metavar="METRICS.jsonl", help="file in the train_dir of train.py")
    parser.add_argument("--overwrite", action="store_true", help="replace a curves.png of another program")
    given = parser.parse_args(argv)
    from src.drawing.curves import plot  # after --help: it imports matplotlib
    for path in given.metrics:
        print(f"{plot(path, '' if given.overwrite else 'drawn')} drawn")


if __name__ == "__main__":
    sys.exit(run_program(main))
