"""What a model file holds and says of itself: python src/tools/model_info.py FILE

Parameters, multiply-adds, classes and all facts of a checkpoint, an ONNX file or a MINDIR; with --benchmark its speed
and memory on this machine in each engine that runs it."""
import shutil
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.arguments import Parser
from src.console import InputError, run_program
from src.foreign import printable
from src.nets.architecture import NETWORKS

OPTION = "FILE"    # what errors call the file
INDENT = 18
# Fact -> what the table calls it; others by their own names.
TITLES = {"num_classes": "classes", "checkpoint_sha256": "of checkpoint"}


def parse(argv):
    parser = Parser("model_info.py", description=__doc__)
    parser.add_argument("file", metavar=OPTION, help="a checkpoint, .onnx or .mindir, told apart by its contents")
    parser.add_argument("--crop_size", type=int, metavar="INT", help="side of the picture in pixels that is counted "
                        "and measured, 33 to 8193; by default what the file says, else 513")
    parser.add_argument("--net", choices=list(NETWORKS), metavar="NAME", help="network of a checkpoint that does not "
                        f"say it: {', '.join(NETWORKS)}")
    parser.add_argument("--benchmark", action="store_true", help="measure each engine in a process of its own, some "
                        "seconds each; on an idle machine")
    given = parser.parse_args(argv)
    if given.crop_size is not None and not 33 <= given.crop_size <= 8193:
        raise InputError(f"--crop_size: must be 33 to 8193, not {given.crop_size}")
    return given


def main(argv=None):
    given = parse(argv)
    from src.models import counts, model, model_file  # here, so that --help answers at once
    from src.weights.checkpoint import digest
    file = model_file.read_model_file(given.file, OPTION)
    path, kind, said = file.path, file.kind, file.facts
    known = {name: value for name, value in model.defaults().items() if name not in ("network", "num_classes")} | said
    known |= {"network": given.net} if given.net else {}
    found = counts.count(file, known, given.crop_size or known["crop_size"])
    show("file", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    show("kind", f"{model.TITLES[kind]}: {found.contents}")
    show("SHA-256", digest(path))
    show("parameters", f"{found.parameters:,}")
    show("multiply-adds", "not known" if found.multiply_adds is None else
         f"{found.multiply_adds / 1e9:.3f} billion for a picture of {found.side}x{found.side}")
    for name, value in ({"network": found.network or "not said"} | said).items():
        show(TITLES.get(name, name.replace("_", " ")), value)
    if given.benchmark:
        benchmark(path, kind, found)


def show(name: str, value) -> None:
    """A line of the table, folded where the terminal ends."""
    width = max(40, min(shutil.get_terminal_size().columns, 100) - INDENT)
    lines = textwrap.wrap(printable(as_text(value), 20_000), width, break_long_words=False, break_on_hyphens=False)
    print(f"{name:<{INDENT}}" + f"\n{'':<{INDENT}}".join(lines))


def as_text(value) -> str:
    """A fact as one reads it: options with their values, where they have one; numbers between blanks, texts between
    commas."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {as_text(part)}" for name, part in value.items() if part != "")
    if isinstance(value, (list, tuple)):
        return (", " if any(isinstance(part, str) for part in value) else " ").join(map(str, value))
    return str(value)


def benchmark(path: Path, kind: str, found) -> None:
    """A line for each engine that takes such files. Raises InputError if none runs this one."""
    from src.models import model, speed
    engines = [engine for engine, (_, kinds, *_) in model.ENGINES.items() if kind in kinds]
    known = {"network": found.network} if kind == "checkpoint" and found.network else {}
    print(f"\n{'engine':<13}{'images/s':>9}{'ms a picture':>14}{'peak memory':>13}  one picture at a time")
    failed = []
    for engine in engines:
        try:
            seen = speed.measure(path, engine, found.side, known)
        except InputError as error:
            failed.append(engine)
            print(f"{engine:<13}{'-':>9}{'-':>14}{'-':>13}  {error}", flush=True)
            continue
        memory = "-" if seen["mb"] is None else f"{seen['mb']:,.0f} MB"
        print(f"{engine:<13}{1 / seen['s']:>9.2f}{1000 * seen['s']:>14.1f}{memory:>13}  {seen['device']}, "
              f"{seen['side']}x{seen['side']}, {seen['passes']} passes", flush=True)
    if failed == engines:
        raise InputError(f"{OPTION} {path}: no engine here runs it")


if __name__ == "__main__":
    sys.exit(run_program(main))
