"""Untrusted weight files and models: their sizes, SHA-256 and numbers are checked."""
import json
import zipfile

import numpy as np
import pytest

import convert_resnet101
import export
import predict
from src.console import InputError, RunError
from src.models import mindir_file, onnx_file
from src.models.model import open_model
from src.models.model_file import ModelFile
from src.nets.architecture import architecture
from src.weights import checkpoint, formats, manifest, protobuf
from src.weights.kinds import kind_of
from src.weights.loading import network_of, open_checkpoint
from src.weights.protobuf import field
from tests.foreign import mindir, onnx, safetensors, tensor, value
from tests.foreign import safetensors_entry as entry

TINY = "deeplab_v3_tiny_s16"


def test_scalars_of_bfloat16_are_read(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(value(b"a", b"\x80\x3f", (0,), b"BFloat16"))
    assert checkpoint.read(tmp_path / "a.ckpt", "").arrays["a"] == np.float32(1)


@pytest.fixture
def network(tmp_path):
    """make(name, **changes) -> a checkpoint of the tiny network of 3 classes; a change fills an array with a value."""
    rng = np.random.default_rng(0)
    shapes = architecture(TINY, 3).shapes()

    def make(name=f"{TINY}.ckpt", **changes):
        arrays = {key: np.float32(0.1 * rng.standard_normal(shape)) for key, shape in shapes.items()}
        for key in arrays:
            if key.endswith("moving_variance"):
                arrays[key] = np.ones_like(arrays[key])
        for key, filler in changes.items():
            key = key.replace("__", ".")
            arrays[key] = np.full_like(arrays[key], filler) if np.isscalar(filler) else filler
        checkpoint.write(arrays, tmp_path / name)
        return tmp_path / name
    return make


@pytest.fixture
def picture(tmp_path):
    import cv2
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 50, 3), np.uint8))
    return tmp_path / "a.png"


def through(path, *more):
    return [path, "--device_target", "CPU", *more]


WEIGHT = "network__aspp__conv2__weight"


def test_nan_weights_are_refused_by_every_program(network, picture, run, tmp_path):
    path = network(**{WEIGHT: np.nan})
    calls = [(predict.main, picture, "--model", *through(path, "--crop_size", 65, "--output_dir", tmp_path / "o")),
             (export.main, "--ckpt_file", *through(path, "--file_format", "ONNX", "--file_name", tmp_path / "x")),
             (convert_resnet101.main, "--src", path, "--dst", tmp_path / "y.ckpt", "--model", TINY)]
    for call in calls:
        refused = run(*call)
        assert refused.code == 2 and "network.aspp.conv2.weight holds NaN or infinity" in refused.err, refused
        assert "--allow_nonfinite" in refused.err and refused.err.count("\n") == 1
        assert run(*call, "--allow_nonfinite").code == 0
    refused = run(predict.main, picture, "--model", *through(tmp_path / "x.onnx", "--crop_size", 65))
    assert refused.code == 1 and "computes NaN or infinity" in refused.err, "the exported file says nothing of itself"


@pytest.mark.parametrize("changes, part", [
    ({"network__resnet__bn1__moving_variance": -1.0}, "without BatchNorm: network.resnet.conv1.weight holds NaN"),
    ({WEIGHT: np.full((3, 16, 1, 1), 1e300)}, "conv2.weight holds NaN or infinity"),
    ({WEIGHT: np.ones((3, 16, 1, 1), np.int32)}, "holds int32, not floating-point")])
def test_weights_that_become_nan_by_folding(network, changes, part):
    shape = architecture(TINY, 3).shapes()["network.aspp.conv2.weight"]
    changes = {key: found if np.isscalar(found) else np.resize(found, shape) for key, found in changes.items()}
    with pytest.raises(InputError, match=part):
        open_model(network(**changes), device="CPU")


def test_a_sha256_beside_a_file_is_compared(network, tmp_path, run):
    path = network(f"{TINY}-1_2.ckpt")
    beside, right = tmp_path / f"{path.name}.sha256", checkpoint.digest(path)
    beside.write_text(f"{right}  {path.name}\n")
    assert open_model(path, device="CPU").num_classes == 3
    for text, part in (("0" * 64 + "  x", "has another SHA-256"), ("", "64 hexadecimal"), ("x" * 64, "64 hexadecimal")):
        beside.write_text(text)
        with pytest.raises(InputError, match=part):
            network_of(open_checkpoint(path, "--ckpt_path"), TINY, (6, 12, 18))
        assert run(convert_resnet101.main, "--src", path, "--dst", tmp_path / "b.ckpt", "--model", TINY).code == 2
    beside.unlink()
    entry = {"size": path.stat().st_size, "sha256": "0" * 64, "step": 2}
    (tmp_path / manifest.MANIFEST).write_text(json.dumps({path.name: entry}))
    with pytest.raises(InputError, match="has another SHA-256 .* than .*checkpoints.json"):
        open_model(path, device="CPU")
    (tmp_path / manifest.MANIFEST).write_text(json.dumps({path.name: {**entry, "sha256": right}}))
    assert open_model(path, device="CPU").num_classes == 3


def test_a_file_that_changes_is_hashed_again(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    first = checkpoint.digest(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"22")
    assert checkpoint.digest(tmp_path / "a") != first


GOOD = {"size": 4, "sha256": "0" * 64, "step": 2}


@pytest.mark.parametrize("entries", [
    {"../victim.ckpt": GOOD}, {"/victim.ckpt": GOOD}, {"a-1_2.ckpt/../../victim": GOOD}, {"victim.txt": GOOD},
    {".a-1_2.ckpt": GOOD}, {"a-1_2.ckpt\n": GOOD}, {"": GOOD}, {"a-1_2.ckpt": {}}, {"a-1_2.ckpt": [4]},
    {"a-1_2.ckpt": {**GOOD, "step": -1}}, {"a-1_2.ckpt": {**GOOD, "step": True}}, {"a-1_2.ckpt": {**GOOD, "size": "4"}},
    {"a-1_2.ckpt": {**GOOD, "step": 10 ** 30}}, {"a-1_2.ckpt": {**GOOD, "sha256": "x"}}, [1], "text", 3, None])
def test_checkpoints_json_names_nothing_but_checkpoints(tmp_path, entries):
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(entries))
    with pytest.raises(InputError, match=manifest.MANIFEST) as error:
        manifest.read_manifest(tmp_path)
    assert str(error.value).isprintable()


def test_a_list_that_names_other_files_deletes_nothing(tmp_path, trained, run, drawn):
    import shutil

    import train
    from tests.conftest import TINY as OPTIONS
    shutil.copytree(trained, tmp_path / "d")
    (tmp_path / "victim.txt").write_text("precious")
    entries = json.loads((tmp_path / "d" / manifest.MANIFEST).read_text())
    listed = {"../victim.txt": GOOD, str(tmp_path / "victim.txt"): GOOD, **entries}
    (tmp_path / "d" / manifest.MANIFEST).write_text(json.dumps(listed))
    result = run(train.main, *OPTIONS, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path / "d",
                 "--train_epochs", 2, "--resume", "auto", "--keep_checkpoint_max", 1)
    assert result.code == 2 and "'../victim.txt'" in result.err and result.err.count("\n") == 1
    assert (tmp_path / "victim.txt").read_text() == "precious"


@pytest.mark.parametrize("data", [
    safetensors({"a": entry(0, 8)}, bytes(8)), safetensors({"a": entry(0, 4)}),
    safetensors({"a": entry(0, 4)}, bytes(9)),
    safetensors({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4)), safetensors({"a": entry(4, 8)}, bytes(8)),
    safetensors({"a": entry(4, 0)}, bytes(8)), safetensors({"a": entry(0, 4, (1 << 31, 1 << 33))}, bytes(4)),
    safetensors({"a": entry(0, 4, (-1,))}, bytes(4)), safetensors({"a": entry(0, 4, (1.0,))}, bytes(4)),
    safetensors({"a": entry(0, 4, dtype=["F32"])}, bytes(4)), safetensors({"a": entry(0, 4, dtype="F8")}, bytes(4)),
    safetensors({"a\x1b": entry(0, 4)}, bytes(4)), safetensors({"a": 3}), safetensors(b"{}", bytes(4)),
    safetensors({"a": entry(0, 0, (0,))}),
    safetensors(b'{"a":%b,"a":%b}' % ((json.dumps(entry(0, 4)).encode(),) * 2), bytes(4)),
    safetensors({}, length=1 << 60), safetensors(b"{" + b"[" * 5000), b"\1\0\0\0\0\0\0\0{"])
def test_hostile_safetensors(tmp_path, data):
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.safetensors: is not a complete \.safetensors file") as error:
        formats.read_arrays(tmp_path / "a.safetensors", "a.safetensors")
    assert str(error.value).isprintable()


def test_safetensors_of_the_package_are_read_as_it_reads_them(tmp_path):
    from safetensors.numpy import load_file, save_file
    arrays = {"b": np.float32([[1, 2, 3]]), "a": np.float16([4, 5]), "n": np.array(7), "t": np.array([True, False])}
    save_file(arrays, tmp_path / "a.safetensors", {"format": "pt"})
    found = formats.read_arrays(tmp_path / "a.safetensors", "").arrays
    for name, expected in load_file(tmp_path / "a.safetensors").items():
        assert found[name].dtype == expected.dtype and np.array_equal(found[name], expected), name


def test_pytorch_files_that_unpack_to_more_than_their_size(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(1).half().expand(1 << 20, 1 << 10)}, tmp_path / "expanded.pth")
    torch.save({"a": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, \
            zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    torch.save({"a": torch.zeros(3).to_sparse()}, tmp_path / "sparse.pth")
    torch.save({3: torch.zeros(3)}, tmp_path / "number.pth")
    for name, part in (("expanded", "larger than the file"), ("packed", "larger than the file"),
                       ("sparse", "cannot be read"), ("number", "no state_dict")):
        with pytest.raises(InputError, match=part):
            formats.read_arrays(tmp_path / f"{name}.pth", "--src")


@pytest.mark.parametrize("place", [b"../secret", b"/etc/passwd", b"missing", b"..\\secret", b"C:\\x", b"link",
                                   b"a/../../x", b"folder", b"\x1b[31m"])
def test_onnx_files_open_nothing_outside_their_folder(tmp_path, place):
    (tmp_path / "secret").write_bytes(bytes(8))
    (tmp_path / "m/folder").mkdir(parents=True)
    (tmp_path / "m/link").symlink_to(tmp_path / "secret")
    constant = field(1, field(5, field(5, field(13, field(1, b"location") + field(2, place)))))
    branch = field(1, field(5, field(6, constant)))    # of an If
    for number, data in enumerate((onnx(places=[place]), b"\x08\x08" + field(7, branch))):
        path = tmp_path / f"m/{number}.onnx"
        path.write_bytes(data)
        with pytest.raises(InputError) as error:
            onnx_file.check_external_data(path, f"--model {path}")
        assert str(error.value).isprintable() and f"{number}.onnx" in str(error.value)


def test_weights_beside_an_onnx_file_are_read(tmp_path, exported):
    import onnx as package
    model = package.load(str(exported()))
    package.save(model, str(tmp_path / "a.onnx"), save_as_external_data=True, location="a.data", size_threshold=100)
    first, second = open_model(exported(), device="CPU"), open_model(tmp_path / "a.onnx", device="CPU")
    inputs = np.zeros((1, 3, 65, 65), np.float32)
    assert np.array_equal(first.predict(inputs), second.predict(inputs))
    (tmp_path / "a.data").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not a file in its folder"):
        open_model(tmp_path / "a.onnx", device="CPU")


@pytest.mark.parametrize("parameter", [
    tensor((4,), bytes(4)), tensor((1,), bytes(64)), tensor((1 << 40, 1 << 40), bytes(4)),
    tensor(((1 << 64) - 1,), bytes(4)),
    tensor((1,), bytes(4), kind=11), tensor((1,), bytes(4), kind=8), tensor((1,)), tensor((1,) * 17, bytes(4)),
    tensor((1,), bytes(4), more=field(12, field(1, b"/etc/passwd"))), tensor((1,), bytes(4), more=b"\x80\x01\x01"),
    tensor((1,), more=b"\x48\1")])
def test_hostile_mindirs(tmp_path, parameter):
    path = tmp_path / "a.mindir"
    path.write_bytes(mindir(tensor((2,), bytes(8))))
    mindir_file.check(path, "")
    assert mindir_file.read_signature(path, "") == ((1, 3, 65, 65), 6, False) and kind_of(path, "") == "mindir"
    path.write_bytes(mindir(tensor((2,), bytes(8)), parameter))
    with pytest.raises(InputError, match="a.mindir: is not a complete MINDIR"):
        mindir_file.check(path, "a.mindir")


def test_messages_within_messages_end():
    data = b""
    for _ in range(3000):
        data = field(5, field(6, field(1, data)))    # attribute, graph, node
    with pytest.raises(protobuf.Damaged, match="nested too deeply"):
        list(protobuf.walk(field(7, field(1, data)), onnx_file.WHERE_TENSORS_ARE))


def test_a_network_that_computes_something_else_is_named(tmp_path):
    """A file states (N, 6, S, S) but returns another shape."""
    from src.models.model import Loaded, assemble, defaults
    file = ModelFile(tmp_path / "a.onnx", "--model a.onnx", "onnx", {})
    loaded = Loaded(lambda batch: np.zeros((1, 6, 1, 1), np.float32), (None, 3, None, None), 6, False, "CPU")
    with pytest.raises(RunError, match=r"returns \(1, 6, 1, 1\) for an input of \(1, 3, 9, 9\)"):
        assemble(file, defaults(), "onnxruntime", loaded, False).predict(np.zeros((1, 3, 9, 9), np.float32))
    loaded = loaded._replace(run=lambda batch: np.reshape(batch, 5))    # an engine's own kind of error
    with pytest.raises(RunError, match=r"^.*/a.onnx: ONNX Runtime failed on an input of \(1, 3, 9, 9\): cannot resh"):
        assemble(file, defaults(), "onnxruntime", loaded, False).predict(np.zeros((1, 3, 9, 9), np.float32))
    for shape, classes in (((0, 3, 9, 9), 6), ((1, 3, 9, 9), 1), ((1, 3, 9, 9), 256), ((1, 3, 1 << 30, 1 << 30), 6)):
        with pytest.raises(InputError, match="is not a segmentation network"):
            assemble(file, defaults(), "onnxruntime", loaded._replace(shape=shape, num_classes=classes), False)
