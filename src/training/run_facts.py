"""Facts: labels from the training data for the run, and facts of the run for its checkpoints."""
import dataclasses
from pathlib import Path

from src.config import read_options
from src.console import InputError
from src.data.dataset_yaml import check_classes, labels_of
from src.data.labels import Labels
from src.data.record_header import facts_in_record
from src.weights.metadata import describe

# Options that shape the result: those of these groups of default_config.yaml, and three that other programs have too.
RECIPE_GROUPS = ("Training data", "Start of training", "Optimisation", "Unbalanced classes", "Small data sets")
RECIPE_OPTIONS = ("seed", "batch_size", "freeze_bn")


def believe_data(config) -> tuple:
    """(options, labels): the options with the label facts of the training data, and its Labels, by which the masks of
    --eval_data_lst are read too.

    Raises InputError where the user, or the dataset.yaml of --eval_data_lst, gave another number of classes or another
    ignore_label than the training data has, or the classes in another order.
    """
    facts = facts_in_record(config.data_file)
    labels = labels_of(config, facts, config.data_file)
    if config.eval_data_lst:
        check_evaluation_data(config, labels, facts.get("class_names", ()))
    return dataclasses.replace(config, num_classes=labels.num_classes, ignore_label=labels.ignore_label), labels


def check_evaluation_data(config, labels: Labels, names) -> None:
    """See believe_data; `names` are those of the training data, empty if it has none."""
    train = f"--data_file {config.data_file}"
    facts, path = check_classes(config, config.eval_data_lst, labels.num_classes, names, train)
    if facts.get("ignore_label", labels.ignore_label) != labels.ignore_label:
        said = config.given.get("ignore_label", f"{train}: ignores {labels.ignore_label}")
        raise InputError(f"{said}, but {path} says {facts['ignore_label']} for --eval_data_lst; the masks of both need "
                         "the same value, or correct that file")


def facts_of_run(config, architecture, labels: Labels, device) -> dict:
    """The facts in each checkpoint of a run, as values of JSON."""
    facts = describe(architecture, labels, config.crop_size, config.image_mean, config.image_std)
    return facts | {"recipe": recipe(config) | {"devices": device.size}}


def recipe(config) -> dict:
    """The options that change the result of a training; for files only their names."""
    values = {}
    for name, option in read_options().items():
        if option.group in RECIPE_GROUPS or name in RECIPE_OPTIONS:
            value = getattr(config, name)
            values[name] = Path(value).name if option.path else value
    return values
