"""Class colours laid over a picture."""
import cv2
import numpy as np

from src.drawing.palette import palette

BLOCK = 1 << 18    # pixels that are drawn at a time, so that a large picture needs little beside itself


def in_blocks(draw, *arrays: np.ndarray) -> np.ndarray:
    """`draw(*arrays)`, (H, W, 3) uint8, where each pixel of it depends on the same pixel of the arrays (H, W, ...)."""
    height, width = arrays[0].shape[:2]
    drawn, rows = np.empty((height, width, 3), np.uint8), max(1, BLOCK // width)
    for top in range(0, height, rows):
        drawn[top:top + rows] = draw(*(array[top:top + rows] for array in arrays))
    return drawn


def overlay(image: np.ndarray, class_map: np.ndarray, alpha: float = 0.6, ignore_label: int = 255) -> np.ndarray:
    """The picture with the classes' colours laid over; background and ignored pixels are unchanged.

    Args:
        image: (H, W, 3) uint8, blue green red, like the result.
        class_map: (H, W) uint8 class numbers, or a mask, which may hold ignore_label.
        alpha: share of the colours, 0 to 1.
    """
    def draw(image, class_map):
        painted = (class_map > 0) & (class_map != ignore_label)
        colours = np.ascontiguousarray(palette()[class_map][:, :, ::-1])
        return np.where(painted[:, :, None], cv2.addWeighted(image, 1 - alpha, colours, alpha, 0), image)
    return in_blocks(draw, image, class_map)


def striped_overlay(image: np.ndarray, mask: np.ndarray, ignore_label: int) -> np.ndarray:
    """Like `overlay`, with ignored pixels in white stripes to distinguish them from background."""
    rows, columns = np.indices(mask.shape)
    striped = (mask == ignore_label) & ((rows + columns) // 3 % 2 == 0)
    return np.where(striped[:, :, None], np.uint8(255), overlay(image, mask, ignore_label=ignore_label))
