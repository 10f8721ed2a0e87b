"""The steps of a training run, and the checkpoint that it is resumed from."""
import os
from pathlib import Path
from typing import NamedTuple

from src.console import InputError, warn
from src.data.dataset_yaml import check_order
from src.training import amp
from src.weights import checkpoint
from src.weights.loading import set_parameters
from src.weights.manifest import MANIFEST, is_whole, read_manifest
from src.weights.names import shorten

# Entry of a checkpoint that is there with certain options only -> those options.
OPTIONS_OF = {
    "learning_rate_group_0": "--classifier_lr_factor",
    **{f"moments.network.resnet.{place}conv1.weight": "--freeze_backbone"
       for place in ("", "layer1.0.", "layer2.0.", "layer3.0.", "layer4.0.")},
}


class Position(NamedTuple):
    """A step of a run; each number counts from 1."""

    step: int    # of the run
    epoch: int
    step_of_epoch: int


class Phase(NamedTuple):
    """Epochs, counted from 0, of one call of Model.train; the first `first_step` steps of the first are skipped."""

    first_epoch: int
    end_epoch: int
    first_step: int


class Schedule(NamedTuple):
    """The steps of a run; `done` of them were done before it was resumed."""

    steps_per_epoch: int
    epochs: int
    done: int = 0

    @property
    def total(self) -> int:
        return self.steps_per_epoch * self.epochs

    def phases(self):
        """The remaining phases. An interrupted epoch is a phase of its own: Model.train needs epochs of equal length.
        """
        epoch, step = divmod(self.done, self.steps_per_epoch)
        if step:
            yield Phase(epoch, epoch + 1, step)
            epoch += 1
        if epoch < self.epochs:
            yield Phase(epoch, self.epochs, 0)

    def position(self, params) -> Position:
        """The step that has just ended, from a callback's parameters: Model.train counts the steps of its phase."""
        left_out = self.steps_per_epoch - params.batch_num    # the rest of an interrupted epoch is that much shorter
        step_of_epoch = left_out + (params.cur_step_num - 1) % params.batch_num + 1
        epoch = params.cur_epoch_num
        return Position((epoch - 1) * self.steps_per_epoch + step_of_epoch, epoch, step_of_epoch)

    def position_of(self, step: int) -> Position:
        """A step of the run, from its number."""
        epoch, before = divmod(step - 1, self.steps_per_epoch)
        return Position(step, epoch + 1, before + 1)


def find_checkpoint(resume: str, train_dir):
    """(path, steps done) of the checkpoint for --resume; (None, 0) if there is nothing to resume.

    `auto` skips damaged checkpoints with a warning. Raises InputError for a path that is damaged or unknown.
    """
    if not resume:
        return None, 0
    if resume != "auto":
        path = Path(resume)
        entry = read_manifest(path.parent).get(path.name)
        if not (entry and os.path.isfile(path)):
            raise InputError(f"--resume {path}: {path.parent / MANIFEST} does not list this checkpoint; "
                             "--ckpt_pre_trained starts a new run from any checkpoint")
        if not is_whole(path, entry):
            raise InputError(f"--resume {path}: damaged, size or SHA-256 is not as listed; --resume auto takes another")
        return path, entry["step"]
    for name, entry in sorted(read_manifest(train_dir).items(), key=lambda item: -item[1]["step"]):
        path = Path(train_dir, name)
        if is_whole(path, entry):
            return path, entry["step"]
        warn(f"{path}: missing or damaged, skipped")
    return None, 0


def restore(cell, path, steps: int, class_names) -> None:
    """Set every parameter of the training cell, including momenta and step count, from a checkpoint of the same run.

    Raises InputError if names or shapes differ, the step count is not `steps`, or the data has the classes in another
    order.
    """
    values, _, facts = checkpoint.read(path, f"--resume {path}")
    check_order(facts.get("class_names", ()), f"--resume {path}", class_names, "the data of this run")
    own = {parameter.name: parameter for _, parameter in cell.parameters_and_names()}
    if amp.DROPPED in values and amp.DROPPED not in own:
        raise InputError(f"--resume {path}: was trained with another --loss_scale_type or --drop_overflow_update")
    steps_of = [own[name] for name in ("global_step", amp.DROPPED) if name in own]
    both_dynamic = all(name in own and name in values for name in amp.STATE)
    for name in amp.STATE:    # a resumed run may begin to drop steps, or change its scale: as the options say
        if name not in values or (name == amp.SCALE and not both_dynamic):
            own.pop(name, None)
    wrong = [name for name in own if name not in values or values[name].shape != own[name].shape]
    if "learning_rate" in wrong:
        raise InputError(f"--resume {path}: was made for {values['learning_rate'].shape[0]} steps, not "
                         f"{own['learning_rate'].shape[0]}; give the same --train_epochs, --batch_size and data, or, "
                         f"to train on for other epochs, --ckpt_pre_trained {path} without --resume and with another "
                         "--train_dir: the learning rate begins again")
    for entry, options in OPTIONS_OF.items():
        if (entry in values) != (entry in own):
            raise InputError(f"--resume {path}: was trained with another {options}")
    if wrong:
        raise InputError(f"--resume {path}: does not fit this run: {shorten(wrong)}")
    set_parameters(own, {name: values[name] for name in own})
    if sum(int(value.asnumpy().item()) for value in steps_of) != steps:    # the optimizer counts no dropped step
        raise InputError(f"--resume {path}: contains another step than {MANIFEST} lists")
