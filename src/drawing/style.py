"""Style of charts and figures: colours, fonts, percentages. Imports nothing."""

ACCENT, PALE, MARK, GREY, SOFT, INK = "#2563a8", "#b9cfe8", "#c2410c", "#d8dde3", "#5b6773", "#1f2933"
CHART = {    # matplotlib's settings
    "font.size": 10, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": GREY, "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.axisbelow": True, "grid.color": GREY, "grid.linewidth": 0.6,
    "svg.hashsalt": "report", "svg.fonttype": "none",    # browsers have fonts for all scripts
    "text.parse_math": False}    # a class may be called $


def letter_size(width: int) -> int:
    """Height of the letters beside pictures of a width, pixels."""
    return min(48, max(13, width // 45))


def percent(share, digits: int = 2) -> str:
    """A share, 0 to 1, as "12.34"; "-" for None and NaN, "<0.01" for a share above 0 that would be rounded to 0."""
    if share is None or share != share:
        return "-"
    least = 0.5 * 10 ** -digits
    return f"<{2 * least:.{digits}f}" if digits and 0 < 100 * share < least else f"{100 * share:.{digits}f}"
