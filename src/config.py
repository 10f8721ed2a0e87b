"""The options: default_config.yaml <- recipe (--config_path) <- command line; checked, then frozen."""
import dataclasses
import difflib
import functools
import math
import operator
import re
import sys
from pathlib import Path

import yaml

from src.arguments import make_parser
from src.console import InputError
from src.foreign import Unreadable, load_yaml, printable, read_bounded, reason, shown

DEFAULTS = Path(__file__).resolve().parent.parent / "default_config.yaml"
LARGEST = 1 << 53    # floats hold every integer up to here
BOUND = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}

# Other projects' name of an option -> ours; of several, the first one that the program has.
CHECKPOINT = ("ckpt_path", "ckpt_file", "model_file", "ckpt_pre_trained")
OTHER_NAMES = {
    "lr": ("base_lr",), "learning_rate": ("base_lr",), "epochs": ("train_epochs",), "max_epochs": ("train_epochs",),
    "imgsz": ("crop_size", "input_size"), "img_size": ("crop_size", "input_size"),
    "batch": ("batch_size", "predict_batch", "export_batch_size"),
    "data": ("data_file", "data_lst", "sources"), "source": ("sources",), "num_workers": ("workers",),
    "classes": ("num_classes",), "nc": ("num_classes",), "device": ("device_target",), "gpus": ("device_id",),
    "weights": CHECKPOINT, "checkpoint": CHECKPOINT, "pretrained": ("ckpt_pre_trained",),
    "color_jitter": ("photometric",), "degrees": ("rotate",),
    "warmup_iters": ("warmup_steps",), "freeze": ("freeze_backbone",),
    "work_dir": ("train_dir",), "save_dir": ("train_dir", "output_dir"),
}


@dataclasses.dataclass(frozen=True)
class Option:
    """One option as default_config.yaml states it."""

    name: str
    default: object
    group: str
    programs: dict    # program -> how it spells the option: its name, another one, or CAPITALS for plain arguments
    help: str
    choices: tuple = ()    # allowed values, or empty
    bounds: tuple = ()     # (operator's text, number) pairs, or empty
    length: int = 0        # of a list that has one, else 0
    path: str = ""         # FILE or DIR for a path, URL for a place in object storage, else empty
    folder: str = ""       # on ModelArts: the option with the local folder that a relative path is in

    @property
    def is_list(self):
        return isinstance(self.default, list)

    @property
    def kind(self):
        """Type of the value; for a list, of its elements."""
        return type(self.default[0] if self.is_list else self.default)

    def spelled(self, program: str) -> str:
        """The option as it is typed: --name, or NAME for plain arguments."""
        name = self.programs.get(program, self.name)
        return name if name.isupper() else f"--{name}"


@functools.lru_cache
def read_options(path: Path = DEFAULTS) -> dict:
    """Options by name. Raises ValueError for a line without programs and help."""
    text = path.read_text(encoding="utf-8")
    options, group, values = {}, "", yaml.safe_load(text)
    for line in re.sub(r"\n +# *", " ", text).splitlines():    # a comment goes on in indented lines
        if line.startswith("## "):
            group = line[3:].strip()
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"(\w+):\s.*?#\s*\[([\w\s:]+)\]\s*(.*?)\s*(?:\{([^{}]*)\})?", line)
        if not found:
            raise ValueError(f"{path}: no '# [programs] help' on the line {line!r}")
        name, programs, help_text, rule = found.groups()
        tags = (tag.partition(":") for tag in programs.split())    # such as train eval:other
        options[name] = Option(name, values[name], group, {program: other or name for program, _, other in tags},
                               help_text, **parse_rule(rule or "", type(values[name])))
    return options


def parse_rule(text: str, kind: type) -> dict:
    """Fields of an Option from the text in braces: bounds, choices of type `kind`, "3 values", "FILE in data_path".
    """
    fields = {"choices": (), "bounds": ()}
    for part in filter(None, (part.strip() for part in text.split(","))):
        if found := re.fullmatch(r"([<>]=?) (\S+)", part):
            fields["bounds"] += ((found[1], float(found[2])),)
        elif found := re.fullmatch(r"(\d+) values", part):
            fields["length"] = int(found[1])
        elif found := re.fullmatch(r"(FILE|DIR|URL)(?: in (\w+))?", part):
            fields |= {"path": found[1], "folder": found[2] or ""}
        else:
            fields["choices"] += (kind(part),)
    return fields


def check_value(option: Option, value, where: str):
    """`value` as the option's type. Raises InputError with `where` it came from and the allowed values."""
    if option.is_list:
        if not isinstance(value, list) or not value:
            raise InputError(f"{where}: {option.name} takes a list of {option.kind.__name__}, not {shown(value)}")
        if option.length and len(value) != option.length:
            raise InputError(f"{where}: {option.name} takes {option.length} values, not {len(value)}")
        return [check_one(option, item, where) for item in value]
    return check_one(option, value, where)


def check_one(option: Option, value, where: str):
    kind = option.kind
    if type(value) is int and abs(value) > LARGEST:    # no option needs one, and floats overflow
        raise InputError(f"{where}: {option.name} takes no number as large as {shown(value)}")
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InputError(f"{where}: {option.name} takes {kind.__name__}, not {shown(value)}")
    if kind is float and not math.isfinite(value):
        raise InputError(f"{where}: {option.name} takes a finite number, not {value}")
    if kind is str and "\0" in value:
        raise InputError(f"{where}: {option.name} takes a text without NUL, not {shown(value)}")
    if option.choices and value not in option.choices:
        raise InputError(f"{where}: {option.name} is one of {', '.join(map(str, option.choices))}, not {shown(value)}"
                         + nearest(str(value), map(str, option.choices)))
    for sign, limit in option.bounds:
        if not BOUND[sign](value, limit):
            raise InputError(f"{where}: {option.name} must be {sign} {limit:g}, not {shown(value)}")
    return value


def nearest(name: str, names) -> str:
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def own_options(program: str) -> dict:
    """The options that `program` takes, by name."""
    return {name: option for name, option in read_options().items() if program in option.programs}


def parse_args(program: str, description: str, argv=None):
    """Resolved options of `program` as a frozen object: defaults <- recipes <- command line.

    Args:
        program: name as in the tags of default_config.yaml, such as "train".
        argv: list of arguments, sys.argv[1:] when None.

    Returns:
        Frozen dataclass with one field for each option of the program, and `given`: name -> where the value came from,
        for the options that are not defaults, such as "--num_classes 6" or "num_classes 6 of my.yaml"; and
        `spelled`: name -> as the program spells it.

    Raises InputError: unknown option or key (with the most similar known one), wrong type, value out of bounds.
    """
    own = own_options(program)
    typed = read_command_line(program, description, own, sys.argv[1:] if argv is None else argv)
    values, given = {name: option.default for name, option in own.items()}, {}
    for path in typed.get("config_path", []):
        for name, value in read_recipe(path, own).items():
            if name in own:    # a recipe may serve several programs
                values[name], given[name] = value, f"{name} {as_text(value)} of {path}"
    spelled = {name: option.spelled(program) for name, option in own.items()}
    for name, value in typed.items():
        if name in own:
            option = dataclasses.replace(own[name], name=spelled[name].lstrip("-"))
            values[name] = check_value(option, value, spelled[name])
            given[name] = f"{spelled[name]} {as_text(values[name])}"
    fields, more = [(name, type(value)) for name, value in values.items()], {"given": given, "spelled": spelled}
    return dataclasses.make_dataclass("Config", fields, frozen=True, namespace=more)(**values)


def read_command_line(program: str, description: str, own: dict, argv: list) -> dict:
    """Name -> typed value of the options `own` and of config_path. Arguments after "--" are not options, even if they
    begin with a dash. Raises InputError for unknown ones."""
    place = argv.index("--") if "--" in argv else len(argv)
    argv, plain = argv[:place], argv[place + 1:]
    parser = make_parser(program, description, list(own.values()))
    found, unknown = parser.parse_known_intermixed_args(argv)    # plain arguments may stand anywhere
    typed, takers = vars(found), [name for name, option in own.items() if option.spelled(program).isupper()]
    if takers and plain:
        typed[takers[0]] = [*typed.get(takers[0], []), *plain]
    elif plain:
        unknown = unknown or plain
    if unknown:
        raise InputError(explain_unknown(program, unknown[0]))
    return typed


def believe(config, known: dict, source, binding=(), hint="leave the option out"):
    """`config` with the values of a file in place of defaults; options that the user gave keep their values.

    Args:
        known: option name -> value in the file `source`; options that the program lacks are ignored.
        binding: names of options that must not differ from the file: the results would be wrong.
        hint: how to fix such a difference.

    Raises InputError: the user gave another value for one of `binding`; the message has both values and their sources.
    """
    for name in binding:
        if name in known and name in config.given and getattr(config, name) != known[name]:
            said, value = config.given[name], as_text(known[name])
            if not said.startswith("--"):    # a line of a recipe, which the user may not have written
                hint = f"{config.spelled[name]} {value} replaces that line"
            raise InputError(f"{said}: but {source} says {value}; {hint}")
    names = {field.name for field in dataclasses.fields(config)} - set(config.given)
    return dataclasses.replace(config, **{name: value for name, value in known.items() if name in names})


def as_text(value) -> str:
    """A value as it is typed."""
    return printable(" ".join(map(str, value)) if isinstance(value, (list, tuple)) else value, 400)


def explain_unknown(program: str, argument: str) -> str:
    """Error text for an argument that `program` does not take, with the right one where it is known."""
    name, options, own = argument.split("=")[0], read_options(), own_options(program)
    if any(option.spelled(program).isupper() for option in own.values()) and not name.startswith("--"):
        return f"{program}.py has no option {argument}; a name that begins with - goes behind --, or as ./{argument}"
    if not name.startswith("--"):
        return f"{program}.py takes options only, not {argument!r}; see --help"
    ours = our_name(name[2:], own)
    if ours:
        return f"{program}.py has no option {name}; here it is {own[ours].spelled(program)} (see --help)"
    if name[2:] in options and program not in options[name[2:]].programs:
        return f"{program}.py has no option {name}; it belongs to {', '.join(options[name[2:]].programs)}"
    typed = [] if name[2:] in OTHER_NAMES else [*(option.spelled(program) for option in own.values()), "--config_path"]
    return f"{program}.py has no option {name}{nearest(name, typed)} (see --help)"


def our_name(theirs: str, own: dict):
    """The option of `own` with the name `theirs` in other projects, or None."""
    return next((ours for ours in OTHER_NAMES.get(theirs.replace("-", "_"), ()) if ours in own), None)


def read_recipe(path: str, own: dict) -> dict:
    """Options of a recipe file for a program with the options `own`. InputError names the file and the key."""
    try:
        values = load_yaml(read_bounded(path))
    except (OSError, Unreadable) as error:
        raise InputError(f"--config_path {path}: {reason(error)}") from None
    if not isinstance(values, dict):
        raise InputError(f"--config_path {path}: holds no 'key: value' lines")
    options = read_options()
    for name in values:
        if name not in options:
            ours = our_name(str(name), own)
            raise InputError(f"{path}: unknown key {printable(name)}"
                             + (f"; here it is {ours}" if ours else nearest(printable(name), options)))
    return {name: check_value(options[name], value, path) for name, value in values.items()}


def to_yaml(config) -> str:
    """The resolved options as YAML that --config_path reads again."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)
