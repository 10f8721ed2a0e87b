"""README and docs: links lead somewhere, commands name programs and options that exist."""
import re
import shlex

import pytest

from src.config import read_options
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
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
        known = [option.spelled(stem)[2:] for option in options.values() if stem in option.programs]
        if known:    # programs with an argument parser of their own have tests of their own
            for word in words:
                if word.startswith("--"):
                    assert word[2:].split("=")[0] in [*known, "config_path", "debug"], (command, word)


def test_readme_has_commands_to_check():
    assert len(commands(PAGES[0])) > 12 and len(PAGES[0].read_text().splitlines()) <= 400
