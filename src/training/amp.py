"""Mixed precision: cells in float16, loss scaling, and steps that overflow.

As published for Ascend: float16 throughout but for the loss (O3), a fixed scale, and a step that overflows trains like
any other. The Ascend 910 saturates, so one overflow is harmless there; Atlas A2 and GPUs compute inf and NaN, which the
optimizer would write into the weights. With drop_overflow_update such steps are skipped.
"""
import math

import mindspore as ms
from mindspore import nn, ops

from src.console import InputError, RunError

AUTO = {"Ascend": "O3", "GPU": "O2", "CPU": "O0"}    # level of --amp_level auto; Ascend's and the CPU's are published
JIT_LEVELS = ("", "O0", "O1", "O2")
DROPPED = "dropped_steps"    # parameter of the step, so that checkpoints hold it
SCALE = "scale_sense"    # the same, the loss scale
# Parameters of a step that drops overflows: the last two of a dynamic scale. Names are MindSpore's.
STATE = (SCALE, DROPPED, "update.cur_iter", "update.last_overflow_iter")
ENDLESS = 100    # a run ends after this many dropped steps in a row


def set_jit_level(level: str) -> None:
    """Set MindSpore's compilation level; "" keeps its default. Raises InputError for an unknown level."""
    if level not in JIT_LEVELS:
        raise InputError(f"--jit_level {level}: is one of {', '.join(JIT_LEVELS[1:])}, or empty for the default")
    if level:
        ms.set_context(jit_config={"jit_level": level})


def mixed_precision(training, level: str, target: str) -> None:
    """Set the cells of a TrainingNetwork to float16, in place; the loss is always float32.

    Args:
        level: O0 nowhere; O2 all but BatchNorm; O3 everywhere; auto as AUTO says for the target.
    """
    if level == "auto":
        level = AUTO[target]
    if level == "O2":
        ms.amp.auto_mixed_precision(training, "O2")    # in place; the cell it returns only widens the loss
    elif level == "O3":
        training.to_float(ms.float16)
    training.loss.to_float(ms.float32)


def drops(config) -> bool:
    """Whether steps that overflow are skipped; a dynamic scale needs this."""
    return config.drop_overflow_update or config.loss_scale_type == "dynamic"


def optimizer_scale(config) -> float:
    """The optimizer's divisor of the gradients: the scale with MindSpore's plain step; 1 where steps can be skipped,
    for that cell divides itself."""
    return 1.0 if drops(config) else config.loss_scale


def make_model(training, optimizer, config, target: str):
    """The mindspore.Model of a TrainingNetwork whose optimizer has optimizer_scale(config)."""
    if not drops(config):
        manager = ms.FixedLossScaleManager(config.loss_scale, drop_overflow_update=False)
        return ms.Model(training, optimizer=optimizer, loss_scale_manager=manager, amp_level="O0")
    manager = (ms.DynamicLossScaleManager(config.loss_scale) if config.loss_scale_type == "dynamic"
               else ms.FixedLossScaleManager(config.loss_scale, drop_overflow_update=True))
    # Built here because Model refuses to build it on a CPU.
    step = LossScaledStepOnCPU if target == "CPU" else nn.TrainOneStepWithLossScaleCell
    return ms.Model(step(training, optimizer, CountedScale(manager.get_update_cell())).set_train())


class CountedScale(nn.Cell):
    """A loss scale manager's update cell that also counts the dropped steps."""

    def __init__(self, update):
        super().__init__()
        self.update = update
        self.dropped = ms.Parameter(ms.Tensor(0, ms.int32), name=DROPPED, requires_grad=False)

    def get_loss_scale(self):
        return self.update.get_loss_scale()

    def construct(self, scale, overflow):
        ops.assign_add(self.dropped, ops.cast(overflow, ms.int32))
        return self.update(scale, overflow)


class LossScaledStepOnCPU(nn.TrainOneStepWithLossScaleCell):
    """MindSpore's step that skips overflows, usable on a CPU too: MindSpore's own asks the status of an Ascend or GPU.

    Gradients are averaged over the devices first, so all devices see an inf on one of them.
    """

    def get_overflow_status(self, _, grads):
        overflow = ms.Tensor(False)
        for grad in grads:
            overflow = ops.logical_or(overflow, ops.logical_not(ops.isfinite(grad).all()))
        return overflow


class OverflowWatch:
    """Checks the loss and the dropped steps after each step, for TrainingLog.

    Args:
        hint: how to avoid a loss that is NaN.
    """

    def __init__(self, hint: str):
        self.hint, self.dropped, self.in_a_row = hint, 0, 0

    def begin(self, network) -> None:
        """Begin with the step cell `network`, of a new or a resumed run."""
        self.dropped = figures(network).get(DROPPED, 0)

    def look(self, network, loss: float, steps: int, where: str) -> dict:
        """{loss_scale, dropped_steps, new: dropped since the call `steps` before}; {} if steps are not dropped.

        Raises RunError, beginning with `where`, if training cannot go on.
        """
        found = figures(network)
        new = found.get(DROPPED, 0) - self.dropped
        self.dropped += new
        self.in_a_row = self.in_a_row + new if new == steps else 0
        if not math.isfinite(loss) and not new:
            raise RunError(f"{where}: loss is {loss}; {self.hint}; checkpoints saved before are complete")
        if self.in_a_row >= ENDLESS:
            raise RunError(f"{where}: the last {self.in_a_row} steps overflowed and were dropped, at loss scale "
                           f"{found['loss_scale']:g}; a lower --loss_scale or --base_lr helps")
        if new and (name := broken_statistics(network)):
            raise RunError(f"{where}: {name} is not finite: the forward pass overflowed, and dropping the step leaves "
                           f"BatchNorm's statistics as they are; --amp_level O2 and a lower --base_lr help")
        return {**found, "new": new} if found else {}


def figures(network) -> dict:
    """{"loss_scale": float, "dropped_steps": int} of a step that drops overflows; {} for any other."""
    own = {value.name: value for value in network.get_parameters()}
    if DROPPED not in own:
        return {}
    return {"loss_scale": float(own[SCALE].asnumpy()), DROPPED: int(own[DROPPED].asnumpy())}


def broken_statistics(network) -> str:
    """Name of the first moving statistic that is not finite, or ""."""
    moving = (value for value in network.get_parameters() if "moving_" in value.name)
    return next((value.name for value in moving if not ops.isfinite(value).all()), "")


def nan_hint(target: str) -> str:
    """Hint how to avoid a loss of NaN on this kind of device."""
    lower = "a lower --base_lr helps"
    if target == "CPU":
        return lower
    return ("a float16 overflow may have reached the weights (an Ascend 910 saturates, Atlas A2 and GPUs compute inf): "
            "--drop_overflow_update True skips such steps, --amp_level O2 keeps BatchNorm in float32; "
            "see docs/ascend.md; " + lower)
