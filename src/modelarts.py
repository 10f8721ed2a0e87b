"""ModelArts: copy inputs from object storage before a run, and outputs to it afterwards."""
import contextlib
import dataclasses
import os
import re
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path

from src.config import read_options
from src.console import InputError, RunError, counted, warn
from src.foreign import printable, reason, shown


@contextlib.contextmanager
def storage(config):
    """Yield the options with local paths: inputs are copied in and unpacked before, outputs copied out after the run.

    Without --enable_modelarts the options are unchanged. Each server copies once: its first rank copies while the
    others wait. Rank 0, which writes all results, copies them out, and so does a rank that fails.

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


def run_job() -> str:
    """An identifier that the ranks of one job on this server share: JOB_ID, or the process that started them."""
    if os.environ.get("JOB_ID"):
        return re.sub(r"[^\w.-]", "_", os.environ["JOB_ID"])
    parent = os.getppid()
    try:
        started = Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        started = "0"
    return f"{parent}_{started}"


def private_folder() -> Path:
    """A temporary folder that only this user can write to. Raises InputError if somebody else made it."""
    path = Path(tempfile.gettempdir(), f"deeplab_v3_modelarts_{os.getuid()}.d")
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); TMPDIR names another folder") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InputError(f"{path}: is not this user's private folder; remove it, or let TMPDIR name another one")
    return path


@contextlib.contextmanager
def one_at_a_time():
    """Yield a file that one rank of the job holds at a time; the system releases it when the rank ends."""
    import fcntl  # Unix only, as ModelArts is; the programs run on Windows too
    path = private_folder() / run_job()
    try:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "a+")
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def fetch(config, copy) -> None:
    """Copy inputs in and unpack them, unless another rank of this job has done it, as the job's file says."""
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
            except Exception as error:    # moxing raises many kinds
                raise RunError(f"{note}: could not be copied ({printable(error, 200)})") from None
            for archive in sorted(Path(folder).glob("*.zip")) if unpack else []:
                unzip(archive, Path(folder))
            notes.write(note + "\n")
            notes.flush()


def unzip(archive: Path, folder: Path) -> None:
    """Unpack into `folder`. Raises InputError for an archive that is damaged, larger than the free disk space, has a
    member outside `folder`, or cannot be written."""
    member = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            check_members(members, archive, folder)
            print(f"unpacking {archive}: {len(members)} members", flush=True)
            for member in counted(members, archive.name, "file"):
                file.extract(member, folder.resolve())
    except InputError:
        raise
    except OSError as error:
        place = f", at its member {shown(member.filename)}" if member else ""
        raise InputError(f"{archive}: cannot be unpacked ({printable(reason(error), 200)}{place})") from None
    except Exception as error:    # zipfile and its decoders raise many kinds for a damaged archive
        raise InputError(f"{archive}: cannot be unpacked, it is damaged ({printable(error, 200)})") from None


def check_members(members: list, archive: Path, folder: Path) -> None:
    """Raises InputError, before anything is unpacked, for members outside `folder` or larger than the free disk space.
    zipfile stops at the size that the archive states, so no member gets larger."""
    inside = folder.resolve()
    for member in members:
        target = (inside / member.filename.replace("\\", "/")).resolve()
        if inside not in [target, *target.parents]:
            raise InputError(f"{archive}: member {shown(member.filename)} would land outside {folder}; nothing was "
                             "unpacked")
    total, free = sum(member.file_size for member in members), shutil.disk_usage(inside).free
    if total > free:
        raise InputError(f"{archive}: unpacks to {total} bytes, and {folder} has {free} free; nothing was unpacked")


def deliver(config, copy, failed: bool) -> None:
    """Copy output_path to train_url; after a failed run a copying error is only a warning."""
    rank = int(os.environ.get("RANK_ID", "0"))
    if not config.train_url or not Path(config.output_path).is_dir() or (rank and not failed):
        return
    print(f"copying {config.output_path} -> {config.train_url}", flush=True)
    try:
        with one_at_a_time():
            copy(str(config.output_path), config.train_url)
    except Exception as error:    # moxing raises many kinds
        text = (f"--train_url {config.train_url}: {config.output_path} could not be copied there "
                f"({printable(error, 200)})")
        if not failed:
            raise RunError(text) from None
        warn(text)
