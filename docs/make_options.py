"""Write options.md beside this file from default_config.yaml: python docs/make_options.py"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from src.config import read_options
from src.files import write_whole

HEAD = """# Options

Every option in `default_config.yaml`, from which `python docs/make_options.py` generates this page. A recipe
(`--config_path FILE`) replaces defaults, and the command line replaces both. A value stored with a data set, a
checkpoint or an exported file replaces a default too. On the command line you may override stored values, except the
number of classes, the data set's ignored label and the network: a difference there is an error.

Every program also takes `--debug`, which shows the traceback of an error. The programs in `src/tools` and the C++
program have a few more options. `python train.py --help` prints the options of one program.

A flag may stand alone or be followed by True or False. For a list, repeat the option (`--scales=0.5 --scales=0.75`) or
give several values (`--scales 0.5 0.75`). An unknown option is an error that suggests the nearest one, or the
equivalent of another project's option (`--lr`, `--epochs`).
"""

TAIL = """
## Environment variables of the launchers

| variable | launchers | what it does |
| --- | --- | --- |
| names of arguments, such as `DATA_ROOT` | all | give the argument of this name |
| `TRAIN_PATH` `EVAL_PATH` `WORK_PATH` | training; evaluation; run_recipe.sh | folder of logs and results |
| `DEVICE_TARGET` `DEVICE_ID` | training, evaluation | the device; run_eval_onnx.sh takes CPU or GPU |
| `RANK_SIZE` | distributed training, evaluation | number of devices (processes on a CPU) |
| `NODES` `NODE_RANK` | distributed training | [several machines](recipe.md#devices-and-ranks), and which this is |
| `MASTER_ADDR` `MASTER_PORT` | distributed training | the machine and port where they meet |
| `BIND_CORE` | distributed training | True gives each rank its own cores |
| `RECIPES` | training, evaluation, run_recipe.sh | folder with a changed copy of `scripts/recipes` |
| `MS_LITE_HOME` | run_infer_cpp.sh | an installed MindSpore Lite |
| `PYTHON` | all | the Python to use |
| `ASSUME_YES` | run_quickstart.sh, run_tests.sh | 1 agrees to replacing packages |
| `PIP_INDEX_URL` | run_quickstart.sh, run_tests.sh | the index of packages |
"""


def limits(option) -> str:
    """Allowed values, bounds and number of values as one text."""
    parts = [*map(str, option.choices), *(f"{sign} {limit:g}" for sign, limit in option.bounds)]
    return ", ".join(parts + [f"{option.length} values"] * bool(option.length))


def row(option) -> str:
    default = " ".join(map(str, option.default)) if option.is_list else str(option.default)
    typed = {program: option.spelled(program) for program in option.programs}
    title = next(iter(typed.values()), f"--{option.name}")
    programs = ", ".join(program if name == title else f"{program} (`{name}`)" for program, name in typed.items())
    rule = limits(option)
    cells = [f"`{title}`", f"`{default}`" if default else "", programs,
             option.help.replace("|", "\\|") + (f" ({rule})" if rule else "")]
    return "| " + " | ".join(cells) + " |"


def make_page() -> str:
    lines, group = [HEAD], ""
    for option in read_options().values():
        if option.group != group:
            group = option.group
            lines += ["" if len(lines) > 1 else None, f"## {group}", "",
                      "| option | default | programs | what it does |", "| --- | --- | --- | --- |"]
        lines.append(row(option))
    return "\n".join(line for line in lines if line is not None) + "\n" + TAIL


if __name__ == "__main__":
    write_whole(Path(__file__).with_name("options.md"), make_page().encode(), "page")
