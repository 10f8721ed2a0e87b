"""Fonts for the texts in pictures, in any script."""
import functools
from pathlib import Path

from PIL import ImageFont

from src.console import warn

NO_CHARACTER = "\U0010ffff"    # Unicode assigns nothing to it, so fonts draw their box for missing letters
PLACEHOLDERS = ("lastresort", "blank")    # fonts that draw a placeholder for every letter there is


def font(size: int, texts):
    """A font of `size` pixels for `texts`: Pillow's own if it has all letters, else the one on this machine that has
    the most of them."""
    return load(best_font(letters_of(texts))[0], size)


@functools.lru_cache
def drawable(names: tuple) -> tuple:
    """The names of the classes, with class_N for names in letters that no font here has; warns of these once."""
    missing = best_font(letters_of(names))[1]
    if not missing:
        return names
    warn(f"no font on this machine has the letters {' '.join(sorted(missing)[:5])} of the class names; pictures show "
         "class_N instead, and JSON files have the names; install a font that has them (apt-get install "
         "fonts-noto-cjk) and matplotlib, which finds it")
    return tuple(f"class_{number}" if missing & set(name) else name for number, name in enumerate(names))


def letters_of(texts) -> frozenset:
    return frozenset(letter for letter in "".join(texts) if letter.isprintable() and not letter.isspace())


@functools.lru_cache
def best_font(letters: frozenset) -> tuple:
    """(font file, "" for Pillow's own; the `letters` that it lacks) of the first font that lacks the fewest."""
    best = "", missing_in("", letters)
    for path in font_files() if best[1] else ():
        missing = missing_in(path, letters)
        best = (path, missing) if len(missing) < len(best[1]) else best
        if not missing:
            break
    return best


def font_files() -> list:
    """Font files: matplotlib's own, then the machine's, regular ones first; [] without matplotlib."""
    try:
        import matplotlib  # optional: Pillow's own font has the usual letters
        from matplotlib.font_manager import findSystemFonts
    except ImportError:
        return []
    found = [path for path in findSystemFonts() if not any(word in path.lower() for word in PLACEHOLDERS)]
    return [str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")),
            *sorted(found, key=lambda path: ("regular" not in path.lower(), path))]


def missing_in(path: str, letters: frozenset) -> frozenset:
    """The `letters` that the font lacks: drawn as its box for missing ones, or not at all."""
    try:
        opened = load(path, 16)
        boxes = {bytes(opened.getmask(NO_CHARACTER)), b""}
        return frozenset(letter for letter in letters if bytes(opened.getmask(letter)) in boxes)
    except OSError:    # a font of bitmaps, or one that FreeType cannot read
        return letters


def load(path: str, size: int):
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


def shorten(text: str, font, width: int) -> str:
    """`text`, its end cut so that it is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
