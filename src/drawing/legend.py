"""The legend: colours with the names of their classes."""
import numpy as np

from src.drawing.fonts import drawable, shorten
from src.drawing.palette import palette
from src.drawing.style import percent

INK, PAPER, EDGE = (40, 40, 40), (255, 255, 255), (150, 150, 150)    # red green blue


def legend_entries(shares: np.ndarray, occurring: np.ndarray, names) -> list:
    """(class number, "name 12.3 %") of the classes that occur, the largest share first."""
    order = [number for number in np.argsort(-shares, kind="stable") if occurring[number]]
    names = drawable(tuple(names))
    return [(int(number), f"{names[number]} {percent(shares[number], 1)} %") for number in order]


def legend_rows(entries: list, font, width: int, margin: int) -> list:
    """(class number, text) entries as rows of (left edge, class number, text) that fit the width, from `margin` on."""
    rows, left, size = [], margin, int(font.size)
    for number, text in entries:
        text = shorten(text, font, width - margin - 3 * size)
        needed = int(font.getlength(text)) + 3 * size
        if not rows or left + needed > width:
            rows.append([])
            left = margin
        rows[-1].append((left, number, text))
        left += needed
    return rows


def draw_legend(pen, rows: list, font, top: int) -> None:
    """Draw rows of `legend_rows`, each twice as high as the letters."""
    size = int(font.size)
    for row in rows:
        for left, number, text in row:
            box = (left, top + size // 2, left + size, top + size // 2 + size)
            pen.rectangle(box, tuple(palette()[number].tolist()), EDGE)
            pen.text((left + size * 3 // 2, top + size), text, INK, font, anchor="lm")
        top += 2 * size
