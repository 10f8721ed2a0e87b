"""Probabilities (C, H, W) float32, plane by plane: resized, summed, and the class map of the highest.

One plane at a time is what OpenCV resizes quickly, and 21 of a 12-megapixel photo would take 1 GB.
"""
import cv2
import numpy as np


def add_resized(total, probs: np.ndarray, valid: tuple, size: tuple) -> np.ndarray:
    """Cut the corner `valid` out of probs (C, S, S), resize to `size`, add to `total` (C, H, W) or begin."""
    first = total is None
    total = np.empty((len(probs), *size), np.float32) if first else total
    for channel, plane in enumerate(probs[:, :valid[0], :valid[1]]):
        resized = cv2.resize(plane, size[::-1])
        if first:
            total[channel] = resized
        else:
            cv2.add(total[channel], resized, dst=total[channel])
    return total


def summed_planes(parts: list, size: tuple):
    """The planes of probabilities (C, h, w) of several scales, resized to `size` and summed: those of add_resized,
    with two planes in memory in place of C."""
    for planes in zip(*parts):
        total = cv2.resize(planes[0], size[::-1])
        for plane in planes[1:]:
            cv2.add(total, cv2.resize(plane, size[::-1]), dst=total)
        yield total


def argmax_map(planes) -> np.ndarray:
    """(H, W) uint8: the first class with the highest score; the planes (H, W) float32 are taken one by one."""
    planes = iter(planes)
    best = next(planes).copy()
    winner = np.zeros(best.shape, np.uint8)
    for number, plane in enumerate(planes, 1):
        higher = cv2.compare(plane, best, cv2.CMP_GT)    # 255 where this class beats all before it
        cv2.max(best, plane, dst=best)
        cv2.max(winner, cv2.bitwise_and(higher, number), dst=winner)
    return winner
