"""The confusion matrix of a whole set, and the figures of it."""
import numpy as np

COUNTED = 1 << 22    # pixels that are counted at a time, for bincount makes 8 bytes of each


class ConfusionMatrix:
    """Pixel counts, rows = truth, columns = prediction; ignored pixels are in neither.

    The FIGURES of a class that is in neither truth nor prediction are NaN. Of any other they are numbers, and 0 where
    it is never predicted (precision) or never there (recall), as scikit-learn has it by default; so their means are
    all over the same classes, those of mIoU.

    Attributes:
        counts: (num_classes, num_classes) int64.
    """

    FIGURES = ("iou", "dice", "precision", "recall")    # properties: of each class

    def __init__(self, num_classes: int, ignore_label: int):
        self.num_classes, self.ignore_label = num_classes, ignore_label
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, mask: np.ndarray, prediction: np.ndarray) -> "ConfusionMatrix":
        """Add one picture and return its own matrix; both arrays (H, W) uint8 class numbers."""
        parts, counts = 1 + mask.size // COUNTED, 0
        for truth, found in zip(np.array_split(mask, parts), np.array_split(prediction, parts)):
            pairs = np.left_shift(truth, 8, dtype=np.uint16) | found
            counts = counts + np.bincount(pairs.reshape(-1), minlength=1 << 16)
        counts = counts.reshape(256, 256)[:self.num_classes, :self.num_classes].copy()
        if self.ignore_label < self.num_classes:
            counts[self.ignore_label] = 0
        self.counts += counts
        own = ConfusionMatrix(self.num_classes, self.ignore_label)
        own.counts = counts
        return own

    @property
    def hits(self) -> np.ndarray:
        """(num_classes,) int64: pixels of each class that are right."""
        return np.diag(self.counts)

    @property
    def truth(self) -> np.ndarray:
        """(num_classes,) int64: pixels of each class in the truth."""
        return self.counts.sum(1)

    @property
    def found(self) -> np.ndarray:
        """(num_classes,) int64: pixels of each class in the prediction."""
        return self.counts.sum(0)

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, float64."""
        return self.share(self.hits, self.truth + self.found - self.hits)

    @property
    def dice(self) -> np.ndarray:
        """Dice coefficient of each class, which is F1: twice the intersection over the sum of both; float64."""
        return self.share(2 * self.hits, self.truth + self.found)

    @property
    def precision(self) -> np.ndarray:
        """Share of the pixels predicted as each class that are right, float64."""
        return self.share(self.hits, self.found)

    @property
    def recall(self) -> np.ndarray:
        """Share of the pixels of each class in the truth that are found, float64."""
        return self.share(self.hits, self.truth)

    def share(self, part: np.ndarray, total: np.ndarray) -> np.ndarray:
        """part / total for each class: 0 where the total is, NaN for a class in neither truth nor prediction."""
        shares = np.divide(part, total, out=np.zeros(self.num_classes), where=total > 0)
        return np.where(self.truth + self.found > 0, shares, np.nan)

    def mean(self, figure: str) -> float:
        """Mean of one of FIGURES over the classes that occur; NaN if none does."""
        values = getattr(self, figure)
        occurring = values[~np.isnan(values)]
        return float(occurring.mean()) if occurring.size else float("nan")

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that occur; NaN if none does."""
        return self.mean("iou")

    @property
    def pixel_accuracy(self) -> float:
        """Share of the scored pixels that are right; NaN without scored pixels."""
        total = self.counts.sum()
        return float(self.hits.sum() / total) if total else float("nan")
