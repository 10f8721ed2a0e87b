"""Evaluation while training: the evaluator's mean IoU at one scale, and the best network so far."""
import json
import time
from functools import partial

from mindspore import Callback

from src.console import progress
from src.data.labels import Labels
from src.data.lists import check_files, read_list
from src.data.pictures import read_pair
from src.device import sum_over_ranks, take_statistics_of_rank_0
from src.evaluation.inference import Settings, evaluate
from src.models.mindspore_engine import cell_runner, steady
from src.nets.net_factory import InferenceNetwork
from src.weights import checkpoint


def read_evaluation_pairs(config) -> list:
    """The pairs of --eval_data_lst, none where it is not given. Raises InputError where a file is missing."""
    if not config.eval_data_lst:
        return []
    pairs = read_list(config.eval_data_lst, config.data_root)
    check_files(pairs, config.data_root, config.eval_data_lst)
    return pairs


def make_evaluation(config, labels: Labels, device, network, pairs: list):
    """() -> mean IoU of the network on `pairs`, at one scale, each device its share of them."""
    share = pairs[device.rank::device.size]
    settings = Settings(config.crop_size, (1.0,), False, min(config.batch_size, -(-len(pairs) // device.size)),
                        tuple(config.image_mean), tuple(config.image_std))
    inference = InferenceNetwork(network, auto_prefix=False)
    predict = steady(cell_runner(inference, "--eval_data_lst"))
    load = partial(read_pair, config.data_root, labels=labels)

    def mean_iou():
        take_statistics_of_rank_0(network, device)
        inference.set_train(False)
        with progress(len(share), "evaluate", "image") as bar:
            matrix = evaluate(predict, share, load, settings, labels, [lambda *_: bar.update()])
        matrix.counts = sum_over_ranks(matrix.counts, device)
        return matrix.mean_iou
    return mean_iou


class EvaluationInTraining(Callback):
    """Evaluate every `every` epochs and after the last, on all devices together; keep the best network.

    Args:
        mean_iou: () -> mean IoU over the whole list, called on every device.
        schedule: src.training.state.Schedule.
        metrics: on rank 0, which writes, the run's Metrics; None elsewhere.
        best_path, facts: where the best network goes, and what its checkpoint says of it.
    """

    def __init__(self, mean_iou, every, schedule, metrics, best_path, facts):
        super().__init__()
        self.mean_iou, self.every, self.schedule = mean_iou, every, schedule
        self.metrics, self.best_path, self.facts = metrics, best_path, facts

    def on_train_epoch_end(self, run_context):
        params = run_context.original_args()
        step, epoch, step_of_epoch = self.schedule.position(params)
        if epoch % self.every and epoch != self.schedule.epochs:
            return
        start = time.perf_counter()
        mean_iou = self.mean_iou()
        params.train_network.set_train(True)    # Model does not look again
        if self.metrics is None:
            return
        best = self.best_so_far()
        self.metrics.write({"epoch": epoch, "step": step_of_epoch, "global_step": step, "mean_iou": mean_iou})
        note = ""
        if mean_iou > best:
            checkpoint.save(params.train_network, self.best_path, self.facts)
            note = f", the best so far: {self.best_path}"
        print(f"epoch: {epoch}, mean IoU {mean_iou:.6f} in {time.perf_counter() - start:.1f} s{note}", flush=True)

    def best_so_far(self) -> float:
        """The best mIoU in metrics.jsonl, so that a resumed run knows it too."""
        lines = map(json.loads, self.metrics.path.read_text().splitlines())
        return max((line["mean_iou"] for line in lines if "mean_iou" in line), default=-1.0)
