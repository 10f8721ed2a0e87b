"""Facts about a data set's masks, in dataset.yaml beside its lists: the number of classes, their names, the ignored
value and where the data came from, so that nobody types them twice.

A MindRecord has the same facts, see record_header.py.
"""
from pathlib import Path

import numpy as np
import yaml

from src.config import believe
from src.console import InputError, warn
from src.data.labels import MOST_CLASSES, Labels, check_names, make_labels, unnamed
from src.data.lists import read_lines, write_list
from src.files import write_whole
from src.foreign import Unreadable, load_yaml, read_bounded, reason, shown

FILE = "dataset.yaml"
BINDING = ("num_classes", "ignore_label")    # other values would train or score nonsense
KEYS = {"num_classes": int, "class_names": list, "ignore_label": int, "source": str, "build": str,
        "seen": dict, "lists": dict}
HEAD = ("# What the numbers in the masks mean, for every program that reads the lists beside this file.\n"
        "# Names may be changed here, unless annotation files or --labels give them; get_dataset_lst.py keeps them.\n")


def check_facts(facts, source) -> dict:
    """`facts` as they are. Raises InputError that names `source` for unknown keys, wrong types, numbers and names."""
    if not isinstance(facts, dict):
        raise InputError(f"{source}: has no 'key: value' lines")
    for key, value in facts.items():
        if key not in KEYS:
            raise InputError(f"{source}: unknown key {shown(key)}, known are {', '.join(KEYS)}; a file "
                             "of another program needs another name")
        if type(value) is not KEYS[key]:
            raise InputError(f"{source}: {key} takes {KEYS[key].__name__}, not {shown(value)}")
    if "num_classes" not in facts or not 2 <= facts["num_classes"] <= MOST_CLASSES:
        raise InputError(f"{source}: num_classes from 2 to {MOST_CLASSES} is needed, not "
                         f"{shown(facts.get('num_classes'))}")
    if not 0 <= facts.get("ignore_label", 255) <= 255:
        raise InputError(f"{source}: ignore_label {facts['ignore_label']} is not from 0 to 255")
    if "class_names" in facts:
        check_names(facts["class_names"], facts["num_classes"], source)
    return facts


def read_facts(path) -> dict:
    """The facts of a dataset.yaml. Raises InputError in one line that names the file."""
    try:
        return check_facts(load_yaml(read_bounded(path)), path)
    except (OSError, Unreadable) as error:
        raise InputError(f"{path}: not readable as YAML of a {FILE} ({reason(error)})") from None


def lists_written(root: Path) -> dict:
    """Name -> SHA-256 of each list file that get_dataset_lst.py wrote into the folder `root`, as it left it."""
    return facts_beside(root / FILE)[0].get("lists", {})


def write_facts(root: Path, labels: Labels, source: str, lists=None) -> None:
    """Write `lists`, the name of a list file -> its Pairs, and the dataset.yaml of the folder `root`, and say what they
    hold. Raises InputError for labels that read_facts would refuse; nothing is written then."""
    facts = check_facts(facts_of(labels, source), root / FILE)
    written = {name: write_list(root, name, pairs) for name, pairs in (lists or {}).items()}
    lists = {**lists_written(root), **written}
    text = yaml.safe_dump({**facts, **({"lists": lists} if lists else {})}, sort_keys=False, allow_unicode=True)
    write_whole(root / FILE, (HEAD + text).encode())
    names = ", ".join(labels.names[:5]) + (", ..." if labels.num_classes > 5 else "")
    print(f"{root / FILE}: {labels.num_classes} classes ({names}), {labels.ignore_label} is ignored")


def facts_beside(list_file, data_root="") -> tuple:
    """(facts, path) of the dataset.yaml beside a list file, else in data_root; ({}, None) where there is none."""
    folders = [Path(list_file).parent] + ([Path(data_root)] if str(data_root) else [])
    for path in (folder / FILE for folder in folders):
        if path.is_file():
            return read_facts(path), path
    return {}, None


def labels_of(config, facts: dict, source) -> Labels:
    """Labels of the options num_classes, ignore_label and class_names (a file), and of what `source` says for those
    that were not given.

    Raises InputError if an option contradicts it, or for a file with another number of names.
    """
    config = believe(config, {name: facts[name] for name in BINDING if name in facts}, source, BINDING,
                     "leave the option out, or make the lists again (get_dataset_lst.py --class_names, --ignore_label)")
    return make_labels(config.num_classes, config.ignore_label, config.class_names, facts.get("class_names", ()))


def check_classes(config, list_file, num_classes: int, names, source) -> tuple:
    """The dataset.yaml of a list, as facts_beside gives it. Raises InputError if it has another number of classes than
    `source`, or the same names in another order; `names` are those of `source`, empty if it has none, and do not count
    beside --class_names."""
    facts, path = facts_beside(list_file, config.data_root)
    if facts.get("num_classes", num_classes) != num_classes:
        raise InputError(f"{source}: has {num_classes} classes, but {path} says {facts['num_classes']}; take the data "
                         "that it was trained on, or correct that file")
    if not config.class_names:
        check_order(names, source, facts.get("class_names", ()), path)
    return facts, path


def check_order(names, source, others, other_source) -> None:
    """Raises InputError if two files give a class of one name different numbers; warns of numbers with different names.
    """
    if any(list(some) in ([], unnamed(len(some))) for some in (names, others)):
        return    # at least one file has no names
    for number, name in enumerate(names):
        if name in others and others.index(name) != number:
            raise InputError(f"{source}: class {number} is {shown(name)}, but in {other_source} it is class "
                             f"{others.index(name)}; number the classes alike (get_dataset_lst.py --class_names FILE), "
                             "and make again what was made of the other numbers")
    different = [(name, other) for name, other in zip(names, others) if name != other]
    if different:
        name, other = different[0]
        warn(f"{source}: {shown(name)} is called {shown(other)} in {other_source}" + (
            f", and {len(different) - 1} more" if different[1:] else "") + "; they are taken to be the same")


def facts_of(labels: Labels, source: str) -> dict:
    return {"num_classes": labels.num_classes, "class_names": list(labels.names), "ignore_label": labels.ignore_label,
            "source": source.encode("utf-8", "replace").decode()}    # a folder's name may be no UTF-8


def believe_ignore_label(config, list_file, data_root=""):
    """`config` with the ignore_label of the dataset.yaml of a list, if there is one: how masks are read, their data
    says. Raises InputError if another one was given."""
    facts, path = facts_beside(list_file, data_root)
    return believe(config, {"ignore_label": facts["ignore_label"]} if "ignore_label" in facts else {}, path,
                   ("ignore_label",))


def labels_of_masks(config, root: Path, counts: np.ndarray, default) -> Labels:
    """The labels that get_dataset_lst.py writes into the dataset.yaml of `root`: the names of --class_names, else of
    the existing file, else `default` if the masks have no more classes, else as many classes as the masks have.
    `counts` are the (256,) pixels of each number in all masks.

    Raises InputError if the masks hold more classes than --class_names or the file there names, or than there can be.
    """
    found = max([number + 1 for number in np.flatnonzero(counts).tolist() if number != config.ignore_label], default=0)
    if found > MOST_CLASSES:
        raise InputError(f"the masks hold {found - 1}, and --ignore_label is {config.ignore_label}: classes go up to "
                         f"{MOST_CLASSES - 1}")
    path, known = root / FILE, {}
    if config.class_names:
        path = f"--class_names {config.class_names}"
        known = read_class_names(config.class_names)
    elif path.is_file():
        known = read_facts(path)
    names = known.get("class_names", [])
    if names == unnamed(len(names)):    # the user gave no names, so there may be more classes
        found = max(found, known.get("num_classes", 2))
        names = default if found <= len(default) else unnamed(found)
    if found > len(names):
        raise InputError(f"{path}: names {len(names)} classes, but the masks hold class {found - 1}; correct it, or "
                         "the masks")
    return Labels(len(names), config.ignore_label, names)


def read_class_names(path) -> dict:
    """Facts from the names in a text file, one in each line. Raises InputError."""
    names = read_lines(path, "--class_names")
    return check_facts({"num_classes": len(names), "class_names": names}, f"--class_names {path}")
