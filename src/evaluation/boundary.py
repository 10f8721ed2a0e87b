"""Boundary F-score: how well the outlines of the predicted classes match those of the truth.

Definition of Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic segmentation?" (BMVC 2013):
a boundary pixel of the prediction is right if one of the truth lies within a tolerance, and the other way round;
precision and recall of the two give F = 2 P R / (P + R) for each class of a picture. Their tolerance, 0.75 % of the
picture's diagonal, is used here. They do not define F for missing boundaries; here, as in DAVIS (Perazzi et al., CVPR
2016), it is 0 if only one of the two has a boundary and 1 if neither has.

Pixels that the truth ignores get the class of the nearest pixel that it does not ignore. So the boundary lies in the
middle of VOC's ignored borders. Boundaries deeper in an ignored region than the tolerance are not counted.
"""
import cv2
import numpy as np

TOLERANCE = 0.0075    # of the picture's diagonal
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
UNIT = 1_000_000    # scores are kept as integer millionths, so that sums do not depend on the number of devices


def boundary(region: np.ndarray) -> np.ndarray:
    """(H, W) uint8 0 or 1 -> its pixels with a neighbour outside; the picture's edge does not count."""
    return region - cv2.erode(region, CROSS)


def distance(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 0 or 1 -> float32 distance of each pixel to the nearest 1."""
    return cv2.distanceTransform(1 - pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def fill_ignored(mask: np.ndarray, ignored: np.ndarray) -> tuple:
    """The mask with its ignored pixels given the nearest class, and their distance to it."""
    depth, nearest = cv2.distanceTransformWithLabels(ignored.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5,
                                                     labelType=cv2.DIST_LABEL_PIXEL)
    classes = np.zeros(nearest.max() + 1, np.uint8)
    classes[nearest[~ignored]] = mask[~ignored]
    return classes[nearest], depth


def boundary_scores(mask: np.ndarray, class_map: np.ndarray, ignore_label: int, num_classes: int) -> dict:
    """F of each class that occurs in the truth or in the prediction of one picture.

    Args:
        mask, class_map: (H, W) uint8 class numbers; ignore_label in the mask is not scored.

    Returns:
        class number -> F, 0 to 1; empty for a picture without scored pixels.
    """
    ignored = mask == ignore_label
    if ignored.all():
        return {}
    tolerance = TOLERANCE * np.hypot(*mask.shape)
    truth, counted = mask, np.ones(mask.shape, bool)
    if ignored.any():
        truth, depth = fill_ignored(mask, ignored)
        counted = depth <= tolerance
    occurring = np.bincount(truth[~ignored], minlength=256) + np.bincount(class_map[~ignored], minlength=256)
    return {int(number): f_score(truth == number, class_map == number, counted, tolerance)
            for number in np.flatnonzero(occurring[:num_classes])}


def f_score(truth: np.ndarray, found: np.ndarray, counted: np.ndarray, tolerance: float) -> float:
    """F of one class from two (H, W) bool regions; boundary pixels outside `counted` are left out."""
    edges = [boundary(region.astype(np.uint8)) for region in (truth, found)]
    kept = [edge.astype(bool) & counted for edge in edges]
    if not kept[0].any() or not kept[1].any():
        return float(not kept[0].any() and not kept[1].any())
    recall, precision = ((distance(other)[own] <= tolerance).mean() for own, other in zip(kept, reversed(edges)))
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


class BoundaryScore:
    """Mean boundary F of each class over the pictures in which it occurs, and of all pictures.

    Attributes:
        sums: (num_classes, 2) int64: sum of F in millionths, and number of pictures.
        pictures: (2,) int64: the same for the mean over each picture's classes.
    """

    def __init__(self, num_classes: int, ignore_label: int):
        self.ignore_label, self.num_classes = ignore_label, num_classes
        self.sums, self.pictures = np.zeros((num_classes, 2), np.int64), np.zeros(2, np.int64)

    def update(self, mask: np.ndarray, class_map: np.ndarray) -> dict:
        """Add one picture and return its own boundary_scores."""
        scores = boundary_scores(mask, class_map, self.ignore_label, self.num_classes)
        for number, score in scores.items():
            self.sums[number] += round(score * UNIT), 1
        if scores:
            self.pictures += round(sum(scores.values()) / len(scores) * UNIT), 1
        return scores

    @property
    def per_class(self) -> list:
        """Mean F of each class, None for a class that never occurs."""
        return [total / count / UNIT if count else None for total, count in self.sums.tolist()]

    @property
    def mean(self):
        """Mean over the pictures of the mean over each one's classes, as Csurka et al.; None without pictures."""
        total, count = self.pictures.tolist()
        return total / count / UNIT if count else None

    def summary(self) -> dict:
        """The figures as in the result file."""
        return {"mean_boundary_f": self.mean, "per_class_boundary_f": self.per_class}
