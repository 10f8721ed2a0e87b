"""Installing: real virtual environments, pip itself, and an index of stand-in wheels; nothing is downloaded.

Each test has a checkout of its own with the project's launcher and requirement files. run_tests.sh ends in a stand-in
pytest, which says "tests run".
"""
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

SUPPORTED = (3, 9) <= sys.version_info[:2] <= (3, 12)
FILES = ("requirements.txt", "tests/requirements.txt")
# Packages with more than one version, or with the requirements of their published wheels.
WHEELS = [("mindspore", "2.8.0", ["numpy<2.0.0,>=1.20.0"]), ("mindspore", "2.10.0", ["numpy>=1.25.0"]),
          ("mindspore", "2.5.0", []), ("numpy", "1.26.4", []), ("numpy", "2.4.6", []),
          ("opencv-python-headless", "4.11.0", []), ("opencv-python-headless", "4.12.0", ["numpy>=2"]),
          ("opencv-python", "4.11.0", []), ("opencv-python", "4.12.0", ["numpy>=2"]), ("torch", "2.13.0", []),
          ("torchvision", "0.28.0", []),
          ("onnxruntime-cann", "1.24.4", []), ("later", "1.0", []), ("needs-two", "1.0", ["numpy>=2"])]
TOOLS = ("bash", "dirname", "sed", "touch", "rm", "mkdir")
MADE = Path(".venv/.made_by_launcher")


def write_wheel(folder: Path, name: str, version: str, requires=()) -> None:
    """A wheel of one module, or of a program for `python -m pytest`."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    module = name.replace("-", "_")
    texts = {f"{module}/__init__.py": "", f"{module}/__main__.py": "import sys\nprint('tests run', sys.argv[1:])\n",
             f"{stem}.dist-info/METADATA": "\n".join(metadata) + "\n",
             f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    texts[f"{stem}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in texts)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in texts.items():
            wheel.writestr(path, text)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A folder with wheels of all packages in the requirement files."""
    folder = tmp_path_factory.mktemp("index")
    for wheel in WHEELS:
        write_wheel(folder, *wheel)
    several = {name for name, _, _ in WHEELS}
    for file in FILES:
        for name in re.findall(r"^[\w-]+", (ROOT / file).read_text(), re.MULTILINE):
            if name not in several:
                write_wheel(folder, name, "99.0")
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An environment with only pip; tests copy it."""
    folder = tmp_path_factory.mktemp("environment") / "empty"
    subprocess.run([base_python(), "-m", "venv", folder], check=True)
    return folder


def base_python() -> str:
    """The interpreter of this environment's base, so that a new environment gets none of its packages."""
    return os.path.realpath(sys.executable)


@pytest.fixture
def checkout(tmp_path):
    """The project's files for an installation, in a folder with a blank."""
    root = tmp_path / "check out"
    for file in (*FILES, "constraints-cpu.txt", "scripts/common.sh", "scripts/run_tests.sh", "tests/packages.txt",
                 "src/tools/install.py"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    return root


@pytest.fixture
def user(empty, index, tmp_path):
    """user(requirement, ...) -> a user's environment with these packages."""
    def make(*requirements):
        folder = tmp_path / "user"
        shutil.copytree(empty, folder, symlinks=True)
        if requirements:
            subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", "--no-index", "--no-deps",
                            "--find-links", index, *requirements], check=True)
        return folder
    return make


@pytest.fixture
def launch(checkout, index, tmp_path, shell):
    """launch(*arguments, **environment) -> Result of run_tests.sh; pip only finds the stand-ins."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(shutil.which(tool))
    # -S: an interpreter of the machine without its packages, MindSpore among them or not
    write_program(programs / "python3", f'exec "{base_python()}" -S "$@"')

    def call(*arguments, program="bash", **environment):
        settings = {"PATH": str(programs), "PYTHON": "", "VIRTUAL_ENV": "", "CONDA_PREFIX": "", "ASSUME_YES": "",
                    "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
        return shell(program, checkout / "scripts/run_tests.sh", *arguments, **{**settings, **environment})
    return call


def write_program(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def versions(environment: Path) -> dict:
    """Distribution -> version, in an environment."""
    found = environment.glob("lib/python*/site-packages/*.dist-info")
    return dict(path.name[:-len(".dist-info")].rsplit("-", 1) for path in found)


def stamps(environment: Path) -> dict:
    """Modification time of each file of an environment, without Python's caches."""
    files = (path for path in environment.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.skipif(not SUPPORTED, reason="MindSpore has no wheels for this Python")
def test_new_environment_keeps_its_constraints(launch, checkout):
    result = launch("-k", "loss")
    assert result.code == 0 and "tests run ['-n', '2', '--dist', 'loadfile', '-k', 'loss']" in result.out, result
    found = versions(checkout / ".venv")
    assert found["mindspore"] == "2.8.0" and found["numpy"] == "1.26.4", found
    before = stamps(checkout / ".venv")
    again = launch()
    assert again.code == 0 and "installing" not in again.out and not again.err, again
    assert stamps(checkout / ".venv") == before, "everything is there: nothing is touched"
    (checkout / "requirements.txt").write_text("mindspore>=2.7\nnumpy>=2\nopencv-python-headless\n")
    changed = launch()
    assert changed.code != 0 and "mindspore" in changed.err, "2.8 needs NumPy 1, and is not changed to serve NumPy 2"
    (checkout / "requirements.txt").write_text("mindspore>=2.7\nlater\n")
    grown = launch()
    assert grown.code == 0 and versions(checkout / ".venv") == {**found, "later": "1.0"}, grown


@pytest.mark.skipif(not SUPPORTED, reason="MindSpore has no wheels for this Python")
def test_mindspore_put_into_the_projects_environment_stays(launch, checkout, index, empty):
    shutil.copytree(empty, checkout / ".venv", symlinks=True)
    (checkout / MADE).touch()
    subprocess.run([checkout / ".venv/bin/python", "-m", "pip", "install", "-q", "--no-index", "--find-links", index,
                    "mindspore==2.10.0", "numpy==2.4.6"], check=True)
    result = launch()
    assert result.code == 0, "no question in the project's own environment"
    assert versions(checkout / ".venv")["mindspore"] == "2.10.0"
    assert versions(checkout / ".venv")["numpy"] == "1.26.4"


@pytest.mark.parametrize("version, warning", [("2.10.0", ""), ("2.5.0", "warning: mindspore 2.5.0 is kept")])
def test_mindspore_of_the_user_is_kept(version, warning, launch, user):
    folder = user(f"mindspore=={version}", "numpy==1.26.4")
    result = launch(VIRTUAL_ENV=str(folder))
    assert result.code == 0 and warning in result.err and bool(warning) == bool(result.err), result
    found = versions(folder)
    assert found["mindspore"] == version and found["numpy"] == "1.26.4" and found["pytest"] == "99.0", found
    before = stamps(folder)
    assert launch(PYTHON=str(folder / "bin/python")).code == 0 and stamps(folder) == before


def test_mindspore_without_metadata_is_kept(launch, user, tmp_path):
    (tmp_path / "built/mindspore").mkdir(parents=True)
    (tmp_path / "built/mindspore/__init__.py").write_text("")
    folder = user()
    result = launch(CONDA_PREFIX=str(folder), PYTHONPATH=str(tmp_path / "built"))
    assert result.code == 0 and "mindspore" not in versions(folder) and "scipy" in versions(folder), result


def test_what_would_be_replaced_is_named_first(launch, user, checkout):
    folder = user("numpy==2.4.6", "opencv-python==4.12.0", "needs-two", "mindspore==2.10.0")
    before = stamps(folder)
    refused = launch(VIRTUAL_ENV=str(folder))
    assert refused.code == 2 and refused.err.startswith("error: nothing was installed") and "--yes" in refused.err
    for line in ("numpy 2.4.6 -> 1.26.4", "opencv-python 4.12.0 -> 4.11.0", "needs-two 1.0 needs numpy>=2"):
        assert line in refused.out, refused
    assert "mindspore" not in refused.out
    assert stamps(folder) == before and not (checkout / ".venv").exists()
    agreed = launch("--yes", VIRTUAL_ENV=str(folder))
    assert agreed.code == 0 and "numpy 2.4.6 -> 1.26.4" in agreed.out and "tests run" in agreed.out, agreed
    found = versions(folder)
    assert (found["numpy"], found["opencv_python"], found["mindspore"]) == ("1.26.4", "4.11.0", "2.10.0")
    assert "opencv_python_headless" not in found, "it would overwrite the files of opencv-python"


def test_variable_agrees_as_the_option_does(launch, user):
    folder = user("numpy==2.4.6", "mindspore==2.10.0")
    assert launch(VIRTUAL_ENV=str(folder), ASSUME_YES="0").code == 2
    assert launch(VIRTUAL_ENV=str(folder), ASSUME_YES="1").code == 0 and versions(folder)["numpy"] == "1.26.4"


def test_other_builds_of_onnxruntime_are_kept(launch, user):
    folder = user("onnxruntime-cann", "mindspore==2.10.0")
    assert launch(VIRTUAL_ENV=str(folder)).code == 0
    assert [name for name in versions(folder) if name.startswith("onnxruntime")] == ["onnxruntime_cann"]


@pytest.mark.skipif(not SUPPORTED, reason="MindSpore has no wheels for this Python")
def test_users_own_environment_takes_no_constraint(launch, user):
    folder = user()
    result = launch(VIRTUAL_ENV=str(folder))
    assert result.code == 0 and versions(folder)["mindspore"] == "2.10.0", "added packages need no question"


def test_machine_with_mindspore_needs_no_new_environment(launch, user, checkout, tmp_path):
    folder = user("mindspore==2.5.0")
    (tmp_path / "programs/python3").unlink()
    write_program(tmp_path / "programs/python3", f'exec "{folder}/bin/python" "$@"')
    result = launch()
    assert result.code == 0 and not (checkout / ".venv").exists() and versions(folder)["mindspore"] == "2.5.0", result


def test_failed_installation_ends_the_launcher(launch, user, tmp_path):
    result = launch(VIRTUAL_ENV=str(user("mindspore==2.10.0")), PIP_FIND_LINKS=str(tmp_path))
    assert result.code == 1 and "error: installation failed" in result.err and "tests run" not in result.out, result


def test_old_pip_that_cannot_plan_is_named(launch, user):
    folder = user("mindspore==2.10.0")
    module = next(folder.glob("lib/python*/site-packages/pip/__init__.py"))
    module.write_text(re.sub('__version__ = ".*"', '__version__ = "22.0.2"', module.read_text()))
    before = stamps(folder)
    result = launch(VIRTUAL_ENV=str(folder))
    assert result.code == 2 and "pip 22.0.2" in result.err and "pip install --upgrade pip" in result.err, result
    assert stamps(folder) == before


def test_environment_without_pip_is_named(launch, tmp_path):
    subprocess.run([base_python(), "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    result = launch(VIRTUAL_ENV=str(tmp_path / "bare"))
    wanted = "has no pip" if SUPPORTED else "3.9 to 3.12"
    assert result.code == 2 and wanted in result.err, result


@pytest.fixture
def too_new(tmp_path, launch):
    """A machine whose only Python is 3.13."""
    (tmp_path / "programs/python3").unlink()
    write_program(tmp_path / "programs/python3", "echo Python 3.13.1", "exit 1")


def test_too_new_python_names_what_works_everywhere(too_new, launch, checkout):
    result = launch()
    assert result.code == 2 and result.err.count("\n") == 1, result
    for part in ("Python 3.13.1", "3.9 to 3.12", "curl -LsSf https://astral.sh/uv/install.sh | sh", "run_tests.sh"):
        assert part in result.err
    assert not (checkout / ".venv").exists()


@pytest.mark.skipif(not SUPPORTED, reason="MindSpore has no wheels for this Python")
@pytest.mark.parametrize("name, asked", [("uv", "venv --seed --python 3.11"),
                                         ("conda", "create --yes python=3.11 pip --prefix")])
def test_too_new_python_has_help(name, asked, too_new, launch, checkout, tmp_path):
    write_program(tmp_path / "programs" / name, f'echo "$@" > "{tmp_path}/asked"', 'for folder; do :; done',
                  f'exec "{base_python()}" -m venv "$folder"')
    result = launch()
    assert result.code == 0 and "tests run" in result.out, result
    assert (tmp_path / "asked").read_text() == f"{asked} {checkout}/.venv\n"
    assert versions(checkout / ".venv")["mindspore"] == "2.8.0"


def test_an_unfinished_environment_is_removed(too_new, launch, checkout, tmp_path):
    write_program(tmp_path / "programs/uv", "for folder; do :; done", 'mkdir "$folder"', "exit 1")
    result = launch()
    assert result.code == 2 and "could not be made" in result.err and not (checkout / ".venv").exists(), result


def test_broken_environment_of_the_user_is_left_alone(launch, checkout):
    (checkout / ".venv").mkdir()
    (checkout / ".venv/notes").write_text("mine")
    result = launch()
    assert result.code == 2 and "its Python does not run" in result.err and (checkout / ".venv/notes").exists(), result


def test_sh_starts_bash(launch, user):
    dash = shutil.which("dash") or "sh"
    assert "tests run" in launch(program=dash, VIRTUAL_ENV=str(user("mindspore==2.10.0"))).out
    help_ = launch("--help", program=dash)
    assert help_.code == 0 and help_.out.startswith("Install the requirements of the tests") and not help_.err


def test_system_packages_are_installed_one_by_one(launch, user, tmp_path):
    """With stand-ins for dpkg-query, which only knows make, and apt-get, which has no chromium."""
    programs, log = tmp_path / "programs", tmp_path / "apt.log"
    write_program(programs / "dpkg-query", 'case "$*" in *" make") echo "install ok installed" ;; esac')
    environment = str(user("mindspore==2.10.0"))
    if os.geteuid() != 0:
        result = launch(VIRTUAL_ENV=environment)
        assert "to run them: apt-get install cmake g++" in result.err and "tests run" in result.out, result
        return
    assert "to run them: apt-get install cmake g++" in launch(VIRTUAL_ENV=environment).err, "no apt-get"
    write_program(programs / "apt-get", f'echo "$*" >> "{log}"', 'case "$*" in *chromium) exit 100 ;; esac')
    result = launch(VIRTUAL_ENV=environment)
    assert result.code == 0 and "tests run" in result.out and "installing cmake g++" in result.err, result
    assert "skipped: apt-get install chromium failed" in result.err
    names = re.findall(r"^[a-z].*", (ROOT / "tests/packages.txt").read_text(), re.MULTILINE)
    lines = log.read_text().splitlines()
    assert lines[0] == "update" and [line.split()[-1] for line in lines[1:]] == [n for n in names if n != "make"]


def test_inference_requirements_are_part_of_all_requirements():
    """Equal names and lower limits in both; requirements.txt may add upper limits and another build of ONNX Runtime."""
    both = [dict(re.findall(r"^([\w-]+)([^;\n]*)", (ROOT / name).read_text(), re.MULTILINE))
            for name in ("requirements-inference.txt", "requirements.txt")]
    assert len(both[0]) > 5 and "mindspore" not in both[0]
    for name, wanted in both[0].items():
        assert both[1][name].startswith(wanted), name
