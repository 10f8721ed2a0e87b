"""First and later starts of the programs that compile, graphs kept between: `python benchmarks/compilation.py`.

Each start is a process of its own on a drawn sample, the cache at first an empty folder; the weights are untrained.
Training is cut after its second step. Of the later starts, whose graphs are all kept, the medians are printed.
"""
import argparse
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)    # in place of this folder, whose onnx.py would hide the package

from benchmarks.scaling import prepare


def shape(options) -> tuple:
    """Options of train.py and eval.py that choose the network and its input."""
    return "--model", options.model, "--crop_size", options.crop_size


def start(program, cache, *arguments) -> subprocess.Popen:
    command = [sys.executable, ROOT / program, "--device_target", "CPU", "--compile_cache", cache, *arguments]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)


def training_start(options, cache, folder, data_file) -> tuple:
    """Seconds from the start of the process to the end of the first step, and from there to that of the second."""
    began = time.perf_counter()
    process = start("train.py", cache, "--num_classes", 6, *shape(options), "--batch_size", options.batch_size,
                    "--data_file", data_file, "--train_dir", folder / "train", "--train_epochs", 1)
    ends = []
    for line in process.stdout:
        if re.match(r"epoch: \d+ step:", line):
            ends.append(time.perf_counter())
        if len(ends) == 2:
            process.send_signal(signal.SIGKILL)    # the graphs are kept since the first step
            break
    process.stdout.close()
    process.wait()
    if len(ends) < 2:
        raise SystemExit("train.py failed")
    return ends[0] - began, ends[1] - ends[0]


def run_time(*arguments) -> float:
    """From the start of a process, see start, to its end."""
    began = time.perf_counter()
    process = start(*arguments)
    process.communicate()
    if process.returncode:
        raise SystemExit(f"{arguments[0]} failed")
    return time.perf_counter() - began


def evaluation_time(options, cache, folder, checkpoint) -> float:
    return run_time("eval.py", cache, "--num_classes", 6, *shape(options), "--batch_size", 1, "--data_root",
                    folder / "data", "--data_lst", folder / "one.txt", "--scales_type", 1, "--flip", "--ckpt_path",
                    checkpoint, "--result_file", folder / "result.json")


def prediction_time(options, cache, folder, checkpoint) -> float:
    picture = folder / "data" / (folder / "one.txt").read_text().split()[0]
    return run_time("predict.py", cache, picture, "--model", checkpoint, "--net", options.model, "--crop_size",
                    options.crop_size, "--output_dir", folder / "predicted", "--overwrite")


def start_all(options, folder, data_file) -> tuple:
    """Each program once: the four times of a row."""
    cache, checkpoint = folder / "cache", folder / "untrained.ckpt"
    return (*training_start(options, cache, folder, data_file),
            evaluation_time(options, cache, folder, checkpoint), prediction_time(options, cache, folder, checkpoint))


def untrained(options, path) -> None:
    """A checkpoint as train.py writes it, made in a process that ends before the clock starts."""
    subprocess.run([sys.executable, "-c", "import sys; from src.nets.net_factory import InferenceNetwork, "
                    "create_network; from src.weights.checkpoint import save; "
                    "save(InferenceNetwork(create_network(sys.argv[1], 6)), sys.argv[2])", options.model, str(path)],
                   cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="deeplab_v3_s16")
    parser.add_argument("--crop_size", type=int, default=129)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="starts after the first")
    options = parser.parse_args()
    print("| start | train.py: to the end of step 1 | of it step 1's work | eval.py: five scales, flip, one picture | "
          "predict.py: one picture |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data_file = prepare(folder)
        untrained(options, folder / "untrained.ckpt")
        (folder / "one.txt").write_text((folder / "data/voc_val_lst.txt").read_text().splitlines()[0] + "\n")
        for title, rounds in (("first", 1), ("later", options.rounds)):
            starts = [start_all(options, folder, data_file) for _ in range(rounds)]
            row = " | ".join(f"{statistics.median(times):.1f} s" for times in zip(*starts))
            print(f"| {title} | {row} |", flush=True)


if __name__ == "__main__":
    main()
