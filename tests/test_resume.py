"""Interrupted runs: resumed with the same losses, damaged checkpoints are skipped; preemption, kill."""
import json
import os
import signal
import subprocess
import sys

import pytest

import train
from src.console import InputError
from src.training.state import Schedule, find_checkpoint
from src.weights.manifest import read_manifest
from tests.conftest import ROOT, TINY, cut_after, figures, metrics, wait_for_lines, wait_until


@pytest.fixture
def options(drawn, tmp_path):
    return [*TINY, "--data_file", drawn / "train.mindrecord0", "--train_epochs", 2, "--base_lr", "0.05"]


@pytest.fixture(scope="module")
def uncut(drawn, tmp_path_factory):
    """train_dir of six steps with a checkpoint at steps 2, 4 and 6, evaluated after each epoch."""
    folder = tmp_path_factory.mktemp("uncut") / "ckpt"
    train.main([*TINY, "--data_file", str(drawn / "train.mindrecord0"), "--train_epochs", "2", "--base_lr", "0.05",
                "--save_steps", "2", "--train_dir", str(folder), "--data_root", str(drawn),
                "--eval_data_lst", str(drawn / "voc_val_lst.txt"), "--summary_dir", str(folder / "events")])
    return folder


@pytest.mark.parametrize("step", [2, 4])
def test_a_cut_run_ends_with_the_same_losses(uncut, options, with_evaluation, run, tmp_path, step):
    """Steps 2 and 4 are inside an epoch of three steps, so order, crops and dropout must continue there."""
    folder = cut_after(uncut, step, tmp_path / "cut")
    result = run(train.main, *options, "--save_steps", 2, "--train_dir", folder, "--resume", "auto", *with_evaluation)
    assert result.code == 0, result.err
    assert f"{step} of 6 steps are done" in result.out
    assert len(metrics(folder)) == 8, "each step and evaluation once"
    assert figures(folder) == pytest.approx(figures(uncut), rel=1e-5)
    assert figures(folder, "mean_iou") == pytest.approx(figures(uncut, "mean_iou"), rel=1e-4)


def test_evaluation_during_training_keeps_the_best(uncut, val_list, run, tmp_path):
    import mindspore as ms

    import eval as evaluation
    scores = figures(uncut, "mean_iou")
    assert set(scores) == {3, 6}
    best = uncut / "deeplab_v3_tiny_s16-best.ckpt"
    facts = bytes(ms.load_checkpoint(str(best))["deeplab_v3.facts"].asnumpy())
    assert json.loads(facts)["network"] == "deeplab_v3_tiny_s16", "the best one has facts, too"
    result = run(evaluation.main, *TINY, *val_list, "--ckpt_path", best, "--result_file", tmp_path / "r.json")
    assert result.code == 0, result.err
    found = json.loads((tmp_path / "r.json").read_text())["mean_iou"]
    assert found == pytest.approx(max(scores.values()), abs=1e-4), "what eval.py says of the best checkpoint"


def test_tensorboard_events(uncut):
    from tensorboardX.proto.event_pb2 import Event
    data = next((uncut / "events").glob("events.out.tfevents.*")).read_bytes()
    found, position = {}, 0
    while position < len(data):    # length (8 bytes), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(data[position:position + 8], "little")
        event = Event.FromString(data[position + 12:position + 12 + length])
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
        position += 16 + length
    assert set(found) == {"loss", "lr", "images_per_s", "mean_iou"}
    assert found["loss"] == pytest.approx(figures(uncut), rel=1e-5)


def test_damaged_checkpoints_are_skipped(uncut, tmp_path, capfd):
    folder = cut_after(uncut, 6, tmp_path / "cut")
    newest, middle, oldest = (folder / f"deeplab_v3_tiny_s16-{name}.ckpt" for name in ("2_3", "2_1", "1_2"))
    newest.write_bytes(newest.read_bytes()[:1000])
    whole = middle.read_bytes()
    middle.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    assert find_checkpoint("auto", folder) == (oldest, 2)
    warned = capfd.readouterr().err
    assert "2_3.ckpt: missing or damaged" in warned and "2_1.ckpt: missing or damaged" in warned
    with pytest.raises(InputError, match="2_1.ckpt: damaged"):
        find_checkpoint(str(middle), folder)
    with pytest.raises(InputError, match="checkpoints.json does not list this checkpoint"):
        find_checkpoint(str(folder / "other.ckpt"), folder)
    oldest.unlink()
    assert find_checkpoint("auto", folder) == (None, 0)
    assert find_checkpoint("auto", tmp_path / "nowhere") == (None, 0)


def test_a_finished_run_has_nothing_left_and_other_options_are_refused(uncut, options, run, tmp_path):
    folder = cut_after(uncut, 6, tmp_path / "done")
    result = run(train.main, *options, "--train_dir", folder, "--resume", "auto")
    assert result.code == 0 and "6 of 6 steps are done" in result.out and "loss is" not in result.out
    other = run(train.main, *options, "--train_epochs", 5, "--train_dir", folder, "--resume", "auto")
    assert other.code == 2 and "was made for 6 steps, not 15" in other.err
    assert "--ckpt_pre_trained" in other.err and "--train_dir" in other.err, "what to do instead"


@pytest.mark.parametrize("sink", [False, True])
def test_positions_of_an_interrupted_run_equal_those_of_a_complete_one(sink):
    """Count like Model.train: each call from 1, epochs in the order of calls; with data sink in complete epochs."""
    from types import SimpleNamespace
    for done in range(7):
        schedule, seen = Schedule(3, 2, done), []
        for phase in schedule.phases():
            steps = 3 - phase.first_step
            for number, epoch in enumerate(range(phase.first_epoch, phase.end_epoch)):
                for step in range(number * steps + 1, (number + 1) * steps + 1):
                    if not sink or step % steps == 0:
                        seen.append(schedule.position(
                            SimpleNamespace(batch_num=steps, cur_step_num=step, cur_epoch_num=epoch + 1)))
        whole = [(epoch * 3 + step, epoch + 1, step) for epoch in range(2) for step in (1, 2, 3)]
        assert seen == [place for place in whole if place[0] > done and (not sink or place[2] == 3)]


def test_an_evaluation_that_was_cut_is_made_up(options, with_evaluation, run, tmp_path):
    """A copy of a run that was killed during the evaluation of an epoch; losses and weights must equal those of the
    uninterrupted run to the bit."""
    uncut, cut, best = tmp_path / "uncut", tmp_path / "cut", "deeplab_v3_tiny_s16-best.ckpt"
    command = [train.main, *options, *with_evaluation, "--save_steps", 3, "--train_epochs", 3]
    assert run(*command, "--train_dir", uncut).code == 0
    for done in (1, 3):
        cut_after(uncut, 3 * done, cut)
        lines = [line for line in (uncut / "metrics.jsonl").read_text().splitlines(True)
                 if (record := json.loads(line))["global_step"] < 3 * done or "loss" in record]
        (cut / "metrics.jsonl").write_text("".join(lines) + '{"epoch": 1, "st')
        result = run(*command, "--train_dir", cut, "--resume", "auto")
        assert result.code == 0, result.err
        for name in ("loss", "mean_iou"):
            assert figures(cut, name) == figures(uncut, name)
        for name in read_manifest(uncut):
            assert read_manifest(cut)[name] == read_manifest(uncut)[name], "the same bytes"
        assert (cut / best).is_file()
        if done == 1:
            assert (cut / best).read_bytes() == (uncut / best).read_bytes()
        cut.rename(tmp_path / f"cut {done}")


def test_a_signal_cuts_an_evaluation_and_the_next_start_makes_it_up(options, with_evaluation, run, tmp_path,
                                                                    monkeypatch):
    from src.training.validation import EvaluationInTraining
    command = [train.main, *options, *with_evaluation, "--train_epochs", 2, "--train_dir", tmp_path]
    with monkeypatch.context() as patch:
        original = EvaluationInTraining.look

        def look(self):
            self.stop.tell(signal.SIGTERM, None)    # within the first evaluation
            original(self)
        patch.setattr(EvaluationInTraining, "look", look)
        result = run(*command)
    assert result.code == 75 and "SIGTERM: saved" in result.err and "mean IoU" not in result.out, result
    assert find_checkpoint("auto", tmp_path)[1] == 3
    result = run(*command, "--resume", "auto")
    assert result.code == 0 and set(figures(tmp_path, "mean_iou")) == {3, 6}, result


def start(options, folder, *more, launcher=None, **environment):
    """train.py into `folder`, or a launcher that trains into folder.parent / "ckpt"."""
    command = [sys.executable, ROOT / "train.py", *options, "--train_dir", folder, *more]
    if launcher:
        command = ["bash", ROOT / "scripts" / launcher, *options, *more]
        environment |= {"TRAIN_PATH": str(folder.parent), "PYTHON": sys.executable, "DEVICE_TARGET": "CPU"}
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=os.environ | environment)


@pytest.mark.parametrize("launcher, ranks", [
    ("run_standalone_train_cpu.sh", ""), ("run_distribute_train_s16_r1.sh", "2")])
def test_sigterm_saves_and_says_so(launcher, ranks, options, tmp_path):
    """Only the launcher's process gets the signal, as from a job scheduler."""
    folder = tmp_path / "ckpt"
    process = start([*options, "--train_epochs", 500], folder, "--save_steps", 10**6, launcher=launcher,
                    RANK_SIZE=ranks)
    wait_for_lines(folder, 3, process)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 75, out + error
    said = (tmp_path / "device0/log").read_text()
    assert "SIGTERM: saved" in said and "--resume auto" in said
    path, step = find_checkpoint("auto", folder)
    assert path.is_file() and step == max(figures(folder))


def test_killed_while_saving_it_can_always_be_resumed(options, tmp_path):
    """kill -9 at changing moments of a run that saves after every step."""
    folder, reached = tmp_path / "ckpt", 0
    for _ in range(2):
        process = start([*options, "--train_epochs", 500], folder, "--save_steps", 1, "--keep_checkpoint_max", 2,
                        "--resume", "auto")
        wait_for_lines(folder, reached + 3, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        path, step = find_checkpoint("auto", folder)
        assert path is not None and step > reached
        reached = step
        left = folder / f".deeplab_v3_tiny_s16-9_9.0.{process.pid}.aside.ckpt"
        left.write_text("what a killed run was writing")
    process = start([*options, "--train_epochs", 500], folder, "--resume", "auto")
    wait_until(lambda: not left.exists())    # the next run clears it away
    assert process.poll() is None
    process.kill()
    process.communicate()
