"""benchmarks/run.py: every kind of figure with --smallest, missing packages, busy machines, tables of results."""
import importlib
import json
import os
import re
import subprocess
import sys
import time

import pytest

from benchmarks import commands, machine, run, tables
from benchmarks.figures import FIGURES, Side
from benchmarks.prepare import Job
from benchmarks.serve import ROOT
from src.console import RunError
from tests.conftest import PROTOBUF, wait_until

BY_PROSE = {"scaling"}    # figures that stand in the text of a page, not in a table
SLOW = {"commands:quickstart"}    # minutes: tests/test_quickstart.py runs the script, a test below what reads its time
OF_VOC = {"lists:full_set"}    # needs VOC and SBD; cannot be drawn


def covering() -> list:
    """Names of figures that together call every function except SLOW and OF_VOC."""
    chosen, seen = [], SLOW | OF_VOC
    for figure in FIGURES.values():
        makes = {side.make for side in figure.sides.values()} | ({figure.compare} - {""})
        if makes - seen:
            chosen.append(figure.name)
            seen |= makes
    return chosen


def smallest(folder, *arguments):
    """Output of run.py, started as a user does; its results are in `folder`."""
    inherited = {name: value for name, value in os.environ.items() if name != PROTOBUF}
    done = subprocess.run([sys.executable, ROOT / "benchmarks/run.py", "--smallest", "--results", folder,
                           *map(str, arguments)], capture_output=True, text=True, env=inherited, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(folder of results, console) of the covering figures."""
    folder = tmp_path_factory.mktemp("results")
    return folder, smallest(folder, *covering())


def check(result: dict, figure) -> None:
    """The fields of a result."""
    assert result["name"] == figure.name and result["smallest"] is True
    assert set(result["sides"]) | set(result["left_out"]) == set(figure.sides)
    for side in result["sides"].values():
        assert side["s"] > 0 and len(side["rounds_s"]) == 1 and side["title"]
        assert side["mb"] is None or side["mb"] > 5
    first = next(iter(figure.sides))
    if figure.beside and first in result["sides"]:
        ours = result["sides"][first]["s"]
        assert all(side["ratio"] == pytest.approx(ours / side["s"])
                   for key, side in result["sides"].items() if key != first)
    assert len(result["targets"]) == len(figure.targets)
    assert {"cpu", "cores", "isa", "memory_gb", "system", "versions"} == set(result["machine"])
    assert result["machine"]["cores"] >= 1 and "python" in result["machine"]["versions"]
    assert all(len(result[name]) == 3 for name in ("load_first", "load_before", "load_after"))
    assert result["others"] >= 0 and isinstance(result["busy"], list)


@pytest.mark.parametrize("name", covering())
def test_smallest_form(measured, name):
    folder, console = measured
    if not (folder / f"{name}.json").exists():
        reasons = [line for side in FIGURES[name].sides.values() for line in console.splitlines()
                   if line.startswith(f"left out: {side.title} (")]
        assert len(reasons) >= len(FIGURES[name].sides), "each side says why"
        pytest.skip(reasons[0])
    result = json.loads((folder / f"{name}.json").read_text())
    check(result, FIGURES[name])
    for key, why in result["left_out"].items():
        title = FIGURES[name].sides[key].title
        assert f"left out: {title} ({why})" in console.splitlines(), "one line"
    mindspore = result["sides"].get("mindspore", {})
    assert mindspore.get("equal_pixels", 1) > 0.999 and mindspore.get("difference", 0) < 1e-5


def test_lists_of_voc(voc_sample, tmp_path):
    smallest(tmp_path, "lists", "--data_root", voc_sample)
    check(json.loads((tmp_path / "lists.json").read_text()), FIGURES["lists"])


@pytest.fixture
def job(tmp_path):
    return Job(str(tmp_path), str(tmp_path / "out"), "", True)


def test_a_missing_peer_is_one_line(monkeypatch, tmp_path, capfd):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest))
    run.main(["--smallest", "--results", str(tmp_path), "network_s16_batch4"])
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("left out")]
    assert lines == ["left out: PyTorch eager (torch is not installed; pip install -r benchmarks/requirements.txt)"]
    result = json.loads((tmp_path / "network_s16_batch4.json").read_text())
    assert list(result["left_out"]) == ["torch"] and list(result["sides"]) == ["onnxruntime", "mindspore"]
    assert result["targets"][0]["met"] is None


def test_what_this_machine_cannot_measure_is_left_out(job):
    served = run.Served(Side("older", "commands:quickstart", {"which": "older"}), job)
    assert served.missing == "--beside names no older checkout"


def test_a_side_that_fails_is_an_error(job, monkeypatch, capfd):
    with pytest.raises(RuntimeError, match="(?s)odd side: ended with 1.*unknown network 'deeplab_v3_tiny_s99'"):
        run.Served(Side("odd side", "networks:network", {"stride": "s99"}), job)
    dying = run.Served(Side("dying side", "commands:quickstart", {"which": "older"}), job._replace(beside="/nowhere"))
    with pytest.raises(RuntimeError, match="(?s)dying side: ended with 1.*run_quickstart.sh"):
        dying.turn()
    with pytest.raises(RuntimeError, match="dying side"):
        dying.turn()
    dying.close()
    broken = FIGURES["around"]._replace(sides={"ours": Side("odd side", "networks:network", {"stride": "s99"})})
    monkeypatch.setitem(FIGURES, "around", broken)
    with pytest.raises(RunError, match="1 of the figures could not be measured"):
        run.main(["--smallest", "around"])
    assert "around: odd side: ended with 1" in capfd.readouterr().err


@pytest.mark.parametrize("arguments, said", [(["nonsense"], "unknown figure nonsense"),
                                             (["--data_root", "/nowhere"], "contains no VOCdevkit/VOC2012")])
def test_wrong_options(arguments, said, capsys):
    with pytest.raises(SystemExit) as error:
        run.main(arguments)
    assert error.value.code == 2 and said in capsys.readouterr().err


def test_time_of_the_quickstart(job, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/run_quickstart.sh").write_text("echo installation 3 s, everything else 7 s\n")
    assert commands.quickstart(job._replace(beside=str(tmp_path)), "older")() == {"s": 7.0, "mb": None}
    said = (ROOT / "scripts/run_quickstart.sh").read_text()
    assert "s, everything else %d s" in said, "what the figure reads"


BURN = "import time; end = time.time() + 600\nwhile time.time() < end: pass"


def wait_for_half_a_second_of(process: int) -> None:
    """Wait until the process has used this much more processor time."""
    def ticks():
        return sum(map(int, open(f"/proc/{process}/stat").read().split()[13:15]))
    end = ticks() + 0.5 * machine.TICK
    wait_until(lambda: ticks() >= end)


def test_other_programs_are_distinguished_from_our_own():
    before = machine.used_by_own()
    own = subprocess.Popen([sys.executable, "-c", BURN])
    wait_for_half_a_second_of(own.pid)
    assert machine.used_by_own() - before >= 0.5
    own.kill()
    own.wait()
    assert machine.used_by_own() - before >= 0.5, "ended processes count"
    # The shell ends, so the burner is not a child of this process.
    stranger = subprocess.run(f'"{sys.executable}" -c "{BURN}" >/dev/null & echo $!', shell=True, text=True,
                              stdout=subprocess.PIPE)
    try:
        watch, before, start = machine.Watch(), machine.used_by_own(), time.perf_counter()
        wait_for_half_a_second_of(int(stranger.stdout))
        others = watch.others()
        assert others * (time.perf_counter() - start) > 0.3 and machine.used_by_own() - before < 0.3
    finally:
        os.kill(int(stranger.stdout), 9)


def test_reasons_of_a_busy_machine():
    assert machine.reasons([0.0, 0, 0], 0.0, 0.0) == []
    load, before, during = machine.reasons([99.0, 0, 0], 0.5, 0.9)
    assert "load 99.0 before the first figure" in load
    assert "used 0.5 cores just before" in before and "used 0.9 cores while measuring" in during


def made_result(figure) -> dict:
    """A result in which the first side takes 2 s and 1024 MB, the others 4 s and 2048 MB."""
    sides = {key: {"title": side.title, "s": 4.0, "mb": 2048.0, "difference": 2e-6}
             for key, side in figure.sides.items()}
    sides[next(iter(sides))].update(s=2.0, mb=1024.0)
    if figure.beside:
        run.add_ratios(sides)
    return {"name": figure.name, "what": figure.what, "sides": sides, "left_out": {}, "busy": [],
            "targets": run.judge(figure, sides), "machine": machine.describe(), "date": "2026-01-02"}


def test_tables_are_made_from_results(tmp_path):
    for figure in FIGURES.values():
        (tmp_path / f"{figure.name}.json").write_text(json.dumps(made_result(figure)))
    (tmp_path / "docs/images").mkdir(parents=True)
    for page in tables.PAGES:
        (tmp_path / page).write_text((ROOT / page).read_text())
    tables.write_tables(tmp_path, tmp_path)
    texts = {page: (tmp_path / page).read_text() for page in tables.PAGES}
    assert "| eval.py, batch 1, stride 16; 8 | PyTorch eager, simple processing | 0.50; 0.50 |" in texts["README.md"]
    assert "| 训练数据处理 | model zoo 的数据增强；torchvision v2 | 0.50；0.50 |" in texts["README_CN.md"]
    page = texts["docs/performance.md"]
    assert "`python benchmarks/run.py differences_s16 differences_s8` on" in page
    assert "| | MindSpore | 4 s | **0.50** | 2.00 | 0.50 | 2.0e-06 | <= 1e-05: met |" in page
    assert "| predict.py, one picture, from the command to its overlay | .ckpt | 2 s | " in page
    assert "| --help of each program | 16 of them | 2 s to 4 s | " in page
    assert "<= 1.9 s: **missed**; <= 950 MB: **missed**" in page
    assert "| classes | input | 21 60 100 150 | 2.00 4.00 4.00 4.00 |" in page
    assert (tmp_path / "docs/images/growth.png").stat().st_size > 1000
    tables.write_tables(tmp_path, tmp_path)
    assert texts == {page: (tmp_path / page).read_text() for page in tables.PAGES}, "the second time changes nothing"


def test_pages_without_results_are_not_changed(tmp_path):
    text = (ROOT / "docs/performance.md").read_text()
    new, left = tables.filled(text, tables.Results(tmp_path), "performance.md")
    assert new == text and len(left) == text.count("<!-- end -->")
    assert "performance.md, <!-- figures: differences_s16 differences_s8 -->: no result of differences_s16" in left


@pytest.mark.parametrize("page", tables.PAGES)
def test_pages_have_the_figures_of_the_results(page):
    text = (ROOT / page).read_text()
    assert tables.filled(text, tables.Results(run.RESULTS), page)[0] == text, "python benchmarks/run.py --tables"
    assert len(tables.BLOCK.findall(text)) == text.count("<!-- end -->") > 0
    names = [name for _, kind, names, *_ in tables.BLOCK.findall(text) if kind == "figures" for name in names.split()]
    assert set(names) <= set(FIGURES)


def test_figures_that_share_a_point_are_measured_in_one_run(tmp_path):
    smallest(tmp_path, "growth_side_evaluation", "growth_classes_evaluation")


def test_every_figure_is_on_a_page():
    prose = ("docs/recipe.md", "docs/export.md", "docs/data.md")
    text = "".join((ROOT / page).read_text() for page in (*tables.PAGES, *prose))
    names = {name for name in FIGURES if not name.startswith("growth_")}
    missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
    assert missing == [], "name each in a <!-- figures: --> block of docs/performance.md"
    assert all(f"run.py {name}" in text for name in BY_PROSE)


def test_the_end_of_a_pipe_is_no_traceback(tmp_path):
    done = subprocess.run(["bash", "-c", f"set -o pipefail; '{sys.executable}' '{ROOT}/benchmarks/run.py' --list | "
                           "head -n 1"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("network_s16: "), done
