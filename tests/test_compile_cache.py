"""Compiled graphs kept between runs: never another configuration's, never a damaged one's, the same results."""
import dataclasses
import json
import os
import shutil
import sys

import numpy as np
import pytest

from src.config import parse_args
from src.device import Device
from src.utils import compile_cache
from tests.conftest import ROOT, TINY

CPU = Device("CPU", 0, 1)


def cell_of(num_classes=6, weights=None):
    from src.loss.loss import BalancedCrossEntropyLoss
    from src.nets.net_factory import TrainingNetwork, create_network
    network = create_network("deeplab_v3_tiny_s16", num_classes)
    return TrainingNetwork(network, BalancedCrossEntropyLoss(255, weights), (1, 2, 3), (1, 1, 1))


def config_of(*arguments):
    return parse_args("train", "", [*TINY, *arguments])


def test_what_a_graph_depends_on_has_a_place_of_its_own():
    config, cell = config_of(), cell_of()
    variants = [
        (config, CPU, cell, 7), (config, CPU, cell, 8), (config, Device("CPU", 1, 2), cell, 7),
        (config, CPU, cell_of(5), 7), (config, CPU, cell_of(weights=[1, 1, 1, 1, 1, 2]), 7),
        (config, CPU, cell_of(weights=[1, 1, 1, 1, 1, 3]), 7),
        *((config_of(*option), CPU, cell, 7) for option in (
            ("--crop_size", "97"), ("--batch_size", "4"), ("--freeze_bn",), ("--atrous_rates", "1", "2", "3"),
            ("--loss_scale", "1"), ("--lr_type", "exp"), ("--seed", "2")))]
    digests = [compile_cache.fingerprint(*variant) for variant in variants]
    assert len(set(digests)) == len(variants)
    same = config_of("--train_dir", "elsewhere", "--data_root", "x", "--save_steps", "3", "--resume", "auto")
    assert compile_cache.fingerprint(same, CPU, cell_of(), 7) == digests[0], "other weights and folders share graphs"


def test_options_outside_the_digest_exist():
    assert {field.name for field in dataclasses.fields(config_of())} >= compile_cache.ELSEWHERE


def test_edited_source_compiles_anew(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "src", tmp_path / "src")
    monkeypatch.setattr(compile_cache, "ROOT", tmp_path)
    config, cell = config_of(), cell_of()
    before = compile_cache.fingerprint(config, CPU, cell, 7)
    assert compile_cache.fingerprint(config, CPU, cell, 7) == before
    with (tmp_path / "src/nets/layers.py").open("a") as file:
        file.write("# edited\n")
    assert compile_cache.fingerprint(config, CPU, cell, 7) != before


def evaluate(shell, drawn, trained, cache, *more):
    done = shell(sys.executable, ROOT / "eval.py", *TINY, "--data_root", drawn,
                 "--data_lst", drawn / "voc_val_lst.txt", "--ckpt_path", trained / "deeplab_v3_tiny_s16-2_3.ckpt",
                 "--scales", "0.5", "1.0", "--result_file", cache / "result.json", "--compile_cache", cache, *more)
    assert done.code == 0, done.err
    return json.loads((cache / "result.json").read_text())["confusion_matrix"], done.err


def test_evaluation_from_kept_graphs_and_from_damaged_ones(shell, drawn, trained, tmp_path):
    cache = tmp_path / "graphs of mine"
    cache.mkdir()
    plain, _ = evaluate(shell, drawn, trained, cache, "--compile_cache", "")
    assert not list(cache.glob("*.zip"))
    first, _ = evaluate(shell, drawn, trained, cache)
    (packed,) = cache.glob("*.zip")
    written = packed.stat().st_ino
    second, said = evaluate(shell, drawn, trained, cache)
    assert packed.stat().st_ino == written and said == "", "what MindSpore took from the cache is not packed again"
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    packed.write_bytes(content)
    third, said = evaluate(shell, drawn, trained, cache)
    assert f"{packed}: damaged" in said and packed.read_bytes() != bytes(content)
    assert np.sum(plain) > 0 and plain == first == second == third


def test_prediction_from_kept_graphs(shell, drawn, trained, tmp_path):
    maps, written = [], []
    for number, cache in enumerate((tmp_path / "cache", tmp_path / "cache", "")):
        out = tmp_path / f"out{number}"    # other folders and colours share the graphs
        done = shell(sys.executable, ROOT / "predict.py", drawn / "voc_val_lst.txt", "--data_root", drawn, "--model",
                     trained / "deeplab_v3_tiny_s16-2_3.ckpt", "--device_target", "CPU", "--scales", "0.5", "1.0",
                     "--alpha", f"0.{number}", "--output_dir", out, "--compile_cache", cache)
        assert done.code == 0, done.err
        maps.append({path.name: path.read_bytes() for path in (out / "masks").rglob("*.png")})
        written.append([(path, path.stat().st_ino) for path in (tmp_path / "cache").glob("*.zip")])
    assert len(maps[0]) == 6 and maps[0] == maps[1] == maps[2]
    assert len(written[0]) == 1 and written[0] == written[1] == written[2]


def test_training_from_kept_graphs_gives_the_same_losses(shell, drawn, tmp_path):
    figures, written = [], []
    for number in range(2):
        folder = tmp_path / f"run{number}"
        done = shell(sys.executable, ROOT / "train.py", *TINY, "--data_file", drawn / "train.mindrecord0",
                     "--train_dir", folder, "--train_epochs", "1", "--compile_cache", tmp_path / "cache", "--data_root",
                     drawn, "--eval_data_lst", drawn / "voc_val_lst.txt")
        assert done.code == 0, done.err
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        figures.append([line.get("loss", line.get("mean_iou")) for line in lines])
        (packed,) = (tmp_path / "cache").glob("*.zip")
        written.append(packed.stat().st_ino)
    assert len(figures[0]) == 4 and figures[0] == figures[1] and written[0] == written[1]


def test_a_place_that_cannot_be_written_is_a_warning(tmp_path, capsys):
    folder = tmp_path / "private"
    folder.mkdir()
    (tmp_path / "file").write_text("")
    graphs = compile_cache.CompiledGraphs(tmp_path / "file" / "x.zip", folder)
    (folder / "graph").write_text("compiled")
    graphs.keep()
    assert "--compile_cache" in capsys.readouterr().err


@pytest.mark.parametrize("option, environment, expected", [
    ("auto", "/caches", "/caches/deeplab_v3"), ("auto", "", "~/.cache/deeplab_v3"), ("~/mine", "/caches", "~/mine")])
def test_where_graphs_are_kept(option, environment, expected, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", environment)
    assert str(compile_cache.cache_folder(option)) == os.path.expanduser(expected)


def test_the_configuration_unused_for_longest_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "KEPT", 2)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/holidays.zip").write_text("the user's")
    os.utime(tmp_path / "kept/holidays.zip", (0, 0))
    names = [f"deeplab_v3_s16-{number:040x}.zip" for number in range(3)]
    for number, name in enumerate(names):
        folder = tmp_path / f"private{number}"
        folder.mkdir()
        graphs = compile_cache.CompiledGraphs(tmp_path / "kept" / name, folder)
        (folder / "graph").write_text("compiled")
        graphs.keep()
        os.utime(graphs.packed, (number, number))
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [*names[1:], "holidays.zip"]
