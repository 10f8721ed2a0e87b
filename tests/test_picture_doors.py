"""One decoder for every program: pictures of 10 and 12 bits, AVIF and HEIC are read, or named in one line, by each."""
import json
import sys
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

import eval_onnx
import predict
from src.data import build_seg_data, check_data, get_dataset_lst

SIZE = (48, 64)
MASK = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((24, 22), np.uint8))[:, :64]


def write(folder, name, data, count=4):
    """`count` pictures of these bytes with masks, and a list of them."""
    for place in ("images", "masks"):
        (folder / place).mkdir()
    lines = []
    for number in range(count):
        path = folder / f"images/{number}{name}"
        path.write_bytes(data)
        Image.fromarray(MASK).save(folder / f"masks/{number}.png")
        lines.append(f"images/{path.name} masks/{number}.png\n")
    (folder / "list.txt").write_text("".join(lines))


@pytest.fixture
def doors(run, exported, tmp_path):
    """door -> Result of a program that reads the pictures of tmp_path."""
    listed = ("--data_root", tmp_path, "--data_lst", tmp_path / "list.txt")
    model = ("--crop_size", 65, "--device_target", "CPU")
    return {
        "get_dataset_lst": lambda: run(get_dataset_lst.main, "--images", tmp_path / "images", "--masks",
                                       tmp_path / "masks", "--out", tmp_path / "out"),
        "check_data": lambda: run(check_data.main, *listed, "--num_classes", 6, "--check_dir", tmp_path / "check"),
        "build_seg_data": lambda: run(build_seg_data.main, *listed, "--num_classes", 6, "--num_shards", 1,
                                      "--dst_path", tmp_path / "x.mindrecord"),
        "eval_onnx": lambda: run(eval_onnx.main, *listed, "--file_name", exported(), *model, "--result_file",
                                 tmp_path / "r.json"),
        "predict": lambda: run(predict.main, tmp_path / "images", "--model", exported(), *model, "--output_dir",
                               tmp_path / "predicted"),
    }


DOORS = ("get_dataset_lst", "check_data", "build_seg_data", "eval_onnx", "predict")


def said_of(door, result, tmp_path) -> str:
    """The line about the first picture."""
    if door == "check_data":
        assert result.code == 1 and result.err.count("\n") == 1
        found = json.loads((tmp_path / "check/check.json").read_text())["findings"]
        return next(f"{one['item']}: {one['detail']}" for one in found if one["kind"] == "picture")
    assert result.code == 2 and all(len(line) < 400 for line in result.err.splitlines()), result
    return next(line for line in result.err.splitlines() if "images/0" in line)


@pytest.mark.parametrize("door", DOORS)
def test_12_bits_in_16_are_named_by_every_program(door, doors, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4096, (*SIZE, 3), dtype=np.uint16)
    write(tmp_path, ".tif", cv2.imencode(".tif", pixels)[1].tobytes())
    said = said_of(door, doors[door](), tmp_path)
    assert "has 16 bits a channel, but no value above 40" in said and "scale the values to 0 to 65535" in said


@pytest.mark.parametrize("door", DOORS)
def test_avif_is_read_by_every_program(door, doors, tmp_path):
    pytest.importorskip("PIL.AvifImagePlugin")
    data = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(data, "AVIF")
    write(tmp_path, ".avif", data.getvalue())
    result = doors[door]()
    assert result.code == 0, result


@pytest.mark.parametrize("door", DOORS)
def test_heic_is_named_by_every_program(door, doors, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)    # not installed
    write(tmp_path, ".heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    assert "is HEIC, as phones write it; pip install pillow-heif" in said_of(door, doors[door](), tmp_path)


@pytest.mark.parametrize("door", ["check_data", "build_seg_data", "eval_onnx"])
def test_masks_of_16_bits_are_named_with_what_makes_them_8(door, doors, tmp_path):
    write(tmp_path, ".png", cv2.imencode(".png", np.zeros((*SIZE, 3), np.uint8))[1].tobytes())
    values = np.linspace(0, 1023, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)
    for path in (tmp_path / "masks").iterdir():
        Image.fromarray(values).save(path)
    result = doors[door]()
    said = result.err if door != "check_data" else next(
        one["detail"] for one in json.loads((tmp_path / "check/check.json").read_text())["findings"])
    assert result.code == (1 if door == "check_data" else 2)
    assert "mode I;16 is no class mask" in said and "get_dataset_lst.py" in said, said
