"""ruff and shellcheck are clean; packages import in the order of CONTRIBUTING.md."""
import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def test_ruff():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_shellcheck():
    program = Path(sys.executable).with_name("shellcheck")
    scripts = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci/run"]
    done = subprocess.run([program, "-x", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def package_of(module: str) -> str:
    """a.b.c -> b; empty for a file of src itself."""
    return module.split(".")[1] if (ROOT / module.split(".")[0] / module.split(".")[1]).is_dir() else ""


def imports_of(path):
    """Modules of src that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "src":
            yield from (f"src.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_packages_import_in_one_direction():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    said = re.search(r"imports only packages further right, .*?: (.*?) -> the files", page, re.DOTALL)[1]
    places = {name: place for place, level in enumerate(said.split("->")) for name in level.replace(",", " ").split()}
    places[""] = len(places)
    assert set(places) == {"", *(path.name for path in (ROOT / "src").iterdir() if list(path.glob("*.py")))}
    wrong = []
    for path in (ROOT / "src").rglob("*.py"):
        own = package_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found = {package_of(module) for module in imports_of(path) if module.startswith("src.")} - {own}
        wrong += [f"{path.relative_to(ROOT)} imports src.{other}" for other in found if places[other] <= places[own]]
    assert not wrong
