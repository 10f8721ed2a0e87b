"""Which pictures are for training and which for validation: as their folders say, or drawn by their names."""
import hashlib
import os

from src.console import InputError, warn

TRAIN, VAL = ("train", "training"), ("val", "valid", "validation")    # folders of data that is split already


def split(names: list, share: float, seed: int) -> tuple:
    """(training names, validation names), both sorted. Each name's place depends on (seed, name) alone, so a picture
    more moves hardly any other from one side to the other."""
    ranked = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(f"{seed} {name}")).digest())
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    return sorted(ranked[:count]), sorted(ranked[count:])


def split_names(names: list, config) -> tuple:
    """(training names, validation names): by folders train and val where there are such, else by `split`."""
    folders = {name.split("/")[0] for name in names if "/" in name}
    val = [folder for folder in VAL if folder in folders] or ["test"]    # no validation: the test set stands in
    sides = tuple(sorted(name for name in names if "/" in name and name.split("/")[0] in side) for side in (TRAIN, val))
    if all(sides):
        left = len(names) - sum(map(len, sides))
        if left:
            warn(f"{left} pictures that are neither in the training nor in the validation folder left out")
        return sides
    if len(names) < 2:
        raise InputError(f"{config.images or config.annotations}: one picture cannot be split into training and "
                         "validation")
    return split(names, config.split, config.seed)
