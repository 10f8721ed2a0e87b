"""Damaged and odd inputs for the C++ program: no crash, no hang, the right exit code, the same verdict as Python's.

`python -m tests.fuzz_infer_cpp PROGRAM MINDIR [COUNT [MODELS [FACTS]]]`, from the project's folder. The pictures go
through the program fifty at a time with --skip_bad; list files, models and the files beside them, one by one.
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from src.console import InputError
from src.data.labels import Labels
from src.data.lists import Pair, read_list
from src.data.masks import read_pair
from src.weights.metadata import beside, read_beside

CHUNK = 50
TIMEOUT = 60    # seconds for a run: a hang
CLASSES = 6
# AddressSanitizer stays quiet about leaks (the SDK's statics) and about the SDK's requests for absurd sizes.
SANITIZER = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def flip(data: bytes, rng) -> bytes:
    damaged = np.frombuffer(data, np.uint8).copy()
    for place in rng.integers(2, len(damaged), rng.integers(1, 6)):
        damaged[place] ^= 1 << rng.integers(8)
    return damaged.tobytes()


def flip_structure(data: bytes, rng) -> bytes:
    """Bits of names and around them: most of a model is weights, where a flip changes little."""
    damaged = bytearray(data)
    names = [found.span() for found in re.finditer(rb"[\x20-\x7e]{6,}", data)]
    for number in rng.integers(0, len(names), rng.integers(1, 4)):
        place = int(rng.integers(max(2, names[number][0] - 12), min(len(data), names[number][1] + 12)))
        damaged[place] ^= 1 << rng.integers(8)
    return bytes(damaged)


def truncate(data: bytes, rng) -> bytes:
    return data[:rng.integers(0, len(data))]


def cut_out(data: bytes, rng) -> bytes:
    first, last = sorted(rng.integers(0, len(data), 2))
    return data[:first] + data[last:]


def repeat(data: bytes, rng) -> bytes:
    first, last = sorted(rng.integers(0, len(data), 2))
    return data[:last] + data[first:]


def put_in(data: bytes, rng) -> bytes:
    pieces = (b'"', b"[", b"{", b"}", b"\\", b"\0", b"\xff", b"-", b".", b"null", b"1e999", b"\\ud800", b"\x1b[31m",
              b'{"a":' * 2000, b"[" * 50000, b"9" * 400, b"\n")
    place = rng.integers(len(data))
    return data[:place] + pieces[rng.integers(len(pieces))] + data[place:]


def damage(data: bytes, rng, kinds) -> bytes:
    return kinds[rng.integers(len(kinds))](data, rng)


def encode(extension: str, image: np.ndarray) -> bytes:
    return cv2.imencode(extension, image)[1].tobytes()


def make_sample(folder: Path, number: int, rng) -> Pair:
    """Write a picture and its mask, one of them perhaps damaged, under names with blanks and other alphabets."""
    shape = [(1, 1), (1, 4000), (4000, 1), tuple(rng.integers(2, 90, 2))][min(3, rng.integers(12))]
    image = cv2.GaussianBlur(rng.integers(0, 256, (*shape, 3), dtype=np.uint8), (3, 3), 0)
    picture, mask = encode(".jpg", image), encode(".png", rng.integers(0, CLASSES, shape, dtype=np.uint8))
    kind = rng.integers(9)
    if kind < 4:
        picture = (flip, flip, flip, truncate)[kind](picture, rng)
    elif kind < 7:
        picture = (encode(".png", image), b"", flip(encode(".png", image), rng))[kind - 4]
    elif kind == 7:
        mask = (flip, truncate)[rng.integers(2)](mask, rng)
    name = ("{}", "a blank {}", "snö 图片 {}")[rng.integers(3)].format(number)
    (folder / f"{name}.jpg").write_bytes(picture)
    (folder / f"{name}.png").write_bytes(mask)
    return Pair(f"{name}.jpg", f"{name}.png")


def is_good(folder: Path, pair: Pair) -> bool:
    try:
        read_pair(folder, pair, Labels(CLASSES, 255, ()), strict=False)    # C++ sees no damage within a JPEG's scan
        return True
    except InputError:
        return False


def run(program, mindir, folder: Path, list_file: Path):
    command = [program, "--mindir_path", mindir, "--dataset_path", folder, "--image_list", list_file, "--device_type",
               "CPU", "--skip_bad", "--output_dir", folder / "out"]
    return subprocess.run(command, timeout=TIMEOUT, capture_output=True, text=True, errors="replace",
                          env={**os.environ, **SANITIZER, "GLOG_v": "4"})


def fuzz_pictures(program, mindir, folder: Path, count: int, rng) -> list:
    """Problems found with `count` pictures, as lines."""
    problems = []
    for first in range(0, count, CHUNK):
        pairs = [make_sample(folder, number, rng) for number in range(first, min(first + CHUNK, count))]
        list_file = folder / "list.txt"
        list_file.write_text("".join(f"{image}\t{mask}\n" for image, mask in pairs))
        done = run(program, mindir, folder, list_file)
        if done.returncode != 0 or "runtime error" in done.stderr:
            problems.append(f"pictures {first} to {first + len(pairs) - 1}: exit code {done.returncode} {done.stderr}")
            continue
        skipped = set(re.findall(r"^skipped: .*/([^/]*)\.(?:jpg|png): ", done.stdout, re.MULTILINE))
        for pair in pairs:
            if is_good(folder, pair) == (Path(pair.image).stem in skipped):
                problems.append(f"{pair.image}: Python reads it: {is_good(folder, pair)}, C++ does not agree")
    return problems


def fuzz_lists(program, mindir, folder: Path, count: int, rng) -> list:
    """Problems found with `count` list files of odd lines: exit code 2 where Python refuses the list, too."""
    good = make_sample(folder, 0, np.random.default_rng(12))
    line = f"{good.image}\t{good.mask}\n".encode()
    pieces = [b"\t", b" ", b"\n", b"\r\n", b"\0", b"\xff", b"a", b"\xc3", "ö".encode(), b"x" * 5000, b"../", b"\r",
              line]
    problems = []
    for _ in range(count):
        list_file = folder / "odd.txt"
        list_file.write_bytes(b"".join(pieces[i] for i in rng.integers(0, len(pieces), rng.integers(0, 9))))
        try:
            read_list(list_file)
            expected = (0, 1)    # 1: none of the files it names can be read
        except InputError:
            expected = (2,)
        done = run(program, mindir, folder, list_file)
        odd_nul = b"\0" in list_file.read_bytes()    # Python's list may hold a NUL, which no file name may
        if done.returncode not in expected and not (odd_nul and done.returncode == 2):
            problems.append(f"list {list_file.read_bytes()[:60]!r}: exit code {done.returncode}, not {expected}")
    return problems


def good_list(folder: Path) -> Path:
    """A list of one whole pair."""
    image = np.full((20, 30, 3), 99, np.uint8)
    (folder / "i.png").write_bytes(encode(".png", image))
    (folder / "m.png").write_bytes(encode(".png", image[:, :, 0] // 99))
    (folder / "good.txt").write_text("i.png m.png\n")
    return folder / "good.txt"


def one_line(done) -> bool:
    """Whether a run ended well, or in one line of its own without control characters."""
    text = done.stderr.removesuffix("\n")
    return done.returncode == 0 or (done.returncode in (1, 2) and text.startswith("error: ") and text.isprintable())


def fuzz_facts(program, mindir, count: int, seed: int = 1) -> list:
    """Problems found with `count` damaged files beside the model: each ends well, or in one line that names it; what
    Python refuses is refused."""
    rng, problems, whole = np.random.default_rng(seed), [], beside(mindir).read_bytes()
    with tempfile.TemporaryDirectory(prefix="fuzz ") as name:
        folder = Path(name)
        model, list_file = folder / "model.mindir", good_list(folder)
        model.symlink_to(Path(mindir).absolute())
        for number in range(count):
            beside(model).write_bytes(damage(whole, rng, (flip, truncate, cut_out, repeat, put_in)))
            done = run(program, model, folder, list_file)
            named = done.returncode == 0 or str(beside(model)) in done.stderr
            if not one_line(done) or not named:
                problems.append(f"facts {number}: exit code {done.returncode} {done.stderr[-2000:]}")
            elif done.returncode == 0 and not can_be_read(model):
                problems.append(f"facts {number}: Python refuses them: {beside(model).read_bytes()!r}")
    return problems


def can_be_read(model) -> bool:
    try:
        read_beside(model)
        return True
    except InputError:
        return False


def ended_in_sdk(done) -> bool:
    """Whether a crash was in MindSpore Lite: by AddressSanitizer's report; without one, any signal counts as that."""
    frames = re.findall(r"^ *#\d+ .*", done.stderr, re.MULTILINE)
    return any("libmindspore" in frame for frame in frames[:4]) if frames else done.returncode < 0


def fuzz_models(program, mindir, count: int, seed: int = 1) -> tuple:
    """(problems of this program, ends of the SDK) with `count` damaged models.

    The SDK reads the file before this program sees any of it, and ends the process on some.
    """
    rng, problems, in_sdk, whole = np.random.default_rng(seed), [], [], Path(mindir).read_bytes()
    with tempfile.TemporaryDirectory(prefix="fuzz ") as name:
        folder = Path(name)
        model, list_file = folder / "model.mindir", good_list(folder)
        for number in range(count):
            model.write_bytes(damage(whole, rng, (flip, flip_structure, flip_structure, truncate, cut_out, repeat)))
            try:
                done = run(program, model, folder, list_file)
            except subprocess.TimeoutExpired:
                in_sdk.append(f"model {number}: no end in {TIMEOUT} s")
                continue
            if one_line(done):
                continue
            (in_sdk if ended_in_sdk(done) else problems).append(
                f"model {number}: exit code {done.returncode} {done.stderr[-2000:]}")
    return problems, in_sdk


def fuzz(program, mindir, count: int, seed: int = 1) -> list:
    """Problems found with `count` inputs, one in ten a list file; empty where all is well."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="fuzz ") as name:
        lists = count // 10
        return (fuzz_pictures(program, mindir, Path(name), count - lists, rng)
                + fuzz_lists(program, mindir, Path(name), lists, rng))


def main(program, mindir, *counts) -> bool:
    inputs, models, facts = [*map(int, counts), *(1000, 200, 200)[len(counts):]]
    found = fuzz(program, mindir, inputs) + fuzz_facts(program, mindir, facts)
    more, in_sdk = fuzz_models(program, mindir, models)
    found += more
    print("\n".join(found + in_sdk))
    print(f"{inputs} pictures and lists, {facts} files of facts, {models} models: {len(found)} problems of this "
          f"program; {len(in_sdk)} models ended within the SDK")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
