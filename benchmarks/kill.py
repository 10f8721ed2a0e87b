"""kill -9 of a run that saves after every step, again and again: `python benchmarks/kill.py --kills 50`.

Each time the run must resume from a whole checkpoint, further on than the time before.
"""
import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from src.training.state import find_checkpoint, read_manifest


def start(data_file, train_dir) -> subprocess.Popen:
    command = [sys.executable, ROOT / "train.py", "--device_target", "CPU", "--model", "deeplab_v3_tiny_s16",
               "--num_classes", 6, "--crop_size", 33, "--batch_size", 2, "--data_file", data_file, "--train_dir",
               train_dir, "--train_epochs", 1000, "--save_steps", 1, "--keep_checkpoint_max", 2, "--resume", "auto"]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_until_past(train_dir, step, process) -> None:
    while True:
        if process.poll() is not None:
            sys.exit(f"the run ended with {process.returncode}: {process.stderr.read().decode()}")
        entries = read_manifest(train_dir).values()
        if max((entry["step"] for entry in entries), default=0) > step:
            return
        time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--data_file", required=True, help="a MindRecord of six classes, such as the quickstart's")
    options = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        reached = 0
        for kill in range(1, options.kills + 1):
            process = start(options.data_file, folder)
            wait_until_past(folder, reached, process)
            time.sleep(random.uniform(0, 0.5))    # a step with its checkpoint takes about 0.2 s
            process.send_signal(signal.SIGKILL)
            process.wait()
            path, step = find_checkpoint("auto", folder)
            if path is None or step <= reached:
                sys.exit(f"kill {kill}: nothing to resume after step {reached}")
            left = len(list(Path(folder).glob(".*")))
            print(f"kill {kill}: {path.name} is whole, step {step}; {left} unfinished files beside it", flush=True)
            reached = step
    print(f"{options.kills} kills, every run could be resumed")


if __name__ == "__main__":
    main()
