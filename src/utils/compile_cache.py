"""Compiled graphs kept between runs, so that a configuration is compiled once.

MindSpore's own compile cache numbers the graphs of a process and takes number N from its folder, whatever was compiled
into it: with another order of sizes or another number of classes it computes nonsense without an error (MindSpore 2.8).
So each configuration has one packed file, named by a digest of all that its graphs depend on. A run unpacks it into a
folder of its own, and packs that again when something was compiled; nothing is shared while it is written.
"""
import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

from src.console import warn

ROOT = Path(__file__).resolve().parents[2]
KEPT = 50    # configurations; the one unused for longest goes first
OWN_NAME = re.compile(r"deeplab_v3_\w+-[0-9a-f]{40}\.zip")    # the user may keep other files in the folder

# Options that no graph depends on: where things lie and what is written. All others are part of the digest.
ELSEWHERE = {"compile_cache", "debug", "workers", "data_root", "data_lst", "data_file", "class_names", "train_dir",
             "ckpt_pre_trained", "ckpt_path", "filter_weight", "save_steps", "keep_checkpoint_max", "resume",
             "eval_data_lst", "summary_dir", "result_file", "overlay_dir", "overlay_max", "report",
             "dump_batches", "check_dir", "sheet_max", "sources", "model_file", "output_dir", "overwrite", "alpha"}

opened = False    # MindSpore's count goes on within a process, so only its first run can use the cache


def cache_folder(option: str) -> Path:
    """The folder that --compile_cache means."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches, "deeplab_v3").expanduser() if option == "auto" else Path(option).expanduser()


def fingerprint(config, device, cell, facts) -> str:
    """Digest of what the graphs of a run depend on.

    That is: options, device and rank, sources, versions, settings in the environment, the names, shapes and types of
    the cell's parameters (not their values, which no graph holds), its constants, and `facts`: what was found out at
    run time, such as the number of steps.
    """
    import mindspore as ms
    sha = hashlib.sha256()

    def add(*parts):
        sha.update(repr(parts).encode() + b"\n")

    add(ms.__version__, sys.version_info[:2], platform.machine(), str(ROOT), os.path.realpath(sys.argv[0]), device)
    add({name: value for name, value in vars(config).items() if name not in ELSEWHERE}, facts)
    add(sorted(item for item in os.environ.items() if item[0].startswith(("MS_DEV_", "MS_JIT", "MS_ENABLE"))))
    for path in sorted([*ROOT.glob("*.py"), *ROOT.glob("src/**/*.py")]):
        add(path.relative_to(ROOT), path.read_bytes())
    for name, value in cell.parameters_and_names():
        add(name, value.shape, str(value.dtype), value.requires_grad)
    for name, part in cell.cells_and_names():
        for attribute, value in vars(part).items():
            if isinstance(value, ms.Tensor) and not isinstance(value, ms.Parameter):
                add(name, attribute, str(value.dtype), value.shape, value.asnumpy().tobytes())
    return sha.hexdigest()


class CompiledGraphs:
    """The graphs of one configuration: the packed file, and the folder that MindSpore reads and writes."""

    def __init__(self, packed: Path, folder: Path):
        self.packed, self.folder = packed, folder
        if packed.exists():
            self.unpack()
        self.known = self.state()

    def unpack(self) -> None:
        """Take the graphs of an earlier run; a damaged file is left, and replaced after compiling."""
        try:
            with zipfile.ZipFile(self.packed) as archive:
                archive.extractall(self.folder)    # compares checksums
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            warn(f"{self.packed}: damaged ({error}); the graphs are compiled anew")
            for path in self.folder.iterdir():
                shutil.rmtree(path)
        with suppress(OSError):    # another user's cache may be read, but not marked as used
            os.utime(self.packed)

    def state(self) -> list:
        return [(path, path.stat().st_mtime_ns) for path in sorted(self.folder.rglob("*")) if path.is_file()]

    def keep(self) -> None:
        """Pack what was compiled since the last call: aside first, renamed when complete."""
        if self.state() == self.known:
            return
        self.known = self.state()
        aside = self.packed.with_name(f".{self.packed.name}.{os.getpid()}")
        try:
            self.packed.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for path, _ in self.known:
                    archive.write(path, path.relative_to(self.folder))
            os.replace(aside, self.packed)
            own = [path for path in self.packed.parent.glob("*.zip") if OWN_NAME.fullmatch(path.name)]
            for old in sorted(own, key=lambda path: -path.stat().st_mtime)[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            warn(f"--compile_cache {self.packed.parent}: cannot be written ({error.strerror}); "
                 "the next start compiles again")
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)


@contextmanager
def compiled_graphs(config, device, cell, facts):
    """Within it the cell's graphs are taken from --compile_cache or compiled; yields what keeps new ones for later.

    Args:
        cell: what runs, with its parameters set; nothing of it may have been compiled yet.
        facts: see fingerprint.

    Yields a function that packs what was compiled so far; leaving the block does so too. Graphs are compiled without
    a cache off the CPU, with --compile_cache "", in the second run of a process, and where no file was started
    (python -c), since MindSpore reads that file.
    """
    global opened
    if device.target != "CPU" or not config.compile_cache or opened or not os.path.isfile(sys.argv[0]):
        yield lambda: None
        return
    import mindspore as ms
    opened = True
    packed = cache_folder(config.compile_cache) / f"{config.model}-{fingerprint(config, device, cell, facts)[:40]}.zip"
    with tempfile.TemporaryDirectory() as folder:
        graphs = CompiledGraphs(packed, Path(folder))
        ms.set_context(enable_compile_cache=True, compile_cache_path=folder)
        try:
            yield graphs.keep
        finally:
            ms.set_context(enable_compile_cache=False)
            graphs.keep()
