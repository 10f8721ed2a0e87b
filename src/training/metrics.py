"""The figures of a training run: metrics.jsonl in train_dir, and TensorBoard's events."""
import contextlib
import json
from pathlib import Path

from src.console import InputError, RunError
from src.files import write_whole


class Metrics:
    """metrics.jsonl, one JSON object per line, and the same figures for TensorBoard if `summary_dir` is given."""

    def __init__(self, train_dir, summary_dir, steps_done):
        self.path = Path(train_dir, "metrics.jsonl")
        if steps_done:
            self.forget_after(steps_done)
        self.file = self.path.open("ab", buffering=0)    # unbuffered, so that a full disk is noticed at once
        self.summary = make_summary(summary_dir, steps_done) if summary_dir else None

    def forget_after(self, step):
        """Remove the records after the step that the run is resumed from; these steps are computed again."""
        kept = [record for record in self.records() if record["global_step"] <= step]
        write_whole(self.path, "".join(json.dumps(record) + "\n" for record in kept).encode())

    def records(self):
        """The records in the file so far, without incomplete lines."""
        for line in self.path.read_bytes().splitlines() if self.path.exists() else []:
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                record = json.loads(line)
                record["global_step"] += 0
                yield record

    def write(self, figures: dict):
        """Add a line. Raises RunError if it cannot be written."""
        data = json.dumps(figures).encode() + b"\n"
        try:
            while data:
                data = data[self.file.write(data):]
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}); checkpoints saved before are complete, "
                           "--resume auto goes on from the last") from None
        for name in ("loss", "lr", "images_per_s", "mean_iou"):
            if self.summary and figures.get(name) is not None:
                self.summary.add_scalar(name, figures[name], figures["global_step"])

    def evaluations(self) -> dict:
        """Step -> mean IoU of each evaluation so far; None where no pixel could be scored."""
        return {record["global_step"]: record["mean_iou"] for record in self.records() if "mean_iou" in record}

    def evaluations_since_best(self) -> int:
        """How many evaluations came after the one with the highest mean IoU, the first of equal ones."""
        scores = [-1.0 if score is None else score for _, score in sorted(self.evaluations().items())]
        return len(scores) - 1 - scores.index(max(scores))

    def close(self):
        self.file.close()
        if self.summary:
            self.summary.close()


def make_summary(summary_dir, steps_done: int):
    """TensorBoard's writer. Raises InputError if its folder cannot be made."""
    from tensorboardX import SummaryWriter
    try:
        return SummaryWriter(str(summary_dir), purge_step=steps_done + 1 if steps_done else None)
    except OSError as error:
        raise InputError(f"--summary_dir {summary_dir}: cannot be written ({error.strerror})") from None
