"""Write options.md beside this file from default_config.yaml: python docs/make_options.py"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from src.config import read_options
from src.files import write_whole

HEAD = """# Options

Every option of every program, made from `default_config.yaml` by `python docs/make_options.py`. A recipe
(`--config_path FILE`) replaces the defaults, the command line replaces both; what a data set or a checkpoint says of
itself replaces a default too. `python train.py --help` prints the options of one program.

Flags stand alone or take True or False. Lists repeat (`--scales=0.5 --scales=0.75`) or follow (`--scales 0.5 0.75`).
An unknown name is an error that suggests the nearest one, or ours for another project's (`--lr`, `--epochs`).
"""


def limits(option) -> str:
    """Allowed values, bounds and number of values as one text."""
    parts = [*map(str, option.choices), *(f"{sign} {limit:g}" for sign, limit in option.bounds)]
    return ", ".join(parts + [f"{option.length} values"] * bool(option.length))


def row(option) -> str:
    default = " ".join(map(str, option.default)) if option.is_list else str(option.default)
    typed = {program: option.spelled(program) for program in option.programs if program != "all"}
    title = next(iter(typed.values()), f"--{option.name}")
    programs = ", ".join(program if name == title else f"{program} (`{name}`)" for program, name in typed.items())
    rule = limits(option)
    cells = [f"`{title}`", f"`{default}`" if default else "", programs or "all",
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
    return "\n".join(line for line in lines if line is not None) + "\n"


if __name__ == "__main__":
    write_whole(Path(__file__).with_name("options.md"), make_page().encode(), "page")
