"""Checkpoints of every kind are read and written without MindSpore, with the same result as MindSpore's."""
import mindspore as ms
import numpy as np
import pytest
from mindspore.train import serialization

from src.nets.architecture import architecture
from src.nets.net_factory import InferenceNetwork, create_network
from src.weights import checkpoint
from src.weights.protobuf import field
from tests.golden import golden_weights, save_checkpoint

NAME = "deeplab_v3_tiny_s16"
FACTS = {"network": NAME, "class_names": ["zelt", "ähre", "帐"], "mean": [1.5, 2, 3], "recipe": {"seed": 1}}


def plain(value):
    """An entry as a NumPy array; bfloat16 as float32, which holds its values exactly."""
    if isinstance(value, str):
        return value
    return (value.astype(ms.float32) if value.dtype == ms.bfloat16 else value).asnumpy()


def assert_same(path):
    """Names, types, shapes and values are those of mindspore.load_checkpoint; returns the checkpoint."""
    theirs, ours = ms.load_checkpoint(str(path)), checkpoint.read(path, "--ckpt_path")
    facts = {checkpoint.FACTS: theirs.pop(checkpoint.FACTS)} if checkpoint.FACTS in theirs else {}
    assert bool(facts) == bool(ours.facts)
    assert [*ours.arrays, *ours.notes] == sorted(theirs, key=lambda name: isinstance(theirs[name], str))
    for name, value in theirs.items():
        expected = plain(value)
        if isinstance(expected, str):
            assert ours.notes[name] == expected
            continue
        found = ours.arrays[name]
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), name
        assert found.tobytes() == expected.tobytes(), name
    return ours


def test_weights_alone(tmp_path):
    ms.save_checkpoint(InferenceNetwork(create_network(NAME, 5)), str(tmp_path / "a.ckpt"))
    assert len(assert_same(tmp_path / "a.ckpt").arrays) == len(architecture(NAME, 5).shapes())


def test_a_full_checkpoint_of_a_run(trained):
    found = assert_same(trained / f"{NAME}-2_3.ckpt")
    assert found.arrays["global_step"].tolist() == [6] and "moments.network.resnet.conv1.weight" in found.arrays
    assert found.facts["network"] == NAME and found.facts["num_classes"] == 6
    assert found.facts["recipe"]["base_lr"] == 0.05


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
                                  "uint32", "uint64", "bool"])
def test_every_type_of_number_in_every_shape(kind, tmp_path):
    rng = np.random.default_rng(0)
    values = {f"of {shape}": (rng.integers(-99, 99, shape) * rng.integers(0, 2, shape)).astype(kind)
              for shape in ((), (1,), (7,), (2, 3), (2, 3, 1, 5))}
    assert len(assert_same(save_checkpoint(tmp_path / "a.ckpt", values)).arrays) == 5


def test_a_scalar_of_an_earlier_mindspore(tmp_path):
    """It had one dimension of length 0; now it has no dimension."""
    tensor = b"\x08\x00" + field(2, b"Float32") + field(3, np.float32(2.5).tobytes())
    (tmp_path / "a.ckpt").write_bytes(field(1, field(1, b"a") + field(2, tensor)))
    assert assert_same(tmp_path / "a.ckpt").arrays["a"].shape == ()


def test_bfloat16_is_read_as_float32(tmp_path):
    values = np.float32([[1, -2.5, 3e38], [np.inf, 1e-40, 0]])
    ms.save_checkpoint([{"name": "a", "data": ms.Tensor(values, ms.bfloat16)}], str(tmp_path / "a.ckpt"))
    found = assert_same(tmp_path / "a.ckpt").arrays["a"]
    assert found.dtype == np.float32 and np.allclose(found[0], values[0], rtol=2 ** -8)


def test_texts_and_numbers_that_were_appended(tmp_path):
    more = {"note": "naïve 图", "empty enough": "x", "epoch_num": 3, "rate": 0.25, "done": True}
    found = assert_same(save_checkpoint(tmp_path / "a.ckpt", {"a": np.float32([1, 2])}, append_dict=more))
    assert found.notes == {"note": more["note"], "empty enough": "x"}
    assert [found.arrays[name].tolist() for name in ("epoch_num", "rate", "done")] == [3, 0.25, True]


def test_a_checksum_is_checked(tmp_path):
    path = save_checkpoint(tmp_path / "a.ckpt", {"a": np.arange(50.0), "b": np.float32(3)}, crc_check=True)
    assert_same(path)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[60] ^= 1    # within a's numbers
    path.write_bytes(data)
    with pytest.raises(checkpoint.InputError, match="is not a complete MindSpore checkpoint .its checksum differs"):
        checkpoint.read(path, "--ckpt_path")


@pytest.mark.parametrize("crc_check", [False, True])
def test_tensors_in_parts(crc_check, tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "SLICE_SIZE", 1)    # KB; 512 MB as MindSpore is installed
    rng = np.random.default_rng(0)
    values = {"a": rng.standard_normal((37, 61)).astype(np.float32), "b": np.float32([1, 2]),
              "c": rng.integers(0, 255, 5000).astype(np.uint8), "d": rng.standard_normal((3, 900)).astype(np.float16)}
    path = save_checkpoint(tmp_path / "a.ckpt", values, crc_check=crc_check)
    assert path.read_bytes().count(b"\x0a\x01a\x12") > 3, "the writer did cut it"
    assert_same(path)


@pytest.mark.parametrize("facts", [None, FACTS])
def test_mindspore_reads_what_is_written_here(facts, tmp_path):
    weights = golden_weights(architecture(NAME, 4))
    more = {"scalar": np.float32(2), "count": np.int32([3]), "flag": np.bool_(True), "half": np.float16([[1, 2]])}
    checkpoint.write({**weights, **more}, tmp_path / "a.ckpt", facts)
    assert assert_same(tmp_path / "a.ckpt").facts == (facts or {})
    network = InferenceNetwork(create_network(NAME, 4))
    left, unused = ms.load_param_into_net(network, ms.load_checkpoint(str(tmp_path / "a.ckpt")))
    assert left == [] and not [name for name in unused if "network" in name], (left, unused)
    assert all(np.array_equal(value.asnumpy(), weights[name]) for name, value in network.parameters_and_names())


def test_the_momenta_are_not_read_and_nothing_is_copied(trained):
    found = checkpoint.read(trained / f"{NAME}-2_3.ckpt", "--ckpt_path")
    array = found.arrays["network.resnet.conv1.weight"]
    assert not array.flags.owndata and not array.flags.writeable, "a view of the mapped file"
