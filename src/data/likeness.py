"""Which pictures of a data set show the same: equal to the last pixel, or alike as thumbnails."""
import itertools

import numpy as np

FLAT = 4.0    # gray levels: a thumbnail that varies less shows nothing to compare
ALIKE = 0.98    # correlation from which on two thumbnails are called alike; of real pictures the nearest two had 0.88
BLOCK = 2048    # thumbnails compared at a time


def same_pictures(looks: list) -> list:
    """Groups of looks whose decoded pictures are equal to the last pixel."""
    groups = {}
    for one in looks:
        if one.key:
            groups.setdefault(one.key, []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def alike_pictures(looks: list) -> list:
    """(one, other, correlation) of pictures that look alike and are not equal: scaled, brightened, encoded again.

    Of each picture its nearest among those before it in its own set, and its nearest in the other set: frames of a
    video are all alike, and every pair of them would be their number squared.
    """
    looks = list({one.key: one for one in looks if one.key and one.thumb.std() > FLAT}.values())
    if len(looks) < 2:
        return []
    rows = np.stack([one.thumb for one in looks]).reshape(len(looks), -1).astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = {}
    for mates, values in nearest_pictures(rows, np.array([one.job.set for one in looks])):
        pairs.update({(min(i, mates[i]), max(i, mates[i])): float(values[i]) for i in np.flatnonzero(mates >= 0)})
    return [(looks[i], looks[j], value) for (i, j), value in sorted(pairs.items())]


def nearest_pictures(rows: np.ndarray, sets: np.ndarray) -> list:
    """The nearest of those before it in its set, and the nearest in another set, of each of the normalised `rows`.

    Returns:
        Two (mates, values): (N,) int64 row numbers, -1 where none has more than ALIKE, and (N,) float32 correlations.
    """
    best = [(np.full(len(rows), -1), np.full(len(rows), ALIKE, np.float32)) for _ in range(2)]
    numbers = np.arange(len(rows))
    blocks = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
    for a, b in itertools.product(blocks, blocks):
        same = sets[a, None] == sets[b]
        masks = same & (numbers[b] < numbers[a, None]), ~same
        if not any(mask.any() for mask in masks):
            continue
        close = rows[a] @ rows[b].T
        for mask, (mates, values) in zip(masks, best):
            allowed = np.where(mask, close, -1)
            places, found = allowed.argmax(1), allowed.max(1)
            nearer = found > values[a]
            mates[a][nearer], values[a][nearer] = numbers[b][places[nearer]], found[nearer]
    return best
