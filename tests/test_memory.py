"""Whether training fits into memory: the measured needs, the limits of machines and containers."""
import pytest

import train
from src.console import InputError
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
