"""Fold BatchNorm with its moving statistics into the convolution before it, on NumPy arrays, for every engine."""
import numpy as np

from src.nets.architecture import EPSILON, PREFIX, Architecture


def fold(architecture: Architecture, weights: dict) -> dict:
    """Convert the weights of `architecture` to those of `architecture.folded()`.

    The results are equal within rounding, and each feature map is read one time less.

    Args:
        weights: name in a checkpoint -> array, one for each of architecture.shapes().

    Returns:
        name -> float32 array: for every convolution `.weight` (out, in, k, k) and `.bias` (out,).
    """
    folded = {}
    for conv in architecture.convs():
        place = PREFIX + conv.name
        weight = weights[f"{place}.weight"]
        bias = weights[f"{place}.bias"] if conv.bias else np.zeros(conv.out_channels)
        if conv.norm:
            mean, variance, gamma, beta = (np.asarray(weights[f"{PREFIX}{conv.norm}.{part}"], np.float64) for part in (
                "moving_mean", "moving_variance", "gamma", "beta"))
            with np.errstate(invalid="ignore"):    # a negative variance gives NaN; callers check for it
                factor = gamma / np.sqrt(variance + EPSILON)
            weight = weight * factor[:, None, None, None]    # float64 until it is rounded once
            bias = (bias - mean) * factor + beta
        folded[f"{place}.weight"] = np.array(weight, np.float32)    # never a view of the mapped file
        folded[f"{place}.bias"] = np.array(bias, np.float32)
    return folded
