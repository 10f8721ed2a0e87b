"""Time and peak memory of programs, from the command to their end; each turn is a new process.

Nothing large is imported here: Linux includes the memory of a process before exec in its peak, so a program that a
large process starts would seem as large.
"""
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.prepare import ROOT, VOC, Job, Unavailable, environment, program, voc


def timed(*command, cwd=ROOT, good=(0,), **more) -> dict:
    """Seconds, peak MB, processor seconds and console of a command. Raises RuntimeError for a code not in `good`."""
    with tempfile.TemporaryFile("w+") as console:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], cwd=cwd, env=environment(**more), stdout=console,
                                   stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)    # ru_maxrss: of the process or its largest child
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        console.seek(0)
        said = console.read()
    if process.returncode not in good:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}: {said[-2000:]}")
    return {"s": seconds, "mb": usage.ru_maxrss / 1024, "cpu": usage.ru_utime + usage.ru_stime, "console": said}


def measured(*command, **more) -> dict:
    """Seconds and peak MB of a program of the project."""
    found = timed(sys.executable, *command, **more)
    return {"s": found["s"], "mb": found["mb"]}


def made(job: Job, function: str, *options) -> Path:
    """Result of a function of benchmarks.prepare, called in a new process so that this one stays small."""
    code = ("import json, sys; from benchmarks import prepare; job, options = json.loads(sys.argv[2]); "
            "print(getattr(prepare, sys.argv[1])(prepare.Job(**job), *options))")
    done = subprocess.run([sys.executable, "-c", code, function, json.dumps([job._asdict(), options])], cwd=ROOT,
                          env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])


def predict(job: Job, stride: str, kind: str):
    """predict.py on one picture, to its overlay, with a checkpoint (with momenta or not) or an ONNX file."""
    model = model_of(job, stride, kind)
    line = made(job, "list_file", 1).read_text()
    picture = voc(job) / re.split(r"[\t ]", line)[0]

    def turn():
        with tempfile.TemporaryDirectory(dir=job.folder) as folder:
            found = measured("predict.py", picture, "--model", model, "--output_dir", f"{folder}/out",
                             "--device_target", "CPU")
            if not list(Path(folder, "out").rglob("overlays/*")):
                raise RuntimeError(f"predict.py wrote no overlay: {list(Path(folder).rglob('*'))}")
            return found | {"file_mb": model.stat().st_size / 1e6}
    return turn


def model_of(job: Job, stride: str, kind: str) -> Path:
    return made(job, "onnx_file", stride) if kind == "onnx" else made(job, "checkpoint", stride, kind == "momenta")


def evaluate(job: Job, stride: str, kind: str, five: bool = False, images: int = 1):
    """eval.py, or eval_onnx.py for an ONNX file, batch 1; `five` scales and mirrored."""
    model = model_of(job, stride, kind)
    lst = made(job, "list_file", job.fewer(images, min(images, 2)))
    door = ("eval_onnx.py", "--file_name") if kind == "onnx" else ("eval.py", "--ckpt_path")

    def turn():
        return measured(*door, model, "--data_root", voc(job), "--data_lst", lst, "--batch_size", 1, "--device_target",
                        "CPU", "--scales_type", int(five), "--flip", five, "--result_file", f"{job.folder}/r.json")
    return turn


def answer(job: Job, name: str, how: str):
    """`how` is help, for --help, or import."""
    if how == "help":
        return lambda: measured(f"{name}.py", "--help")
    return lambda: measured("-c", f"import {name.replace('/', '.')}")


def train_start(job: Job):
    """train.py to the end of its first step, crop 129, batch 2: importing, building and compiling."""
    data_file = made(job, "record", 2, "two")

    def turn():
        with tempfile.TemporaryDirectory(dir=job.folder) as folder:
            metrics = Path(folder, "ckpt/metrics.jsonl")
            command = [sys.executable, "train.py", "--device_target", "CPU", "--model", job.network("s16"),
                       "--crop_size", "65" if job.smallest else "129", "--batch_size", "2", "--train_epochs", "1",
                       "--data_file", str(data_file), "--train_dir", f"{folder}/ckpt"]
            start = time.perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
            while not (metrics.is_file() and metrics.stat().st_size) and process.poll() is None:
                time.sleep(0.01)
            first = time.perf_counter() - start
            if process.wait():
                raise RuntimeError("train.py failed; see its messages above")
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024    # of the largest child so far
            return {"s": first, "end_s": time.perf_counter() - start, "mb": peak}
    return turn


def repeated(job: Job, folder: Path, images: int) -> int:
    """Pairs for list.txt in `folder`, as links to the pictures there are, over and over; returns how many."""
    masks = sorted((voc(job) / VOC / "SegmentationClass").glob("*.png"))
    count = job.fewer(images, 8)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        mask = masks[number % len(masks)]
        for link, target in ((f"{number}.jpg", mask.parent.parent / f"JPEGImages/{mask.stem}.jpg"),
                             (f"{number}.png", mask)):
            if not (folder / link).exists():    # of another side of the figure
                (folder / link).symlink_to(target)
    (folder / "list.txt").write_text("".join(f"{number}.jpg {number}.png\n" for number in range(count)))
    return count


WITHOUT = """import sys
from functools import partial
from src.console import run_program
from src.data import build_seg_data, workers
from src.data.summary import Summary
from src.data.masks import read_pair
def check_pairs(pairs, labels, config):
    read = partial(decode, config.data_root, labels)
    list(workers.in_processes(read, pairs, config.workers))
    return Summary()
def decode(data_root, labels, pair):
    read_pair(data_root, pair, labels)
build_seg_data.check_pairs = check_pairs
sys.exit(run_program(build_seg_data.main))"""


def build(job: Job, side: str, images: int = 2913):
    """build_seg_data.py as it is, or `without` its look at what masks hold: each pair is decoded and compared with its
    labels, no more. The seconds are those of the processors."""
    root = Path(job.folder, "built")
    count = repeated(job, root, images)
    door = ["-c", WITHOUT] if side == "without" else ["src/data/build_seg_data.py"]

    def turn():
        with tempfile.TemporaryDirectory(dir=job.folder) as folder:
            found = timed(sys.executable, *door, "--data_root", root, "--data_lst", root / "list.txt", "--dst_path",
                          f"{folder}/r.mindrecord", "--num_classes", job.classes)
        return {"s": found["cpu"], "mb": found["mb"], "images": count}
    return turn


def check_data(job: Job, images: int = 2913):
    """check_data.py on as many pairs as in VOC's train and val; a smaller set is repeated by links."""
    root = Path(job.folder, "checked")
    count = repeated(job, root, images)
    command = [sys.executable, "src/data/check_data.py", "--data_root", root, "--data_lst", root / "list.txt",
               "--check_dir", root / "check", "--num_classes", job.classes]

    def turn():
        found = timed(*command, good=(0, 1))    # 1 where pictures that repeat count as an error
        if not re.search(rf"^{count} pairs? in", found["console"], re.M):
            raise RuntimeError(found["console"][-2000:])
        return {"s": found["s"], "mb": found["mb"], "images": count}
    return turn


def scaling(job: Job, workers: int, bind: bool = False):
    """train.py by launch.py, a core for each worker, crop 97, batch 8: seconds of a picture, without first steps."""
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        raise Unavailable(f"{workers} workers need as many cores, but there are {len(cores)}")
    data_file = made(job, "record", job.fewer(160, 12), "scaling")
    crop, batch = (33, 2) if job.smallest else (97, 8)

    def turn():
        with tempfile.TemporaryDirectory(dir=job.folder) as folder:
            os.sched_setaffinity(0, cores[:workers])
            program("src/tools/launch.py", "--ranks", workers, "--device_target", "CPU", "--bind_core", bind,
                    "--log_dir", f"{folder}/logs", "--", "train.py", "--is_distributed", "--device_target", "CPU",
                    "--data_file", data_file, "--train_dir", f"{folder}/ckpt", "--model", job.network("s16"),
                    "--crop_size", crop, "--batch_size", batch, "--train_epochs", 1)
            lines = [json.loads(line) for line in Path(folder, "ckpt/metrics.jsonl").read_text().splitlines()]
            rate = statistics.median(line["images_per_s"] for line in lines[2:])
            return {"s": 1 / rate, "mb": None}
    return turn


def quickstart(job: Job, which: str):
    """scripts/run_quickstart.sh without its installation, in this checkout or in that of --beside."""
    root = ROOT if which == "this" else Path(job.beside).resolve()
    if which != "this" and not job.beside:
        raise Unavailable("--beside names no older checkout")

    def turn():
        with tempfile.TemporaryDirectory(dir=job.folder) as folder:
            said = timed("bash", root / "scripts/run_quickstart.sh", "--work_dir", f"{folder}/q",
                         *["--tiny"] * job.smallest, cwd=folder)["console"]
            return {"s": float(re.search(r"everything else (\d+) s", said).group(1)), "mb": None}
    return turn
