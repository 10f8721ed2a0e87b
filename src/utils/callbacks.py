"""What happens while Model.train runs: log lines, metrics.jsonl, the bar, the check for NaN, checkpoints."""
import json
import math
import time
from pathlib import Path

from mindspore import Callback

from src.utils import checkpoint
from src.utils.log import RunError, progress


def loss_of(params) -> float:
    """The loss of the step; a loss-scaled step returns (loss, overflow, scale)."""
    output = params.net_outputs
    return float((output[0] if isinstance(output, (tuple, list)) else output).asnumpy())


class TrainingLog(Callback):
    """The published console lines, the same figures as JSON lines, and a bar on a terminal.

    A step is reported when MindSpore hands it over: each one, or with data sink the last of an epoch.

    Args:
        train_dir: folder of metrics.jsonl.
        rates: learning rate of every step of the run.
        images_per_step: pictures a step over all devices.
        first_epoch: epochs that an earlier part of the run has done.
    """

    def __init__(self, train_dir, rates, images_per_step):
        super().__init__()
        self.path = Path(train_dir, "metrics.jsonl")
        self.rates, self.images_per_step = rates, images_per_step

    def on_train_begin(self, run_context):
        self.file = self.path.open("a", encoding="utf-8")
        self.bar = progress(len(self.rates), "train", "step")
        self.step_start, self.last_step = time.perf_counter(), 0

    def on_train_epoch_begin(self, run_context):
        self.epoch_start = time.perf_counter()

    def on_train_step_end(self, run_context):
        params = run_context.original_args()
        now, step = time.perf_counter(), params.cur_step_num
        rate = (step - self.last_step) * self.images_per_step / (now - self.step_start)
        loss, in_epoch = loss_of(params), (step - 1) % params.batch_num + 1
        if not math.isfinite(loss):
            raise RunError(f"epoch {params.cur_epoch_num} step {in_epoch} (step {step} of the run): loss is {loss}; "
                           "a lower --base_lr helps; checkpoints saved before are whole")
        figures = {"epoch": params.cur_epoch_num, "step": in_epoch, "global_step": step, "loss": loss,
                   "lr": float(self.rates[min(step, len(self.rates)) - 1]), "images_per_s": round(rate, 3)}
        self.file.write(json.dumps(figures) + "\n")
        self.file.flush()
        self.say(f"epoch: {params.cur_epoch_num} step: {in_epoch}, loss is {loss:.7g}")
        self.bar.set_postfix_str(f"loss {loss:.4f}, lr {figures['lr']:.2e}, {rate:.1f} images/s", refresh=False)
        self.bar.update(step - self.last_step)
        self.step_start, self.last_step = now, step

    def on_train_epoch_end(self, run_context):
        steps = run_context.original_args().batch_num
        elapsed = (time.perf_counter() - self.epoch_start) * 1000
        self.say(f"epoch time: {elapsed:.3f} ms, per step time: {elapsed / steps:.3f} ms")

    def on_train_end(self, run_context):
        self.close()

    def close(self):
        """Also called when training ends with an error."""
        self.bar.close()
        self.file.close()

    def say(self, text):
        """A line that leaves the bar whole."""
        if self.bar.disable:
            print(text, flush=True)
        else:
            self.bar.write(text)


class CheckpointSaver(Callback):
    """Save {model}-{epoch}_{step}.ckpt every `save_steps` steps and after the last; keep the newest of this run.

    Only files that this run wrote are ever removed.
    """

    def __init__(self, train_dir, model, save_steps, keep_checkpoint_max, total_steps):
        super().__init__()
        self.train_dir, self.model, self.save_steps = Path(train_dir), model, save_steps
        self.keep, self.total_steps, self.saved, self.last = keep_checkpoint_max, total_steps, [], 0

    def on_train_step_end(self, run_context):
        params = run_context.original_args()
        step = params.cur_step_num
        # With data sink steps arrive an epoch at a time, so a multiple of save_steps may have been passed.
        if step // self.save_steps == self.last // self.save_steps and step < self.total_steps:
            return
        self.last = step
        path = self.train_dir / f"{self.model}-{params.cur_epoch_num}_{(step - 1) % params.batch_num + 1}.ckpt"
        checkpoint.save(params.train_network, path)
        self.saved.append(path)
        while len(self.saved) > self.keep:
            self.saved.pop(0).unlink(missing_ok=True)
