"""First and second start of train.py and eval.py, compiled graphs kept between: `python benchmarks/compilation.py`.

Each start is a process of its own on a drawn sample, the cache an empty folder; the weights are untrained. Training is
cut after its first step. "compile" is what the first step takes beyond the second, or the first evaluation beyond one
whose graphs are all kept.
"""
import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)    # in place of this folder, whose onnx.py would hide the package

from benchmarks.scaling import prepare


def start(program, cache, *arguments) -> subprocess.Popen:
    command = [sys.executable, ROOT / program, "--device_target", "CPU", "--num_classes", 6, "--compile_cache", cache,
               *arguments]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)


def training_start(options, cache, folder, data_file) -> tuple:
    """Seconds from the start of the process to the end of the first step, and from there to that of the second."""
    began = time.perf_counter()
    process = start("train.py", cache, "--model", options.model, "--crop_size", options.crop_size, "--batch_size",
                    options.batch_size, "--data_file", data_file, "--train_dir", folder / "train", "--train_epochs", 1)
    ends = []
    for line in process.stdout:
        if re.match(r"epoch: \d+ step:", line):
            ends.append(time.perf_counter())
        if len(ends) == 2:
            process.send_signal(signal.SIGKILL)    # the graphs are kept since the first step
            break
    process.stdout.close()
    process.wait()
    return ends[0] - began, ends[1] - ends[0]


def evaluation_time(options, cache, folder, checkpoint) -> float:
    began = time.perf_counter()
    process = start("eval.py", cache, "--model", options.model, "--crop_size", options.crop_size, "--batch_size", 1,
                    "--data_root", folder / "data", "--data_lst", folder / "one.txt", "--scales_type", 1, "--flip",
                    "--ckpt_path", checkpoint, "--result_file", folder / "result.json")
    process.communicate()
    if process.returncode:
        raise SystemExit("eval.py failed")
    return time.perf_counter() - began


def untrained(options, path) -> None:
    """A checkpoint as train.py writes it, made in a process that ends before the clock starts."""
    subprocess.run([sys.executable, "-c", "import sys; from src.nets.net_factory import InferenceNetwork, "
                    "create_network; from src.utils.checkpoint import save; "
                    "save(InferenceNetwork(create_network(sys.argv[1], 6)), sys.argv[2])", options.model, str(path)],
                   cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="deeplab_v3_s16")
    parser.add_argument("--crop_size", type=int, default=129)
    parser.add_argument("--batch_size", type=int, default=2)
    options = parser.parse_args()
    print("| start | train.py: to the end of step 1 | of it step 1's work | eval.py: five scales, flip, one picture |\n"
          "| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data_file = prepare(folder)
        untrained(options, folder / "untrained.ckpt")
        (folder / "one.txt").write_text((folder / "data/voc_val_lst.txt").read_text().splitlines()[0] + "\n")
        for number in ("first", "second"):
            first, step = training_start(options, folder / "cache", folder, data_file)
            evaluated = evaluation_time(options, folder / "cache", folder, folder / "untrained.ckpt")
            print(f"| {number} | {first:.1f} s | {step:.1f} s | {evaluated:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
