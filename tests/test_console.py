"""The console: progress bars, colours and widths on a terminal, but not in logs; --help is fast and grouped."""
import fcntl
import importlib
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import numpy as np
import pytest

from src.config import read_options
from tests.conftest import ROOT

PROGRAMS = ["train.py", "eval.py", "convert_resnet101.py", "export.py", "eval_onnx.py", "src/data/build_seg_data.py",
            "src/data/get_dataset_lst.py", "src/data/sample.py", "src/data/check_data.py", "src/tools/postprocess.py",
            "predict.py"]
SLOW = r"\| +(mindspore|torch|onnx|onnxruntime|openvino|scipy|matplotlib)\n"    # packages that take long to import


def on_terminal(*command, **environment):
    """(exit code, text) of a command whose streams are a terminal of 80 columns."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen([str(part) for part in command], stdin=inner, stdout=inner, stderr=inner,
                               env={**inherited, "TERM": "xterm", **environment})
    os.close(inner)
    parts = []

    def read():
        try:
            while part := os.read(terminal, 4096):
                parts.append(part)
        except OSError:    # Linux's error when the other end is closed
            pass
    reader = threading.Thread(target=read)
    reader.start()
    code = process.wait(300)
    reader.join(60)
    os.close(terminal)
    return code, b"".join(parts).decode()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A drawn sample; drawn on a terminal."""
    root = tmp_path_factory.mktemp("console")
    code, text = on_terminal(sys.executable, ROOT / "src/data/sample.py", "--sample_dir", root, "--sample_train", 40,
                             "--sample_val", 4)
    assert code == 0 and re.search(r"draw: +\d+%.*\| \d+/44 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+pair/s\]", text), text
    return root


def test_bars_on_a_terminal(pictures):
    code, text = on_terminal(sys.executable, ROOT / "src/data/get_dataset_lst.py", "--data_root", pictures)
    assert code == 0 and re.search(r"VOC: +\d+%.*mask/s\]", text), text
    folders = pictures / "VOCdevkit/VOC2012"
    code, text = on_terminal(sys.executable, ROOT / "src/data/get_dataset_lst.py", "--images", folders / "JPEGImages",
                             "--masks", folders / "SegmentationClass")
    assert code == 0 and re.search(r"masks: +\d+%.*mask/s\]", text), text
    code, text = on_terminal(sys.executable, ROOT / "src/data/build_seg_data.py", "--data_root", pictures, "--data_lst",
                             pictures / "voc_train_lst.txt", "--dst_path", pictures / "a.mindrecord",
                             "--num_classes", 6)
    assert code == 0 and re.search(r"check: +\d+%.*pair/s\]", text) and re.search(r"write: +\d+%.*pair/s\]", text)


def check(pictures, tmp_path):
    (tmp_path / "list.txt").write_text("missing.jpg missing.png\nalso_missing.jpg also_missing.png\n")
    return [sys.executable, ROOT / "src/data/check_data.py", "--data_root", pictures, "--data_lst",
            tmp_path / "list.txt", "--check_dir", tmp_path]


def test_colours_on_a_terminal_only(pictures, tmp_path, shell):
    command = check(pictures, tmp_path)
    code, text = on_terminal(*command)
    assert code == 1 and "\033[1;31merror\033[0m: " in text and "\033[1;33mwarning\033[0m: " in text
    assert "%|" in text
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, text = on_terminal(*command, **environment)
        assert code == 1 and "error: " in text and "\033[1" not in text
    result = shell(*command)
    assert result.code == 1 and "\033" not in result.out + result.err and "\r" not in result.out + result.err
    assert result.err.startswith("error: ")


def test_launchers_colour_on_a_terminal_only(shell):
    command = ("bash", ROOT / "scripts/run_eval_s16.sh", "a", "b", "c", "d")
    code, text = on_terminal(*command)
    assert code == 2 and text.startswith("\033[1;31merror\033[0m: unexpected argument 'd'")
    assert on_terminal(*command, NO_COLOR="1")[1].startswith("error: ")
    assert shell(*command).err.startswith("error: ")


def test_the_table_fits_80_columns():
    from src.evaluation.metrics import ConfusionMatrix
    from src.evaluation.results import format_table
    matrix = ConfusionMatrix(3, 255)
    matrix.counts = np.diag([10 ** 12, 5, 0])
    lines = format_table(matrix, ["road", "a class with a name beyond all measure", "another name of that kind"])
    assert max(map(len, lines.splitlines())) <= 80 and "a class with a nam..." in lines


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_quick_grouped_and_complete(shell, program):
    result = shell(sys.executable, "-X", "importtime", ROOT / program, "--help", COLUMNS="80")
    assert result.code == 0 and re.findall(SLOW, result.err) == [], "what --help would wait for"
    assert max(map(len, result.out.splitlines())) <= 80 and "--config_path" in result.out
    stem = program.rsplit("/")[-1][:-3]
    own = [option for option in read_options().values() if stem in option.programs]
    text = " ".join(result.out.split())
    for option in own:
        start = result.out.index(f"\n  {option.spelled(stem)} ")
        assert result.out.rindex(f"\n{option.group}:\n", 0, start + 1) >= 0
        assert " ".join(option.help.split()) in text, option.name
        if option.default != "" and not option.is_list:
            assert f"(default: {option.default})" in text


@pytest.mark.parametrize("program", ["summary", "plot", "model_info", "launch", "get_multicards_json"])
def test_help_of_the_small_programs(shell, program):
    result = shell(sys.executable, "-X", "importtime", ROOT / f"src/tools/{program}.py", "--help")
    assert result.code == 0 and result.out.startswith(f"usage: {program}.py") and re.findall(SLOW, result.err) == []
    wrong = shell(sys.executable, ROOT / f"src/tools/{program}.py")
    assert wrong.code == 2 and wrong.err.startswith("error: ") and wrong.err.count("\n") == 1


@pytest.mark.parametrize("program", sorted(
    str(path.relative_to(ROOT)) for folder in (".", "src/data", "src/tools") for path in (ROOT / folder).glob("*.py")
    if "sys.exit(run_program(main" in path.read_text()))
def test_every_program_takes_debug(program, capsys):
    main = importlib.import_module(program[:-3].replace("/", ".")).main
    with pytest.raises(SystemExit) as end:
        main(["--debug", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0 and said.count("--debug ") == 1 and "show the traceback of an error" in said


def test_an_array_that_memory_cannot_hold_is_one_line(run):
    result = run(lambda argv: np.zeros((1 << 30, 1 << 30), np.float32))
    assert result.code == 1 and result.err.count("\n") == 1, result
    assert result.err.startswith("error: not enough memory: Unable to allocate 4.00 EiB for an array")


@pytest.mark.parametrize("text, line", [
    ("", "ValueError"), ("----\n", "ValueError"),
    ("\n------\n- Kernel select failed:\n------\n", "- Kernel select failed:"),
    ("#### ***\n====\n  [ERROR] no space.\n", "[ERROR] no space"), ("中文。\n----", "中文。")])
def test_the_first_line_that_says_something(text, line):
    from src.console import first_line
    assert first_line(ValueError(text)) == line
