"""The pictures of a report: the best and the worst of an evaluation, kept small, and the boundary F-score."""
import base64
import json

import cv2
import numpy as np

from src.drawing.overlay import overlay
from src.evaluation.boundary import BoundaryScore
from src.evaluation.metrics import ConfusionMatrix

KEPT = 6    # best and worst pictures, each
LONG_SIDE = 400    # pixels that a kept picture is reduced to
QUALITY = 85


class Gallery:
    """Call it as evaluate's on_image; what it keeps does not grow with the list.

    Attributes:
        boundary: BoundaryScore of all pictures.
        shown: the best and the worst pictures, dicts of "number", "image", "iou", "boundary", "classes" (number ->
            IoU, null where it is not in the picture) and "panels": picture, truth and prediction as JPEG in base64.
    """

    def __init__(self, num_classes: int, ignore_label: int, kept: int = KEPT):
        self.num_classes, self.ignore_label, self.kept = num_classes, ignore_label, kept
        self.boundary = BoundaryScore(num_classes, ignore_label)
        self.shown, self.seen = [], 0

    def __call__(self, sample, image, mask, class_map) -> None:
        self.seen += 1
        scores = self.boundary.update(mask, class_map)
        matrix = ConfusionMatrix(self.num_classes, self.ignore_label)
        matrix.update(mask, class_map)
        iou = matrix.mean_iou
        if np.isnan(iou) or not self.is_among_kept(iou):
            return
        drawn = (image, overlay(image, mask, ignore_label=self.ignore_label), overlay(image, class_map))
        self.shown.append({
            "number": self.seen, "image": str(sample.image), "iou": iou,
            "boundary": sum(scores.values()) / len(scores),
            "classes": {int(number): matrix.iou[number] for number in np.flatnonzero(~np.isnan(matrix.iou))},
            "panels": [base64.b64encode(small_jpeg(panel)).decode() for panel in drawn]})
        self.shown = self.shortened(self.shown)

    def is_among_kept(self, iou: float) -> bool:
        """Whether a picture of this IoU is among the best or the worst so far."""
        if len(self.shown) < 2 * self.kept:
            return True
        return iou < self.shown[self.kept - 1]["iou"] or iou > self.shown[self.kept]["iou"]

    def shortened(self, shown: list) -> list:
        """The worst and the best of them, the worst first."""
        shown = sorted(shown, key=lambda entry: (entry["iou"], entry["number"]))
        return shown if len(shown) <= 2 * self.kept else shown[:self.kept] + shown[-self.kept:]

    @property
    def worst(self) -> list:
        """The worst pictures, the worst first; half of all where there are few."""
        return self.shown[:(len(self.shown) + 1) // 2]

    @property
    def best(self) -> list:
        """The best pictures, the best first."""
        return self.shown[(len(self.shown) + 1) // 2:][::-1]

    def to_bytes(self) -> bytes:
        """All of it, to be sent to another device."""
        return json.dumps({"shown": self.shown, "sums": self.boundary.sums.tolist(),
                           "pictures": self.boundary.pictures.tolist()}).encode()

    def merge(self, others: list) -> None:
        """Become what one device would have kept that had seen the pictures of all: `others` are their to_bytes()."""
        parts = [json.loads(other) for other in others]
        self.shown = self.shortened([entry for part in parts for entry in part["shown"]])
        self.boundary.sums = sum(np.array(part["sums"], np.int64) for part in parts)
        self.boundary.pictures = sum(np.array(part["pictures"], np.int64) for part in parts)


def small_jpeg(image: np.ndarray) -> bytes:
    """A picture as JPEG, its long side at most LONG_SIDE."""
    height, width = image.shape[:2]
    factor = LONG_SIDE / max(height, width)
    if factor < 1:
        image = cv2.resize(image, (max(1, round(width * factor)), max(1, round(height * factor))),
                           interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
