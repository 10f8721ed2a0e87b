"""train.py from the command line, with the tiny network on the drawn sample."""
import json
import re
import sys

import mindspore as ms
import numpy as np
import pytest
import yaml
from mindspore import nn

import train
from src.console import InputError
from src.data.labels import Labels
from tests.conftest import ROOT, TINY, figures, metrics


@pytest.fixture
def options(drawn, tmp_path):
    return [*TINY, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path / "ckpt"]


def test_what_a_run_leaves(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        "checkpoints.json", "config.yaml", "curves.png",
        *(f"deeplab_v3_tiny_s16-{name}.ckpt" for name in ("1_2", "2_1", "2_3")), "metrics.jsonl"]
    lines = metrics(trained)
    assert [(line["epoch"], line["step"], line["global_step"]) for line in lines] == [
        (1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 4), (2, 2, 5), (2, 3, 6)]
    assert lines[0]["lr"] == 0.05 and lines[-1]["lr"] < 0.005 and all(line["images_per_s"] > 0 for line in lines)
    resolved = yaml.safe_load((trained / "config.yaml").read_text())
    assert resolved["base_lr"] == 0.05 and resolved["loss_scale"] == 3072.0 and resolved["seed"] == 1


def test_a_checkpoint_says_what_it_is_and_mindspore_ignores_it(trained):
    from src.nets.net_factory import create_network
    values = ms.load_checkpoint(str(trained / "deeplab_v3_tiny_s16-2_3.ckpt"))
    facts = json.loads(bytes(values["deeplab_v3.facts"].asnumpy()))
    assert facts.pop("recipe").items() >= {
        "base_lr": 0.05, "batch_size": 8, "train_epochs": 2, "seed": 1, "loss_scale": 3072.0, "lr_type": "cos",
        "data_file": "train.mindrecord0", "devices": 1}.items()
    assert len(facts.pop("class_names")) == 6
    assert facts == {
        "network": "deeplab_v3_tiny_s16", "output_stride": 16, "atrous_rates": [6, 12, 18], "num_classes": 6,
        "ignore_label": 255, "crop_size": 65, "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395],
        "channel_order": "BGR"}

    class Published(nn.Cell):
        """A network with the published names, loaded as in the model zoo's eval.py."""

        def __init__(self):
            super().__init__()
            self.network = create_network("deeplab_v3_tiny_s16", 6)

    for strict in (False, True):
        cell = Published()
        missing, left = ms.load_param_into_net(cell, dict(values), strict_load=strict)
        assert missing == [] and "deeplab_v3.facts" in left
        for name, parameter in cell.parameters_and_names():
            assert (parameter.asnumpy() == values[name].asnumpy()).all(), name
    assert {f"moments.{name}" for name, _ in cell.parameters_and_names() if "moving" not in name} <= set(values)
    assert "deeplab_v3.facts" in ms.load_checkpoint(str(trained / "deeplab_v3_tiny_s16-2_3.ckpt"), net=cell)


def test_labels_come_from_the_training_data(drawn, options, monkeypatch):
    """Facts of the data are used, the user's names replace them, a contradiction is an error with both values."""
    from src.config import parse_args
    from src.training import run_facts
    config, labels = run_facts.believe_data(parse_args("train", "", ["--data_file", str(drawn / "train.mindrecord0")]))
    assert config.num_classes == labels.num_classes == 6, "what build_seg_data.py was told"
    said = {"num_classes": 3, "ignore_label": 9, "class_names": ["sky", "sea", "sand"]}
    monkeypatch.setattr(run_facts, "facts_in_record", lambda data_file: said)
    config, labels = run_facts.believe_data(parse_args("train", "", ["--data_file", "a.mindrecord0"]))
    assert (config.num_classes, config.ignore_label, labels) == (3, 9, (3, 9, ("sky", "sea", "sand")))
    with pytest.raises(InputError, match="--num_classes 6: but .*mindrecord0 says 3; leave the option out"):
        run_facts.believe_data(parse_args("train", "", [str(option) for option in options]))
    with pytest.raises(InputError, match="--ignore_label 255: but a says 9"):
        run_facts.believe_data(parse_args("train", "", ["--data_file", "a", "--ignore_label", "255"]))
    monkeypatch.setattr(run_facts, "facts_in_record", lambda data_file: {})
    named = [*options, "--class_names", drawn / "classes.txt"]
    config, labels = run_facts.believe_data(parse_args("train", "", [str(option) for option in named]))
    assert config.num_classes == 6 and list(labels.names) == (drawn / "classes.txt").read_text().split()


def test_a_mask_with_an_unknown_value_ends_the_run(options, run, monkeypatch, tmp_path):
    """In data without facts about its labels."""
    monkeypatch.setattr("src.training.run_facts.facts_in_record", lambda data_file: {})
    result = run(train.main, *options, "--num_classes", 3)
    assert result.code == 2 and "is neither a class (0 to 2)" in result.err and "Traceback" not in result.err
    assert not list(tmp_path.rglob("*.ckpt"))


def test_console_lines_seed_and_earlier_runs(options, run, tmp_path):
    first = run(train.main, *options, "--train_epochs", 1, "--dump_batches", 1)
    assert first.code == 0, first.err
    assert re.search(r"^epoch: 1 step: 3, loss is [\d.]+$", first.out, re.M)
    assert re.search(r"^epoch time: [\d.]+ ms, per step time: [\d.]+ ms$", first.out, re.M)
    assert first.err == "", "a log holds no progress bar"
    folder = tmp_path / "ckpt"
    before, kept = figures(folder), (folder / "deeplab_v3_tiny_s16-1_3.ckpt").read_bytes()
    again = run(train.main, *options, "--train_epochs", 1)
    assert f"was moved to {folder / 'earlier_1'}" in again.out
    assert figures(folder) == before, "one seed, one run, whether batches are looked at or not"
    assert (folder / "earlier_1/batch_1.png").is_file()
    assert (folder / "earlier_1/deeplab_v3_tiny_s16-1_3.ckpt").read_bytes() == kept


def test_one_seed_gives_one_run_to_the_bit(drawn, shell, tmp_path):
    """12 steps in two processes with different numbers of workers."""
    curves = {}
    for name, seed, workers, epochs in (("a", 5, 1, 4), ("b", 5, 2, 4), ("c", 6, 1, 1)):
        result = shell(sys.executable, ROOT / "train.py", *TINY, "--data_file", drawn / "train.mindrecord0",
                       "--train_dir", tmp_path / name, "--train_epochs", epochs, "--base_lr", "0.05", "--seed", seed,
                       "--workers", workers)
        assert result.code == 0, result.err
        curves[name] = list(figures(tmp_path / name).values())
    assert len(curves["a"]) == 12 and curves["a"] == curves["b"]
    assert curves["c"][0] != curves["a"][0], "another seed is another run from its first step on"


def test_dumped_batches_are_what_is_trained_on(options, drawn, run, tmp_path):
    from PIL import Image

    from src.config import parse_args
    from src.device import Device
    from src.drawing.palette import palette
    from src.training.run import make_dataset
    arguments = [*options, "--train_epochs", 1, "--dump_batches", 2]
    result = run(train.main, *arguments, "--class_names", drawn / "classes.txt")
    assert result.code == 0 and "batch 2 as the network gets it" in result.out, result.err
    pages = [np.array(Image.open(tmp_path / f"ckpt/batch_{number}.png")) for number in (1, 2)]
    assert not (tmp_path / "ckpt/batch_3.png").exists()
    config = parse_args("train", "", [str(option) for option in arguments])
    dataset, _ = make_dataset(config, Labels(6, 255, ()), Device("CPU", 0, 1), (0, 0))
    for page, (images, masks, _) in zip(pages, dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)):
        for number in (0, 3):    # the first row of the page: each crop, and beside it its labels
            left = 8 + number * (2 * 65 + 8)
            crop = images[number].transpose(1, 2, 0)[:, :, ::-1]
            assert (page[8:73, left:left + 65] == crop).all()
            shown, mask = page[8:73, left + 65:left + 130].astype(float), masks[number]
            for value in np.unique(mask[mask < 255]):
                mixed = crop if value == 0 else 0.4 * crop + 0.6 * palette()[value]
                assert np.abs(shown - mixed)[mask == value].max() <= 1, value


def test_training_learns(options, run, tmp_path):
    result = run(train.main, *options, "--train_epochs", 12, "--base_lr", "0.05", "--keep_checkpoint_max", 2,
                 "--save_steps", 3)
    assert result.code == 0, result.err
    curve = list(figures(tmp_path / "ckpt").values())
    assert np.mean(curve[-6:]) < 0.75 * np.mean(curve[:6]), curve
    assert sorted(path.name for path in (tmp_path / "ckpt").glob("*.ckpt")) == [
        "deeplab_v3_tiny_s16-11_3.ckpt", "deeplab_v3_tiny_s16-12_3.ckpt"]


def save_network(num_classes, path):
    """A checkpoint of the tiny network as it is initialised."""
    from src.loss.loss import SoftmaxCrossEntropyLoss
    from src.nets.net_factory import TrainingNetwork, create_network
    from src.weights.checkpoint import save
    network = create_network("deeplab_v3_tiny_s16", num_classes)
    save(TrainingNetwork(network, SoftmaxCrossEntropyLoss(), (0, 0, 0), (1, 1, 1)), path)
    return path


def test_filter_weight_starts_from_another_number_of_classes(options, trained, run, tmp_path):
    checkpoint = trained / "deeplab_v3_tiny_s16-2_3.ckpt"
    short = [*options, "--ckpt_pre_trained", checkpoint, "--train_epochs", 1, "--batch_size", 24]
    whole = run(train.main, *short)
    assert "complete network" in whole.out and " 0 left as initialised" in whole.out
    short[short.index(checkpoint)] = save_network(9, tmp_path / "nine.ckpt")
    other = run(train.main, *short)
    assert other.code == 2 and "network.aspp.conv2.weight has shape (9, 32, 1, 1), not (6, 32, 1, 1)" in other.err
    assert "--filter_weight" in other.err
    filtered = run(train.main, *short, "--filter_weight")
    assert filtered.code == 0 and "the new classifier as initialised" in filtered.out


def test_an_infinite_loss_ends_the_run_and_keeps_the_checkpoint(options, run, tmp_path):
    result = run(train.main, *options, "--train_epochs", 4, "--base_lr", "1e30", "--save_steps", 1)
    assert result.code == 1, result.out
    assert re.search(r"error: epoch \d step \d \(step \d+ of the run\): loss is (nan|inf)", result.err), result.err
    assert list((tmp_path / "ckpt").glob("*-1_1.ckpt"))


BAD = [
    (["--data_file", "missing.mindrecord0"], "missing.mindrecord0: no such file"),
    (["--batch_size", "25"], "--batch_size 25: larger than the 24 samples"),
    (["--max_scale", "0.1"], "--max_scale 0.1: smaller than --min_scale 0.5"),
    (["--image_mean", "1", "2"], "image_mean takes 3 values, not 2"),
    (["--num_classes", "3"], "train.mindrecord0 says 6; leave the option out"),
    (["--train_dir", "/dev/null/ckpt"], "--train_dir /dev/null/ckpt: cannot be written"),
    (["--ckpt_pre_trained", str(ROOT / "README.md")], "README.md: is not a MindSpore checkpoint"),
    (["--ckpt_pre_trained", "missing.ckpt"], "missing.ckpt: no such file"),
    (["--device_target", "Ascend"], "--device_target Ascend"),
]


@pytest.mark.parametrize("changes, part", BAD, ids=[" ".join(changes[:2])[:40] for changes, _ in BAD])
def test_bad_input_is_one_line_and_exit_code_2(options, run, tmp_path, changes, part):
    refused(run(train.main, *options, "--train_epochs", 1, *changes), part, tmp_path)


def refused(result, part, folder):
    assert result.code == 2, result
    lines = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and part in lines[0] and "Traceback" not in result.err, result.err
    assert not list(folder.rglob("*.ckpt"))


@pytest.mark.parametrize("change", ["--device_target=GPU", "--is_distributed"])
def test_devices_that_cannot_be_used_are_one_line(options, shell, tmp_path, change):
    """In processes of their own, for MindSpore may keep what it tried."""
    result = shell(sys.executable, ROOT / "train.py", *options, "--train_epochs", 1, change)
    refused(result, change.replace("=", " "), tmp_path)


def test_a_wrong_evaluation_list_moves_nothing_of_an_earlier_run(options, run, tmp_path):
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt/metrics.jsonl").write_text("{}")
    result = run(train.main, *options, "--train_epochs", 1, "--eval_data_lst", tmp_path / "missing.txt")
    assert result.code == 2 and "missing.txt" in result.err
    assert [path.name for path in (tmp_path / "ckpt").iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("said, part", [
    ("num_classes: 7\n", "--data_file {}: has 6 classes, but {} says 7; "),
    ("num_classes: 6\nignore_label: 254\n", "--data_file {}: ignores 255, but {} says 254 for --eval_data_lst; the "),
])
def test_validation_masks_are_read_as_the_training_masks(said, part, options, drawn, run, tmp_path):
    (tmp_path / "val.txt").write_bytes((drawn / "voc_val_lst.txt").read_bytes())
    (tmp_path / "dataset.yaml").write_text(said)
    short = [*options, "--train_epochs", 1, "--data_root", drawn, "--eval_data_lst", tmp_path / "val.txt"]
    result = run(train.main, *short)
    source = drawn / "train.mindrecord0"
    assert result.code == 2 and part.format(source, tmp_path / "dataset.yaml") in result.err, result
    assert not (tmp_path / "ckpt").exists()


def test_an_even_crop_is_noted(options, run):
    result = run(train.main, *options, "--crop_size", 64, "--train_epochs", 1, "--batch_size", 24)
    assert result.code == 0 and "--crop_size 64" in result.err and "such as 65" in result.err


def test_a_missing_shard_is_named(drawn, options, run, tmp_path):
    for path in drawn.glob("train.mindrecord*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "train.mindrecord1").unlink()
    result = run(train.main, *options, "--data_file", tmp_path / "train.mindrecord0")
    assert result.code == 2 and "train.mindrecord0: not a complete MindRecord" in result.err


def test_no_scored_pixel_is_null_and_ends_with_1(options, void_list, run, tmp_path):
    result = run(train.main, *options, "--train_epochs", 1, "--data_root", tmp_path, "--eval_data_lst", void_list,
                 "--ignore_findings")
    last = json.loads((tmp_path / "ckpt/metrics.jsonl").read_text().splitlines()[-1],
                      parse_constant=lambda text: pytest.fail(text))
    assert last["mean_iou"] is None and "epoch: 1, no mean IoU" in result.out and result.code == 1, result
    assert "warning: --eval_data_lst: no pixel" in result.err and "trained to step 3" in result.out
    assert (tmp_path / "ckpt/curves.png").is_file()
