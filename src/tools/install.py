"""Install requirement files into the environment of the Python that runs this, without breaking other packages there.

An installed MindSpore of any version is never changed: on Ascend it is the one that fits CANN. Other packages that pip
would replace are named first, and nothing is done without ASSUME_YES=1 (--yes of the launchers). An environment that a
launcher made belongs to the project: there nothing is asked, and the constraints are applied.

Imports only the standard library and pip: nothing else may be installed yet.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import pip
from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.utils import canonicalize_name
from pip._vendor.packaging.version import Version

MADE_BY_LAUNCHER = ".made_by_launcher"    # make_venv of scripts/common.sh writes it
# Distributions that contain the same import package, so that one overwrites the files of the other. If one of them is
# installed, it is used.
MINDSPORE = ("mindspore", "mindspore-dev", "mindspore-ascend", "mindspore-gpu")
FAMILIES = (
    MINDSPORE,
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-cann", "onnxruntime-openvino", "onnxruntime-directml"),
    ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
)


class Failure(Exception):
    """Error text for the user, and the exit code."""


def installed() -> dict:
    """Distributions of this environment by name; of two with one name the first on sys.path, as in imports."""
    found = {}
    for distribution in distributions():
        if distribution.metadata["Name"]:    # a broken one has no name
            found.setdefault(canonicalize_name(distribution.metadata["Name"]), distribution)
    return found


def read(path) -> list:
    """The requirements of a file, one a line, without its comments."""
    lines = (line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def fitted(requirement, there: dict):
    """The requirement with the name that is installed here, and MindSpore pinned to the installed version.

    None for a MindSpore that can be imported but was not installed by pip (built from source, on PYTHONPATH).
    """
    name = canonicalize_name(requirement.name)
    family = next((family for family in FAMILIES if name in family), (name,))
    present = [member for member in (name, *family) if member in there]
    if not present:
        spec = find_spec("mindspore") if family is MINDSPORE else None
        return None if spec and spec.origin else requirement    # without origin: only a folder of that name
    if family is MINDSPORE:
        kept = there[present[0]].version
        if not requirement.specifier.contains(kept, prereleases=True):
            print(f"warning: {present[0]} {kept} is kept; the requirement is {requirement}", file=sys.stderr)
        return Requirement(f"{present[0]}==={kept}")
    requirement.name = present[0]
    return requirement


def is_missing(requirement, there: dict) -> bool:
    if requirement.marker and not requirement.marker.evaluate():
        return False
    found = there.get(canonicalize_name(requirement.name))
    return found is None or not requirement.specifier.contains(found.version, prereleases=True)


def run_pip(*arguments, quiet: bool) -> None:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *(["--quiet"] if quiet else [])]
    if subprocess.run([*command, *map(str, arguments)]).returncode:
        raise Failure("installation failed; see pip's message above (it needs a network and 4 GB of disk)", 1)


def planned(requirements: list) -> dict:
    """Name -> version of the packages that pip would install, from its "installation report"
    (pip.pypa.io/en/stable/reference)."""
    if Version(pip.__version__) < Version("22.2"):
        raise Failure(f"pip {pip.__version__} cannot report which packages of {sys.prefix} it would replace; "
                      f"fix: {sys.executable} -m pip install --upgrade pip", 2)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        run_pip("--dry-run", "--report", report, *requirements, quiet=True)
        items = [item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    return {canonicalize_name(item["name"]): item["version"] for item in items}


def dissatisfied(replaced: dict, others) -> list:
    """(name, requirement) of other distributions that the replacements, name -> (old, new), would break."""
    found = []
    for distribution in others:
        for text in distribution.requires or ():
            try:
                requirement = Requirement(text)
            except InvalidRequirement:    # in an old package; pip ignores it too
                continue
            versions = replaced.get(canonicalize_name(requirement.name))
            if versions and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
                suits = [requirement.specifier.contains(version, prereleases=True) for version in versions]
                if suits == [True, False]:
                    found.append((f"{distribution.metadata['Name']} {distribution.version}", str(requirement)))
    return found


def ask(requirements: list, there: dict) -> None:
    """Print what would be replaced; raises Failure if anything would be and the user has not agreed."""
    plan = planned(requirements)
    replaced = {name: (there[name].version, version) for name, version in plan.items() if name in there}
    if not replaced:
        return
    print(f"in {sys.prefix} the installation replaces")
    for name, (old, new) in replaced.items():
        print(f"  {name} {old} -> {new}")
    for name, requirement in dissatisfied(replaced, [there[name] for name in there.keys() - plan.keys()]):
        print(f"  {name} needs {requirement} and may stop working")
    sys.stdout.flush()
    if os.environ.get("ASSUME_YES", "0") in ("", "0"):
        raise Failure(f"nothing was installed: packages of {sys.prefix} would be replaced, see above; fix: give --yes "
                      "or ASSUME_YES=1 to agree, or deactivate that environment to use the project's .venv", 2)


def install(files: list, constraint: Path) -> None:
    there = installed()
    requirements = [fitted(requirement, there) for path in files for requirement in read(path)]
    arguments = [requirement for requirement in requirements if requirement]
    missing = [requirement for requirement in arguments if is_missing(requirement, there)]
    if not missing:
        return
    fresh = any(requirement.name in MINDSPORE for requirement in missing)
    if not Path(sys.prefix, MADE_BY_LAUNCHER).exists():
        ask(arguments, there)
    elif fresh:    # the constraints are only for MindSpore, and an installed one is kept
        arguments += ["--constraint", constraint]
    print(f"installing the packages of {' '.join(map(str, files))}" +
          ("; MindSpore alone is 0.8 GB, once" if fresh else ""), flush=True)
    run_pip(*arguments, quiet=not sys.stdout.isatty())    # on a terminal pip shows its progress bar


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="requirement files")
    parser.add_argument("--constraint", type=Path, help="constraints of an environment that a launcher made")
    options = parser.parse_args()
    try:
        install(options.files, options.constraint)
        return 0
    except Failure as failure:
        text, code = failure.args
        print(f"error: {text}", file=sys.stderr)
        return code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
