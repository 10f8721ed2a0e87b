"""Charts of a result as SVG, by matplotlib without a screen."""
import io
import warnings

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from src.drawing.style import ACCENT, CHART, INK, MARK

MOST_NUMBERS = 30    # classes; with more the cells are too small to write in


def to_svg(figure: Figure) -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")    # only the layout is drawn with matplotlib's own font
        figure.savefig(data, format="svg", metadata={"Date": None}, transparent=True)
    return data.getvalue()


@matplotlib.rc_context(CHART)
def iou_bars(names: list, iou: np.ndarray, mean: float) -> bytes:
    """Horizontal bars of each class's IoU, the best on top, and a line at the mean; as SVG.

    Classes that never occur (NaN) are left out.
    """
    order = [number for number in np.argsort(iou, kind="stable") if not np.isnan(iou[number])]
    values = [100 * iou[number] for number in order]
    figure = Figure(figsize=(5.2, 0.9 + 0.27 * len(order)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(order)), values, color=ACCENT, height=0.72)
    for place, value in enumerate(values):
        axes.text(108, place, f"{value:.1f}", va="center", ha="right", fontsize=9)
    if not np.isnan(mean):
        axes.axvline(100 * mean, color=MARK, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.text(100 * mean, len(order) - 0.35, f"mean {100 * mean:.2f}", color=MARK, ha="center")
    axes.set(xlim=(0, 100), ylim=(-0.6, len(order) - 0.4), xlabel="IoU, percent",
             yticks=range(len(order)), yticklabels=[names[number] for number in order])
    axes.tick_params(length=0)
    axes.grid(axis="x")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return to_svg(figure)


@matplotlib.rc_context(CHART)
def heat_map(names: list, counts: np.ndarray) -> bytes:
    """The confusion matrix as SVG, in percent of each row: the predictions for the pixels of a class.

    Rows of classes without pixels in the truth stay empty.
    """
    truth = counts.sum(1, keepdims=True)
    shares = np.divide(100 * counts, truth, out=np.full(counts.shape, np.nan), where=truth > 0)
    side = min(14, max(4.6, 1.6 + 0.3 * len(names)))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="#f1f3f5")
    axes.imshow(shares, cmap=colours, vmin=0, vmax=100)
    if len(names) <= MOST_NUMBERS:
        for row, column in np.argwhere(shares >= 0.5):
            share = shares[row, column]
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8,
                      color="white" if share > 55 else INK)
    places = range(len(names))
    small = {"fontsize": 9 if len(names) <= MOST_NUMBERS else max(3, 260 / len(names))}
    axes.set_xticks(places, names, rotation=90, **small)
    axes.set_yticks(places, names, **small)
    axes.set(xlabel="prediction", ylabel="truth")
    axes.tick_params(length=0, labeltop=False)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1 if len(names) <= MOST_NUMBERS else 0)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    return to_svg(figure)
