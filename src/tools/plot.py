"""Curves of a training run, curves.png beside metrics.jsonl: `python -m src.tools.plot METRICS.jsonl ...`."""
import io
import json
import sys
from pathlib import Path

import numpy as np

from src.console import InputError, run_program
from src.files import write_whole

ACCENT, PALE, GREY, INK = "#2563a8", "#b9cfe8", "#d8dde3", "#1f2933"
STYLE = {"font.size": 9.5, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
         "axes.edgecolor": GREY, "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left"}
SMOOTHED_FROM = 20    # steps; with fewer the line itself is plain enough


def read_metrics(path) -> list:
    """The records of metrics.jsonl, in order of their steps. Raises InputError for a file that holds none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'is no text file'}") from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
            records[-1]["global_step"] += 0
        except (ValueError, TypeError, KeyError):
            if number < len(lines):    # the last line of a run that goes on may be half written
                raise InputError(f"{path}, line {number}: is no line of train.py's metrics.jsonl") from None
            records = records[:number - 1]
    if not any("loss" in record for record in records):
        raise InputError(f"{path}: holds no step of training")
    return sorted(records, key=lambda record: record["global_step"])


def series(records: list, name: str) -> tuple:
    """(steps, values) of the records that hold a figure."""
    found = [(record["global_step"], record[name]) for record in records if name in record]
    return tuple(np.array(values) for values in zip(*found)) if found else (np.array([]), np.array([]))


def smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over a twentieth of the run, at the ends over what there is."""
    width = max(1, len(values) // 20)
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def draw_line(axes, steps, values, smoothed: bool) -> None:
    is_long = smoothed and len(values) >= SMOOTHED_FROM
    axes.plot(steps, values, color=PALE if is_long else ACCENT, linewidth=1 if is_long else 1.6,
              marker="" if len(values) > 1 else "o")
    if is_long:
        axes.plot(steps, smooth(values), color=ACCENT, linewidth=1.8)


def draw_evaluations(axes, steps, values, last: int) -> None:
    """mIoU of each evaluation, the best one marked; or a note that there was none."""
    if not len(values):
        axes.text(0.5, 0.5, "no evaluation in this run (--eval_data_lst)", transform=axes.transAxes, ha="center",
                  color="#5b6773")
        axes.set(xticks=[], yticks=[])
        return
    from matplotlib.ticker import MaxNLocator
    best = int(np.argmax(values))
    axes.plot(steps, 100 * values, color=ACCENT, marker="o", markersize=4, linewidth=1.6)
    axes.plot(steps[best], 100 * values[best], "o", color="#c2410c", markersize=7)
    axes.margins(y=0.18)
    axes.set_xlim(0, last * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left = steps[best] <= np.mean(axes.get_xlim())
    axes.annotate(f"best {100 * values[best]:.2f} at step {steps[best]}", (steps[best], 100 * values[best]),
                  (0, 8), textcoords="offset points", ha="left" if left else "right", color="#c2410c")


def draw(records: list, title: str) -> bytes:
    """The four curves as PNG."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.4), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        (loss, miou), (rate, speed) = figure.subplots(2, 2)
        draw_line(loss, *series(records, "loss"), smoothed=True)
        draw_line(rate, *series(records, "lr"), smoothed=False)
        draw_line(speed, *series(records, "images_per_s"), smoothed=True)
        draw_evaluations(miou, *series(records, "mean_iou"), records[-1]["global_step"])
        names = {loss: "loss", miou: "mIoU, percent", rate: "learning rate", speed: "images a second"}
        for axes, name in names.items():
            axes.set_title(name)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color=GREY, linewidth=0.6)
            axes.set_axisbelow(True)
        for axes in (rate, speed):
            axes.set_xlabel("step")
        for axes in (loss, rate, speed):
            axes.set_ylim(bottom=0)
            axes.set_xlim(0, records[-1]["global_step"] * 1.02)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
        data = io.BytesIO()
        figure.savefig(data, format="png")
    return data.getvalue()


def plot(path) -> Path:
    """Draw the curves of a metrics.jsonl beside it; returns the picture's path. Raises InputError, RunError."""
    records, path = read_metrics(path), Path(path)
    target = path.with_name("curves.png")
    write_whole(target, draw(records, f"{path.absolute().parent.name}, {records[-1]['global_step']} steps"))
    return target


def main(argv=None):
    paths = sys.argv[1:] if argv is None else argv
    if not paths or {"-h", "--help"} & set(paths):
        raise InputError("usage: python -m src.tools.plot METRICS.jsonl ...")
    for path in paths:
        print(f"{plot(path)} drawn")


if __name__ == "__main__":
    sys.exit(run_program(main))
