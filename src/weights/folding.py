"""BatchNorm on its moving statistics put into the convolution before it, on the arrays, once for every engine."""
import numpy as np

from src.nets.architecture import EPSILON, PREFIX, Architecture


def fold(architecture: Architecture, weights: dict) -> dict:
    """The weights of `architecture` as those of `architecture.folded()`.

    The network computes the same within rounding and reads each feature map once less.

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
            with np.errstate(invalid="ignore"):    # NaN of a negative variance; who folds looks for it
                factor = gamma / np.sqrt(variance + EPSILON)
            weight = weight * factor[:, None, None, None]    # float64 until it is rounded once
            bias = (bias - mean) * factor + beta
        folded[f"{place}.weight"] = np.array(weight, np.float32)    # never a view of the mapped file
        folded[f"{place}.bias"] = np.array(bias, np.float32)
    return folded
