"""README and docs: links lead somewhere, commands name programs and options that exist."""
import re
import shlex

import pytest

from src.config import read_options
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "README_CN.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PARTS = ("src/", "scripts/", "tests/", "docs/", "benchmarks/", "ascend310_infer/")


def commands(page):
    """Lines of indented or fenced blocks that start a program of the project, continued lines joined."""
    text = page.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if re.match(r"([A-Z_]+=\S* )*(python|bash) \S+\.(py|sh)\b", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in text.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (page.parent / target.split("#")[0]).exists(), target
    for name in re.findall(r"`([\w./]+\.(?:py|sh|md|yaml|txt))`", text):
        if name.startswith(PARTS):
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_what_exists(page):
    options = read_options()
    for command in commands(page):
        words = shlex.split(command, comments=True)
        program = next(word for word in words if word.endswith((".py", ".sh")))
        assert (ROOT / program).exists(), command
        stem = program.rsplit("/")[-1][:-3]
        known = [name for name, option in options.items() if stem in option.programs]
        if known:    # programs with an argument parser of their own have tests of their own
            for word in words:
                if word.startswith("--"):
                    assert word[2:].split("=")[0] in [*known, "config_path", "debug"], (command, word)


def named(page):
    """Commands of a page's blocks and tables: program and options, in order; what follows an option may differ."""
    spans = re.findall(r"`((?:python|bash) [^`]+)`", page.read_text())
    return [[word.split("=")[0] for word in shlex.split(line, comments=True)
             if word.startswith("--") or word.endswith((".py", ".sh"))] for line in [*commands(page), *spans]]


def test_readme_is_short_and_has_commands_to_check():
    assert len(commands(PAGES[0])) > 12
    for page in PAGES[:2]:
        assert len(page.read_text().splitlines()) <= 400, page


def test_both_readmes_name_the_same():
    """Commands, tables and links of the two pages, in their order; the text alone is in two languages."""
    english, chinese = PAGES[:2]
    assert named(chinese) == named(english)
    texts = [page.read_text() for page in (english, chinese)]
    outside = [re.findall(r"\]\(((?!#|README)[^)\s]+)\)", text) for text in texts]
    assert outside[0] == outside[1] and len(outside[0]) > 10
    levels = [[line.split()[0] for line in text.splitlines() if re.match("#+ ", line)] for text in texts]
    assert levels[0] == levels[1], "one heading for each heading"
    rows = [sum(line.startswith("|") for line in text.splitlines()) for text in texts]
    assert rows[0] == rows[1], "one table row for each table row"
    figures = [sorted(re.findall(r"\b\d+\.\d+\b", text)) for text in texts]
    assert figures[0] == figures[1], "the same figures"


def test_pictures_are_there_and_small():
    pictures = sorted((ROOT / "docs/images").glob("*.png"))
    assert pictures
    for path in pictures:
        assert path.stat().st_size <= 150_000, path
        assert path.name in PAGES[0].read_text() and path.name in PAGES[1].read_text()
