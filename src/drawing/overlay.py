"""Class colours laid over a picture."""
import cv2
import numpy as np

from src.drawing.palette import palette


def colour(class_map: np.ndarray) -> np.ndarray:
    """(H, W) uint8 class numbers -> (H, W, 3) uint8 in VOC's colours, blue green red."""
    return palette()[class_map][:, :, ::-1]


def overlay(image: np.ndarray, class_map: np.ndarray, alpha: float = 0.6, ignore_label: int = 255) -> np.ndarray:
    """The picture with the classes' colours laid over; background and ignored pixels are left as they are."""
    painted = (class_map > 0) & (class_map != ignore_label)
    mixed = cv2.addWeighted(image, 1 - alpha, np.ascontiguousarray(colour(class_map)), alpha, 0)
    return np.where(painted[:, :, None], mixed, image)
