"""Damaged and odd inputs for the C++ program: no crash, no hang, the right exit code, the same verdict as Python's.

`python -m tests.fuzz_infer_cpp PROGRAM MINDIR [COUNT]`, from the project's folder. The pictures go through the program
fifty at a time with --skip_bad; list files, which end a run, one by one.
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
from src.data.pictures import read_pair

CHUNK = 50
TIMEOUT = 60    # seconds for a run: a hang
CLASSES = 6


def flip(data: bytes, rng) -> bytes:
    damaged = np.frombuffer(data, np.uint8).copy()
    for place in rng.integers(2, len(damaged), rng.integers(1, 6)):
        damaged[place] ^= 1 << rng.integers(8)
    return damaged.tobytes()


def truncate(data: bytes, rng) -> bytes:
    return data[:rng.integers(0, len(data))]


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
        read_pair(folder, pair, Labels(CLASSES, 255, ()))
        return True
    except InputError:
        return False


def run(program, mindir, folder: Path, list_file: Path):
    return subprocess.run([program, "--mindir_path", mindir, "--dataset_path", folder, "--image_list", list_file,
                           "--device_type", "CPU", "--skip_bad", "--output_dir", folder / "out"], timeout=TIMEOUT,
                          capture_output=True, text=True, env={**os.environ, "GLOG_v": "4"})


def fuzz_pictures(program, mindir, folder: Path, count: int, rng) -> list:
    """Problems found with `count` pictures, as lines."""
    problems = []
    for first in range(0, count, CHUNK):
        pairs = [make_sample(folder, number, rng) for number in range(first, min(first + CHUNK, count))]
        list_file = folder / "list.txt"
        list_file.write_text("".join(f"{image}\t{mask}\n" for image, mask in pairs))
        done = run(program, mindir, folder, list_file)
        if done.returncode != 0:
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


def fuzz(program, mindir, count: int, seed: int = 1) -> list:
    """Problems found with `count` inputs, one in ten a list file; empty where all is well."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="fuzz ") as name:
        lists = count // 10
        return (fuzz_pictures(program, mindir, Path(name), count - lists, rng)
                + fuzz_lists(program, mindir, Path(name), lists, rng))


if __name__ == "__main__":
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    found = fuzz(sys.argv[1], sys.argv[2], count)
    print("\n".join(found) or f"{count} inputs, no problem")
    sys.exit(bool(found))
