"""Weights of the classes: files, median frequency balancing against NumPy, and training with them."""
import numpy as np
import pytest

import train
from src.console import InputError
from src.data.class_weights import class_weights, median_frequency_weights, read_class_weights
from src.data.labels import Labels
from tests.conftest import TINY, figures

SIX = Labels(6, 255, ())


def test_median_frequency():
    masks = [np.uint8([[0, 0, 0, 1]]), np.uint8([[0, 0, 2, 255]])]
    # class 0: 5 of 7 counted pixels; class 1: 1 of 4; class 2: 1 of 3; class 3 never
    frequency = np.array([5 / 7, 1 / 4, 1 / 3])
    assert median_frequency_weights(masks, 4) == pytest.approx([*(1 / 3 / frequency), 1])


def test_auto_reads_every_mask_of_the_training_set(drawn):
    from src.data.lists import read_list
    from src.data.masks import read_pair
    masks = [read_pair(drawn, pair, SIX)[1] for pair in read_list(drawn / "voc_train_lst.txt")]
    weights = class_weights("auto", drawn / "train.mindrecord0", SIX)
    assert weights == pytest.approx(median_frequency_weights(masks, 6)) and weights[0] < 1 < weights[1:].max()
    without = class_weights("auto", drawn / "train.mindrecord0", SIX._replace(ignore_label=3))
    assert without[3] == 1 and not np.allclose(without, weights)
    assert class_weights("", "no file", SIX) is None


@pytest.mark.parametrize("text, part", [
    ("1\n2\n", "2 weights for num_classes 3"), ("1\n2\nx\n", "could not convert"), ("1\n-2\n3\n", "from 0 up"),
    ("0\n0\n0\n", "not all of them 0"), ("1\nnan\n1\n", "from 0 up")])
def test_bad_files(tmp_path, text, part):
    (tmp_path / "w.txt").write_text(text)
    with pytest.raises(InputError, match=part):
        read_class_weights(tmp_path / "w.txt", 3)


@pytest.mark.parametrize("more", [[], ["--ohem", "0.7", "--ohem_min_kept", "500"]])
def test_training_with_balanced_losses_learns(drawn, tmp_path, run, more):
    result = run(train.main, *TINY, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path / "ckpt",
                 "--train_epochs", 4, "--base_lr", "0.05", "--class_weights", "auto", *more)
    assert result.code == 0 and "class weights: 0." in result.out, result.err
    losses = list(figures(tmp_path / "ckpt").values())
    assert np.mean(losses[-6:]) < np.mean(losses[:6]), losses


def test_hard_examples_that_are_all_of_them_are_noted(capsys):
    from src.config import parse_args
    from src.training.run import check_options
    check_options(parse_args("train", "", ["--ohem", "0.7", "--crop_size", "65", "--batch_size", "8"]))
    assert "a step has 33800 pixels, so all are trained" in capsys.readouterr().err
    check_options(parse_args("train", "", ["--ohem", "0.7"]))
    assert capsys.readouterr().err == ""
