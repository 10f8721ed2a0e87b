"""Weights of the classes in the loss: read from a text file, or made from how often each class occurs."""
import numpy as np

from src.console import InputError, counted
from src.data.labels import Labels, count_values
from src.data.lists import read_lines
from src.data.masks import decode_mask
from src.data.mindrecord import count_samples, read_records


def read_class_weights(path, num_classes: int) -> np.ndarray:
    """Text file with one weight per line -> (num_classes,) float32. Raises InputError for another number of lines or a
    bad number."""
    lines = read_lines(path, "--class_weights")
    if len(lines) != num_classes:
        raise InputError(f"--class_weights {path}: {len(lines)} weights for num_classes {num_classes}; one per line")
    try:
        weights = np.array([float(line) for line in lines], np.float32)
    except ValueError as error:
        raise InputError(f"--class_weights {path}: {error}") from None
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InputError(f"--class_weights {path}: weights are numbers from 0 up, not all of them 0")
    return weights


def median_frequency_weights(masks, num_classes: int) -> np.ndarray:
    """Median frequency balancing (Eigen and Fergus 2015, section 6.2.2) of (H, W) uint8 masks: (num_classes,) float32.

    The frequency of a class is its pixels divided by all pixels of the masks that it occurs in; its weight is the
    median frequency divided by its own. A class that never occurs gets 1; values above the classes are ignored pixels.
    """
    pixels, seen_in = np.zeros(num_classes), np.zeros(num_classes)
    for mask in masks:
        counts = count_values(mask)[:num_classes]
        pixels += counts
        seen_in += counts.sum() * (counts > 0)
    occurs = pixels > 0
    if not occurs.any():
        raise InputError("--class_weights auto: no mask of the training set holds a class")
    frequency = pixels[occurs] / seen_in[occurs]
    weights = np.ones(num_classes, np.float32)
    weights[occurs] = np.median(frequency) / frequency
    return weights


def masks_of(data_file):
    """Yield every mask (H, W) uint8 of a MindRecord."""
    records = read_records(data_file, ["label", "file_name"])
    for label, name in counted(records, "class weights", "mask", count_samples(data_file)):
        yield decode_mask(label, f"mask of {name}")


def class_weights(option: str, data_file, labels: Labels):
    """The weights for the option --class_weights, (num_classes,) float32, or None when it is empty."""
    if option != "auto":
        return read_class_weights(option, labels.num_classes) if option else None
    hidden = (np.where(mask == labels.ignore_label, 255, mask) for mask in masks_of(data_file))
    return median_frequency_weights(hidden, labels.num_classes)
