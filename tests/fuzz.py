"""Damaged and hostile files through every function that reads one: no traceback, no hang, no crash.

`python -m tests.fuzz [COUNT] [--seconds S] [--seed N]`, from the project's folder. Each input is a good file of one
kind, mutated by a seed and a number, so that any one can be made again. What a function may do is to take the file, or
to raise InputError or RunError in one line that can be printed. 20 s for a file count as a hang; 4 GB of address space
for all.
"""
import argparse
import contextlib
import faulthandler
import io
import itertools
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Callable, NamedTuple

import cv2
import numpy as np
from PIL import Image

from src.config import own_options, read_recipe
from src.console import InputError, RunError
from src.data.annotations.label_map import LabelMap, read_label_map
from src.data.annotations.reader import read_annotations
from src.data.dataset_yaml import FILE, read_facts
from src.data.labels import Labels
from src.data.lists import Pair, read_list
from src.data.mask_values import class_map
from src.data.masks import read_pair
from src.data.pictures import limit_pixels
from src.data.record_header import facts_in_record
from src.files import read_bytes
from src.modelarts import unzip
from src.models import mindir_file, onnx_file
from src.weights import checkpoint, formats, metadata
from src.weights.manifest import MANIFEST, check_sha256, read_manifest
from src.weights.protobuf import field
from tests.annotation_files import SQUARE, coco, cvat, cvat_masks, labelme, shape
from tests.foreign import archive, encoded, safetensors, safetensors_entry, tensor
from tests.foreign import mindir as good_mindir

HANG, MEMORY = 20, 4 << 30    # seconds a file; bytes of all
PIXELS = 1 << 22    # --max_pixels; the default of 200 megapixels is honest work of a minute
LONGEST = 1500    # characters of an error's line
FACTS = {"network": "deeplab_v3_tiny_s16", "atrous_rates": [6, 12, 18], "num_classes": 3, "ignore_label": 255,
         "class_names": ["background", "cat", "Hund"], "crop_size": 65, "mean": [103.5, 116.3, 123.7],
         "std": [57.4, 57.1, 58.4], "channel_order": "BGR", "recipe": {"base_lr": 0.02, "scales": [1, 2]}}
YAML = ("# a comment\nmodel: deeplab_v3_s8\nbase_lr: 0.02\natrous_rates: [6, 12, 18]\nimage_mean:\n- 103.5\n- 116.3\n"
        "- 123.7\nfreeze_bn: true\ndata_root: \"a \\u00e4\"\ncrop_size: 65\n")
DATASET = "num_classes: 3\nclass_names: [background, cat, \"d\\xF6g\"]\nignore_label: 255\nsource: 'here'\n"
TOKENS = [b"[" * 2000, b"{\"a\":" * 500, b"&a [*a, *a]", b"*a", b"!!int", b"!!binary", b"<<: ", b"2001-99-99", b"1:1:1",
          b"9" * 5000, b"1e999", b"NaN", b"-1", b"0x" + b"f" * 4000, b"\0", b"\x1b[31m", b"\xff\xfe", b"\n", b"\r",
          b"\t", b"../../x", b"/dev/zero", b"\xe2\x80\xae", b"a" * 5000, b"\"", b"null", b"true", b"{}",
          b"\xff" * 9 + b"\x01", b"\x80" * 11, b"\x7f\xff\xff\xff", b"<!DOCTYPE a [", b"<a>" * 200]


class Kind(NamedTuple):
    """One kind of file: good ones, the place where the reader finds it, and the reader."""

    seeds: list
    path: Path
    read: Callable


def mutate(data: bytes, others: list, rng: random.Random) -> bytes:
    """A few random changes: bits, bytes, pieces left out, repeated, swapped for another file's, odd tokens."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        place, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 4, 16, 200])
        change = rng.randrange(8)
        if change == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            data[place:place + length] = rng.randbytes(length)
        elif change == 2:
            del data[place:place + length]
        elif change == 3:
            data[place:place] = data[place:place + length] * rng.choice([1, 2, 300])
        elif change == 4:
            data[place:place + rng.choice([0, length])] = rng.choice(TOKENS)
        elif change == 5:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[place:place + length] = other[start:start + length]
        elif change == 6:
            del data[place:]
        elif place < len(data):
            data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(data)


def good_checkpoint(folder: Path, **arrays) -> bytes:
    checkpoint.write({"network.aspp.conv2.weight": np.ones((3, 4, 1, 1), np.float32), "global_step": np.int32([3]),
                      "momentum": np.float32(0.9), **arrays}, folder / "good.ckpt", FACTS)
    return (folder / "good.ckpt").read_bytes()


def good_safetensors() -> bytes:
    return safetensors({"__metadata__": {"format": "pt"}, "a": safetensors_entry(0, 8, (2, 1)),
                        "b": safetensors_entry(8, 10, (), "BF16")}, bytes(10))


def good_onnx() -> bytes:
    """A model with metadata, a node with a constant, and weights within it and in a file beside it."""
    place = field(13, field(1, b"location") + field(2, b"weights.bin"))
    weights = field(9, bytes(8)) + field(8, b"w")
    graph = field(1, field(4, b"Constant") + field(5, field(5, weights))) + field(5, weights) + field(5, place)
    texts = metadata.to_texts(FACTS).items()
    return b"\x08\x08" + field(7, graph) + b"".join(
        field(14, field(1, name.encode()) + field(2, text.encode())) for name, text in texts)


def good_mindrecord() -> bytes:
    header = json.dumps({"schema": [{"desc": json.dumps({"build": "1", "num_classes": 3})}],
                         "shard_addresses": ["a.mindrecord0"]}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(50)


def drawn(path, images=None):
    """Every mask of the annotations."""
    found = read_annotations(path, images)
    return [item.draw(found.classes, 255) for item in found.items]


def weight_kinds(folder: Path) -> dict:
    parts = good_checkpoint(folder, long=np.zeros(40, np.float16))
    manifest = json.dumps({f"m-1_{step}.ckpt": {"size": 4, "sha256": "0" * 64, "step": step} for step in (2, 3)})
    (folder / "m-1_2.ckpt").write_bytes(b"data")
    (folder / "weights.bin").write_bytes(bytes(8))
    where = "--model x"

    def checkpoints(path):
        metadata.checked(checkpoint.read(path, where).facts, path)

    def onnx(path):
        metadata.checked(metadata.from_texts(onnx_file.read_metadata(path, where)), path)
        onnx_file.check_external_data(path, where)

    def mindir(path):
        mindir_file.check(path, where)
        mindir_file.read_signature(path, where)

    kinds = {
        "checkpoint": Kind([parts, good_checkpoint(folder)], folder / "x.ckpt", checkpoints),
        "safetensors": Kind([good_safetensors()], folder / "x.safetensors",
                            lambda path: formats.read_safetensors(path, where)),
        "checkpoints.json": Kind([manifest.encode()], folder / MANIFEST, lambda path: read_manifest(path.parent)),
        "sha256": Kind([b"0" * 64 + b"  m-1_2.ckpt\n"], folder / "b.ckpt.sha256", lambda path: check_sha256(
            path.with_suffix(""), where)),
        "onnx": Kind([good_onnx()], folder / "x.onnx", onnx),
        "mindir": Kind([good_mindir(tensor((2,), bytes(8)))], folder / "x.mindir", mindir),
        "facts": Kind([json.dumps(FACTS).encode()], folder / "y.mindir.json", lambda path: metadata.checked(
            metadata.read_beside(path.with_suffix("")), path)),
    }
    (folder / "b.ckpt").write_bytes(b"data")
    with contextlib.suppress(ImportError):
        import torch  # optional
        torch.save({"conv1.weight": torch.zeros(3), "n": torch.tensor(3)}, folder / "good.pth")
        kinds["torch"] = Kind([(folder / "good.pth").read_bytes()], folder / "x.pth",
                              lambda path: formats.read_torch(path, where))
    return kinds


def text_kinds(folder: Path) -> dict:
    own = own_options("train")
    packed = archive(folder / "good.zip", **{"a/b.txt": "text " * 50, "c.bin": bytes(100)}).read_bytes()
    return {
        "recipe": Kind([YAML.encode(), DATASET.encode()], folder / "r.yaml", lambda path: read_recipe(path, own)),
        FILE: Kind([DATASET.encode(), YAML.encode()], folder / FILE, read_facts),
        "list": Kind(["a b.png\nä\tö ü.png\n\n".encode(), b"\xef\xbb\xbfa b\r\n"], folder / "l.txt", read_list),
        "label map": Kind([b"0 0 background\n1 1 cat\n# x\n255 ignore\n", b"0 0 0 0 a\n1 2 3 1 b\n",
                           b"0 0 0 0\n255 0 1 3 # x\n", b"0 0\n7 1\n"], folder / "m.txt", read_label_map),
        "mindrecord": Kind([good_mindrecord()], folder / "a.mindrecord0", facts_in_record),
        "zip": Kind([packed], folder / "a.zip", lambda path: unzip(path, folder / "unpacked")),
    }


def picture_kinds(folder: Path) -> dict:
    rng = np.random.default_rng(1)
    image, mask = rng.integers(0, 256, (9, 11, 3), np.uint8), rng.integers(0, 3, (9, 11), np.uint8)
    pictures = [encoded(image, kind) for kind in ("jpeg", "png", "tiff", "webp", "bmp")]
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures.append(encoded(image, "jpeg", exif=exif))
    pictures.append(cv2.imencode(".png", image.astype(np.uint16) * 257)[1].tobytes())
    masks = [encoded(mask, kind) for kind in ("png", "tiff", "bmp", "gif")]
    masks.append(cv2.imencode(".png", mask.astype(np.uint16))[1].tobytes())
    (folder / "good.png").write_bytes(pictures[1])
    (folder / "goodm.png").write_bytes(masks[0])
    levels = 0, 127, 254
    coloured = rng.choice(levels, (9, 11, 3)).astype(np.uint8)
    colours = [*itertools.product(levels, repeat=3), *((n, n, n) for n in range(256))]
    table = LabelMap({}, dict.fromkeys(colours, 1), [])
    labels = Labels(3, 255, ())
    return {
        "picture": Kind(pictures, folder / "p.png", lambda path: read_pair(
            folder, Pair(path.name, "goodm.png"), labels)),
        "mask": Kind(masks, folder / "q.png", lambda path: read_pair(folder, Pair("good.png", path.name), labels)),
        "mask of numbers": Kind(masks, folder / "n.png", lambda path: class_map(read_bytes(path), path, None)),
        "mask of colours": Kind([encoded(coloured, "png"), encoded(coloured, "bmp"), *masks], folder / "k.png",
                                lambda path: class_map(read_bytes(path), path, table)),
    }


def annotation_kinds(folder: Path) -> dict:
    places = {name: folder / name for name in ("labelme", "coco", "cvat", "cvat masks")}
    for place in places.values():
        place.mkdir()
    labelme(places["labelme"], shape(), shape("dog", SQUARE[:2], "rectangle"), shape("dog", SQUARE[:2], "circle"))
    file = coco(places["coco"], {"segmentation": [[1, 1, 9, 1, 9, 9]]}, {"segmentation": {"size": [40, 60], "counts": [
        1200, 9, 1191]}, "iscrowd": 1})
    cvat(places["cvat"], '<polygon label="cat" points="1,1;9,1;9,9"/><mask label="dog" rle="1, 3" left="2" top="3" '
         'width="2" height="2"/>')
    cvat_masks(places["cvat masks"], np.zeros((40, 60, 3), np.uint8))
    paths = {"labelme": places["labelme"] / "a.json", "coco": file, "cvat": places["cvat"] / "annotations.xml",
             "cvat masks": places["cvat masks"] / "labelmap.txt"}
    reads = {name: (lambda path, place=places[name]: drawn(place)) for name in paths}
    reads["coco"] = drawn
    return {name: Kind([path.read_bytes()], path, reads[name]) for name, path in paths.items()}


class Hang(BaseException):
    """A file took too long. No Exception, so that nobody catches it."""


def hang(*_):
    raise Hang


def verdict(kind: Kind) -> str:
    """What reading did: "read", "refused", or what is wrong about it."""
    said, outcome = io.StringIO(), "read"
    try:
        signal.setitimer(signal.ITIMER_REAL, HANG)
        faulthandler.dump_traceback_later(2 * HANG, exit=True)    # for code that lets no signal through
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            kind.read(kind.path)
    except (InputError, RunError) as error:
        outcome = "refused"
        if not str(error).isprintable() or len(str(error)) > LONGEST:
            return f"not one line: {str(error)[:200]!r}"
    except Hang:
        return f"hang of {HANG} s"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]!r} {where(error)}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
    odd = [line for line in said.getvalue().split("\n") if not line.isprintable() or len(line) > LONGEST]
    return f"prints {odd[0][:200]!r}" if odd else outcome


def where(error: Exception) -> str:
    """The last line of this project's in the traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/src/" in frame.filename]
    return f"at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def fuzz(count: int, seconds: float = float("inf"), seed: int = 1) -> tuple:
    """(problems as lines, Counter of what happened) of `count` mutations, or as many as the seconds allow."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.enable()
    cv2.setLogLevel(0)
    limit_pixels(PIXELS)
    signal.signal(signal.SIGALRM, hang)
    problems, happened, end = [], Counter(), time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz ") as name:
        folder = Path(name)
        kinds = {**weight_kinds(folder), **text_kinds(folder), **picture_kinds(folder), **annotation_kinds(folder)}
        for title, kind in kinds.items():    # a good file is read, or all that follows says nothing
            kind.path.write_bytes(kind.seeds[0])
            found = verdict(kind)
            if found != "read" and title != "sha256":
                problems.append(f"{title}: a good file: {found}")
        for number in range(count):
            if time.monotonic() > end:
                break
            title, kind = list(kinds.items())[number % len(kinds)]
            rng = random.Random(f"{seed} {number}")
            kind.path.write_bytes(mutate(rng.choice(kind.seeds), kind.seeds, rng))
            found = verdict(kind)
            happened[found if found in ("read", "refused") else "problem"] += 1
            if found not in ("read", "refused"):
                problems.append(f"{title} {number}: {found}")
    return problems, happened


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found, happened = fuzz(options.count, options.seconds, options.seed)
    print("\n".join(found))
    print(f"{sum(happened.values())} mutations: " + ", ".join(f"{count} {what}" for what, count in happened.items()))
    sys.exit(bool(found))
