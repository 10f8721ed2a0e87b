"""Heat maps: how sure a network is of each pixel, bright where it is unsure, with a scale below."""
import cv2
import numpy as np
from PIL import Image, ImageDraw

from src.drawing.fonts import font as font_for
from src.drawing.legend import EDGE, INK, PAPER
from src.drawing.overlay import in_blocks
from src.drawing.panels import LEAST_WIDTH
from src.drawing.style import letter_size

MARKS = (0, 25, 50, 75, 100)    # of the scale, percent


def colours_of(confidence: np.ndarray) -> np.ndarray:
    """(H, W) uint8, 255 for a probability of 1, as colours (H, W, 3) uint8, blue green red: yellow, red, black."""
    return cv2.applyColorMap(255 - confidence, cv2.COLORMAP_INFERNO)


def heat_map(image: np.ndarray, confidence: np.ndarray, alpha: float) -> np.ndarray:
    """The picture in gray with the colours of the highest probability laid over, and their scale below.

    Args:
        image: (H, W, 3) uint8, blue green red; so is what is returned, which is higher and may be wider.
        confidence: (H, W) uint8, 255 for a probability of 1.
        alpha: share of the colours, 0 to 1.
    """
    def draw(image, confidence):
        gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        return cv2.addWeighted(gray, 1 - alpha, colours_of(confidence), alpha, 0)
    height, width = confidence.shape
    below = scale(max(LEAST_WIDTH, width))
    canvas = np.full((height + below.shape[0], below.shape[1], 3), 255, np.uint8)
    left = (canvas.shape[1] - width) // 2
    canvas[:height, left:left + width] = in_blocks(draw, image, confidence)
    canvas[height:] = below
    return canvas


def scale(width: int) -> np.ndarray:
    """The colours from 0 to 100 % with marks, (rows, width, 3) uint8 blue green red."""
    size = letter_size(width)
    texts = [f"{mark} %" for mark in MARKS]
    font = font_for(size, texts)
    margin = int(font.getlength(texts[-1]))
    levels = np.linspace(0, 255, width - 2 * margin).round().astype(np.uint8)
    bar = np.ascontiguousarray(np.broadcast_to(colours_of(levels[None]), (size, len(levels), 3))[:, :, ::-1])
    canvas = Image.new("RGB", (width, 4 * size), PAPER)
    canvas.paste(Image.fromarray(bar), (margin, size // 2))
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((margin, size // 2, width - margin - 1, size // 2 + size - 1), None, EDGE)
    for mark, text in zip(MARKS, texts):
        pen.text((margin + (width - 2 * margin) * mark // 100, 2 * size), text, INK, font, anchor="ma")
    return np.asarray(canvas)[:, :, ::-1]
