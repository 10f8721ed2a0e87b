"""What exported models have in common: input sizes and batches that are fixed in the file."""
import numpy as np

from src.console import InputError


def check_fits(where: str, num_classes: int, size: list, settings, mend: str) -> None:
    """Raises InputError if the settings ask for what a model cannot do.

    Args:
        where: what errors call the model.
        size: height and width of its input, None where they are free.
        mend: how the model could be made to take any size.
    """
    if num_classes != settings.num_classes:
        raise InputError(f"{where}: has {num_classes} classes, not {settings.num_classes}; "
                         f"give --num_classes {num_classes}")
    for scale in settings.scales:
        side = settings.input_size(scale)
        if any(length not in (None, side) for length in size):
            raise InputError(f"{where}: takes {size[0]}x{size[1]} only, and scale {scale:g} of crop_size "
                             f"{settings.crop_size} needs {side}x{side}; {mend}, or fit --crop_size and --scales")


def in_batches(run, batch):
    """`run`, which takes `batch` pictures (any number if None), as a function that takes any; the last is filled up."""
    def predict(inputs):
        if batch in (None, len(inputs)):
            return run(inputs)
        count = len(inputs)
        inputs = np.concatenate([inputs, np.zeros((-count % batch, *inputs.shape[1:]), np.float32)])
        parts = [run(inputs[first:first + batch]) for first in range(0, len(inputs), batch)]
        return np.concatenate(parts)[:count]
    return predict
