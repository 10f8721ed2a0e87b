"""Where a training run stands, and which of its checkpoints are whole: checkpoints.json in train_dir."""
import json
import os
from dataclasses import dataclass
from pathlib import Path

from src.console import InputError, warn
from src.weights import checkpoint

MANIFEST = "checkpoints.json"


@dataclass
class Position:
    """Steps of a run: `start` were done before the current Model.train, whose own count begins at 0."""

    steps_per_epoch: int
    start: int = 0

    def of(self, params) -> tuple:
        """(step of the run, epoch, step in the epoch), each counted from 1, from a callback's parameters."""
        step = self.start + params.cur_step_num
        return step, (step - 1) // self.steps_per_epoch + 1, (step - 1) % self.steps_per_epoch + 1


def phases(done: int, steps_per_epoch: int, epochs: int):
    """What is left of a run after `done` steps: (first epoch, end epoch, steps to leave out of the first).

    An epoch that was cut is a phase of its own, since Model.train takes all epochs to be equally long.
    """
    epoch, step = divmod(done, steps_per_epoch)
    if step:
        yield epoch, epoch + 1, step
        epoch += 1
    if epoch < epochs:
        yield epoch, epochs, 0


def read_manifest(folder) -> dict:
    """File name -> {size, sha256, step} of the checkpoints that a run has finished writing, oldest first."""
    try:
        return json.loads(Path(folder, MANIFEST).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{Path(folder, MANIFEST)}: cannot be read ({error})") from None


def note(path: Path, step: int, kept) -> None:
    """Enter a checkpoint that is complete; entries that are not among the names `kept` are dropped."""
    entries = {name: entry for name, entry in read_manifest(path.parent).items() if name in kept}
    entries[path.name] = {"size": path.stat().st_size, "sha256": checkpoint.digest(path), "step": step}
    aside = path.with_name(f".{MANIFEST}.{os.getpid()}")
    aside.write_text(json.dumps(entries, indent=1))
    os.replace(aside, path.with_name(MANIFEST))


def is_whole(path: Path, entry: dict) -> bool:
    return path.is_file() and path.stat().st_size == entry["size"] and checkpoint.digest(path) == entry["sha256"]


def find(resume: str, train_dir):
    """(path, steps done) of the checkpoint that --resume means; (None, 0) if there is nothing to resume.

    `auto` passes over damaged checkpoints with a warning. Raises InputError for a path that is damaged or unknown.
    """
    if not resume:
        return None, 0
    if resume != "auto":
        path = Path(resume)
        entry = read_manifest(path.parent).get(path.name)
        if not path.is_file() or entry is None:
            raise InputError(f"--resume {path}: no checkpoint that {path.parent / MANIFEST} lists; "
                             "--ckpt_pre_trained starts a new run from any checkpoint")
        if not is_whole(path, entry):
            raise InputError(f"--resume {path}: damaged, size or SHA-256 is not as noted; --resume auto takes another")
        return path, entry["step"]
    for name, entry in sorted(read_manifest(train_dir).items(), key=lambda item: -item[1]["step"]):
        path = Path(train_dir, name)
        if is_whole(path, entry):
            return path, entry["step"]
        warn(f"{path}: missing or damaged, passed over")
    return None, 0


def load(cell, path, steps: int) -> None:
    """Set every parameter of the training cell, momenta and step count included, from a checkpoint of its own kind.

    Raises InputError if names or shapes differ, or the step count is not `steps`.
    """
    import mindspore as ms
    parameters = checkpoint.read(path, "resume")
    own = {value.name: value for _, value in cell.parameters_and_names()}
    wrong = [name for name in own if name not in parameters or parameters[name].shape != own[name].shape]
    if "learning_rate" in wrong:
        raise InputError(f"--resume {path}: was made for {parameters['learning_rate'].shape[0]} steps, not "
                         f"{own['learning_rate'].shape[0]}; give the same --train_epochs, --batch_size and data")
    if ("scale_sense" in parameters) != ("scale_sense" in own):    # src/training/amp.py
        raise InputError(f"--resume {path}: was trained with another --loss_scale_type or --drop_overflow_update")
    if wrong:
        raise InputError(f"--resume {path}: does not fit this run: {checkpoint.shorten(wrong)}")
    ms.load_param_into_net(cell, {name: parameters[name] for name in own})
    done = sum(int(own[name].asnumpy().item()) for name in ("global_step", "dropped_steps") if name in own)
    if done != steps:    # the optimizer counts no dropped step
        raise InputError(f"--resume {path}: holds another step than {MANIFEST} says")
