"""Contact sheets: many pictures with their labels drawn over, on one page that can be looked at."""
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.data.pictures import png_bytes
from src.drawing.overlay import overlay
from src.drawing.palette import palette
from src.files import write_whole

INK, PAPER, ALARM = (30, 30, 30), (250, 250, 250), (190, 20, 20)    # red green blue
TEXT, LINE = 13, 17    # height of the letters and of a line, pixels
GAP, BATCH_TILE = 8, 440    # pixels between tiles; width of a crop beside its labels


def labelled(image: np.ndarray, mask: np.ndarray, ignore_label: int, alpha: float = 0.6) -> np.ndarray:
    """The picture (H, W, 3) uint8 BGR with class colours over it and ignored pixels in white stripes."""
    mixed = overlay(image, mask, alpha, ignore_label)
    rows, columns = np.indices(mask.shape)
    striped = (mask == ignore_label) & ((rows + columns) // 3 % 2 == 0)
    return np.where(striped[:, :, None], np.uint8(255), mixed)


def fit(image: np.ndarray, side: int) -> np.ndarray:
    """Made smaller, if need be, so that the long side is at most `side`."""
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return image
    size = [max(1, round(length * factor)) for length in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def shorten(text: str, font, width: int) -> str:
    """`text`, its end cut so that it is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def draw_sheet(tiles: list, captions: list, names: list, columns: int) -> Image.Image:
    """A page of `tiles` in rows of `columns`, under each its caption, at the end the colours of the classes.

    Args:
        tiles: (h, w, 3) uint8 BGR, of any sizes.
        captions: (text, problem) for each; the problem is red, "" for none.
        names: of the classes, in the order of their numbers.
    """
    font = ImageFont.load_default(TEXT)
    width = max(tile.shape[1] for tile in tiles)
    height = max(tile.shape[0] for tile in tiles)
    cell = (width + GAP, height + 2 * LINE + GAP)
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    page_width = max(columns * cell[0] + GAP, 480)
    legend, lines = legend_places(names, font, page_width)
    page = Image.new("RGB", (page_width, rows * cell[1] + lines * (LINE + 4) + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(page)
    for number, (tile, (text, problem)) in enumerate(zip(tiles, captions)):
        left, top = GAP + number % columns * cell[0], GAP + number // columns * cell[1]
        page.paste(Image.fromarray(np.ascontiguousarray(tile[:, :, ::-1])), (left, top))
        pen.text((left, top + height + 2), shorten(text, font, width), INK, font)
        pen.text((left, top + height + LINE), shorten(problem, font, width), ALARM, font)
    draw_legend(pen, legend, names, font, rows * cell[1] + GAP)
    return page


def legend_places(names: list, font, width: int) -> tuple:
    """(x, line) of each class in the legend, and the number of lines."""
    places, x, line = [], GAP, 0
    for name in names:
        needed = 2 * LINE + int(font.getlength(name))
        if x + needed > width and x > GAP:
            x, line = GAP, line + 1
        places.append((x, line))
        x += needed
    return places, line + 1


def draw_legend(pen, places: list, names: list, font, top: int) -> None:
    for (x, line), name, colour in zip(places, names, palette().tolist()):
        y = top + line * (LINE + 4)
        pen.rectangle((x, y, x + TEXT, y + TEXT), tuple(colour), INK)
        pen.text((x + LINE + 2, y - 1), name, INK, font)


def batch_page(images: np.ndarray, masks: np.ndarray, ignore_label: int, names: list) -> Image.Image:
    """A page of a training batch: each crop as it is and with its labels, under it the classes that it holds.

    Args:
        images: (N, 3, S, S) uint8 BGR.
        masks: (N, S, S) uint8.
        names: of the classes.
    """
    tiles, captions = [], []
    for number, (pixels, mask) in enumerate(zip(images, masks)):
        image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
        tiles.append(fit(np.hstack([image, labelled(image, mask, ignore_label)]), BATCH_TILE))
        held = [names[n] for n in np.unique(mask) if n < len(names) and n != ignore_label]
        captions.append((f"{number}: {', '.join(held) or 'nothing to learn'}", ""))
    return draw_sheet(tiles, captions, names, 4)


def save_sheet(page: Image.Image, path) -> None:
    """Write the PNG aside and rename it."""
    write_whole(path, png_bytes(page))
