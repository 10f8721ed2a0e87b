"""README and docs: links lead somewhere, commands name programs and options that exist, generated pages are current."""
import ast
import io
import re
import shlex
import tokenize
from pathlib import Path

import pytest
import yaml

from src.config import parse_args, read_options
from tests.conftest import ROOT, load_script

PAGES = [*(ROOT / name for name in ("README.md", "README_CN.md", "CONTRIBUTING.md", "CHANGELOG.md")),
         *sorted((ROOT / "docs").glob("*.md"))]
# Words that readers stumbled over -> what to write.
WORDS = {r"mend(s|ed|ing)?": "fix, hint", r"(hang|hangs|hung) on": "depend on", "called as": "named like",
         "anew": "again", "(?<!there )(is|are) (?-i:none)": "is not a ...", "to hand": "available",
         "way of the data": "data flow", "as good": "equal",
         r"(is|are|not) (a )?whole(?! number)": "complete", "unasked": "say without what option"}
PAGE_WORDS = WORDS | {r"(missed|the) bars?": "target"}
CODE_WORDS = WORDS | {"for want of": "without, no ...", "taken for": "used as, mistaken for"}
CODE = (".py", ".sh", ".cc", ".h", ".html", ".yaml")
# Launchers by the beginning of their names, the longer first -> the program that takes their options.
LAUNCHED = {"run_eval_onnx": "eval_onnx", "run_eval": "eval", "run_standalone": "train", "run_distribute": "train",
            "build_data": "build_seg_data"}
PARTS = ("src/", "scripts/", "tests/", "docs/", "benchmarks/", "ascend310_infer/")


def commands(page):
    """Lines of indented or fenced blocks that start a program of the project; continued lines are joined."""
    text = page.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if re.match(r"([A-Z_]+=\S* )*(python|bash) \S+\.(py|sh)\b", line)]


def anchors(page):
    """Headings of a page as GitHub links to them."""
    return {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in page.read_text().splitlines() if line.startswith("#")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            place = page.parent / name if name else page
            assert place.exists(), target
            assert not anchor or anchor in anchors(place), target
    for name in re.findall(r"`([\w./]+\.(?:py|sh|md|yaml|txt))`", text):
        if name.startswith(PARTS):
            assert (ROOT / name).exists(), name


def spans(page):
    """Commands within the text and in tables."""
    return re.findall(r"`((?:python|bash) [^`]+)`", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_taken_by_their_programs(page):
    options = read_options()
    for command in [*commands(page), *spans(page)]:
        words = shlex.split(command, comments=True)
        if "-m" in words:
            assert (ROOT / words[words.index("-m") + 1].replace(".", "/")).with_suffix(".py").exists(), command
            continue
        place = next(place for place, word in enumerate(words) if word.endswith((".py", ".sh")))
        program, arguments = words[place], words[place + 1:]
        assert (ROOT / program).exists(), command
        stem = Path(program).stem
        launched = next((name for start, name in LAUNCHED.items() if stem.startswith(start)), None)
        if launched and program.endswith(".sh"):    # arguments before the first option are the launcher's
            first = next((place for place, word in enumerate(arguments) if word.startswith("--")), len(arguments))
            stem, arguments = launched, arguments[first:]
        arguments = [word for word in arguments if word != "--help"]
        if "--config_path" in arguments:
            place = arguments.index("--config_path")
            assert arguments[place + 1]
            del arguments[place:place + 2]
        known = any(stem in option.programs for option in options.values()) and not program.startswith("benchmarks/")
        if known:    # others have parsers and tests of their own
            parse_args(stem, "", arguments)    # raises if the program would refuse them


def named(page):
    """Commands of a page's blocks and tables: program and options, in order; values of options may differ."""
    return [[word.split("=")[0] for word in shlex.split(line, comments=True)
             if word.startswith("--") or word.endswith((".py", ".sh"))] for line in [*commands(page), *spans(page)]]


def test_readme_is_short_and_has_commands_to_check():
    assert len(commands(PAGES[0])) > 8 and len(spans(PAGES[0])) > 20
    for page in PAGES[:2]:
        assert len(page.read_text().splitlines()) <= 200, page


def found_words(text, words):
    return [f"{found[0]!r}: {better}" for word, better in words.items()
            for found in re.finditer(rf"\b{word}\b", text, re.IGNORECASE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_use_the_usual_words(page):
    assert found_words(page.read_text(), PAGE_WORDS) == []


def texts_of(path):
    """Comments and texts (messages, help, docstrings, parts of f-strings) of a Python file; all of other files."""
    if path.suffix != ".py":
        return [path.read_text()]
    comments = [token.string for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
                if token.type == tokenize.COMMENT]
    return comments + [node.value for node in ast.walk(ast.parse(path.read_text()))
                       if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_code_uses_the_usual_words():
    files = [*ROOT.glob("*.py"), ROOT / "default_config.yaml",
             *(path for folder in ("src", "scripts", "benchmarks", "docs", "ascend310_infer", "tests")
               for path in (ROOT / folder).rglob("*") if path.suffix in CODE and path != Path(__file__).resolve())]
    found = {path.name: found_words(" ".join(re.sub(r"(?m)^\s*(#|//)", "", "\n".join(texts_of(path))).split()),
                                    CODE_WORDS) for path in files}
    assert len(files) > 200 and {name: words for name, words in found.items() if words} == {}


def test_page_of_options_is_current():
    made = load_script(ROOT / "docs/make_options.py").make_page()
    assert (ROOT / "docs/options.md").read_text() == made, "python docs/make_options.py"
    for option in read_options().values():
        assert any(f"`{option.spelled(program)}`" in made for program in option.programs), option.name


def test_drawings_are_current():
    draw = load_script(ROOT / "docs/images/draw.py")
    for name, drawing in (("network", draw.network()), ("data_flow", draw.data_flow())):
        assert (ROOT / f"docs/images/{name}.svg").read_text() == drawing, "python docs/images/draw.py"
        assert any(f"images/{name}.svg" in page.read_text() for page in PAGES)


def test_citation_can_be_read():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0" and cited["authors"] and cited["license"] == "Apache-2.0"
    assert f"## {cited['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_both_readmes_name_the_same():
    """Commands, tables and links of the two pages are equal, in their order; only the text is in two languages."""
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


HAN = "[\u4e00-\u9fff]"
# What Chinese typography does not have: Chinese and Latin without a blank between them, Latin punctuation or a blank
# beside Chinese, and a line broken within a sentence, which a browser shows as a blank.
UNUSUAL = (rf"{HAN}[A-Za-z0-9`\[]", rf"[A-Za-z0-9`)\]]{HAN}", rf"{HAN} ?[,;:!?()]|[,;:!?(]{HAN}",
           r"[，。；：、（）] (?!\|)|(?<!\|) [，。；：、（）]", rf"[，。；：、\u4e00-\u9fff]\n{HAN}")


def test_chinese_is_set_as_usual():
    prose = re.sub(r"^    .*$", "", (ROOT / "README_CN.md").read_text(), flags=re.M)
    assert len(re.findall(HAN, prose)) > 500
    assert [re.findall(rf".*(?:{pattern}).*", prose) for pattern in UNUSUAL] == [[]] * len(UNUSUAL)


def test_pictures_are_there_and_small():
    pictures = sorted((ROOT / "docs/images").glob("*.png"))
    assert all("docs/images/quickstart.png" in page.read_text() for page in PAGES[:2])
    for path in pictures:
        assert path.stat().st_size <= 150_000, path
        assert any(path.name in page.read_text() for page in PAGES), path
