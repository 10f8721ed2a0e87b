"""Measure figures together with the alternatives that they are compared with, and write the results as JSON.

    python benchmarks/run.py --list
    python benchmarks/run.py network_s16 predict --data_root /data
    python benchmarks/run.py --tables

Every side is a process of its own. The sides of a figure take turns, so that a disturbance affects all; the result is
the median. A side whose package is missing (benchmarks/requirements.txt) is left out. Each result describes the
machine, and is marked as busy if other programs used it: such figures should not be kept.
"""
import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)    # in place of this folder
from benchmarks import machine
from benchmarks.figures import FIGURES, Side
from benchmarks.prepare import VOC, Job, environment
from src.console import RunError, run_program

RESULTS = ROOT / "benchmarks/results"
REQUIREMENTS = "pip install -r benchmarks/requirements.txt"


class Served:
    """The process of a side; `missing` is empty, or the reason why there is no process."""

    def __init__(self, side, job: Job):
        self.title, self.errors = side.title, tempfile.TemporaryFile("w+")
        absent = [name for name in side.needs if importlib.util.find_spec(name) is None]
        self.process, self.missing = None, ""
        if absent:
            self.missing = f"{' and '.join(absent)} is not installed; {REQUIREMENTS}"
            return
        command = [sys.executable, ROOT / "benchmarks/serve.py", side.make, json.dumps([job._asdict(), side.options])]
        self.process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.missing = self.answer().get("missing", "")
        if self.missing:
            self.close()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.errors.seek(0)
        raise RuntimeError(f"{self.title}: ended with {self.process.wait()}\n{self.errors.read()[-3000:]}")

    def turn(self) -> dict:
        with contextlib.suppress(BrokenPipeError):    # it has died; reading its answer will report that
            print(file=self.process.stdin, flush=True)
        return self.answer()

    def close(self) -> None:
        if self.process:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
        self.errors.close()


def take_turns(figure, job: Job, rounds: int) -> tuple:
    """({key: results of each round}, {key: why a side was left out})."""
    found, left_out, alive = {}, {}, {}
    try:
        for key, side in figure.sides.items():
            served = Served(side, job._replace(out=job.out + key))
            if served.missing:
                left_out[key] = served.missing
                print(f"left out: {side.title} ({served.missing})", flush=True)
                continue
            found[key] = []
            if figure.apart:
                found[key] = [served.turn() for _ in range(rounds + 1)][1:]
                served.close()
            else:
                alive[key] = served
        for number in range(0 if figure.cold else -1, rounds):
            for key, served in alive.items():
                answer = served.turn()
                found[key] += [answer] if number >= 0 else []    # the first warms up
    finally:
        for served in alive.values():
            served.close()
    return found, left_out


def compare(figure, job: Job, keys: list) -> dict:
    """Key -> result of the figure's `compare` of a side with the first."""
    keys = [key for key in keys if Path(f"{job.out}{key}.npz").exists()]
    if not figure.compare or len(keys) < 2:
        return {}
    served = Served(Side("comparison", figure.compare, {"keys": keys}), job)
    try:
        return served.turn()["compared"]
    finally:
        served.close()


def summarise(rounds: list) -> dict:
    """Medians of the turns' results; seconds are per image if the turns count images."""
    middle = {}
    for name, value in rounds[0].items():
        numeric = isinstance(value, (int, float))
        middle[name] = statistics.median(one[name] for one in rounds) if numeric else value
    seconds = [one["s"] / one.get("images", 1) for one in rounds]
    return {**middle, "s": statistics.median(seconds), "rounds_s": seconds}


def add_ratios(sides: dict) -> None:
    """Ratios of our seconds and peak memory to each other side's."""
    keys = list(sides)
    for key in keys[1:]:
        for ratio, value in (("ratio", "s"), ("memory", "mb")):
            if sides[keys[0]][value] and sides[key][value]:
                sides[key][ratio] = sides[keys[0]][value] / sides[key][value]


def judge(figure, sides: dict) -> list:
    """Each target with the measured value, None if the side was left out."""
    found = []
    for target in figure.targets:
        value = sides.get(target.side, {}).get(target.value)
        found.append({**target._asdict(), "measured": value, "met": None if value is None else value <= target.most})
    return found


def measure(figure, job: Job, rounds: int, first_load: list) -> dict:
    """The result of a figure, with the contents of its JSON file."""
    out = Path(job.folder, "out", figure.name)
    out.mkdir(parents=True)
    job = job._replace(out=f"{out}/")
    load, before, watch = machine.load(), machine.others_now(), machine.Watch()
    found, left_out = take_turns(figure, job, rounds)
    others = watch.others()
    if not found:
        return {}
    sides = {key: {"title": figure.sides[key].title, **summarise(turns)} for key, turns in found.items()}
    if figure.beside and next(iter(figure.sides)) in sides:
        add_ratios(sides)
    for key, more in compare(figure, job, list(sides)).items():
        sides[key].update(more)
    return {"name": figure.name, "what": figure.what, "how": f"{figure.how}; medians of {rounds}",
            "sides": sides, "left_out": left_out, "targets": judge(figure, sides), "smallest": job.smallest,
            "pictures": "the user's VOC" if job.data_root else "drawn", "date": datetime.date.today().isoformat(),
            "machine": machine.describe(), "load_first": first_load, "load_before": load, "load_after": machine.load(),
            "others_before": before, "others": others, "busy": machine.reasons(first_load, before, others)}


def show(result: dict) -> None:
    """Print the figure."""
    print(f"\n{result['name']}: {result['what']} ({result['how']})")
    for side in result["sides"].values():
        parts = [f"{side['title']:<40} {side['s']:9.4f} s"]
        parts += [f"{side['mb']:7.0f} MB"] if side["mb"] else []
        parts += [f"{name.replace('_', ' ')} {side[name]:.6g}" for name in (
            "ratio", "memory", "difference", "equal_pixels", "mean_iou") if side.get(name) is not None]
        print("  " + "  ".join(parts))
    for target in [] if result["smallest"] else result["targets"]:
        if target["met"] is not None:
            print(f"  target {target['value']} {target['side']} <= {target['most']:g}: {target['measured']:.4g}, "
                  f"{'met' if target['met'] else 'missed'}")
    for reason in result["busy"]:
        print(f"  busy: {reason}")
    sys.stdout.flush()


def run(options) -> int:
    """Measure the named figures; returns the number of figures that could not be measured."""
    first_load, failed = machine.load(), 0
    names = options.names or list(FIGURES)
    with tempfile.TemporaryDirectory() as folder:
        absolute = os.path.abspath(options.data_root) if options.data_root else ""
        job = Job(folder, "", absolute, options.smallest, options.beside, options.ckpt_file and os.path.abspath(
            options.ckpt_file), options.data_lst, options.calibration_lst)
        for name in names:
            try:
                figure = FIGURES[name]
                result = measure(figure, job, options.rounds or (1 if options.smallest else figure.rounds), first_load)
            except RuntimeError as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed += 1
                continue
            if not result:
                continue
            show(result)
            if options.results:
                options.results.mkdir(parents=True, exist_ok=True)
                (options.results / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    return failed


def list_figures() -> None:
    for figure in FIGURES.values():
        print(f"{figure.name}: {figure.what}\n    {' | '.join(side.title for side in figure.sides.values())}")
        for target in figure.targets:
            print(f"    target: {target.value} {target.side} <= {target.most:g}")
        print(f"    {figure.how}")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to measure; all of them by default")
    parser.add_argument("--list", action="store_true", help="list the figures and measure nothing")
    parser.add_argument("--tables", action="store_true", help="write the tables of the pages from the results")
    parser.add_argument("--data_root", default="", help=f"folder of real pictures with {VOC}; drawn ones by default")
    parser.add_argument("--rounds", type=int, default=0, help="turns of each side; each figure has its own default")
    parser.add_argument("--results", type=Path, help="folder of the JSON files (default: benchmarks/results)")
    parser.add_argument("--smallest", action="store_true",
                        help="the tiny network and few pictures, as a quick check; written only with --results")
    parser.add_argument("--beside", default="", help="an older checkout, for quickstart")
    parser.add_argument("--ckpt_file", default="", help="a trained network, for precision")
    parser.add_argument("--data_lst", default="", help="its pictures with masks, relative to --data_root")
    parser.add_argument("--calibration_lst", default="", help="pictures that int8 is calibrated on")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in FIGURES]
    if unknown:
        parser.error(f"unknown figure {', '.join(unknown)}; --list shows all")
    if options.data_root and not Path(options.data_root, VOC).is_dir() and not options.data_lst:
        parser.error(f"--data_root {options.data_root}: contains no {VOC}")
    if not options.results and not options.smallest:
        options.results = RESULTS
    return options


def main(argv=None) -> None:
    options = parse(argv)
    if options.list:
        list_figures()
    elif options.tables:
        from benchmarks.tables import write_tables
        write_tables(options.results or RESULTS)
    elif failed := run(options):
        raise RunError(f"{failed} of the figures could not be measured")


if __name__ == "__main__":
    sys.exit(run_program(main, has_own_signals=True))    # Ctrl-C goes to the sides, too
