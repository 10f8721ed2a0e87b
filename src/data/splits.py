"""Split pictures into training and validation, by their folders or at random by their names."""
import hashlib
import os

from src.console import InputError, warn

TRAIN, VAL = ("train", "training"), ("val", "valid", "validation")    # folders of data that is already split


def split(names: list, share: float, seed: int) -> tuple:
    """(training names, validation names), both sorted. The draw of each name depends only on (seed, name), so adding a
    picture moves hardly any other."""
    ranked = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(f"{seed} {name}")).digest())
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    return sorted(ranked[:count]), sorted(ranked[count:])


def split_names(names: list, config) -> tuple:
    """(training names, validation names): by the folders train and val if they exist, else by `split`."""
    folders = {name: name.split("/")[0].lower() for name in names if "/" in name}
    val = [folder for folder in VAL if folder in folders.values()] or ["test"]    # the test set stands in
    sides = tuple(sorted(name for name, folder in folders.items() if folder in side) for side in (TRAIN, val))
    if all(sides):
        left = len(names) - sum(map(len, sides))
        if left:
            warn(f"{left} pictures in neither the training nor the validation folder are left out")
        return sides
    if len(names) < 2:
        raise InputError(f"{config.images or config.annotations}: one picture cannot be split into training and "
                         "validation; add pictures, or give others with --val_images or --val_annotations")
    return split(names, config.split, config.seed)
