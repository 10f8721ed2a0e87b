"""Pictures to look at: panels side by side with captions, and a legend of the classes that occur."""
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.drawing.palette import palette
from src.drawing.sheets import shorten

LEAST_WIDTH = 300    # pixels; below that a legend cannot be read
INK, PAPER, EDGE = (40, 40, 40), (255, 255, 255), (150, 150, 150)


def text_size(width: int) -> int:
    """Height of letters in pixels for a picture of this width."""
    return min(48, max(13, width // 45))


def panels(images: list, captions: list, entries: list, least_rows: int = 0) -> np.ndarray:
    """Pictures beside each other, captions above, a legend below.

    Args:
        images: (H, W, 3) uint8 blue green red, all of one size.
        captions: a text for each, or empty for none.
        entries: (class number, text) pairs of the legend.
        least_rows: rows that the legend takes at least.

    Returns:
        (H', W', 3) uint8 blue green red; each picture unchanged within.
    """
    height, width = images[0].shape[:2]
    size = text_size(max(width, LEAST_WIDTH))
    gap = size // 2
    used = len(images) * width + (len(images) - 1) * gap
    total = max(LEAST_WIDTH, used)
    font = ImageFont.load_default(size)
    above = 2 * size if captions else 0
    rows = legend_rows(entries, font, size, total)
    below = max(len(rows), least_rows) * 2 * size
    canvas = Image.new("RGB", (total, above + height + below + (gap if below else 0)), PAPER)
    pen = ImageDraw.Draw(canvas)
    for number, image in enumerate(images):
        left = (total - used) // 2 + number * (width + gap)
        canvas.paste(Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])), (left, above))
        if captions:
            text = shorten(captions[number], font, width)
            pen.text((left + size // 4, size), text, INK, font, anchor="lm")
    draw_legend(pen, rows, font, size, above + height + gap // 2)
    return np.asarray(canvas)[:, :, ::-1]


def legend_rows(entries: list, font, size: int, width: int) -> list:
    """Rows of (left edge, class number, text) that fit the width."""
    rows, left = [], 0
    for number, text in entries:
        text = shorten(text, font, width - 3 * size)
        needed = int(font.getlength(text)) + 3 * size
        if not rows or left + needed > width:
            rows.append([])
            left = size // 4
        rows[-1].append((left, number, text))
        left += needed
    return rows


def draw_legend(pen, rows: list, font, size: int, top: int) -> None:
    colours = palette()
    for row in rows:
        for left, number, text in row:
            box = (left, top + size // 2, left + size, top + size // 2 + size)
            pen.rectangle(box, tuple(int(value) for value in colours[number]), EDGE)
            pen.text((left + size * 3 // 2, top + size), text, INK, font, anchor="lm")
        top += 2 * size


def legend_entries(shares: np.ndarray, occurring: np.ndarray, names: list) -> list:
    """(class number, "name 12.3 %") of the classes that occur, the largest share first."""
    order = [number for number in np.argsort(-shares, kind="stable") if occurring[number]]
    return [(int(number), f"{names[number]} {percent(shares[number])}") for number in order]


def percent(share: float) -> str:
    """12.3 %, or <0.1 % for less than can be shown."""
    return "<0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"
