"""Panels side by side with captions and a legend below, as one picture."""
import numpy as np
from PIL import Image, ImageDraw

from src.drawing.fonts import font as font_for
from src.drawing.fonts import shorten
from src.drawing.legend import INK, PAPER, draw_legend, legend_rows
from src.drawing.style import letter_size

LEAST_WIDTH = 300    # pixels; below that a legend cannot be read


def panels(images: list, captions: list, entries: list, least_rows: int = 0) -> np.ndarray:
    """Pictures beside each other, unchanged, captions above, a legend below: (H', W', 3) uint8 blue green red.

    Args:
        images: (H, W, 3) uint8 blue green red, all of one size.
        captions: a text for each, or empty for none.
        entries: (class number, text) pairs of the legend, which takes at least `least_rows` rows.
    """
    height, width = images[0].shape[:2]
    size = letter_size(width)
    gap = size // 2
    used = len(images) * width + (len(images) - 1) * gap
    total = max(LEAST_WIDTH, used)
    font = font_for(size, [*captions, *(text for _, text in entries)])
    above = 2 * size if captions else 0
    rows = legend_rows(entries, font, total, size // 4)
    below = max(len(rows), least_rows) * 2 * size
    head, foot = (Image.new("RGB", (total, part), PAPER) for part in (above, below + (gap if below else 0)))
    canvas = np.full((above + height + foot.height, total, 3), 255, np.uint8)    # PAPER
    for number, image in enumerate(images):
        left = (total - used) // 2 + number * (width + gap)
        canvas[above:above + height, left:left + width] = image
        if captions:
            text = shorten(captions[number], font, width)
            ImageDraw.Draw(head).text((left + size // 4, size), text, INK, font, anchor="lm")
    draw_legend(ImageDraw.Draw(foot), rows, font, gap // 2)
    canvas[:above], canvas[above + height:] = (np.asarray(part)[:, :, ::-1] for part in (head, foot))
    return canvas
