"""The confusion matrix of a whole set, and IoU from it."""
import numpy as np

COUNTED = 1 << 22    # pixels that are counted at a time, for bincount makes 8 bytes of each


class ConfusionMatrix:
    """Pixel counts, rows = truth, columns = prediction; ignored pixels are in neither.

    Attributes:
        counts: (num_classes, num_classes) int64.
    """

    def __init__(self, num_classes: int, ignore_label: int):
        self.num_classes, self.ignore_label = num_classes, ignore_label
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, mask: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Add one picture and return its own counts; both arrays (H, W) uint8 class numbers."""
        parts, counts = 1 + mask.size // COUNTED, 0
        for truth, found in zip(np.array_split(mask, parts), np.array_split(prediction, parts)):
            pairs = np.left_shift(truth, 8, dtype=np.uint16) | found
            counts = counts + np.bincount(pairs.reshape(-1), minlength=1 << 16)
        counts = counts.reshape(256, 256)[:self.num_classes, :self.num_classes].copy()
        if self.ignore_label < self.num_classes:
            counts[self.ignore_label] = 0
        self.counts += counts
        return counts

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, float64; NaN for a class in neither truth nor prediction."""
        hits = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return np.divide(hits, union, out=np.full(self.num_classes, np.nan), where=union > 0)

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur; NaN if none does."""
        occurring = self.iou[~np.isnan(self.iou)]
        return float(occurring.mean()) if occurring.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of the scored pixels that are right; NaN if there are none."""
        total = self.counts.sum()
        return float(np.diag(self.counts).sum() / total) if total else float("nan")
