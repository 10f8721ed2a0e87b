"""Options for small data sets as users give them to train.py: what they refuse, freeze, end, and how runs resume."""

import numpy as np
import pytest

import train
from src.config import parse_args
from src.data.labels import Labels
from src.device import Device
from src.training.metrics import Metrics
from src.training.state import Schedule
from src.training.validation import EvaluationInTraining
from src.weights import checkpoint
from tests.conftest import TINY, cut_after, figures

LAST = "deeplab_v3_tiny_s16-2_3.ckpt"
BAD = [
    (["--photometric", "0.4"], "photometric takes 4 values, not 1"),
    (["--photometric", "0.4", "0.4", "0.4", "1.5"], "photometric must be <= 1, not 1.5"),
    (["--photometric", "0.4", "0.4", "0.4", "0.6"], "--photometric: a hue of 0.6 turns is more than half a turn"),
    (["--rotate", "200"], "rotate must be <= 180, not 200"),
    (["--classifier_lr_factor", "0"], "classifier_lr_factor must be > 0, not 0"),
    (["--freeze_backbone", "5"], "freeze_backbone must be <= 4, not 5"),
    (["--freeze_backbone", "2"], "--freeze_backbone 2: the layers would keep random weights; --ckpt_pre_trained"),
    (["--freeze_backbone", "2", "--resume", "auto"], "--freeze_backbone 2: the layers would keep random weights"),
    (["--warmup_steps", "7"], "--warmup_steps 7: longer than the run of 6 steps"),
    (["--patience", "2"], "--patience 2: needs --eval_data_lst"),
    (["--dice", "-1"], "dice must be >= 0, not -1"),
]


@pytest.fixture
def options(drawn, tmp_path):
    return [*TINY, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path / "ckpt", "--train_epochs", 2,
            "--base_lr", "0.05"]


@pytest.mark.parametrize("changes, part", BAD, ids=[" ".join(changes)[:40] for changes, _ in BAD])
def test_bad_input_is_a_line_before_anything_is_written(options, run, tmp_path, changes, part):
    result = run(train.main, *options, *changes)
    assert result.code == 2 and part in result.err, result.err
    assert len([line for line in result.err.splitlines() if line.startswith("error: ")]) == 1
    assert not list(tmp_path.glob("ckpt/[!.]*")), "nothing but the folder's lock"


@pytest.fixture(scope="module")
def everything(drawn, trained, tmp_path_factory):
    """(options, train_dir) of six steps with all of the options at once, evaluated after each epoch."""
    folder = tmp_path_factory.mktemp("everything") / "ckpt"
    options = [*TINY, "--data_file", drawn / "train.mindrecord0", "--train_epochs", 2, "--base_lr", "0.01",
               "--save_steps", 2, "--data_root", drawn, "--eval_data_lst", drawn / "voc_val_lst.txt",
               "--ckpt_pre_trained", trained / LAST, "--filter_weight", "--photometric", 0.4, 0.4, 0.4, 0.1,
               "--rotate", 15, "--classifier_lr_factor", 10, "--freeze_backbone", 1, "--warmup_steps", 3,
               "--patience", 5, "--dice", 0.5, "--class_weights", "auto", "--ohem", 0.7, "--ohem_min_kept", 1000]
    train.main([*map(str, options), "--train_dir", str(folder)])
    return options, folder


@pytest.mark.parametrize("step", [2, 4])
def test_a_cut_run_with_everything_ends_with_the_same_bits(everything, run, tmp_path, step):
    """In the middle of an epoch of three steps, during the warm-up and after it."""
    options, uncut = everything
    folder = cut_after(uncut, step, tmp_path / "cut")
    result = run(train.main, *options, "--train_dir", folder, "--resume", "auto")
    assert result.code == 0 and f"{step} of 6 steps are done" in result.out, result.err
    assert figures(folder) == figures(uncut) and len(figures(folder)) == 6
    assert figures(folder, "mean_iou") == figures(uncut, "mean_iou")
    ends = [checkpoint.read(place / LAST, "").arrays for place in (folder, uncut)]
    assert ends[0].keys() == ends[1].keys() and len(ends[0]) > 100
    assert [name for name in ends[0] if not np.array_equal(ends[0][name], ends[1][name])] == []


def test_what_a_run_with_everything_leaves(everything, trained):
    _, folder = everything
    end, start = (checkpoint.read(place / LAST, "") for place in (folder, trained))
    for name, value in end.arrays.items():
        if name.startswith("network."):
            frozen = name.startswith(("network.resnet.conv1.", "network.resnet.bn1.", "network.resnet.layer1."))
            assert np.array_equal(value, start.arrays[name]) == frozen, name
    rates = list(figures(folder, "lr").values())
    assert rates[0] == pytest.approx(0.01 / 3) and rates[2] > rates[1] > rates[0] and rates[5] < rates[3] < rates[2]
    assert end.arrays["learning_rate_group_0"] == pytest.approx(10 * np.array(rates), rel=1e-6)
    assert end.facts["recipe"].items() >= {
        "photometric": [0.4, 0.4, 0.4, 0.1], "rotate": 15.0, "classifier_lr_factor": 10.0, "freeze_backbone": 1,
        "warmup_steps": 3, "patience": 5, "dice": 0.5}.items()


@pytest.mark.parametrize("changes, said", [
    (["--classifier_lr_factor", 1], "was trained with another --classifier_lr_factor"),
    (["--freeze_backbone", 0], "was trained with another --freeze_backbone"),
    (["--freeze_backbone", 3], "was trained with another --freeze_backbone")], ids=str)
def test_a_run_is_not_resumed_with_other_parts_trained(everything, run, tmp_path, changes, said):
    options, uncut = everything
    folder = cut_after(uncut, 4, tmp_path / "cut")
    result = run(train.main, *options, "--train_dir", folder, "--resume", "auto", *changes)
    assert result.code == 2 and said in result.err, result.err


@pytest.fixture
def standing(options, drawn, trained):
    """Options of a run whose weights stay, so that no evaluation is better than the first."""
    return [*options, "--base_lr", "1e-30", "--freeze_bn", "--ckpt_pre_trained", trained / LAST, "--train_epochs", 10,
            "--data_root", drawn, "--eval_data_lst", drawn / "voc_val_lst.txt", "--save_steps", 4]


def test_patience_ends_a_run_which_resumes_as_it_says(standing, run, tmp_path):
    folder = tmp_path / "ckpt"
    result = run(train.main, *standing, "--patience", 2)
    assert result.code == 0 and "trained to step 9 in" in result.out, result.err
    assert "step 9 of 30: no better mean IoU in 2 evaluations, so --patience ends the run" in result.out
    assert list(figures(folder, "mean_iou")) == [3, 6, 9] and len(figures(folder)) == 9
    assert checkpoint.read(folder / "deeplab_v3_tiny_s16-best.ckpt", "").facts["step"] == 3
    assert (folder / "deeplab_v3_tiny_s16-3_3.ckpt").is_file() and (folder / "curves.png").is_file()

    cut = cut_after(folder, 8, tmp_path / "cut")    # within the epoch after which the run ends
    (cut / "deeplab_v3_tiny_s16-best.ckpt").write_bytes((folder / "deeplab_v3_tiny_s16-best.ckpt").read_bytes())
    again = run(train.main, *standing, "--patience", 2, "--resume", "auto", "--train_dir", cut)
    assert again.code == 0 and "8 of 30 steps are done" in again.out and "trained to step 9 in" in again.out, again.err

    ended = run(train.main, *standing, "--patience", 2, "--resume", "auto")
    assert ended.code == 0 and "9 of 30 steps are done" in ended.out and "loss is" not in ended.out, ended.err
    assert "so --patience ends the run" in ended.out and "--resume auto with a larger --patience goes on" in ended.out

    longer = run(train.main, *standing, "--patience", 3, "--resume", "auto")
    assert longer.code == 0 and "step 12 of 30: no better mean IoU in 3 evaluations" in longer.out, longer.err
    assert list(figures(folder, "mean_iou")) == [3, 6, 9, 12]


@pytest.mark.parametrize("scores, since", [
    ([0.1], 0), ([0.1, 0.2], 0), ([0.2, 0.1, 0.1], 2), ([0.1, 0.2, 0.2], 1), ([None, 0.1], 0), ([None, None], 1),
    ([0.2, None], 1)])
def test_evaluations_since_the_best_decide(tmp_path, capsys, scores, since):
    metrics = Metrics(tmp_path, "", 0)
    for number, score in enumerate(scores, 1):
        metrics.write({"global_step": 3 * number, "mean_iou": score})
    assert metrics.evaluations_since_best() == since
    for patience in (0, 1, 2, 3):
        watch = EvaluationInTraining(None, 1, patience, Schedule(3, 9), metrics, "best.ckpt", {}, None,
                                     Device("CPU", 0, 1))
        assert watch.ends_early(12) == (0 < patience <= since) and watch.ended_at == 12 * (0 < patience <= since)
        assert not watch.ends_early(27), "the last step ends nothing early"
    assert capsys.readouterr().out.count("step 12 of 27: no better mean IoU in") == since


def test_losses_with_dice_are_chosen_by_the_option():
    from src.loss.loss import SoftmaxCrossEntropyLoss, WithDice
    from src.training.model import make_loss
    assert type(make_loss(parse_args("train", "", []), Labels(6, 255, ()))) is SoftmaxCrossEntropyLoss
    loss = make_loss(parse_args("train", "", ["--ohem", "0.7", "--dice", "0.3"]), Labels(6, 9, ()))
    assert type(loss) is WithDice and loss.weight == 0.3 and loss.cross_entropy.hard_above
    assert loss.dice.ignore_label == loss.cross_entropy.ignore_label == 9
