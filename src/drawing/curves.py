"""curves.png: loss, mIoU, learning rate and speed of a training run, from its metrics.jsonl."""
import io
import json
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.console import InputError
from src.drawing.fonts import best_font, letters_of
from src.drawing.style import ACCENT, CHART, MARK, PALE, SOFT
from src.files import MADE_BY, check_output, write_whole

FIGURES = ("loss", "mean_iou", "lr", "images_per_s")
SMOOTHED_FROM = 20    # steps; a shorter curve is not smoothed


def read_metrics(path) -> list:
    """The records of metrics.jsonl, in order of their steps. Raises InputError for a file without any."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'is not a text file'}") from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if not all(math.isfinite(record[name]) for name in ("global_step", *FIGURES)
                       if record.get(name) is not None):
                raise ValueError
            record["global_step"] += 0
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            if number == len(lines):    # of a running training: it may be half written
                break
            raise InputError(f"{path}, line {number}: is not a line of train.py's metrics.jsonl") from None
        records.append(record)
    if not any("loss" in record for record in records):
        raise InputError(f"{path}: contains no training step")
    return sorted(records, key=lambda record: record["global_step"])


def series(records: list, name: str) -> tuple:
    """(steps, values) of the records that have the figure `name`."""
    found = [(record["global_step"], record[name]) for record in records if record.get(name) is not None]
    return tuple(np.array(values) for values in zip(*found)) if found else (np.array([]), np.array([]))


def smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over a twentieth of the run, over fewer values at both ends."""
    width = max(1, len(values) // 20)
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def draw_line(axes, steps, values, smoothed: bool) -> None:
    is_long = smoothed and len(values) >= SMOOTHED_FROM
    axes.plot(steps, values, color=PALE if is_long else ACCENT, linewidth=1 if is_long else 1.6,
              marker="" if len(values) > 1 else "o")
    if is_long:
        axes.plot(steps, smooth(values), color=ACCENT, linewidth=1.8)


def draw_evaluations(axes, steps, values) -> None:
    """mIoU of each evaluation, the best one marked; or a note that there was none."""
    if not len(values):
        axes.text(0.5, 0.5, "no evaluation in this run (--eval_data_lst)", transform=axes.transAxes, ha="center",
                  color=SOFT)
        axes.set(xticks=[], yticks=[])
        return
    best = int(np.argmax(values))
    axes.plot(steps, 100 * values, color=ACCENT, marker="o", markersize=4, linewidth=1.6)
    axes.plot(steps[best], 100 * values[best], "o", color=MARK, markersize=7)
    axes.margins(y=0.18)
    left = steps[best] <= np.mean(axes.get_xlim())
    axes.annotate(f"best {100 * values[best]:.2f} at step {steps[best]}", (steps[best], 100 * values[best]),
                  (0, 8), textcoords="offset points", ha="left" if left else "right", color=MARK)


@matplotlib.rc_context(CHART)
def draw(records: list, title: str) -> bytes:
    """The four curves as PNG."""
    figure = Figure(figsize=(10, 6.4), dpi=150, layout="constrained")
    (loss, miou), (rate, speed) = figure.subplots(2, 2)
    for axes, name in ((loss, "loss"), (miou, "mIoU, percent"), (rate, "learning rate"), (speed, "images a second")):
        axes.set_title(name)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y")
        axes.set_xlim(0, records[-1]["global_step"] * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    draw_line(loss, *series(records, "loss"), smoothed=True)
    draw_line(rate, *series(records, "lr"), smoothed=False)
    draw_line(speed, *series(records, "images_per_s"), smoothed=True)
    draw_evaluations(miou, *series(records, "mean_iou"))
    for axes in (rate, speed):
        axes.set_xlabel("step")
    for axes in (loss, rate, speed):
        axes.set_ylim(bottom=0)
    own = {"font": Path(file)} if (file := best_font(letters_of([title]))[0]) else {}
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", **own)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": MADE_BY.decode()})
    return data.getvalue()


def plot(path, kind: str = "drawn") -> Path:
    """Draw the curves of a metrics.jsonl beside it; returns the picture's path. `kind`: the files that may be replaced,
    see src.files.check_output. Raises InputError, RunError."""
    records, path = read_metrics(path), Path(path)
    target = path.with_name("curves.png")
    check_output(target, kind=kind)
    write_whole(target, draw(records, f"{path.absolute().parent.name}, {records[-1]['global_step']} steps"))
    return target
