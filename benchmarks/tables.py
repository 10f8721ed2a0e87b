"""The tables of the pages, made from the results: `python benchmarks/run.py --tables`.

Comments in a page mark the place of a table; everything between them is replaced:

    <!-- figures: NAME NAME ... -->    sides of these figures, a row each
    <!-- growth -->                    the growth figures; their drawing, docs/images/growth.png, is made too
    <!-- ratios: LANGUAGE -->          README's short table, en or zh
    <!-- end -->

A table is not changed if one of its results is missing.
"""
import json
import re
from pathlib import Path

from benchmarks.figures import FIGURES, GROWTH

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "README_CN.md", "docs/performance.md", "docs/ascend310.md")
BLOCK = re.compile(r"(<!-- (figures|growth|ratios)(?:: ([\w ]+))? -->\n)(.*?)(<!-- end -->)", re.S)
BUSY = "busy machine"

# README's rows: content and comparison in English and Chinese, and the values.
RATIOS = (
    (("training input", "训练数据处理"), ("zoo's transform; torchvision v2", "model zoo 的数据增强；torchvision v2"),
     ("input_all_cores zoo ratio", "input_all_cores torchvision ratio")),
    (("training step, batch 2: time", "单步训练，batch size 2：用时"), ("PyTorch eager", "PyTorch eager"),
     ("train_batch2 torch ratio",)),
    (("training step, batch 2: peak memory", "单步训练，batch size 2：内存峰值"), ("PyTorch eager", "PyTorch eager"),
     ("train_batch2 torch memory",)),
    (("eval.py, batch 1, stride 16; 8", "eval.py，batch size 1，输出步长 16；8"),
     ("PyTorch eager, simple processing", "PyTorch eager，朴素的前后处理"),
     ("eval_s16_batch1 plain ratio", "eval_s8_batch1 plain ratio")),
    (("eval.py, batch 1, stride 16; 8", "eval.py，batch size 1，输出步长 16；8"),
     ("eval.py --engine mindspore", "eval.py --engine mindspore"),
     ("eval_s16_batch1 mindspore ratio", "eval_s8_batch1 mindspore ratio")),
    (("ONNX file, stride 16; 8", "ONNX 文件，输出步长 16；8"),
     ("PyTorch's export, ONNX Runtime", "PyTorch 导出的文件，ONNX Runtime"),
     ("network_s16 export ratio", "network_s8 export ratio")),
    (("OpenVINO in bf16 ([mIoU](docs/evaluation.md#engines): 0.05 points less), stride 16; 8",
      "OpenVINO bf16（[mIoU](docs/evaluation.md#engines) 低 0.05 个百分点），输出步长 16；8"),
     ("ONNX Runtime, float32", "ONNX Runtime，float32"), ("network_s16 bf16 inverse", "network_s8 bf16 inverse")),
)
HEADS = {"en": ("| what | compared with | ratio |", "; "), "zh": ("| 项目 | 对比对象 | 比值 |", "；")}

# Columns of a figure's table: title, value of a side, its format. Columns without values are left out.
COLUMNS = (
    ("time", "s", lambda value: f"{1000 * value:.3g} ms" if value < 0.9995 else f"{value:.3g} s" if value < 99.95 else
     f"{value:.0f} s"),
    ("time ratio", "ratio", lambda value: f"**{value:.2f}**"),
    ("peak GB", "mb", lambda value: f"{value / 1024:.2f}"),
    ("memory ratio", "memory", lambda value: f"{value:.2f}"),
    ("largest difference", "difference", lambda value: f"{value:.1e}"),
    ("equal pixels", "equal_pixels", lambda value: f"{100 * value:.4f} %"),
    ("mIoU %", "mean_iou", lambda value: f"{100 * value:.2f}"),
    ("file MB", "file_mb", lambda value: f"{value:.0f}"),
)
MOST_SIDES = 8    # sides with a row each; more share one row, with the lowest and the highest value


class Missing(Exception):
    """The result of a figure or of a side is missing."""


class Results:
    """The JSON files of a folder, by the names of their figures."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __getitem__(self, name: str) -> dict:
        try:
            return json.loads((self.folder / f"{name}.json").read_text())
        except OSError:
            raise Missing(name) from None

    def value(self, words: str) -> float:
        """The value of "FIGURE SIDE VALUE"; `inverse` is the side's time over ours."""
        name, side, value = words.split()
        try:
            found = self[name]["sides"][side]
            return 1 / found["ratio"] if value == "inverse" else found[value]
        except KeyError:
            raise Missing(words) from None


def target_text(result: dict, key: str) -> str:
    """The targets of a side and whether they were met."""
    units = {"s": " s", "mb": " MB", "memory": " of memory"}
    judged = [target for target in result["targets"] if target["side"] == key and target["met"] is not None]
    return "; ".join(f"<= {target['most']:g}{units.get(target['value'], '')}: "
                     f"{'met' if target['met'] else '**missed**'}" for target in judged)


def table_rows(result: dict, columns: list) -> list:
    """Cells of a figure's rows: its title, then for each side its title, values and targets."""
    figure, sides = FIGURES[result["name"]], result["sides"]
    rows = [[figure.sides[key].title, *(write(side[name]) if side.get(name) is not None else ""
                                        for _, name, write in columns), target_text(result, key)]
            for key, side in sides.items()]
    if len(rows) > MOST_SIDES:
        rows = [[f"{len(rows)} of them", *(span(sides, name, write) for _, name, write in columns),
                 "; ".join(dict.fromkeys(row[-1] for row in rows))]]
    titles = [figure.what + f" ({BUSY})" * bool(result["busy"])] + [""] * len(rows)
    return [[title, *row] for title, row in zip(titles, rows)]


def figure_table(results: Results, names: list) -> str:
    """The command, the machine, and a row for each side."""
    found = [results[name] for name in names]
    sides = [side for result in found for side in result["sides"].values()]
    columns = [column for column in COLUMNS if any(side.get(column[1]) is not None for side in sides)]
    lines = [f"| figure | side | {' | '.join(title for title, *_ in columns)} | target |",
             "| --- " * (len(columns) + 3) + "|"]
    lines += [f"| {' | '.join(cells)} |" for result in found for cells in table_rows(result, columns)]
    return f"{command_line(found)}\n\n" + "\n".join(re.sub(r"\|  (?=\|)", "| ", line) for line in lines) + "\n"


def span(sides: dict, name: str, write) -> str:
    """The lowest and the highest of a value of the sides, as `write` shows them."""
    values = sorted(side[name] for side in sides.values() if side.get(name) is not None)
    return " to ".join(dict.fromkeys(map(write, values[:1] + values[-1:])))


def command_line(found: list) -> str:
    """The command and the machine of the figures."""
    machine = found[0]["machine"]
    names, dates = (" ".join(result["name"] for result in found), sorted({result["date"] for result in found}))
    return (f"`python benchmarks/run.py {names}` on {machine['cores']} cores of {machine['cpu']} "
            f"({', '.join(machine['isa'][-2:])}), {' and '.join(dates)}:")


def growth_curves(results: Results) -> dict:
    """Axis's title -> work -> {value: side}, for growth.draw."""
    return {title: {work: {int(key): side for key, side in results[f"growth_{axis}_{work}"]["sides"].items()}
                    for work in works} for axis, (title, _, works) in GROWTH.items()}


def growth_table(results: Results) -> str:
    from benchmarks.growth import power
    lines = ["| along | of | values | s | power | peak MB |", "| --- | --- | --- | --- | --- | --- |"]
    for title, works in growth_curves(results).items():
        for work, points in works.items():
            seconds, mb = ([side[key] for side in points.values()] for key in ("s", "mb"))
            lines.append(f"| {title} | {work} | {' '.join(map(str, points))} | "
                         f"{' '.join(f'{s:.2f}' for s in seconds)} | "
                         f"{power(list(points), seconds):.2f} | {' '.join(f'{m:.0f}' for m in mb)} |")
    return "\n".join(lines) + "\n"


def ratio_table(results: Results, language: str) -> str:
    head, separator = HEADS[language]
    number = list(HEADS).index(language)
    rows = [f"| {what[number]} | {beside[number]} | {separator.join(f'{results.value(one):.2f}' for one in values)} |"
            for what, beside, values in RATIOS]
    return "\n".join([head, "| --- | --- | --- |", *rows]) + "\n"


def filled(text: str, results: Results, page: str) -> tuple:
    """(the page with its new tables, reasons why tables were not changed)."""
    left = []

    def table(match) -> str:
        begin, kind, names, old, end = match.groups()
        try:
            new = {"figures": lambda: figure_table(results, names.split()), "growth": lambda: growth_table(results),
                   "ratios": lambda: ratio_table(results, names)}[kind]()
        except Missing as error:
            left.append(f"{page}, {begin.strip()}: no result of {error}")
            new = old
        return begin + new + end
    return BLOCK.sub(table, text), left


def write_tables(folder, root: Path = ROOT) -> None:
    """Write the tables of all pages."""
    results = Results(folder)
    for page in PAGES:
        text = (root / page).read_text()
        new, left = filled(text, results, page)
        print("\n".join(f"not changed: {line}" for line in left) or f"{page}: all tables written")
        if new != text:
            (root / page).write_text(new)
    try:
        from benchmarks.growth import draw
        draw(growth_curves(results), root / "docs/images/growth.png")
    except Missing as error:
        print(f"not changed: docs/images/growth.png: no result of {error}")
