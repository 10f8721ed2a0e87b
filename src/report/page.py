"""report.html: one self-contained page with an evaluation's figures, charts, pictures and settings."""
import base64
import contextlib
import datetime
import html
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from string import Template

import numpy as np

from src.claims import claim_folder
from src.console import InputError
from src.drawing.palette import palette
from src.drawing.style import percent
from src.files import check_output, write_whole

PAGE = Path(__file__).with_name("page.html")
NAME = "report.html"
MOST_CONFUSIONS = 10
PACKAGES = ("mindspore", "onnxruntime-gpu", "onnxruntime", "openvino", "opencv-python-headless", "numpy")


def prepare_report(folder, kind: str) -> None:
    """Raises InputError, before the work starts, if the report cannot be written. `kind`: see write_report."""
    if find_spec("matplotlib") is None:
        raise InputError("--report: its charts need matplotlib: pip install matplotlib")
    claim_folder(folder, "--report")
    check_output(Path(folder, NAME), "--report", kind)


def text(value) -> str:
    return html.escape(str(value))


def percent_text(share, digits: int = 2) -> str:
    return text(percent(share, digits))


def svg_uri(data: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}"


def swatch(number: int) -> str:
    red, green, blue = palette()[number].tolist()
    return f'<span class="swatch" style="background:rgb({red} {green} {blue})"></span>'


def rows(pairs) -> str:
    return "\n".join(f"<tr><td>{text(name)}</td><td>{text(value)}</td></tr>" for name, value in pairs)


def figures(matrix, gallery, extra: dict) -> str:
    """The headline figures as items of a description list."""
    values = [("mean IoU", percent_text(matrix.mean_iou) + " %"),
              ("mean Dice", percent_text(matrix.mean("dice")) + " %"),
              ("boundary F", percent_text(gallery.boundary.mean) + " %"),
              ("pixel accuracy", percent_text(matrix.pixel_accuracy) + " %"), ("pictures", f"{extra['images']:,}"),
              ("images a second", f"{extra['images_per_s']:.2f}")]
    first = ' class="first"'
    return "\n".join(f"<div{first * (number == 0)}><dt>{name}</dt><dd>{value}</dd></div>"
                     for number, (name, value) in enumerate(values))


def class_rows(matrix, gallery, names) -> str:
    """A table row for each class: its figures, boundary F, its share of the scored pixels; and one of the means."""
    shares = matrix.truth / max(1, matrix.counts.sum())
    lines = zip(names, *(getattr(matrix, figure) for figure in matrix.FIGURES), gallery.boundary.per_class, shares)
    drawn = [cells(f"{swatch(number)}{text(name)}", *map(percent_text, figures), f"{percent_text(share)} %")
            for number, (name, *figures, share) in enumerate(lines)]
    means = map(percent_text, map(matrix.mean, matrix.FIGURES))
    return "\n".join([*drawn, cells("mean", *means, "", "")])


def cells(*contents) -> str:
    """A table row of texts that are HTML already."""
    return f"<tr>{''.join(f'<td>{content}</td>' for content in contents)}</tr>"


def confusions(matrix, names) -> str:
    """The largest shares off the diagonal as a table."""
    shares = matrix.counts / np.maximum(1, matrix.counts.sum(1, keepdims=True))
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [(row, column) for row, column in zip(*np.unravel_index(order, shares.shape)) if shares[row, column] > 0]
    if not pairs:
        return '<p class="note">All pixels are right.</p>'
    lines = "\n".join(f"<tr><td>{swatch(row)}{text(names[row])}</td>"
                      f'<td class="left">{swatch(column)}{text(names[column])}</td>'
                      f"<td>{percent_text(shares[row, column], 1)} %</td></tr>" for row, column in pairs)
    return ('<table><thead><tr><th>truth</th><th class="left">prediction</th><th>share</th></tr></thead>\n'
            f"<tbody>\n{lines}\n</tbody></table>")


def picture(entry: dict, names) -> str:
    """One picture with truth and prediction, its figures, and the classes in it."""
    panels = "".join(
        f'<div><img loading="lazy" src="data:image/jpeg;base64,{panel}" alt="{kind} of {text(entry["image"])}">'
        f"<span>{kind}</span></div>" for kind, panel in zip(("picture", "truth", "prediction"), entry["panels"]))
    found = "".join(f"<span>{swatch(int(number))}{text(names[int(number)])} {percent_text(iou, 0)}</span> "
                    for number, iou in entry["classes"].items())
    return (f'<figure><div class="panels">{panels}</div><figcaption><b>IoU {percent_text(entry["iou"])} %</b>, '
            f'boundary F {percent_text(entry["boundary"])} %, {text(entry["image"])}<br>{found}</figcaption></figure>')


def pictures(entries: list, names) -> str:
    return "\n".join(picture(entry, names) for entry in entries) or '<p class="note">None.</p>'


def mode(extra: dict) -> str:
    """The mode in words: network, output stride, scales, mirrored or not."""
    settings, stride = extra["settings"], extra["output_stride"]
    scales = " ".join(f"{scale:g}" for scale in settings["scales"])
    parts = [extra["network"], f"output stride {stride}" if stride else "",
             extra.get("tiled") or f"{'scale' if len(settings['scales']) == 1 else 'scales'} {scales}",
             "flip" if settings["flip"] else "no flip", f"crop {settings['crop_size']}"]
    return ", ".join(part for part in parts if part)


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def about(extra: dict, labels, device) -> list:
    """Settings needed to reproduce the figures, as (name, value) pairs."""
    settings, options = extra["settings"], extra["options"]
    return [("network", extra["network"]), ("weights", extra["model"]),
            ("SHA-256 of the weights", extra["checkpoint_sha256"]), ("list", options["data_lst"]),
            ("SHA-256 of the list", extra["list_sha256"]), ("data root", options["data_root"]),
            ("scales", " ".join(f"{scale:g}" for scale in settings["scales"])), ("flip", settings["flip"]),
            ("crop size", settings["crop_size"]), ("batch size", settings["batch_size"]),
            ("mean, blue green red", " ".join(map(str, settings["mean"]))),
            ("standard deviation", " ".join(map(str, settings["std"]))), ("ignored label", labels.ignore_label),
            ("device", f"{device.size} x {device.target}"), ("versions", versions()),
            ("written", datetime.datetime.now().astimezone().isoformat(timespec="seconds"))]


def write_report(folder, matrix, gallery, labels, extra: dict, device, kind: str = "drawn") -> Path:
    """Write report.html into `folder` and return its path. Raises RunError.

    Args:
        matrix, gallery: ConfusionMatrix and Gallery of the complete list.
        extra: the entries of the result file apart from the figures, and "model" and "list_sha256".
        kind: the files that may be replaced, see src.files.check_output.
    """
    from src.report.charts import heat_map, iou_bars  # here: evaluation without a report needs no matplotlib
    names, absent = labels.names, int(np.isnan(matrix.iou).sum())
    page = Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=text(f"{extra['network']} on {Path(extra['options']['data_lst']).name}"), mode=text(mode(extra)),
        figures=figures(matrix, gallery, extra), classes=class_rows(matrix, gallery, names),
        absent=f" ({absent} never occur{'s' if absent == 1 else ''})" if absent else "",
        bars=svg_uri(iou_bars(names, matrix.iou, matrix.mean_iou)),
        heat_map=svg_uri(heat_map(names, matrix.counts)),
        map_least=min(620, 220 + 19 * len(names)), map_most=min(900, 300 + 30 * len(names)),
        confusions=confusions(matrix, names),
        worst=pictures(gallery.worst, names), best=pictures(gallery.best, names),
        about=rows(about(extra, labels, device)),
        options=rows((name, json.dumps(value)) for name, value in extra["options"].items()))
    path = Path(folder) / NAME
    write_whole(path, page.encode("utf-8", "backslashreplace"), "--report", kind)    # file names need not be UTF-8
    return path
