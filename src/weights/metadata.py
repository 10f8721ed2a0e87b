"""Metadata of checkpoints and exported networks ("facts"), under the same names in every kind of file.

A checkpoint has them as JSON in an entry of its own, an ONNX file in its metadata, a MINDIR in a JSON file beside it.
Files are not trusted: each fact is checked like the option that it sets.
"""
import json
import re
from pathlib import Path

from src.config import believe, check_value, read_options
from src.console import InputError, warn
from src.data.labels import Labels, check_names
from src.foreign import Unreadable, load_json, printable, read_bounded, reason, shown
from src.nets.architecture import Architecture

# Fact -> the options that it sets; an option is named differently by some programs.
OPTIONS = {
    "network": ("model", "export_model"),
    "atrous_rates": ("atrous_rates",),
    "num_classes": ("num_classes",),
    "ignore_label": ("ignore_label",),
    "crop_size": ("crop_size", "input_size"),
    "mean": ("image_mean",),
    "std": ("image_std",),
}
NAME, MOST = re.compile(r"[\w .:-]{1,60}"), 100    # of unknown facts, which are only passed on


def describe(architecture: Architecture, labels: Labels, crop_size: int, mean, std) -> dict:
    """The facts of a network: its architecture, its classes and its input.

    Args:
        crop_size: side of the square input that it was trained with, pixels.
        mean, std: of each channel, blue green red, 0 to 255.
    """
    return {"network": architecture.name, "output_stride": architecture.output_stride,
            "atrous_rates": list(architecture.atrous_rates), "num_classes": labels.num_classes,
            "class_names": list(labels.names), "ignore_label": labels.ignore_label, "crop_size": crop_size,
            "mean": list(mean), "std": list(std), "channel_order": "BGR"}


def believe_facts(config, facts: dict, source):
    """The options with the facts of the file `source` in place of defaults.

    Raises InputError where the user gave another number of classes, or another network: with another output stride
    the results would be wrong, unless other atrous rates are given too (a stride-16 network evaluated at stride 8,
    paper section 4.1).
    """
    binding = ("num_classes",) if "atrous_rates" in config.given else ("num_classes", "model", "export_model")
    found = {option: facts[name] for name, options in OPTIONS.items() if name in facts for option in options}
    return believe(config, found, source, binding)


def facts_in(config) -> dict:
    """The facts that a program's options set."""
    return {name: getattr(config, option) for name, options in OPTIONS.items() for option in options
            if hasattr(config, option)}


def checked(facts: dict, source, settled=()) -> dict:
    """The facts that can be used; others are warned about. `source` is the file that says them.

    Args:
        settled: options that need no fact: the user gave them, or the program has none of that name.

    Raises InputError: a fact of OPTIONS, which changes results, cannot be used; names the options that say it instead.
    """
    kept, options = {}, read_options()
    for name, value in facts.items():
        try:
            if name in OPTIONS:
                kept[name] = check_value(options[OPTIONS[name][0]], value, "")
            elif name == "class_names":
                check_names(value, len(value), source)
                kept[name] = list(value)
            elif NAME.fullmatch(name) and len(kept) < MOST:
                kept[name] = value
        except (InputError, TypeError):
            said = printable(value) if isinstance(value, str) else shown(value)
            line = f"{source}: says {printable(name)} is {said}, which cannot be used"
            if set(OPTIONS.get(name, ())) - set(settled):
                raise InputError(f"{line}; give {spelled(name)}") from None
            warn(f"{line} and is left out")
    return kept


def spelled(fact: str) -> str:
    """The options of a fact as the programs call them."""
    options = [read_options()[name] for name in OPTIONS[fact]]
    return " or ".join(dict.fromkeys(option.spelled(program) for option in options for program in option.programs))


def settled_by(config) -> set:
    """The options of OPTIONS that the user gave, and those that the program does not have."""
    return {*config.given, *(name for names in OPTIONS.values() for name in names if not hasattr(config, name))}


def to_texts(facts: dict) -> dict:
    """The facts as ONNX keeps them: texts by name; values that are not texts as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}


def from_texts(texts: dict) -> dict:
    """The facts in an ONNX file's metadata; a value that is not JSON is a text."""
    facts = {}
    for name, value in texts.items():
        try:
            facts[name] = load_json(value)
        except Unreadable:
            facts[name] = value
    return facts


def beside(path) -> Path:
    """The file beside a MINDIR that holds its facts."""
    return Path(path).with_name(Path(path).name + ".json")


def read_beside(path) -> dict:
    """The facts beside a MINDIR; {} if there is no such file. Raises InputError if it cannot be read."""
    place = beside(path)
    try:
        facts = load_json(read_bounded(place))
    except FileNotFoundError:
        return {}
    except (OSError, Unreadable) as error:
        raise InputError(f"{place}: cannot be read ({reason(error)}); export.py writes it "
                         "beside the MINDIR") from None
    if not isinstance(facts, dict):
        raise InputError(f"{place}: contains no facts of a network; export.py writes it beside the MINDIR")
    return facts
