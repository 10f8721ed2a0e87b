"""The pictures of a report: the best and the worst of an evaluation, kept small, and the boundary F-score."""
import base64
import json

import cv2
import numpy as np

from src.drawing.encoding import encode, fit
from src.drawing.overlay import overlay

KEPT = 6    # best and worst pictures, each
LONG_SIDE, QUALITY = 400, 85    # pixels, JPEG quality of a kept picture


class Gallery:
    """An observer of the evaluation; its memory does not grow with the list.

    Attributes:
        boundary: src.evaluation's BoundaryScore of all pictures.
        shown: the best and the worst pictures, dicts of "image", "iou", "boundary", "classes" (number ->
            IoU of those in the picture) and "panels": picture, truth and prediction as JPEG in base64.
    """

    def __init__(self, labels, boundary):
        self.labels, self.boundary, self.shown = labels, boundary, []

    def __call__(self, sample, image, mask, class_map, own) -> None:
        scores = self.boundary.update(mask, class_map)
        entry = {"image": str(sample.image), "iou": own.mean_iou}
        if np.isnan(entry["iou"]) or not self.is_among_kept(entry):
            return
        drawn = (image, overlay(image, mask, ignore_label=self.labels.ignore_label), overlay(image, class_map))
        self.shown = self.shortened([*self.shown, entry | {
            "boundary": sum(scores.values()) / len(scores),
            "classes": {int(number): own.iou[number] for number in np.flatnonzero(~np.isnan(own.iou))},
            "panels": [small_jpeg(panel, sample.image) for panel in drawn]}])

    def is_among_kept(self, entry: dict) -> bool:
        """Whether a picture is among the best or the worst so far."""
        if len(self.shown) < 2 * KEPT:
            return True
        worst, best = self.shown[KEPT - 1], self.shown[KEPT]
        return place_of(entry) < place_of(worst) or place_of(entry) > place_of(best)

    def shortened(self, shown: list) -> list:
        """The worst and the best of them, the worst first."""
        shown = sorted(shown, key=place_of)
        return shown if len(shown) <= 2 * KEPT else shown[:KEPT] + shown[-KEPT:]

    @property
    def worst(self) -> list:
        """The worst pictures, the worst first; half of all where there are few."""
        return self.shown[:(len(self.shown) + 1) // 2]

    @property
    def best(self) -> list:
        """The best pictures, the best first."""
        return self.shown[(len(self.shown) + 1) // 2:][::-1]

    def to_bytes(self) -> bytes:
        """The complete state, to be sent to another device."""
        return json.dumps({"shown": self.shown, "sums": self.boundary.sums.tolist(),
                           "pictures": self.boundary.pictures.tolist()}).encode()

    def merge(self, others: list) -> None:
        """Merge the to_bytes() of all devices: the result is that of one device which saw all pictures."""
        parts = [json.loads(other) for other in others]
        self.shown = self.shortened([entry for part in parts for entry in part["shown"]])
        self.boundary.sums = sum(np.array(part["sums"], np.int64) for part in parts)
        self.boundary.pictures = sum(np.array(part["pictures"], np.int64) for part in parts)


def place_of(entry: dict) -> tuple:
    """What pictures are sorted by: their names decide between equal IoUs, whichever device saw them first."""
    return entry["iou"], entry["image"]


def small_jpeg(image: np.ndarray, name: str) -> str:
    """A picture as a small JPEG in base64."""
    data = encode(fit(image, LONG_SIDE), f"{name}.jpg", cv2.IMWRITE_JPEG_QUALITY, QUALITY)
    return base64.b64encode(data).decode()
