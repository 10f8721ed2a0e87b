"""ModelArts: copy from object storage before a run and to it afterwards; nothing else knows of it."""
import contextlib
import dataclasses
import fcntl
import os
import re
import tempfile
import zipfile
from pathlib import Path

from src.config import read_options
from src.console import InputError, RunError, counted, warn


@contextlib.contextmanager
def storage(config):
    """The options for this machine: inputs copied in and unpacked before, outputs copied out after the run.

    Without --enable_modelarts the options as they are. Each server copies once, the first of its ranks does it while
    the others wait. Rank 0, which writes all results, copies them out, and so does a rank that fails.

    Raises:
        InputError: no moxing, an output outside output_path, an archive that is damaged or would write elsewhere.
        RunError: something could not be copied.
    """
    if not config.enable_modelarts:
        yield config
        return
    try:
        import moxing
    except ImportError:
        raise InputError("--enable_modelarts: there is no module moxing here; ModelArts' images have it") from None
    local = localize(config)
    fetch(config, moxing.file.copy_parallel)
    try:
        yield local
    except BaseException:
        deliver(config, moxing.file.copy_parallel, failed=True)
        raise
    deliver(config, moxing.file.copy_parallel, failed=False)


def localize(config):
    """The options with relative paths put into data_path, load_path and output_path; absolute ones stay."""
    changes, output = {}, Path(config.output_path).resolve()
    for name, option in read_options().items():
        if not option.folder or not getattr(config, name, ""):    # no path, not of this program, or not given
            continue
        changes[name] = os.path.join(getattr(config, option.folder), getattr(config, name))
        place = Path(changes[name]).resolve()
        if option.folder == "output_path" and output not in [place, *place.parents]:
            raise InputError(f"--{name} {changes[name]}: lies outside --output_path {config.output_path}, so it would "
                             "not be copied to --train_url; give a relative path")
    return dataclasses.replace(config, **changes)


def job() -> str:
    """What the ranks of one job on this server share and no other job has: JOB_ID, or the process that started them."""
    if os.environ.get("JOB_ID"):
        return re.sub(r"[^\w.-]", "_", os.environ["JOB_ID"])
    parent = os.getppid()
    try:
        started = Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        started = "0"
    return f"{parent}_{started}"


@contextlib.contextmanager
def one_at_a_time():
    """A file that one rank of the job holds at a time; the system lets go of it when the rank ends, however it does."""
    path = Path(tempfile.gettempdir(), f"deeplab_v3_modelarts_{os.getuid()}_{job()}")
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def fetch(config, copy) -> None:
    """Copy inputs in and unpack them, unless another rank of this job has; its notes in the job's file say so."""
    with one_at_a_time() as notes:
        notes.seek(0)
        done = notes.read().splitlines()
        for source, folder, unpack in ((config.data_url, config.data_path, config.need_modelarts_dataset_unzip),
                                       (config.checkpoint_url, config.load_path, False)):
            note = f"{source} -> {folder}"
            if not source or (note in done and Path(folder).is_dir()):
                continue
            print(f"copying {note}", flush=True)
            try:
                Path(folder).mkdir(parents=True, exist_ok=True)
                copy(source, str(folder))
            except Exception as error:    # moxing has many
                raise RunError(f"{note}: could not be copied ({error})") from None
            for archive in sorted(Path(folder).glob("*.zip")) if unpack else []:
                unzip(archive, Path(folder))
            notes.write(note + "\n")
            notes.flush()


def unzip(archive: Path, folder: Path) -> None:
    """Unpack into `folder`. Raises InputError for a damaged archive and one with a member that would land elsewhere."""
    inside = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                name = member.filename.replace("\\", "/")
                if inside not in [(inside / name).resolve(), *(inside / name).resolve().parents]:
                    raise InputError(f"{archive}: member {member.filename!r} would land outside {folder}; "
                                     "nothing was unpacked")
            print(f"unpacking {archive}: {len(file.namelist())} members", flush=True)
            for member in counted(file.infolist(), archive.name, "file"):
                file.extract(member, inside)
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error})") from None


def deliver(config, copy, failed: bool) -> None:
    """Copy output_path to train_url; of a failed run its own error is the one to end with."""
    rank = int(os.environ.get("RANK_ID", "0"))
    if not config.train_url or not Path(config.output_path).is_dir() or (rank and not failed):
        return
    print(f"copying {config.output_path} -> {config.train_url}", flush=True)
    try:
        with one_at_a_time():
            copy(str(config.output_path), config.train_url)
    except Exception as error:    # moxing has many
        text = f"--train_url {config.train_url}: {config.output_path} could not be copied there ({error})"
        if not failed:
            raise RunError(text) from None
        warn(text)
