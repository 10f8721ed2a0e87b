"""Seconds to import each program and to --help, and from the start of eval_onnx.py to its first picture.

    python benchmarks/startup.py [--data_root DIR --data_lst FILE] [--rounds 7]

A list of real pictures is needed for the last, whose model (stride 16, random weights) is exported first. The time of
creating ONNX Runtime's session, which reads and optimises the model, is given beside it, as is the network's.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("train", "eval", "predict", "export", "eval_onnx", "convert_resnet101", "src/data/get_dataset_lst",
            "src/data/build_seg_data", "src/data/check_data", "src/data/sample", "src/tools/postprocess",
            "src/tools/get_multicards_json", "src/tools/launch")
EXPORT = """
import sys, os
os.environ.setdefault("GLOG_v", "3")
import mindspore, onnx
from src.export.onnx_graph import build_model
from src.nets.net_factory import create_network
onnx.save(build_model(create_network("deeplab_v3_s16"), {}), sys.argv[1])
"""
FIRST = """
import sys, time
sys.argv = sys.argv[1:]
begun = float(sys.argv.pop())
from src.evaluation import onnx_model, program
spent = []
def timed(function):
    def call(*arguments):
        start = time.time()
        result = function(*arguments)
        spent.append(time.time() - start)
        return result
    return call
make_predict = onnx_model.OnnxModel.make_predict
class FirstPicture(program.EvaluationLog):
    def __call__(self, *arguments):
        super().__call__(*arguments)
        print("FIRST", time.time() - begun, *spent)
onnx_model.open_session, program.EvaluationLog = timed(onnx_model.open_session), FirstPicture
onnx_model.OnnxModel.make_predict = lambda *arguments: timed(make_predict(*arguments))
import eval_onnx
eval_onnx.main(sys.argv[1:])
"""


def seconds(*command) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def programs(rounds: int) -> None:
    """A line for each program; Python alone is the floor."""
    commands = {"floor: python -c pass": (("-c", "pass"), ("-c", "pass")),
                "floor: with NumPy, OpenCV, Pillow": (("-c", "import numpy, cv2, PIL.Image"),) * 2}
    commands.update({f"{name}.py": (("-c", f"import {name.replace('/', '.')}"), (f"{name}.py", "--help"))
                     for name in PROGRAMS})
    times = {name: ([], []) for name in commands}
    for _ in range(rounds):    # in turns, so that a disturbance meets all
        for name, pair in commands.items():
            for kept, command in zip(times[name], pair):
                kept.append(seconds(*command))
    print("| program | import, s | --help, s |\n| --- | --- | --- |")
    for name, pair in times.items():
        print(f"| {name} | {statistics.median(pair[0]):.2f} | {statistics.median(pair[1]):.2f} |", flush=True)


def first_picture(options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", EXPORT, f"{folder}/m.onnx"], cwd=ROOT, check=True)
        line = Path(options.data_lst).read_text().splitlines()[0]
        Path(folder, "one.txt").write_text(line + "\n")
        command = [sys.executable, "-c", FIRST, "eval_onnx.py", "--file_name", f"{folder}/m.onnx", "--data_root",
                   os.path.abspath(options.data_root), "--data_lst", f"{folder}/one.txt", "--batch_size", "1",
                   "--device_target", "CPU", "--result_file", f"{folder}/r.json"]
        found = []
        for _ in range(options.rounds):
            done = subprocess.run([*command, str(time.time())], cwd=ROOT, check=True, capture_output=True, text=True)
            found.append([float(part) for part in done.stdout.split("FIRST ")[1].split()[:3]])
    whole, session, network = (statistics.median(column) for column in zip(*found))
    beyond = statistics.median(run[0] - run[1] for run in found)
    print(f"\neval_onnx.py: the first picture is scored after {whole:.2f} s, {session:.2f} s of them for the session: "
          f"{beyond:.2f} s beyond it, of which {network:.2f} s in the network")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_root", default="")
    parser.add_argument("--data_lst", default="")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(argv)
    programs(options.rounds)
    if options.data_lst:
        first_picture(options)


if __name__ == "__main__":
    main()
