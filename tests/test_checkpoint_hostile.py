"""Damaged and crafted files: one line with the error, no traceback, no crash, no long wait."""
import json

import numpy as np
import pytest

import eval as evaluation
from src.console import InputError
from src.models.model import open_model
from src.models.model_file import read_model_file
from src.nets.architecture import architecture
from src.weights import checkpoint
from src.weights.kinds import kind_of
from src.weights.loading import network_of, open_checkpoint
from src.weights.metadata import OPTIONS, beside
from src.weights.protobuf import as_varint, field
from tests.conftest import no_hang
from tests.foreign import safetensors, value
from tests.fuzz_infer_cpp import cut_out, damage, flip_structure, repeat, truncate
from tests.golden import golden_weights

NAME = "deeplab_v3_tiny_s16"
CONTENT = np.arange(6, dtype=np.float32).tobytes()


def entry(name=b"a", dims=(2, 3), kind=b"Float32", content=CONTENT):
    return value(name, content, dims, kind)


def refused(path, data):
    """The error for a file of these bytes; it must be one line with the file's name, without a long wait."""
    path.write_bytes(data)
    with no_hang(), pytest.raises(InputError) as caught:
        checkpoint.read(path, f"--ckpt_path {path}")
    said = str(caught.value)
    assert said.startswith(f"--ckpt_path {path}: ") and said.isprintable() and len(said) < 600, said
    return said.removeprefix(f"--ckpt_path {path}: ")


def test_a_complete_entry_is_read(tmp_path):
    """The other entries differ from it in one point."""
    (tmp_path / "a.ckpt").write_bytes(entry())
    assert checkpoint.read(tmp_path / "a.ckpt", "").arrays["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("data, part", [
    (entry(dims=(2, 4)), "'a' holds 24 bytes for shape (2, 4) of Float32"),
    (entry(dims=()), "'a' holds 24 bytes for shape () of Float32"),
    (entry(dims=(0, 3)), "for shape (0, 3)"), (entry(dims=((1 << 64) - 2, (1 << 64) - 3)), "'a' holds 24 bytes"),
    (entry(dims=(1 << 40, 1 << 40)), "'a' holds 24 bytes"), (entry(dims=(1 << 63,)), "'a' holds 24 bytes"),
    (entry(dims=(1 << 62, 1 << 62, 4)), "'a' holds 24 bytes"),
    (entry(dims=(1 << 32, 1 << 32), content=b""), "'a' holds 0 bytes"),
    (entry(dims=(1,) * 17), "more than 16 dimensions"), (value(b"a") * (1 << 17), "more than 65536"),
    (value(b"a", dims=(1 << 17,)) * (1 << 17), "more than 65536"),    # parts of one tensor
    (value(b"a", more=b"\x28\0" * 500_000), "more than 64 fields"),
    (field(1, field(1, b"a") + field(2, field(1, as_varint(2) * 99999) + field(2, b"Float32"))), "more than 16"),
    (entry(kind=b"Float8"), "'a' is of the unknown type 'Float8'"), (entry(kind=b""), "an entry has no name or type"),
    (entry(kind=b"\xff\xfe"), "is not text"), (entry(name=b"\xff\xfe"), "a name is not text"),
    (entry(name=b"\x1b[31m"), "not text"), (entry(name=b"a\nerror: b"), "not text"),
    (entry(name=b"x" * 301), "longer than 300"), (entry(kind=b"F" * 301), "longer than 300"),
    (entry(name=b""), "an entry has no name or type"),
    (entry() + entry(b"b") + entry(), "'a' occurs twice"),
    (entry() + entry(dims=(3, 2)), "the parts of 'a' differ"),
    (entry() + entry(kind=b"Int32"), "the parts of 'a' differ"),
    (entry() + entry(), "'a' holds 48 bytes for shape (2, 3)"),
    (entry(kind=b"str", content=b"abc"), "'a' is not text"),
    (entry(kind=b"str", content=bytes(2 << 20)), "'a' is a text of more than"),
    (field(1, field(1, b"a") + field(3, b"")), "'a' is not a tensor"),
    (field(1, field(1, b"a") + b"\x10\7"), "'a' is not a tensor"),
    (b"\x0a\xff\xff\xff\x7f" + entry()[2:], "are announced at byte"),
    (entry() + b"\x0a" + b"\xff" * 9 + b"\x7f", "are announced at byte"),
    (entry() + b"\x0a" + b"\xff" * 12, "a number of more than ten bytes"),
    (entry() + b"\x0b", "wire type 3"),
    (entry() + b"\x08\5", "not an entry"), (entry() + field(9, b"x"), "not an entry"),
    (entry(checkpoint.FACTS.encode(), (3,), b"UInt8", b"{a}"), "is not JSON"),
    (entry(checkpoint.FACTS.encode(), (2,), b"UInt8", b"[]"), "is not in train.py's form"),
    (entry(checkpoint.FACTS.encode(), (3,), b"UInt8", b"\xff{}"), "is not JSON"),
    (entry(checkpoint.FACTS.encode(), (200000,), b"UInt8", b'{"a":' * 40000), "is nested too deeply"),
    (entry() + checkpoint.CRC + bytes(10), "its checksum differs"),
    (b"", "is empty"), (b"\x0a", "is not a MindSpore checkpoint"), (b"text\n" * 99, "is not a MindSpore checkpoint"),
    (b"\x08\x09\x12\x07pytorch", "an exported network; eval_onnx.py"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_each_wrong_field_is_one_line(data, part, tmp_path):
    said = refused(tmp_path / "a.ckpt", data)
    assert part in said, said


def test_a_file_that_ends_anywhere_is_refused(tmp_path):
    data = entry() + entry(b"b", (3,), content=CONTENT[:12])
    ends = [len(entry())]    # a file may end between two entries: nothing says how many there are
    for end in range(1, len(data)):
        if end not in ends:
            refused(tmp_path / "a.ckpt", data[:end])


def test_other_kinds_of_files_are_named(exported, tmp_path):
    with pytest.raises(InputError, match="a: no such file"):
        checkpoint.read(tmp_path / "a", "a")
    with pytest.raises(InputError, match="is a folder, not a file"):
        checkpoint.read(tmp_path, "a")
    contents = ((exported().read_bytes(), "onnx", "eval_onnx.py"),
                (b"\x0a\x053.0.0\x12\x09MindSpore", "mindir", "predict.py"), (b"PK\x03\x04", "torch", "convert"),
                (b"\x80\2", "torch", "convert"), (safetensors({}), "safetensors", "convert"))
    for data, kind, way_out in contents:
        assert way_out in refused(tmp_path / "a.ckpt", data)
        assert kind_of(tmp_path / "a.ckpt", "") == kind, "the kind does not depend on the name"


@pytest.fixture
def whole(tmp_path):
    """A checkpoint of the tiny network with every fact."""
    facts = {"network": NAME, "num_classes": 6, "class_names": list("abcdef"), "crop_size": 65, "mean": [1, 2, 3],
             "std": [4, 5, 6], "atrous_rates": [6, 12, 18], "ignore_label": 255, "channel_order": "BGR"}
    checkpoint.write(golden_weights(architecture(NAME, 6)), tmp_path / "whole.ckpt", facts)
    return tmp_path / "whole.ckpt"


@pytest.mark.filterwarnings("ignore:overflow")
def test_damage_anywhere_is_refused_or_harmless(whole, tmp_path):
    """200 mutations: an InputError or the network; never another exception or a long wait."""
    data, rng, outcomes = whole.read_bytes(), np.random.default_rng(1), []
    for count in range(200):
        path = tmp_path / f"{count % 2}.ckpt"
        path.write_bytes(damage(data, rng, (flip_structure, truncate, cut_out, repeat)))
        try:
            with no_hang():
                read_model_file(path, "--ckpt_path")
                outcomes.append(len(network_of(open_checkpoint(path, path), NAME, (6, 12, 18))[1]))
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
            outcomes.append(0)
    assert outcomes.count(0) > 100 and set(outcomes) == {0, len(architecture(NAME).shapes())}


ALL = sum(OPTIONS.values(), ())    # as if every option was given


@pytest.mark.parametrize("facts, kept", [
    ({"mean": [1, 2, 10 ** 400], "std": "abc", "atrous_rates": [[6], 12, 18], "crop_size": 10 ** 30}, {}),
    ({"class_names": ["a", "b"], "num_classes": 2}, {}),    # the weights have six
    ({"class_names": list("abcdef"), "crop_size": 65}, {"class_names": list("abcdef"), "crop_size": 65}),
    ({"recipe": {"a": [{}]}, "unheard of": [1]}, {"recipe": {"a": [{}]}, "unheard of": [1]}),    # silently
])
def test_facts_of_wrong_types_are_left_out_with_a_warning(facts, kept, tmp_path, capsys):
    checkpoint.write(golden_weights(architecture(NAME, 6)), tmp_path / "net.ckpt", facts)
    with no_hang():
        assert read_model_file(tmp_path / "net.ckpt", "--ckpt_path", ALL).facts == kept | {"num_classes": 6}
    said = capsys.readouterr().err
    assert all(line.startswith("warning: ") and line.isprintable() and len(line) < 400 for line in said.splitlines())
    silent = {*kept, "unheard of"} | ({"num_classes", "class_names"} if facts.get("num_classes") == 2 else set())
    assert len(said.splitlines()) == len(facts.keys() - silent), "one line for each"


def test_a_crafted_file_reaches_nobody_through_the_program(whole, run, drawn, tmp_path):
    """The door itself: one line and exit code 2; a crop that no machine has the memory for, too."""
    options = ["--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--result_file", tmp_path / "r.json"]
    weights = golden_weights(architecture(NAME, 6))
    for name, data in (("dims", entry(b"network.aspp.aspp1.x", (9,))), ("cut", whole.read_bytes()[:-9])):
        (tmp_path / f"{name}.ckpt").write_bytes(data)
        result = run(evaluation.main, *options, "--ckpt_path", tmp_path / f"{name}.ckpt")
        assert result.code == 2 and result.err.count("\n") == 1, result
    checkpoint.write(weights, tmp_path / "huge.ckpt", {"network": NAME, "crop_size": 60000})
    result = run(evaluation.main, *options, "--ckpt_path", tmp_path / "huge.ckpt")
    said = "says crop_size is 60000, which cannot be used; give --crop_size or --input_size\n"
    assert result.code == 2 and result.err.endswith(said) and result.err.count("\n") == 1, result
    result = run(evaluation.main, *options, "--ckpt_path", tmp_path / "huge.ckpt", "--crop_size", 65)
    assert result.code == 0 and "says crop_size is 60000, which cannot be used and is left out" in result.err, result
    (tmp_path / "r.json").unlink()
    weights["network.aspp.conv2.bias"][0] = np.nan
    checkpoint.write(weights, tmp_path / "nan.ckpt", {"network": NAME})
    result = run(evaluation.main, *options, "--ckpt_path", tmp_path / "nan.ckpt")
    assert result.code == 2 and "network.aspp.conv2.bias holds NaN" in result.err, result
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", '"a"', "NaN", "[" * 99999, "\xff",
                                  '{"a": 1' + "0" * (1 << 20) + "}"], ids=range(8))
def test_invalid_facts_beside_a_mindir(text, tmp_path):
    path = tmp_path / "a.mindir"
    path.write_bytes(b"\x0a\x05MindSpore")
    beside(path).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="a.mindir.json: .*export.py writes it beside the MINDIR") as caught:
        read_model_file(path, "--model")
    assert "\n" not in str(caught.value)
    beside(path).write_text(json.dumps({"crop_size": 65}))
    assert read_model_file(path, "--model").facts == {"crop_size": 65}


def test_damaged_metadata_of_an_onnx_file(exported, tmp_path):
    (tmp_path / "number.onnx").write_bytes(exported().read_bytes() + b"\x70\5")
    with pytest.raises(InputError, match="number.onnx: is not a complete ONNX file"):
        read_model_file(tmp_path / "number.onnx", "--model")
    with pytest.raises(InputError, match=f"^{tmp_path}/number.onnx: "):    # without an option, no blank before it
        open_model(tmp_path / "number.onnx")
