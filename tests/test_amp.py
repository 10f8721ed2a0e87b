"""Mixed precision on a CPU: the flags of the levels, and runs whose float16 gradients overflow, as on an Atlas A2."""
import math

import numpy as np
import pytest

import train
from src.config import parse_args
from src.console import InputError, RunError
from src.data.labels import make_labels
from src.device import Device, open_device
from tests.conftest import TINY, cut_after, figures, metrics

# At this scale the first float16 gradients overflow; a dynamic scale is halved until they fit.
HUGE = ["--amp_level", "O2", "--loss_scale", "2e5"]
DYNAMIC = [*HUGE, "--loss_scale_type", "dynamic"]


def build(target, *options):
    """The Model of train.py with these options, for this kind of device."""
    open_device("CPU")
    from src.training.model import build_model  # MindSpore only once the device is open
    config = parse_args("train", "", [str(option) for option in (*TINY, *options)])
    return build_model(config, make_labels(config.num_classes, 255), Device(target, 0, 1), np.full(9, 0.1)).model


@pytest.fixture
def options(drawn, tmp_path):
    return [*TINY, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path / "ckpt", "--train_epochs", 4,
            "--save_steps", 2]


def half(cell) -> bool:
    return bool(cell.get_flags().get("fp16"))


@pytest.mark.parametrize("target, level, convolution, norm", [
    ("CPU", "auto", False, False), ("CPU", "O2", True, False), ("CPU", "O3", True, True),
    ("Ascend", "auto", True, True), ("Ascend", "O2", True, False), ("Ascend", "O0", False, False),
    ("GPU", "auto", True, False), ("GPU", "O3", True, True)])
def test_the_levels_set_the_flags_of_the_cells(target, level, convolution, norm):
    from mindspore import nn
    model = build(target, "--amp_level", level)
    cells = [cell for _, cell in model.train_network.cells_and_names()]
    convolutions = [cell for cell in cells if isinstance(cell, nn.Conv2d)]
    norms = [cell for cell in cells if isinstance(cell, nn.BatchNorm2d)]
    assert len(convolutions) == 30 and len(norms) == 29
    assert {half(cell) for cell in convolutions} == {convolution}
    assert {half(cell) for cell in norms} == {norm}
    if level == "O2":
        assert all(cell.get_flags()["fp32"] for cell in norms)
    loss = model.train_network.network.loss.get_flags()
    assert loss["fp32"] and not loss["fp16"], "whatever the level"


@pytest.mark.parametrize("target, dropout", [
    ("CPU", ["KeyedDropout"]), ("Ascend", ["UnkeyedDropout", "Dropout"]), ("GPU", ["UnkeyedDropout", "Dropout"])])
def test_accelerators_train_with_mindspores_own_dropout(target, dropout):
    import mindspore as ms
    step = build(target, "--amp_level", "O0").train_network
    names = [type(cell).__name__ for _, cell in step.cells_and_names()]
    assert [name for name in names if "Dropout" in name] == dropout
    rng = np.random.default_rng(0)
    batch = [ms.Tensor(rng.integers(0, 6, shape).astype(kind)) for shape, kind in
             (((2, 3, 65, 65), np.uint8), ((2, 65, 65), np.uint8), ((2,), np.int32))]
    assert math.isfinite(float(step.set_train()(*batch).asnumpy())), "the graph does without the key"


def test_the_levels_leave_the_names_of_the_parameters():
    names = [sorted(value.name for value in build("CPU", "--amp_level", level).train_network.get_parameters())
             for level in ("O0", "O2", "O3")]
    assert names[0] == names[1] == names[2]


def test_either_the_step_or_the_optimizer_takes_the_scale_off():
    """MindSpore's step that drops overflows divides gradients itself; dividing twice would make them vanish."""
    from mindspore import nn
    plain = build("Ascend").train_network
    assert type(plain) is nn.TrainOneStepCell and plain.sens == 3072 and float(plain.optimizer.loss_scale) == 3072
    for options in (["--drop_overflow_update"], ["--loss_scale_type", "dynamic"]):
        step = build("Ascend", *options).train_network
        assert type(step) is nn.TrainOneStepWithLossScaleCell
        assert float(step.scale_sense) == 3072 and float(step.optimizer.loss_scale) == 1


def test_where_nothing_overflows_dropping_changes_nothing(options, drawn, run, tmp_path):
    """The scale is a power of two, so dividing by it in another place changes no rounding."""
    for name, more in (("plain", []), ("fixed", ["--drop_overflow_update"]),
                       ("dynamic", ["--loss_scale_type", "dynamic"])):
        result = run(train.main, *options, "--train_dir", tmp_path / name, "--train_epochs", 1, "--loss_scale", 4096,
                     *more)
        assert result.code == 0, result.err
    curves = {name: figures(tmp_path / name) for name in ("plain", "fixed", "dynamic")}
    assert curves["fixed"] == pytest.approx(curves["plain"], rel=1e-6)
    assert curves["dynamic"] == pytest.approx(curves["plain"], rel=1e-6)
    assert {line["dropped_steps"] for line in metrics(tmp_path / "fixed")} == {0}
    assert "dropped_steps" not in metrics(tmp_path / "plain")[0]


def test_published_settings_let_an_overflow_reach_the_weights(options, run):
    result = run(train.main, *options, *HUGE)
    assert result.code == 1 and "loss is nan" in result.err, result.err


def test_overflows_are_dropped_counted_and_reported_and_the_run_goes_on(options, run, tmp_path):
    result = run(train.main, *options, *DYNAMIC)
    assert result.code == 0, result.err
    found = metrics(tmp_path / "ckpt")
    dropped = found[-1]["dropped_steps"]
    assert 0 < dropped < 9 and len(found) == 12
    was_dropped = np.diff([0, *(line["dropped_steps"] for line in found)]).tolist()
    assert was_dropped[0] == 1 and set(was_dropped) == {0, 1}
    assert [line["loss_scale"] for line in found] == [2e5 / 2 ** line["dropped_steps"] for line in found]
    assert result.out.count("overflow, 1 update dropped") == dropped
    assert f"loss scale is now {found[-1]['loss_scale']:g}" in result.out
    rates = [line["lr"] for line in found]
    assert [later == rate for rate, later in zip(rates, rates[1:])] == was_dropped[:-1], "a dropped step has no rate"
    assert np.mean(figures(tmp_path / "ckpt")[12]) < found[0]["loss"], "it learns"


def test_a_resumed_dynamic_scale_goes_on_where_it_was(options, run, tmp_path):
    folder = tmp_path / "ckpt"
    assert run(train.main, *options, *DYNAMIC).code == 0
    cut = cut_after(folder, 4, tmp_path / "cut")
    result = run(train.main, *options, *DYNAMIC, "--train_dir", cut, "--resume", "auto")
    assert result.code == 0 and "4 of 12 steps are done" in result.out, result.err
    for name in ("loss_scale", "dropped_steps", "lr"):
        assert figures(cut, name) == figures(folder, name), name
    assert figures(cut) == pytest.approx(figures(folder), rel=1e-2)    # float16 sums
    other = run(train.main, *options, *HUGE, "--train_dir", cut, "--resume", "auto")
    assert other.code == 2 and "with another --loss_scale_type" in other.err, other.err


@pytest.mark.parametrize("more", [["--drop_overflow_update"], ["--loss_scale_type", "dynamic"]])
def test_a_plain_run_that_is_resumed_may_begin_to_drop(more, options, run, tmp_path):
    """The way out of a NaN: the momenta do not depend on the loss scale, so the losses continue."""
    folder, arguments = tmp_path / "ckpt", [*options, "--train_epochs", 1, "--loss_scale", 4096]
    assert run(train.main, *arguments, "--save_steps", 2).code == 0
    cut = cut_after(folder, 2, tmp_path / "cut")
    result = run(train.main, *arguments, *more, "--train_dir", cut, "--resume", "auto")
    assert result.code == 0 and "2 of" in result.out, result.err
    assert figures(cut) == pytest.approx(figures(folder), rel=1e-6)
    last = metrics(cut)[-1]
    assert last["dropped_steps"] == 0 and last["loss_scale"] == 4096


def test_a_resumed_fixed_scale_is_that_of_the_option(options, run, tmp_path):
    arguments = [*options, "--train_epochs", 1, "--drop_overflow_update", "--save_steps", 2]
    assert run(train.main, *arguments, "--loss_scale", 4096).code == 0
    cut = cut_after(tmp_path / "ckpt", 2, tmp_path / "cut")
    result = run(train.main, *arguments, "--loss_scale", 1024, "--train_dir", cut, "--resume", "auto")
    assert result.code == 0 and metrics(cut)[-1]["loss_scale"] == 1024, result.err


def test_one_step_that_overflows_leaves_weights_and_momenta(monkeypatch, options, run, tmp_path):
    """The third of six steps has an infinite loss; a fixed scale stays."""
    import mindspore as ms
    from mindspore import nn, ops

    from src.loss.loss import SoftmaxCrossEntropyLoss

    class ThirdOverflows(nn.Cell):
        def __init__(self):
            super().__init__()
            self.loss = SoftmaxCrossEntropyLoss(255)
            self.calls = ms.Parameter(ms.Tensor(0, ms.int32), name="calls", requires_grad=False)

        def construct(self, logits, labels):
            calls = ops.assign_add(self.calls, ms.Tensor(1, ms.int32))
            return self.loss(logits, labels) * ops.select(calls == 3, ms.Tensor(math.inf), ms.Tensor(1.0))

    monkeypatch.setattr("src.training.model.make_loss", lambda config, labels: ThirdOverflows())
    arguments = [*options, "--train_epochs", 2, "--save_steps", 1]
    result = run(train.main, *arguments, "--drop_overflow_update")
    assert result.code == 0, result.err
    found = metrics(tmp_path / "ckpt")
    assert [line["dropped_steps"] for line in found] == [0, 0, 1, 1, 1, 1]
    assert "loss" not in found[2] and {line["loss_scale"] for line in found} == {3072}
    second, third = (ms.load_checkpoint(str(tmp_path / f"ckpt/deeplab_v3_tiny_s16-1_{step}.ckpt")) for step in (2, 3))
    weights = [name for name in second if "moving" not in name and name.startswith(("network.", "moments."))]
    assert len(weights) > 150
    assert all((second[name].asnumpy() == third[name].asnumpy()).all() for name in weights)
    plain = run(train.main, *arguments)
    assert plain.code == 1 and "epoch 1 step 3 (step 3 of the run): loss is inf" in plain.err


def watched(**values):
    """A stand-in for the step, with the attributes that OverflowWatch reads."""
    import mindspore as ms
    from mindspore import nn
    cell = nn.Cell()
    for name, value in values.items():
        cell.insert_param_to_cell(name, ms.Parameter(ms.Tensor(value), name=name))
    return cell


def test_a_run_that_only_drops_ends(monkeypatch):
    from src.training import amp
    monkeypatch.setattr(amp, "ENDLESS", 3)
    watch, step = amp.OverflowWatch("hint"), watched(scale_sense=np.float32(8), dropped_steps=np.int32(0))
    watch.begin(step)
    for count in (1, 2):
        step.dropped_steps.set_data(step.dropped_steps + 1)
        assert watch.look(step, math.inf, 1, "here") == {"loss_scale": 8, "dropped_steps": count, "new": 1}
    step.dropped_steps.set_data(step.dropped_steps + 1)
    with pytest.raises(RunError, match="here: the last 3 steps overflowed and were dropped, at loss scale 8"):
        watch.look(step, math.inf, 1, "here")


def test_statistics_that_a_forward_pass_spoilt_end_the_run():
    """Dropping an update does not restore BatchNorm's statistics."""
    from src.training import amp
    step = watched(scale_sense=np.float32(8), dropped_steps=np.int32(0), moving_mean=np.float32([1, math.inf]))
    watch = amp.OverflowWatch("hint")
    watch.begin(step)
    step.dropped_steps.set_data(step.dropped_steps + 1)
    with pytest.raises(RunError, match="moving_mean is not finite: the forward pass overflowed.*--amp_level O2"):
        watch.look(step, math.inf, 1, "here")


def test_the_nan_error_of_an_accelerator_names_the_ways_out():
    from src.training import amp
    for target in ("Ascend", "GPU"):
        with pytest.raises(RunError, match="here: loss is nan; .*--drop_overflow_update .*--amp_level O2 .*complete"):
            amp.OverflowWatch(amp.nan_hint(target)).look(watched(), math.nan, 1, "here")
    assert "overflow" not in amp.nan_hint("CPU")


def test_jit_level():
    import mindspore as ms
    before = ms.context.get_jit_config() or {}
    try:
        build("CPU", "--jit_level", "O0")
        assert ms.context.get_jit_config()["jit_level"] == "O0"
        with pytest.raises(InputError, match="--jit_level O9: is one of O0, O1, O2"):
            build("CPU", "--jit_level", "O9")
    finally:
        ms.set_context(jit_config=before)
