"""Growth of time and memory with pictures, their size, classes and workers: measurement and drawing.

`evaluation` is eval.py with a constant in place of the network; `input` is an epoch of training batches; `record` is
build_seg_data.py. Imports are not counted.
"""
import contextlib
import io
import os
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.prepare import Job, pairs, voc
from src.data.labels import Labels
from src.data.lists import Pair, format_pair, read_list
from src.data.masks import decode_mask, read_pair

COLORS = {"record": "C0", "input": "C1", "evaluation": "C2"}
UNITS = (("s", "s"), ("mb", "peak MB"))


def point(job: Job, work: str, images: int = 160, side: int = 513, classes: int = 21, workers: int = 0):
    """One point: `work` on `images` pictures of about `side` pixels, by `workers` (0: one a core)."""
    images, side = (job.fewer(images, images // 40), side // 8 + 1) if job.smallest else (images, side)
    folder = Path(job.folder, f"growth_{work}_{images}_{side}_{classes}_{workers}")
    root = resized(job, side)
    lines = [format_pair(Pair(f"{number % 20}.jpg", f"{number % 20}.png")) for number in range(images)]
    folder.mkdir(exist_ok=True)    # another axis has the same point
    (folder / "list.txt").write_text("".join(lines))
    make = {"record": record, "input": training_input, "evaluation": evaluation}[work]
    return make(root, folder, side, classes, workers or os.cpu_count())


def resized(job: Job, side: int) -> Path:
    """20 training pairs, grown by side / 513; the folder."""
    folder = Path(job.folder, f"resized_{side}")
    if folder.is_dir():
        return folder
    folder.mkdir()
    root = voc(job)
    for number, pair in enumerate(pairs(job, 20, "train")):
        image = cv2.imread(str(root / pair.image))
        mask = decode_mask((root / pair.mask).read_bytes(), pair.mask)
        size = [max(1, round(length * side / 513)) for length in mask.shape[::-1]]
        cv2.imwrite(str(folder / f"{number}.jpg"), cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    return folder


def build(root: Path, folder: Path, workers: int) -> str:
    from src.data import build_seg_data
    shutil.rmtree(folder / "record", ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()):
        build_seg_data.main(["--data_root", str(root), "--data_lst", str(folder / "list.txt"), "--dst_path",
                             str(folder / "record/r.mindrecord"), "--num_shards", "2", "--workers", str(workers)])
    return str(folder / "record/r.mindrecord0")


def record(root, folder, side, classes, workers):
    import mindspore.mindrecord  # noqa: F401 - not counted

    def turn():
        build(root, folder, workers)
    return turn


def training_input(root, folder, side, classes, workers):
    from src.data.dataset import Augmentation, create_dataset
    dataset, _ = create_dataset(build(root, folder, workers), Labels(classes, 255, ()),
                                Augmentation(side, 0.5, 2.0, (104, 116, 124)), 2 if side < 100 else 8, seed=1,
                                workers=workers)

    def turn():
        for _ in dataset.create_tuple_iterator(num_epochs=1, output_numpy=True):
            pass
    return turn


def evaluation(root, folder, side, classes, workers):
    from src.evaluation.inference import evaluate
    from src.evaluation.letterbox import Settings
    labels = Labels(classes, 255, ())
    probs = np.random.default_rng(0).random((2, classes, side, side), np.float32)
    chosen, load = read_list(folder / "list.txt"), partial(read_pair, root, labels=labels)

    def turn():
        evaluate(lambda inputs: probs[:len(inputs)], chosen, load, Settings(side, batch_size=2), labels)
    return turn


def power(values, results) -> float:
    """Slope of the straight line through the points on logarithmic axes: 1 is linear growth."""
    return float(np.polyfit(np.log(values), np.log(results), 1)[0]) if len(values) > 1 else float("nan")


def draw(curves: dict, path: Path) -> None:
    """Time and memory along each axis. `curves`: axis -> work -> {value: {"s", "mb"}}."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(2, len(curves), figsize=(11, 4.8), layout="constrained", squeeze=False)
    for column, (axis, works) in enumerate(curves.items()):
        for row, (key, unit) in enumerate(UNITS):
            for work, points in works.items():
                axes[row, column].plot(list(points), [found[key] for found in points.values()], "o-", label=work,
                                       color=COLORS[work])
            axes[row, column].set(xlabel=axis, ylabel=unit, ylim=(0, None))
            axes[row, column].set_xticks(list(points))
        axes[0, column].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
