"""Untrusted YAML, JSON, metadata and archives: limited in size, checked like options, refused in one line."""
import json
import os
import sys

import pytest

from src import modelarts
from src.config import own_options, parse_args, read_recipe
from src.console import InputError
from src.data.dataset_yaml import FILE, read_facts
from src.foreign import Unreadable, load_json, load_yaml, printable, read_bounded, shown
from src.models import onnx_file
from src.weights import metadata
from tests.conftest import ROOT, no_hang
from tests.foreign import archive, onnx


def bomb():
    """Nine levels of ten aliases each."""
    lines = ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"{new}: &{new} [{', '.join(['*' + old] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi")]
    return "\n".join(lines)


HOSTILE_YAML = {
    "alias bomb": (bomb(), "no YAML aliases"), "one alias": ("a: &a x\nb: *a\n", "no YAML aliases"),
    "deep": ("model: " + "[" * 20000 + "]" * 20000, "nothing nested deeper"), "date": ("model: 2001-99-99", "month"),
    "tag of a number": ("crop_size: !!int abc", "abc"), "empty tag": ("crop_size: !!int ''", ""),
    "no truth": ("flip: !!bool x", "x"), "no date": ("model: !!timestamp x", ""),
    "long number": ("crop_size: " + "9" * 6000, "6000 characters"),
    "hexadecimal": ("crop_size: 0x" + "f" * 4000, "large"),
    "base 60": ("crop_size: 1" + ":1" * 100_000, "200001 characters"), "NaN": ("base_lr: .nan", "finite"),
    "infinity": ("image_mean: [.inf, 1, 1]", "finite"), "large": ("crop_size: 2000000001", "<= 8193"),
    "twice": ("crop_size: 65\ncrop_size: 33\n", "occurs twice"), "code": ("a: !!python/object:os.x {}", "line 1"),
    "NUL": ('data_root: "a\\0b"', "NUL"), "larger": ("#" * (1 << 20) + "\na: 1", "larger than 1 MB"),
    "escapes": ('"\\e[31mred": 1', "unknown key ?[31mred"), "long key": ("k" * 900 + ": 1", "k..."),
    "bytes": ("data_root: !!binary aGk=", "takes str"), "set": ("data_root: !!set {a, b}", "takes str"),
}


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_hostile_yaml_is_one_line_at_once(tmp_path, kind):
    text, part = HOSTILE_YAML[kind]
    for name, read in (("recipe.yaml", lambda path: read_recipe(path, own_options("train"))), (FILE, read_facts)):
        (tmp_path / name).write_text(text)
        with no_hang(), pytest.raises(InputError) as error:
            read(tmp_path / name)
        assert str(error.value).isprintable() and len(str(error.value)) < 600 and name in str(error.value)
        assert part in str(error.value) or name == FILE


def test_without_libyaml_the_same_is_refused(monkeypatch):
    import yaml
    monkeypatch.setattr("src.foreign.LOADER", yaml.SafeLoader)
    assert load_yaml("a: [1, 2]\nb: x\n") == {"a": [1, 2], "b": "x"} and load_yaml("") is None
    for text in (bomb(), "a: " + "[" * 20000, "a: !!int x", "a: 1\na: 2", "a: 2001-99-99"):
        with pytest.raises(Unreadable):
            load_yaml(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 9 + "]" * 9, '{"a": 1, "a": 2}',
                                  "9" * 5000, '"' + "x" * (1 << 20) + '"', b"\xff", "{", "nul"])
def test_hostile_json(text):
    with pytest.raises(Unreadable) as error:
        load_json(text)
    assert str(error.value).isprintable() and len(str(error.value)) < 200


def test_nan_in_json_is_none():
    assert load_json('[NaN, -Infinity, 1e999, 1.5, 7]') == [None, None, None, 1.5, 7]


def test_what_is_printed_is_short_and_on_one_line():
    assert printable("a\x1b[31m\nb\u202e\u2028") == "a?[31m?b??" and printable("ä 图") == "ä 图"
    assert printable("x" * 100) == "x" * 60 + "..."
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert len(shown(deep)) < 80 and shown(16 ** 5000).endswith("too large to print")


def test_a_pipe_in_place_of_a_file_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(Unreadable, match="not a regular file"):
        read_bounded(tmp_path / "a.yaml")
    for path in (tmp_path / "a.yaml", "/dev/zero"):
        with pytest.raises(InputError, match="not a regular file"):
            read_recipe(path, own_options("train"))


HOSTILE_FACTS = {
    "class_names": ["5", "[1, 2, 3]", '{"a": 1, "b": 2}', "[null, null]", '["a", "a"]', '"ab"', '["a", "b\\u001b"]',
                    json.dumps(["n" * 20000] * 3), json.dumps(["n"] * 200_000), '["a", "\\u202eb"]', '["a", ""]'],
    "mean": ["abc", "[1.0]", "[NaN, NaN, NaN]", "[1, 2, 1e999]", "[" * 100_000, "9" * 5000, '["1", "2", "3"]',
             "[1, 2, 1e30]"],
    "std": ["[0, 1, 1]", "[-1, 1, 1]", "[1e-300, 1, 1]"],
    "crop_size": ["2000000000", "65.0", "true", "1", "[65]", "null", ""],
    "network": ["\x1b[31mRED\nerror: b", "5", "[]"],
    "atrous_rates": ["[0, 1, 2]", "[]", json.dumps([6] * 100_000), "6"],
    "num_classes": ["1", "256", "-3", "1e2", '"6"'], "ignore_label": ["256", "-1"],
}


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in HOSTILE_FACTS.items() for text in texts],
                         ids=lambda text: text[:20])
def test_metadata_are_checked_like_options(tmp_path, name, text, capfd):
    (tmp_path / "a.onnx").write_bytes(onnx((name.encode(), text.encode()), (b"recipe", b'{"base_lr": 1}'),
                                          (b"names", b"{0: 'a'}")))    # of another program
    with no_hang():
        texts = metadata.from_texts(onnx_file.read_metadata(tmp_path / "a.onnx", ""))
        facts = metadata.checked(texts, tmp_path / "a.onnx", metadata.OPTIONS.get(name, ()))
    assert facts == {"recipe": {"base_lr": 1}, "names": "{0: 'a'}"}
    line = capfd.readouterr().err.rstrip("\n")
    if name in metadata.OPTIONS:
        with pytest.raises(InputError, match=f"says {name} is .*, which cannot be used; give --") as error:
            metadata.checked(texts, tmp_path / "a.onnx")
        line = str(error.value)
    assert f"says {name} is" in line and line.isprintable() and len(line) < 400


def test_the_amount_of_metadata_is_bounded(tmp_path):
    for data in (onnx((b"a", b"x" * (2 << 20))), onnx((b"n" * 201, b"")), onnx((b"\n", b"")),
                 b"\x08\x08" + b"\x18\0" * (1 << 17)):
        (tmp_path / "a.onnx").write_bytes(data)
        with pytest.raises(InputError, match="is not a complete ONNX file"):
            onnx_file.read_metadata(tmp_path / "a.onnx", "--model")
    kept = metadata.checked({f"n{number}": 1 for number in range(5000)} | {"a\n": 1}, "x")
    assert len(kept) == 100 and "a\n" not in kept


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("JOB_ID", "../../victim")
    return tmp_path


def test_the_lock_of_modelarts_lies_in_a_private_folder(temporary):
    with modelarts.one_at_a_time():
        pass
    folder = modelarts.private_folder()
    assert folder.stat().st_mode & 0o777 == 0o700 and [path.parent for path in folder.iterdir()] == [folder]
    victim = temporary / "victim"
    victim.write_text("the user's")
    for path in folder.iterdir():
        path.unlink()
        path.symlink_to(victim)
    with pytest.raises(InputError, match="cannot be opened"), modelarts.one_at_a_time():
        pass
    assert victim.read_text() == "the user's"


@pytest.mark.parametrize("make", [lambda path: path.write_text(""), lambda path: path.symlink_to("/tmp"),
                                  lambda path: path.mkdir() or path.chmod(0o777)], ids=["file", "link", "open to all"])
def test_a_folder_that_somebody_else_made_is_refused(temporary, make):
    make(temporary / f"deeplab_v3_modelarts_{os.getuid()}.d")
    with pytest.raises(InputError, match="not this user's private folder"), modelarts.one_at_a_time():
        pass


def test_archives_are_bounded_and_every_error_is_a_line(tmp_path, monkeypatch):
    large = archive(tmp_path / "b.zip", zeros=bytes(1 << 20))
    usage = modelarts.shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match="unpacks to 1048576 bytes, and .* has 1000 free; nothing was unpacked"):
        modelarts.unzip(large, tmp_path / "out")
    monkeypatch.undo()
    (tmp_path / "text.zip").write_bytes(b"PK no more")
    for path in (tmp_path / "text.zip", archive(tmp_path / "file.zip", **{"a": "x", "a/b": "y"}),
                 archive(tmp_path / "long.zip", **{"n" * 300: "x"})):
        with pytest.raises(InputError, match=f"{path.name}: cannot be unpacked"):
            modelarts.unzip(path, tmp_path / f"from {path.stem}")


def test_command_lines_are_bounded_too():
    for value in ("nan", "inf", "9" * 5000, "1e999"):
        with pytest.raises(InputError) as error:
            parse_args("train", "", ["--base_lr", value])
        assert len(str(error.value)) < 300


def test_a_short_fuzz(shell):
    """1000 mutations of `python -m tests.fuzz 10000`."""
    result = shell(sys.executable, "-m", "tests.fuzz", "1000", cwd=ROOT)
    assert result.code == 0 and "1000 mutations: " in result.out, result
