"""How time and memory grow with pictures, their size, classes and workers; draws docs/images/growth.png.

    python benchmarks/growth.py DATA_ROOT [--data_lst voc_train_lst.txt] [--plot docs/images/growth.png]

for a DATA_ROOT in which get_dataset_lst.py wrote the list. Each point is a process of its own, which says its seconds
without imports and its peak memory with them. `evaluation` is all of eval.py but the network, whose place a constant
takes; `input` is an epoch of training batches; `record` is build_seg_data.py. A power of 1 is linear growth.
"""
import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
os.environ.setdefault("GLOG_v", "3")
from src.data.labels import Labels
from src.data.lists import Pair, format_pair, read_list
from src.data.pictures import decode_mask, read_pair

CURVES = {    # axis: (its name, the values, the work measured along it)
    "images": ("pictures", (80, 160, 320, 640), ("record", "input", "evaluation")),
    "side": ("side of pictures and crop", (257, 513, 769, 1025), ("input", "evaluation")),
    "classes": ("classes", (21, 60, 100, 150), ("evaluation", "input")),
    "workers": ("workers", tuple(range(1, (os.cpu_count() or 1) + 1)), ("record", "input")),
}
USUAL = {"images": 160, "side": 513, "classes": 21, "workers": os.cpu_count()}


def build(job, folder):
    from src.data import build_seg_data
    with contextlib.redirect_stdout(io.StringIO()):
        build_seg_data.main(["--data_root", job.root, "--data_lst", job.list, "--dst_path", f"{folder}/r.mindrecord",
                             "--num_shards", "2", "--workers", str(job.workers)])


def record(job, folder):
    import mindspore.mindrecord  # noqa: F401 - not counted
    return lambda: build(job, folder)


def training_input(job, folder):
    from src.data.dataset import Augmentation, create_dataset
    build(job, folder)
    dataset, _ = create_dataset(f"{folder}/r.mindrecord0", Labels(job.classes, 255, ()),
                                Augmentation(job.side, 0.5, 2.0, (104, 116, 124)), 8, seed=1, workers=job.workers)
    return lambda: [None for _ in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)]


def evaluation(job, folder):
    from src.evaluation.inference import Settings, evaluate
    settings = Settings(job.side, batch_size=2, num_classes=job.classes)
    probs = np.random.default_rng(0).random((2, job.classes, job.side, job.side), np.float32)
    load = partial(read_pair, job.root, labels=Labels(job.classes, 255, ()))
    return lambda: evaluate(lambda inputs: probs[:len(inputs)], read_list(job.list), load, settings)


WORK = {"record": record, "input": training_input, "evaluation": evaluation}
COLORS = {"record": "C0", "input": "C1", "evaluation": "C2"}


def point(job) -> dict:
    """Seconds and peak MB of one job, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        work = WORK[job.work](job, folder)
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    own, workers = (resource.getrusage(who).ru_maxrss / 1024
                    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"seconds": seconds, "mb": max(own, workers)}


def resized(options, side: int, folder: Path) -> Path:
    """The list's first 20 pairs in `folder`, grown by side / 513; the folder."""
    if (folder / f"{side}").is_dir():
        return folder / f"{side}"
    (folder / f"{side}").mkdir()
    for number, pair in enumerate(read_list(Path(options.data_root, options.data_lst))[:20]):
        image = cv2.imread(str(Path(options.data_root, pair.image)))
        mask = decode_mask(Path(options.data_root, pair.mask).read_bytes(), pair.mask)
        size = [round(length * side / 513) for length in mask.shape[::-1]]
        cv2.imwrite(str(folder / f"{side}/{number}.jpg"), cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
        cv2.imwrite(str(folder / f"{side}/{number}.png"), cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    return folder / f"{side}"


def measure(options, folder: Path, axis: str, value: int, work: str) -> dict:
    """The best of --runs runs of a point."""
    settings = {**USUAL, axis: value}
    root = resized(options, settings["side"], folder)
    pairs = [Pair(f"{number % 20}.jpg", f"{number % 20}.png") for number in range(settings["images"])]
    (folder / "list.txt").write_text("".join(map(format_pair, pairs)))
    job = {**settings, "work": work, "root": str(root), "list": str(folder / "list.txt")}
    runs = [json.loads(subprocess.run([sys.executable, __file__, "--point", json.dumps(job)], check=True,
                                      capture_output=True, text=True).stdout.splitlines()[-1])
            for _ in range(options.runs)]
    return {name: min(run[name] for run in runs) for name in runs[0]}


def power(values, results) -> float:
    """Slope of the straight line through the points on logarithmic axes."""
    return float(np.polyfit(np.log(values), np.log(results), 1)[0]) if len(values) > 1 else float("nan")


def draw(found: dict, path: Path) -> None:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(2, len(CURVES), figsize=(11, 4.8), layout="constrained")
    for column, (axis, (name, values, works)) in enumerate(CURVES.items()):
        for row, (key, unit) in enumerate((("seconds", "s"), ("mb", "peak MB"))):
            for work in works:
                axes[row, column].plot(values, [found[axis, value, work][key] for value in values], "o-", label=work,
                                       color=COLORS[work])
            axes[row, column].set(xlabel=name, ylabel=unit, ylim=(0, None))
            axes[row, column].set_xticks(values)
        axes[0, column].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def main(argv=None):
    if sys.argv[1:2] == ["--point"]:
        print(json.dumps(point(argparse.Namespace(**json.loads(sys.argv[2])))))
        os._exit(0)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root")
    parser.add_argument("--data_lst", default="voc_train_lst.txt", help="list file in data_root")
    parser.add_argument("--runs", type=int, default=2, help="runs of each point, of which the best counts")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs/images/growth.png")
    options = parser.parse_args(argv)
    print("| along | of | values | s | power | peak MB |\n| --- | --- | --- | --- | --- | --- |")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for axis, (name, values, works) in CURVES.items():
            for work in works:
                points = [measure(options, Path(folder), axis, value, work) for value in values]
                found.update({(axis, value, work): one for value, one in zip(values, points)})
                seconds, mb = ([one[key] for one in points] for key in ("seconds", "mb"))
                print(f"| {name} | {work} | {' '.join(map(str, values))} | {' '.join(f'{s:.2f}' for s in seconds)} | "
                      f"{power(values, seconds):.2f} | {' '.join(f'{m:.0f}' for m in mb)} |", flush=True)
    draw(found, options.plot)
    print(f"{options.plot} drawn")


if __name__ == "__main__":
    main()
