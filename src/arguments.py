"""Command lines: parsers whose errors are one line, and --help that is laid out alike in every program."""
import argparse
import shutil

from src.console import InputError
from src.foreign import printable, shown

EPILOG = ("Defaults are those of default_config.yaml; a recipe replaces them, the command line replaces both. "
          "Flags stand alone or take True or False; lists follow (--scales 0.5 1.0) or repeat.")


class Parser(argparse.ArgumentParser):
    """Parser with one-line errors; --help is as wide as the terminal, at most 100 columns, 80 without a terminal."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, allow_abbrev=False, formatter_class=help_layout, **kwargs)
        self.add_argument("--debug", action="store_const", const=True, default=argparse.SUPPRESS,
                          help="show the traceback of an error")    # src.console looks at it

    def error(self, message):
        raise InputError(f"{self.prog}: {printable(message, 400)} (see --help)")


def help_layout(prog: str) -> argparse.HelpFormatter:
    """The formatter of Parser's --help."""
    return argparse.HelpFormatter(prog, max_help_position=28, width=min(shutil.get_terminal_size().columns, 100))


def make_parser(program: str, description: str, options: list) -> Parser:
    """Parser of a program's own `options` (src.config.Option), grouped as in default_config.yaml."""
    typed = [option.spelled(program) for option in options]
    usage = "".join(f"{name} ... " for name in typed if not name.startswith("--")) + "[--option value ...]"
    parser = Parser(program + ".py", usage="%(prog)s " + usage, description=description, epilog=EPILOG,
                    argument_default=argparse.SUPPRESS)
    parser.add_argument("--config_path", metavar="FILE", action="append",
                        help="recipe: YAML file of options that replace the defaults; of several the last one wins")
    groups = {}
    for option, spelled in zip(options, typed):
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        names = [spelled] if spelled.startswith("--") else []    # a plain argument is named by its dest
        groups[option.group].add_argument(*names, dest=option.name, help=help_text(option),
                                          type=parse_text(option, spelled), **argument_shape(option, spelled))
    return parser


def argument_shape(option, spelled: str) -> dict:
    """Arguments of add_argument for the number of values and their name in --help."""
    if not spelled.startswith("--"):
        return {"metavar": spelled, "nargs": "*"}
    if option.kind is bool:
        return {"nargs": "?", "const": True, "metavar": "True|False"}
    metavar = option.path or option.kind.__name__.upper()
    return {"metavar": metavar} | ({"nargs": "+", "action": "extend"} if option.is_list else {})


def help_text(option) -> str:
    rule = ", ".join([*map(str, option.choices), *(f"{sign} {limit:g}" for sign, limit in option.bounds)])
    default = " ".join(map(str, option.default)) if option.is_list else option.default
    parts = [option.help, f"{{{rule}}}" if rule else "", f"(default: {default})" if default not in ("", []) else ""]
    return " ".join(filter(None, parts)).replace("%", "%%")


def parse_text(option, spelled: str):
    """The function that turns command-line text into the option's type."""
    def parse(text):
        if option.kind is bool:
            if text.lower() not in ("true", "false"):
                raise InputError(f"{spelled} takes True or False, not {shown(text)}")
            return text.lower() == "true"
        try:
            return option.kind(text)
        except ValueError:
            raise InputError(f"{spelled} takes {option.kind.__name__}, not {shown(text)}") from None
    return parse
