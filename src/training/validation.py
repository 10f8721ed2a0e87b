"""Evaluation during training: mean IoU at one scale, and the best network so far."""
import math
import time
from functools import partial

import numpy as np
from mindspore import Callback

from src.console import RunError, progress, warn
from src.data.labels import Labels
from src.data.masks import read_pair
from src.device import sum_over_ranks, take_statistics_of_rank_0
from src.evaluation.inference import evaluate
from src.evaluation.letterbox import Settings
from src.models.mindspore_engine import runner, steady
from src.models.model import guarded
from src.nets.net_factory import InferenceNetwork
from src.weights import checkpoint


def make_evaluation(config, labels: Labels, device, network, pairs: list):
    """(look) -> mean IoU of the network on `pairs`, at one scale, each device its share of them; `look` is called after
    each picture."""
    share = pairs[device.rank::device.size]
    settings = Settings(config.crop_size, (1.0,), False, min(config.batch_size, -(-len(pairs) // device.size)),
                        tuple(config.image_mean), tuple(config.image_std))
    inference = InferenceNetwork(network, auto_prefix=False)
    predict = guarded(steady(runner(inference)), "--eval_data_lst", "mindspore")
    load = partial(read_pair, config.data_root, labels=labels, strict=False)    # checked before the first step

    def mean_iou(look):
        take_statistics_of_rank_0(network, device)
        inference.set_train(False)
        with progress(len(share), "evaluate", "image") as bar:
            matrix = evaluate(predict, share, load, settings, labels, [lambda *_: bar.update(), lambda *_: look()])
        matrix.counts = sum_over_ranks(matrix.counts, device)
        return matrix.mean_iou
    return mean_iou


class Cut(Exception):
    """An evaluation was cancelled because the run was told to end."""


class EvaluationInTraining(Callback):
    """Evaluate every `every` epochs and after the last, on all devices together; keep the best network.

    A signal cancels an evaluation. The state is saved, and a resumed run evaluates first (`make_up`).

    Args:
        mean_iou: (look) -> mean IoU over the whole list, as make_evaluation returns it; called on every device.
        every: epochs from one evaluation to the next.
        patience: evaluations without a better one that end the run, 0 for no end before the last epoch.
        metrics: the run's Metrics on rank 0, which writes them; None elsewhere.
        best_path, facts: checkpoint file of the best network, and its facts.
        stop: StopOnSignal of the run.
    """

    def __init__(self, mean_iou, every, patience, schedule, metrics, best_path, facts, stop, device):
        super().__init__()
        self.mean_iou, self.every, self.patience = mean_iou, every, patience
        self.schedule, self.metrics = schedule, metrics
        self.best_path, self.facts, self.stop, self.device = best_path, facts, stop, device
        self.ended_at = 0    # step after which the run ended early

    def on_train_epoch_end(self, run_context):
        params = run_context.original_args()
        position = self.schedule.position(params)
        if self.is_due(position.epoch):
            self.evaluate(params.train_network, position)
            if self.ends_early(position.step):
                run_context.request_stop()
                if self.stop.saver:
                    self.stop.saver.save_once(params.train_network, position)

    def is_due(self, epoch: int) -> bool:
        return not epoch % self.every or epoch == self.schedule.epochs

    def make_up(self, cell) -> None:
        """Do the evaluation that was due where the run was cut, before it goes on from there, unless it had ended."""
        position = self.schedule.position_of(self.schedule.done)
        if not (self.schedule.done and position.step_of_epoch == self.schedule.steps_per_epoch
                and self.is_due(position.epoch)):
            return
        is_missing = self.metrics is not None and not (position.step in self.metrics.evaluations()
                                                       and self.best_path.is_file())
        if sum_over_ranks(np.array([int(is_missing)]), self.device)[0]:    # all take part; only rank 0 knows
            self.evaluate(cell, position)
        self.ends_early(position.step)

    def ends_early(self, step: int) -> bool:
        """Whether the run ends after this step by --patience, which is said; every device gets the same answer."""
        if not self.patience or step == self.schedule.total:
            return False
        is_over = self.metrics is not None and self.metrics.evaluations_since_best() >= self.patience
        if not sum_over_ranks(np.array([int(is_over)]), self.device)[0]:    # rank 0 alone knows
            return False
        self.ended_at = step
        if self.metrics is not None:
            print(f"step {step} of {self.schedule.total}: no better mean IoU in {self.patience} evaluations, so "
                  f"--patience ends the run; the best network is {self.best_path}, and --resume auto with a larger "
                  "--patience goes on", flush=True)
        return True

    def evaluate(self, cell, position) -> None:
        """Evaluate after that step, record the result, keep the network if it is the best."""
        start = time.perf_counter()
        try:
            mean_iou = self.mean_iou(self.look)
        except Cut:
            self.stop.save_and_end(cell, position)
        cell.set_train(True)    # Model sets it only once
        if self.metrics is None:
            return
        note, took = "", f"in {time.perf_counter() - start:.1f} s"
        if math.isnan(mean_iou):
            mean_iou = None
            warn("--eval_data_lst: no pixel of its masks has a class that is scored, so there is no mean IoU")
        elif mean_iou > self.best_so_far(position.step):
            # Before its line in metrics.jsonl: after an interruption between the two, make_up evaluates again.
            checkpoint.save(cell, self.best_path, {**self.facts, "mean_iou": mean_iou, "step": position.step})
            note = f", the best so far: {self.best_path}"
        if position.step not in self.metrics.evaluations():
            self.metrics.write({"epoch": position.epoch, "step": position.step_of_epoch, "global_step": position.step,
                                "mean_iou": mean_iou})
        said = "no mean IoU" if mean_iou is None else f"mean IoU {mean_iou:.6f}"
        print(f"epoch: {position.epoch}, {said} {took}{note}", flush=True)

    def look(self) -> None:
        """Raises if the run was told to end."""
        if self.stop.is_told:
            raise Cut

    def best_so_far(self, step: int) -> float:
        """The mean IoU of the kept network, -1 without one from a step up to this one."""
        if not self.best_path.is_file():
            return -1.0
        facts = checkpoint.read(self.best_path, f"the best network {self.best_path}").facts
        return facts["mean_iou"] if facts["step"] <= step else -1.0

    def check(self) -> None:
        """Raises RunError at the end of a run if no evaluation could score a pixel."""
        if self.metrics is not None and all(value is None for value in self.metrics.evaluations().values()):
            raise RunError("--eval_data_lst: no evaluation could score a pixel, so there is no mean IoU and no best "
                           "network; see src/data/check_data.py. Training has finished, its checkpoints are complete")
