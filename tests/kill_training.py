"""Kill train.py at random moments, go on with --resume auto, and compare the end with a run that nobody killed.

    python -m tests.kill_training 50 --seed 1

Minutes, so the tests do not run it. Half of the kills come at any time after the start, half once steps are written.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from src.weights.manifest import read_manifest
from tests.conftest import ROOT, TINY

SETTINGS = ("--train_epochs", 6, "--save_steps", 2, "--keep_checkpoint_max", 4, "--base_lr", 0.05)
BEST = "deeplab_v3_tiny_s16-best.ckpt"
BUSY = 2.0    # seconds after the first new step within which half of the kills fall


def program(*command) -> None:
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def prepare(folder: Path) -> list:
    """A drawn sample of 24 + 6 pictures; the command that trains on it, but for --train_dir."""
    program("src/data/sample.py", "--sample_dir", folder, "--sample_train", 24, "--sample_val", 6)
    program("src/data/get_dataset_lst.py", "--data_root", folder)
    program("src/data/build_seg_data.py", "--data_root", folder, "--data_lst", folder / "voc_train_lst.txt",
            "--dst_path", folder / "t.mindrecord", "--num_shards", 1)
    return [sys.executable, ROOT / "train.py", *TINY, *SETTINGS, "--data_file", folder / "t.mindrecord", "--data_root",
            folder, "--eval_data_lst", folder / "voc_val_lst.txt", "--resume", "auto", "--train_dir"]


def start(command: list, folder: Path, log) -> subprocess.Popen:
    return subprocess.Popen([*map(str, command), str(folder)], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def lines_in(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def kill(process, folder: Path, seconds: float, rng: random.Random) -> bool:
    """Kill the process at a random moment of a run that takes `seconds`; False if it had ended before."""
    end, before = time.monotonic() + rng.uniform(0, seconds), lines_in(folder)
    if rng.random() < 0.5:
        while process.poll() is None and lines_in(folder) <= before:
            time.sleep(0.01)
        end = time.monotonic() + rng.uniform(0, BUSY)
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.kill()
    return process.wait() < 0


def differences(uncut: Path, cut: Path) -> list:
    """What differs between two runs that are done, as lines."""
    found = []
    manifests = [read_manifest(folder) for folder in (uncut, cut)]
    if manifests[0] != manifests[1]:
        found.append(f"checkpoints.json: {manifests}")
    # What was there before the first checkpoint is moved aside, as the files of any earlier run are.
    names = [sorted(path.name for path in folder.iterdir() if not path.name.startswith("earlier_"))
             for folder in (uncut, cut)]
    if names[0] != names[1]:
        found.append(f"files: only uncut {set(names[0]) - set(names[1])}, only cut {set(names[1]) - set(names[0])}")
    for name in {*manifests[0], BEST}:
        if not (cut / name).is_file() or (uncut / name).read_bytes() != (cut / name).read_bytes():
            found.append(f"{name}: missing, or other bytes")
    said = [[{name: value for name, value in json.loads(line).items() if name != "images_per_s"}
             for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (uncut, cut)]
    if said[0] != said[1]:
        found.append(f"metrics.jsonl: {len(said[0])} lines uncut, {len(said[1])} cut; first that differs: "
                     f"{next(((a, b) for a, b in zip(*said) if a != b), 'the length')}")
    return found


def kill_often(count: int, rng: random.Random, folder: Path) -> list:
    """Differences after `count` kills in as many runs as it takes."""
    command, found, killed, runs = prepare(folder / "data"), [], 0, 0
    with open(folder / "log", "w+") as log:
        begin = time.monotonic()
        if start(command, folder / "uncut", log).wait():
            raise SystemExit((folder / "log").read_text())
        seconds = time.monotonic() - begin
        while killed < count or (folder / f"cut {runs}").exists():    # the last run is not left cut
            cut = folder / f"cut {runs}"
            process = start(command, cut, log)
            if killed < count and kill(process, cut, seconds, rng):
                killed += 1
                continue
            if process.wait():
                found.append(f"run {runs}: exit code {process.returncode}: {(folder / 'log').read_text()[-500:]}")
            found += [f"run {runs}: {line}" for line in differences(folder / "uncut", cut)]
            runs += 1
            print(f"{killed} kills, {runs} runs to the end, {len(found)} differences", flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.kill_training")
    parser.add_argument("count", nargs="?", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="kill_training_") as name:
        problems = kill_often(options.count, random.Random(options.seed), Path(name))
    print("\n".join(problems) or "each run ended as the one that nobody killed, to the bit")
    sys.exit(bool(problems))
