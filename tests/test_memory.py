"""Whether training fits into memory: the measured needs, the limits of machines and containers."""
import numpy as np
import pytest

import train
from src.console import InputError
from src.data.labels import Labels
from src.evaluation.inference import Segmenter, evaluate
from src.evaluation.letterbox import Settings
from src.evaluation.planes import argmax_map, summed_planes
from src.training import memory

MEASURED = [("deeplab_v3_s16", 2, 129, 3, 2.46), ("deeplab_v3_s16", 2, 257, 3, 3.28),
            ("deeplab_v3_s16", 8, 257, 3, 4.63), ("deeplab_v3_s16", 2, 513, 21, 5.8),
            ("deeplab_v3_s16", 8, 513, 21, 12.3), ("deeplab_v3_s8", 2, 257, 3, 4.57),
            ("deeplab_v3_s8", 4, 257, 3, 6.51), ("deeplab_v3_tiny_s16", 2, 513, 3, 1.04),
            ("deeplab_v3_tiny_s16", 8, 513, 3, 1.61), ("deeplab_v3_tiny_s8", 4, 513, 3, 1.84)]


@pytest.mark.parametrize("model, batch, crop, classes, peak", MEASURED)
def test_needs_are_those_that_were_measured(model, batch, crop, classes, peak):
    assert memory.needed(model, batch, crop, classes) / 1e9 == pytest.approx(peak, rel=0.1)


def test_dice_needs_more_and_the_largest_batch_is_smaller():
    assert memory.needed("deeplab_v3_tiny_s16", 4, 513, 21) / 1e9 == pytest.approx(1.84, rel=0.1)
    assert memory.needed("deeplab_v3_tiny_s16", 4, 513, 21, True) / 1e9 == pytest.approx(3.02, rel=0.1)
    plain, dice = (memory.largest_batch("deeplab_v3_s16", 513, 21, 22e9, dice) for dice in (False, True))
    assert 0 < dice < plain and memory.needed("deeplab_v3_s16", dice, 513, 21, True) <= 22e9


def test_the_largest_batch_fits_and_one_more_does_not():
    for room in (6e9, 12e9, 22e9):
        batch = memory.largest_batch("deeplab_v3_s16", 513, 21, room)
        assert memory.needed("deeplab_v3_s16", batch, 513, 21) <= room
        assert memory.needed("deeplab_v3_s16", batch + 1, 513, 21) > room
    assert memory.largest_batch("deeplab_v3_s16", 513, 21, 1e9) == 0


@pytest.mark.parametrize("line, limit, used", [("0::/a/b", "memory.max", "memory.current"),
                                               ("4:memory:/a/b", "memory.limit_in_bytes", "memory.usage_in_bytes")])
def test_containers_limit(tmp_path, line, limit, used):
    top = tmp_path / "memory" if ":memory:" in line else tmp_path
    for folder, most, now in (("a/b", "max", 10), ("a", "5000", 2000)):
        (top / folder).mkdir(parents=True, exist_ok=True)
        (top / folder / limit).write_text(f"{most}\n"), (top / folder / used).write_text(f"{now}\n")
    (tmp_path / "own").write_text(line + "\n")
    assert list(memory.group_rooms(tmp_path, tmp_path / "own")) == [3000]
    assert list(memory.group_rooms(tmp_path, tmp_path / "none")) == []


def test_a_batch_that_does_not_fit_ends_before_the_first_step(drawn, run, tmp_path, monkeypatch):
    arguments = ["--device_target", "CPU", "--data_file", drawn / "train.mindrecord0", "--batch_size", 24,
                 "--train_dir", tmp_path / "ckpt"]
    monkeypatch.setattr(memory, "free_memory", lambda: (12e9, "left to this container"))
    result = run(train.main, *arguments)
    assert result.code == 2 and not (tmp_path / "ckpt").exists()
    assert "--batch_size 24" in result.err and "12.0 GB are left to this container" in result.err
    fitting = int(result.err.split("; --batch_size ")[1].split()[0])
    assert 4 <= fitting <= 12 and "--ignore_memory goes on" in result.err
    monkeypatch.setattr(memory, "free_memory", lambda: (1e8, "available on this machine"))
    assert "a smaller --crop_size" in run(train.main, *arguments).err


def test_an_option_goes_on(monkeypatch, capsys):
    from src.config import parse_args
    monkeypatch.setattr(memory, "free_memory", lambda: (1e9, "available on this machine"))
    memory.check_memory(parse_args("train", "", ["--ignore_memory"]), 21)
    assert "--batch_size 32" in capsys.readouterr().err


def test_a_network_that_was_not_measured_is_not_refused(monkeypatch):
    from src.config import parse_args
    config = parse_args("train", "", [])
    monkeypatch.setattr(memory, "free_memory", lambda: (1e9, "available on this machine"))
    with pytest.raises(InputError):
        memory.check_memory(config, 21)
    monkeypatch.delitem(memory.TABLE, config.model)
    memory.check_memory(config, 21)


def test_this_machine_says_something():
    free, where = memory.free_memory()
    assert free > 0 and where


def predict(inputs):
    return np.stack([inputs[:, 0], inputs[:, 1] * 2, 0.5 - inputs[:, 2]], 1)


def load(sample):
    return sample, (sample[:, :, 0] % 3).astype(np.uint8)


def test_large_pictures_give_what_small_memory_gives(monkeypatch):
    """The class maps do not depend on keeping sums or on batch sizes."""
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, 255, (*rng.integers(70, 200, 2), 3), dtype=np.uint8) for _ in range(9)]
    settings, labels = Settings(33, (0.5, 1.0, 1.5), True, 4), Labels(3, 255, ())
    plain = [item.class_map for batch in Segmenter(predict, settings).run(samples, load) for item in batch]
    counts = evaluate(predict, samples, load, settings, labels).counts
    monkeypatch.setattr("src.evaluation.inference.LARGE", 1)
    monkeypatch.setattr("src.evaluation.inference.BATCH_PIXELS", 50_000)
    batches = list(Segmenter(predict, settings).run(samples, load))
    assert all(item.total is None for batch in batches for item in batch)
    assert max(map(len, batches)) < 4 or len(batches) > 3
    for one, other in zip(plain, (item.class_map for batch in batches for item in batch)):
        assert np.array_equal(one, other)
    assert np.array_equal(evaluate(predict, samples, load, settings, labels).counts, counts)


def test_a_picture_beyond_the_budget_goes_alone(monkeypatch):
    monkeypatch.setattr("src.evaluation.inference.BATCH_PIXELS", 10)
    samples = [np.zeros((5, 5, 3), np.uint8)] * 3
    assert [len(batch) for batch in Segmenter(predict, Settings(33)).run(samples, load)] == [1, 1, 1]


def test_sums_plane_by_plane():
    rng = np.random.default_rng(0)
    parts = [rng.random((4, 9, 7), np.float32), rng.random((4, 5, 4), np.float32)]
    import cv2
    total = sum(np.stack([cv2.resize(plane, (30, 20)) for plane in part]) for part in parts)
    assert np.array_equal(argmax_map(summed_planes(parts, (20, 30))), total.argmax(0))


def test_too_little_memory_is_a_line():
    from src.console import RunError

    def fails(inputs):
        raise MemoryError
    with pytest.raises(RunError, match="not enough memory for batches of 2 pictures; a smaller --batch_size"):
        evaluate(fails, [np.zeros((5, 5, 3), np.uint8)], load, Settings(33, batch_size=2), Labels(3, 255, ()))
