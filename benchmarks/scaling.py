"""Images/s of training with 1, 2, ... workers on this machine, in one run: `python benchmarks/scaling.py`.

Each worker has the same number of cores, however many there are, as each device of a bigger machine is one more.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def prepare(folder: Path) -> Path:
    """A drawn sample as MindRecord; returns its first shard."""
    for command in (["src/data/sample.py", "--sample_dir", folder / "data"],
                    ["src/data/get_dataset_lst.py", "--data_root", folder / "data"],
                    ["src/data/build_seg_data.py", "--data_root", folder / "data", "--num_classes", 6, "--data_lst",
                     folder / "data/voc_train_lst.txt", "--dst_path", folder / "r.mindrecord", "--num_shards", 2]):
        run(command)
    return folder / "r.mindrecord0"


def run(command, cores=None) -> None:
    """Run a program of the project, on these cores alone if they are given."""
    program, *arguments = map(str, command)
    bind = (lambda: os.sched_setaffinity(0, cores)) if cores else None
    done = subprocess.run([sys.executable, ROOT / program, *arguments], capture_output=True, text=True,
                          preexec_fn=bind)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr)


def measure(workers: int, data_file: Path, folder: Path, options) -> float:
    """Median images/s over all workers, without the first steps, which compile."""
    train_dir, cores = folder / f"ckpt{workers}", sorted(os.sched_getaffinity(0))
    own = max(1, len(cores) // max(options.workers))    # cores of a worker
    run(["src/tools/launch.py", "--ranks", workers, "--device_target", "CPU", "--log_dir", folder / f"logs{workers}",
         "--", ROOT / "train.py", "--is_distributed", "--device_target", "CPU", "--data_file", data_file, "--train_dir",
         train_dir, "--num_classes", 6, "--model", options.model, "--crop_size", options.crop_size, "--batch_size",
         options.batch_size, "--train_epochs", 1, "--save_steps", 10**6], cores[:workers * own])
    lines = [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(line["images_per_s"] for line in lines[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", default="deeplab_v3_s16")
    parser.add_argument("--crop_size", type=int, default=97)
    parser.add_argument("--batch_size", type=int, default=8, help="pictures a step for each worker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_file = prepare(Path(folder))
        rates = {workers: measure(workers, data_file, Path(folder), options) for workers in options.workers}
    first = options.workers[0]
    print(f"{options.model}, crop {options.crop_size}, {options.batch_size} pictures a step for each worker")
    print("workers  images/s  efficiency")
    for workers, rate in rates.items():
        print(f"{workers:7d}  {rate:8.2f}  {rate * first / rates[first] / workers:9.0%}")


if __name__ == "__main__":
    main()
