"""Letters in pictures: a font that has those of the texts, whatever their script."""
import functools
from pathlib import Path

from PIL import ImageFont

from src.console import warn

NO_CHARACTER = "\U0010ffff"    # Unicode assigns nothing to it, so fonts draw their box for missing letters
PLACEHOLDERS = ("lastresort", "blank")    # fonts that draw a placeholder for every letter there is


def font(size: int, texts):
    """A font of `size` pixels for `texts`: Pillow's own where it has their letters, else the one of this machine that
    has the most of them."""
    return load(best_font(letters_of(texts))[0], size)


@functools.lru_cache
def drawable(names: tuple) -> tuple:
    """The names of the classes, class_N in place of those whose letters no font here has; warns of them, once."""
    missing = best_font(letters_of(names))[1]
    if not missing:
        return names
    warn(f"no font on this machine has the letters {' '.join(sorted(missing)[:5])} of the class names; pictures say "
         "class_N in their place, and JSON files hold the names; install a font that has them (apt-get install "
         "fonts-noto-cjk) and matplotlib, which finds it")
    return tuple(f"class_{number}" if missing & set(name) else name for number, name in enumerate(names))


def letters_of(texts) -> frozenset:
    return frozenset(letter for letter in "".join(texts) if letter.isprintable() and not letter.isspace())


@functools.lru_cache
def best_font(letters: frozenset) -> tuple:
    """(font file, "" for Pillow's own; those of `letters` that it lacks); the first that lacks the fewest."""
    best = "", missing_in("", letters)
    for path in font_files() if best[1] else ():
        missing = missing_in(path, letters)
        best = (path, missing) if len(missing) < len(best[1]) else best
        if not missing:
            break
    return best


def font_files() -> list:
    """matplotlib's own font, then the machine's, regular ones first; none without matplotlib."""
    try:
        import matplotlib  # predicting does not need it where Pillow's own font will do
        from matplotlib.font_manager import findSystemFonts
    except ImportError:
        return []
    found = [path for path in findSystemFonts() if not any(word in path.lower() for word in PLACEHOLDERS)]
    return [str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")),
            *sorted(found, key=lambda path: ("regular" not in path.lower(), path))]


def missing_in(path: str, letters: frozenset) -> frozenset:
    """Those of `letters` that the font draws as it draws what it does not have, or not at all."""
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
