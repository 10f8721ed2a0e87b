"""Callbacks of Model.train: log lines, the check for NaN, checkpoints, signals."""
import contextlib
import math
import os
import signal
import time
from pathlib import Path

from mindspore import Callback

from src.console import Preempted, progress
from src.signals import on_signals
from src.training.amp import OverflowWatch
from src.training.metrics import Metrics
from src.training.state import Schedule
from src.weights import checkpoint
from src.weights.manifest import add_to_manifest, drop_from_manifest, read_manifest


def loss_of(params) -> float:
    """The loss of the step; a loss-scaled step returns (loss, overflow, scale)."""
    output = params.net_outputs
    return float((output[0] if isinstance(output, (tuple, list)) else output).asnumpy())


class TrainingLog(Callback):
    """The published console lines, the same figures as metrics, and a progress bar on a terminal.

    Steps are reported when MindSpore calls back: every step, or with data sink only the last of an epoch.

    Args:
        rates: learning rate of every step of the run.
        images_per_step: pictures per step over all devices.
    """

    def __init__(self, metrics: Metrics, rates, images_per_step: int, schedule: Schedule, watch: OverflowWatch):
        super().__init__()
        self.metrics, self.rates, self.images_per_step, self.schedule = metrics, rates, images_per_step, schedule
        self.watch = watch
        self.bar = progress(len(rates), "train", "step")
        self.bar.update(schedule.done)
        self.last_step = schedule.done

    def on_train_begin(self, run_context):
        self.watch.begin(run_context.original_args().train_network)
        self.step_start = time.perf_counter()

    def on_train_epoch_begin(self, run_context):
        self.epoch_start = time.perf_counter()

    def on_train_step_end(self, run_context):
        params = run_context.original_args()
        now, (step, epoch, step_of_epoch) = time.perf_counter(), self.schedule.position(params)
        rate = (step - self.last_step) * self.images_per_step / (now - self.step_start)
        loss = loss_of(params)
        learning_rate = float(self.rates[step - 1 - self.watch.dropped])    # a dropped step's rate is used again
        scaling = self.watch.look(params.train_network, loss, step - self.last_step,
                                  f"epoch {epoch} step {step_of_epoch} (step {step} of the run)")
        new = scaling.pop("new", 0)
        self.metrics.write({"epoch": epoch, "step": step_of_epoch, "global_step": step,
                            **({"loss": loss} if math.isfinite(loss) else {}), "lr": learning_rate,
                            "images_per_s": round(rate, 3), **scaling})
        note = ""
        if new:
            note = f"; overflow, {new} update{'s' * (new > 1)} dropped, loss scale is now {scaling['loss_scale']:g}"
        self.say(f"epoch: {epoch} step: {step_of_epoch}, loss is {loss:.7g}{note}")
        self.bar.set_postfix_str(f"loss {loss:.4f}, lr {learning_rate:.2e}, {rate:.1f} images/s", refresh=False)
        self.bar.update(step - self.last_step)
        self.step_start, self.last_step = now, step

    def on_train_epoch_end(self, run_context):
        steps = run_context.original_args().batch_num
        elapsed = (time.perf_counter() - self.epoch_start) * 1000
        self.say(f"epoch time: {elapsed:.3f} ms, per step time: {elapsed / steps:.3f} ms")

    def say(self, text):
        """Print a line without breaking the progress bar."""
        if self.bar.disable:
            print(text, flush=True)
        else:
            self.bar.write(text)


class CheckpointSaver(Callback):
    """Save {model}-{epoch}_{step}.ckpt, which carries the network's `facts` (see src.weights.metadata), every
    `save_steps` steps and after the last; keep the newest `keep_checkpoint_max` of this run.

    Each is listed in checkpoints.json once it is complete. Only files that this run wrote are removed.
    """

    def __init__(self, train_dir, model: str, save_steps: int, keep_checkpoint_max: int, schedule: Schedule,
                 facts: dict):
        super().__init__()
        self.train_dir, self.model, self.save_steps = Path(train_dir), model, save_steps
        self.keep, self.schedule, self.facts, self.last = keep_checkpoint_max, schedule, facts, schedule.done
        self.saved = [self.train_dir / name for name in read_manifest(train_dir)]
        self.drop_old()

    def on_train_step_end(self, run_context):
        params = run_context.original_args()
        position = self.schedule.position(params)
        # With data sink there is one call per epoch, so a multiple of save_steps may be inside it.
        passed = position.step // self.save_steps > self.last // self.save_steps
        if passed or position.step == self.schedule.total:
            self.save(params.train_network, position)

    def save_once(self, cell, position):
        """Save unless this step is saved already."""
        if self.last != position.step:
            self.save(cell, position)

    def save(self, cell, position):
        self.last = position.step
        path = self.train_dir / f"{self.model}-{position.epoch}_{position.step_of_epoch}.ckpt"
        checkpoint.save(cell, path, self.facts)
        self.saved = [earlier for earlier in self.saved if earlier != path] + [path]
        add_to_manifest(path, position.step)
        self.drop_old()

    def drop_old(self):
        """Keep the newest; what a run that was killed had not come to remove goes, too."""
        dropped, self.saved = self.saved[:-self.keep], self.saved[-self.keep:]
        if dropped:
            drop_from_manifest(dropped)


class StopOnSignal(Callback):
    """SIGTERM, SIGHUP and Ctrl-C: finish the step, save, end; more signals meanwhile are ignored.

    In a distributed run only rank 0 does so. The others go on until the launcher ends them, since rank 0 may need them
    to finish the step. (A second Ctrl-C does not wait: src/signals.py.)
    """

    def __init__(self, saver, schedule):
        super().__init__()
        self.saver, self.schedule, self.signum = saver, schedule, None
        on_signals(self.tell)

    def tell(self, signum, _):
        if self.signum is not None:
            return
        self.signum = signum    # before the line below, whose readers may send the next signal at once
        if signum == signal.SIGINT and self.saver is not None:
            with contextlib.suppress(OSError):    # not print, which may be what the signal interrupts
                os.write(2, b"interrupted: the step is finished and saved; a second Ctrl-C does not wait\n")

    @property
    def is_told(self) -> bool:
        """Whether this rank should save and end."""
        return self.signum is not None and self.saver is not None

    def on_train_step_end(self, run_context):
        if self.is_told:
            params = run_context.original_args()
            self.save_and_end(params.train_network, self.schedule.position(params))

    def save_and_end(self, cell, position):
        """Raises Preempted, or KeyboardInterrupt after Ctrl-C, once the state after that step is saved."""
        self.saver.save_once(cell, position)
        end = f"saved {self.saver.saved[-1]}; --resume auto goes on from it"
        if self.signum == signal.SIGINT:
            raise KeyboardInterrupt(end)
        raise Preempted(f"{signal.Signals(self.signum).name}: {end}")
