"""Contact sheets: many pictures with their labels drawn over, on one page."""
import cv2
import numpy as np
from PIL import Image, ImageDraw

from src.drawing.encoding import fit, write_picture
from src.drawing.fonts import drawable, shorten
from src.drawing.fonts import font as font_for
from src.drawing.legend import INK, PAPER, draw_legend, legend_rows
from src.drawing.overlay import striped_overlay

ALARM = (190, 20, 20)    # red green blue
TEXT, LINE = 13, 17    # height of the letters and of a line, pixels
GAP, BATCH_TILE = 8, 440    # pixels between tiles; width of a crop beside its labels
LEAST_WIDTH = 480    # of a page, for its legend


def draw_sheet(tiles: list, captions: list, names, columns: int) -> np.ndarray:
    """A page, (H, W, 3) uint8 BGR, of tiles in rows of `columns`, each with its caption below, and the colours of the
    classes `names` at the end.

    Args:
        tiles: (h, w, 3) uint8 BGR, of any sizes.
        captions: (text, problem) for each; the problem is red, "" for none.
    """
    names = drawable(tuple(names))
    font = font_for(TEXT, [*names, *(text for caption in captions for text in caption)])
    width, height = (max(tile.shape[axis] for tile in tiles) for axis in (1, 0))
    cell = (width + GAP, height + 2 * LINE + GAP)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    page_width = max(columns * cell[0] + GAP, LEAST_WIDTH)
    legend = legend_rows(list(enumerate(names)), font, page_width, GAP)
    page = Image.new("RGB", (page_width, rows * cell[1] + len(legend) * 2 * TEXT + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(page)
    for number, (tile, (text, problem)) in enumerate(zip(tiles, captions)):
        left, top = GAP + number % columns * cell[0], GAP + number // columns * cell[1]
        page.paste(Image.fromarray(np.ascontiguousarray(tile[:, :, ::-1])), (left, top))
        below = top + tile.shape[0]
        pen.text((left, below + 2), shorten(text, font, width), INK, font)
        pen.text((left, below + LINE), shorten(problem, font, width), ALARM, font)
    draw_legend(pen, legend, font, rows * cell[1] + GAP)
    return np.asarray(page)[:, :, ::-1]


def batch_page(images: np.ndarray, masks: np.ndarray, ignore_label: int, names) -> np.ndarray:
    """A page, (H, W, 3) uint8 BGR, of a training batch: each crop of `images` (N, 3, S, S) uint8 BGR without and with
    its labels of `masks` (N, S, S) uint8, and below it the `names` of the classes that it contains."""
    tiles, captions, names = [], [], drawable(tuple(names))
    for number, (pixels, mask) in enumerate(zip(images, masks)):
        image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
        tiles.append(fit(np.hstack([image, striped_overlay(image, mask, ignore_label)]), BATCH_TILE))
        held = [names[n] for n in np.unique(mask) if n < len(names) and n != ignore_label]
        captions.append((f"{number}: {', '.join(held) or 'nothing to learn'}", ""))
    return draw_sheet(tiles, captions, names, 4)


def save_sheet(page: np.ndarray, path, option: str = "") -> None:
    """Write a page as a PNG, compressed well rather than fast; `option` is the path's name in errors."""
    write_picture(path, page, cv2.IMWRITE_PNG_COMPRESSION, 6, option=option)
