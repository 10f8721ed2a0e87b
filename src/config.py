"""The options: default_config.yaml <- recipe (--config_path) <- command line; strict, and frozen once made."""
import argparse
import dataclasses
import difflib
import functools
import operator
import re
import shutil
from pathlib import Path

import yaml

from src.console import InputError

DEFAULTS = Path(__file__).resolve().parent.parent / "default_config.yaml"
EPILOG = ("Defaults are those of default_config.yaml; a recipe replaces them, the command line replaces both. "
          "Flags stand alone or take True or False; lists follow (--scales 0.5 1.0) or repeat.")
BOUND = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def HELP(prog):
    """Layout of --help: as wide as the terminal, at most 100 columns, 80 where there is none."""
    return argparse.HelpFormatter(prog, max_help_position=28, width=min(shutil.get_terminal_size().columns, 100))


@dataclasses.dataclass(frozen=True)
class Option:
    """One option as default_config.yaml states it."""

    name: str
    default: object
    group: str
    programs: dict    # program -> how it spells the option: its name, another one, or CAPITALS for plain arguments
    help: str
    choices: tuple    # allowed values, or empty
    bounds: tuple     # (operator's text, number) pairs, or empty
    length: int       # of a list that has one, else 0

    @property
    def is_list(self):
        return isinstance(self.default, list)

    @property
    def kind(self):
        """Type of the value, of the elements for a list."""
        return type(self.default[0] if self.is_list else self.default)

    def spelled(self, program: str) -> str:
        """The option as one types it: --name, or NAME for plain arguments."""
        name = self.programs.get(program, self.name)
        return name if name.isupper() else f"--{name}"


@functools.lru_cache
def read_options(path: Path = DEFAULTS) -> dict:
    """Options by name. Raises ValueError for a line of the file that does not say what an option must say."""
    options, group = {}, ""
    values = yaml.safe_load(path.read_text())
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            group = line[3:].strip()
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"(\w+):\s.*?#\s*\[([\w\s:]+)\]\s*(.*?)\s*(?:\{([^{}]*)\})?", line)
        if not found:
            raise ValueError(f"{path}: no '# [programs] help' on the line {line!r}")
        name, programs, text, rule = found.groups()
        rules = [part.strip() for part in rule.split(",")] if rule else []
        bounds = tuple((part.split()[0], float(part.split()[1])) for part in rules if part[0] in "<>")
        kind = type(values[name])
        lengths = [int(part.split()[0]) for part in rules if part.endswith(" values")]
        choices = tuple(kind(part) for part in rules if part[0] not in "<>" and not part.endswith(" values"))
        options[name] = Option(name, values[name], group, spellings(name, programs), text, choices, bounds,
                               sum(lengths))
    return options


def spellings(name: str, programs: str) -> dict:
    """The tag "train eval:other" of option `name` as {"train": name, "eval": "other"}."""
    parts = (program.partition(":") for program in programs.split())
    return {program: other or name for program, _, other in parts}


def check_value(option: Option, value, where: str):
    """`value` as the option's type. Raises InputError that names `where` it came from and what is allowed."""
    if option.is_list:
        if not isinstance(value, list) or not value:
            raise InputError(f"{where}: {option.name} takes a list of {option.kind.__name__}, not {value!r}")
        if option.length and len(value) != option.length:
            raise InputError(f"{where}: {option.name} takes {option.length} values, not {len(value)}")
        return [check_one(option, item, where) for item in value]
    return check_one(option, value, where)


def check_one(option: Option, value, where: str):
    kind = option.kind
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InputError(f"{where}: {option.name} takes {kind.__name__}, not {value!r}")
    if option.choices and value not in option.choices:
        raise InputError(f"{where}: {option.name} is one of {', '.join(map(str, option.choices))}, not {value!r}"
                         + nearest(str(value), map(str, option.choices)))
    for sign, limit in option.bounds:
        if not BOUND[sign](value, limit):
            raise InputError(f"{where}: {option.name} must be {sign} {limit:g}, not {value!r}")
    return value


def nearest(name: str, names) -> str:
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def parse_text(option: Option, spelled: str):
    """The function that turns command-line text into the option's type."""
    def parse(text):
        if option.kind is bool:
            if text.lower() not in ("true", "false"):
                raise InputError(f"{spelled} takes True or False, not {text!r}")
            return text.lower() == "true"
        try:
            return option.kind(text)
        except ValueError:
            raise InputError(f"{spelled} takes {option.kind.__name__}, not {text!r}") from None
    return parse


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one line."""

    def error(self, message):
        raise InputError(f"{self.prog}: {message} (see --help)")


def make_parser(program: str, description: str, options: dict) -> Parser:
    """Parser of the options whose tag names `program`, grouped as in default_config.yaml."""
    typed = [option.spelled(program) for option in own_options(program, options)]
    usage = "".join(f"{name} ... " for name in typed if not name.startswith("--")) + "[--option value ...]"
    parser = Parser(program + ".py", usage="%(prog)s " + usage, description=description, epilog=EPILOG,
                    allow_abbrev=False, argument_default=argparse.SUPPRESS, formatter_class=HELP)
    parser.add_argument("--config_path", metavar="FILE", action="append",
                        help="recipe: YAML file of options that replace the defaults; of several the last one wins")
    groups = {}
    for option in own_options(program, options):
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        spelled = option.spelled(program)
        names = [spelled] if spelled.startswith("--") else []    # a plain argument has its dest for a name
        groups[option.group].add_argument(*names, dest=option.name, help=help_text(option),
                                          type=parse_text(option, spelled), **argument_shape(option, spelled))
    return parser


def own_options(program: str, options: dict) -> list:
    return [option for option in options.values() if program in option.programs or "all" in option.programs]


def argument_shape(option: Option, spelled: str) -> dict:
    if not spelled.startswith("--"):
        return {"metavar": spelled, "nargs": "*"}
    if option.kind is bool:
        return {"nargs": "?", "const": True, "metavar": "True|False"}
    return {"metavar": option.kind.__name__.upper()} | ({"nargs": "+", "action": "extend"} if option.is_list else {})


def help_text(option: Option) -> str:
    rule = ", ".join([*map(str, option.choices), *(f"{sign} {limit:g}" for sign, limit in option.bounds)])
    default = " ".join(map(str, option.default)) if option.is_list else option.default
    parts = [option.help, f"{{{rule}}}" if rule else "", f"(default: {default})" if default not in ("", []) else ""]
    return " ".join(filter(None, parts)).replace("%", "%%")


def parse_args(program: str, description: str, argv=None):
    """Resolved options of `program` as a frozen object: defaults <- recipes <- command line.

    Args:
        program: name as in the tags of default_config.yaml, such as "train".
        description: first lines of --help.
        argv: list of arguments, sys.argv[1:] when None.

    Returns:
        Frozen dataclass with one field for each option of the program, and `given`: name -> who said it, for the
        options that are not defaults, such as "--num_classes 6" or "num_classes 6 of my.yaml".

    Raises:
        InputError: unknown option or key (with the nearest right one), wrong type, value out of bounds.
    """
    options = read_options()
    parser = make_parser(program, description, options)
    typed, unknown = parser.parse_known_intermixed_args(argv)    # plain arguments may stand anywhere
    if unknown:
        raise InputError(explain_unknown(program, unknown[0], options))
    own = {option.name: option for option in own_options(program, options)}
    values, given = {name: option.default for name, option in own.items()}, {}
    for path in getattr(typed, "config_path", []):
        for name, value in read_recipe(path, options).items():
            if name in own:    # a recipe may serve several programs
                values[name], given[name] = value, f"{name} {as_text(value)} of {path}"
    for name, value in vars(typed).items():
        if name != "config_path":
            spelled = own[name].spelled(program)
            values[name] = check_value(dataclasses.replace(own[name], name=spelled.lstrip("-")), value, spelled)
            given[name] = f"{spelled} {as_text(values[name])}"
    return freeze(values, given)


def believe(config, known: dict, source, binding=()):
    """`config` with what a file says in place of defaults; what the user gave stays.

    Args:
        known: option name -> value that the file `source` says; options that the program lacks are passed over.
        binding: names of options whose contradiction would compute nonsense.

    Raises:
        InputError: the user gave another value for one of `binding`; says who said what.
    """
    for name in binding:
        if name in known and name in config.given and getattr(config, name) != known[name]:
            raise InputError(f"{config.given[name]}: but {source} says {as_text(known[name])}; leave the option out")
    names = {field.name for field in dataclasses.fields(config)} - set(config.given)
    return dataclasses.replace(config, **{name: value for name, value in known.items() if name in names})


def as_text(value) -> str:
    """A value as one types it."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def explain_unknown(program: str, argument: str, options: dict) -> str:
    name = argument.split("=")[0]
    if not name.startswith("--"):
        return f"{program}.py takes options only, not {argument!r}; see --help"
    if name[2:] in options and program not in options[name[2:]].programs:
        return f"{program}.py has no option {name}; it belongs to {', '.join(options[name[2:]].programs)}"
    own = [option.spelled(program) for option in own_options(program, options)]
    return f"{program}.py has no option {name}{nearest(name, [*own, '--config_path'])} (see --help)"


def read_recipe(path: str, options: dict) -> dict:
    """Options of a recipe file. Raises InputError that names the file and the key."""
    try:
        values = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"--config_path {path}: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"--config_path {path}: holds no 'key: value' lines")
    for name in values:
        if name not in options:
            raise InputError(f"{path}: unknown key {name}{nearest(str(name), options)}")
    return {name: check_value(options[name], value, path) for name, value in values.items()}


def freeze(values: dict, given: dict):
    fields = [(name, type(value)) for name, value in values.items()]
    return dataclasses.make_dataclass("Config", fields, frozen=True, namespace={"given": given})(**values)


def to_yaml(config) -> str:
    """The resolved options as YAML that --config_path reads again."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)
