"""docs/operators.md: its table has every operator of the compiled graphs, with a page or a reason for each."""
import re
import sys

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs/operators.md"


def table() -> dict:
    """Primitive -> the other cells of its row."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines()
            if line.startswith("| ")]
    assert rows[0][0] == "primitive"
    return {row[0]: row[1:] for row in rows[2:]}


@pytest.fixture(scope="module")
def graphs():
    """Graph -> primitive -> count, of the small network."""
    from src.tools.operators import all_primitives
    return all_primitives("deeplab_v3_tiny_s16")


def test_every_operator_has_a_row_and_every_row_an_operator(graphs):
    found = set().union(*graphs.values())
    documented = set(table()) - {"AllReduce"}    # several devices only
    assert found - documented == set(), "operators that the page says nothing of"
    assert documented - found == set(), "rows of operators that no graph has"


def test_graphs_are_complete(graphs):
    """Counts computed from the architecture: gradient, optimizer and dropout are included, BatchNorm is folded."""
    training, inference = graphs["training"], graphs["inference"]
    from src.nets.net_factory import create_network
    parameters = list(create_network("deeplab_v3_tiny_s16").parameters_and_names())
    convolutions = sum(value.ndim == 4 for _, value in parameters)
    assert training["Conv2D"] == training["Conv2DBackpropFilter"] == inference["Conv2D"] == convolutions
    assert training["ApplyMomentum"] == sum(value.requires_grad for _, value in parameters)
    assert training["Dropout"] == training["DropoutGrad"] == training["ResizeBilinearGrad"] == 1
    assert inference["BatchNorm"] == 0 and inference["BiasAdd"] == convolutions


def test_rows_name_a_page_or_what_they_are_the_gradient_of():
    rows = table()
    for name, (page, types, _) in rows.items():
        assert types, name
        of = re.fullmatch(r"no page: (?:gradient of )?(\w+)(?: with a constant| of a whole tensor)?", page)
        assert re.fullmatch(r"\[[\w.]+\]\(https://www\.mindspore\.cn/docs/en/[\w./]+\.html\)", page) or of, (name, page)
        assert not of or of[1] in rows, (name, page)


def test_pages_are_of_functions_that_support_ascend():
    """Each link has the name of something in the installed MindSpore whose docstring lists Ascend."""
    import mindspore
    for name, (page, *_) in table().items():
        link = re.search(r"/mindspore\.([\w.]+)\.html", page)
        if link:
            target = mindspore
            for part in link[1].split("."):
                target = getattr(target, part)
            platforms = target.__doc__.split("Supported Platforms:")[1].split("\n\n")[0]
            assert "Ascend" in platforms, name


def test_the_program_prints_the_graphs_and_leaves_no_file(graphs, shell, tmp_path):
    result = shell(sys.executable, ROOT / "src/tools/operators.py")
    assert result.code == 0, result.err
    lines = [line.split() for line in result.out.splitlines()]
    printed = {line[0]: line[1:] for line in lines[next(i for i, line in enumerate(lines) if line[0] == "primitive"):]}
    for name in set().union(*graphs.values()):
        assert printed[name] == [str(graph[name] or "-") for graph in graphs.values()], name
    assert not list(tmp_path.iterdir())
