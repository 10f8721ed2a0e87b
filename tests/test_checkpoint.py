"""Checkpoints as weights: their kind is detected by names, every parameter must fit, no half-written files."""
import numpy as np
import pytest

from src.console import InputError
from src.nets.architecture import architecture
from src.nets.net_factory import InferenceNetwork, create_network
from src.weights import checkpoint
from src.weights.loading import load_pretrained, network_of, open_checkpoint
from tests.golden import save_checkpoint

NAME = "deeplab_v3_tiny_s16"


@pytest.fixture
def cell():
    return InferenceNetwork(create_network(NAME, num_classes=4))


def values(dtype=np.float32):
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(dtype)
            for name, shape in architecture(NAME, num_classes=4).shapes().items()}


def read(path):
    return network_of(open_checkpoint(path, f"--ckpt_path {path}"), NAME, (6, 12, 18))


def test_optimiser_state_is_not_loaded_and_float16_is_converted(cell, tmp_path):
    arrays = values(np.float16)
    state = {"moments." + name: value for name, value in arrays.items()}
    path = save_checkpoint(tmp_path / "a.ckpt", {**arrays, **state, "global_step": np.int32([3]),
                                                 "learning_rate": np.float32([0.1]), "momentum": np.float32(0.9)})
    shape, weights = read(path)
    assert shape.num_classes == 4 and list(weights) == list(arrays)
    assert all(np.array_equal(weights[name], arrays[name]) for name in arrays)
    load_pretrained(cell, path, filter_weight=False)
    for name, value in cell.parameters_and_names():
        assert value.asnumpy().dtype == np.float32 and np.array_equal(value.asnumpy(), arrays[name]), name


@pytest.mark.parametrize("old, head", [("down_sample_layer.", "end_point"), ("down_sample.", "classifier")])
def test_classification_backbones_are_recognised(cell, tmp_path, old, head):
    prefix = "network.resnet."
    backbone = {name[len(prefix):].replace("downsample.", old): value
                for name, value in values().items() if name.startswith(prefix)}
    path = save_checkpoint(tmp_path / "r.ckpt", {**backbone, f"{head}.weight": np.zeros((10, 4), np.float32)})
    said = load_pretrained(cell, path, filter_weight=False)
    assert f"{len(backbone)} parameters loaded" in said and "ResNet classifier" in said
    assert np.array_equal(cell.network.resnet.conv1.weight.asnumpy(), backbone["conv1.weight"])
    assert np.array_equal(cell.network.resnet.layer1[0].downsample[0].weight.asnumpy(),
                          backbone[f"layer1.0.{old}0.weight"])


@pytest.mark.parametrize("spoil, part", [
    (lambda a: a.pop("network.resnet.conv1.weight"), "does not fit the network: .*conv1.weight is missing"),
    (lambda a: a.update({"network.extra": np.zeros(3, np.float32)}), ".*: network.extra is unknown"),
    (lambda a: a.update({"network.aspp.conv2.bias": np.zeros(5, np.float32)}),
     r"does not fit the network: .*bias has shape \(5,\), not \(4,"),
    (lambda a: a["network.resnet.bn1.beta"].put(3, np.nan), r"network\.resnet\.bn1\.beta holds NaN or infinity"),
    (lambda a: a.clear() or a.update({"features.0.weight": np.zeros(3, np.float32)}), "does not fit the network"),
])
def test_nothing_loads_half(cell, tmp_path, spoil, part):
    arrays = values()
    spoil(arrays)
    path = save_checkpoint(tmp_path / "a.ckpt", arrays)
    before = {name: value.asnumpy().copy() for name, value in cell.parameters_and_names()}
    with pytest.raises(InputError, match=f"--ckpt_pre_trained {path}: {part}"):
        load_pretrained(cell, path, filter_weight=False)
    with pytest.raises(InputError, match=f"--ckpt_path {path}: {part}"):
        read(path)
    assert all(np.array_equal(before[name], value.asnumpy()) for name, value in cell.parameters_and_names())


def test_saving_is_complete_or_not_at_all(cell, tmp_path):
    path = tmp_path / "a.ckpt"
    checkpoint.save(cell, path)
    whole = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o644
    checkpoint.save(cell, path)    # read-only files of MindSpore would make this fail
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/a.ckpt: .*file is not a folder"):
        checkpoint.save(cell, tmp_path / "file/a.ckpt")
    with pytest.raises(KeyError):    # any error while it is written
        checkpoint.write({**values(), "last": None}, path)
    assert path.read_bytes() == whole and sorted(p.name for p in tmp_path.iterdir()) == ["a.ckpt", "file"]


def test_mindcv_networks_load_as_they_are(cell, tmp_path):
    from tests.test_weights import mindcv_names
    arrays = values()
    found = read(save_checkpoint(tmp_path / "a.ckpt", mindcv_names(arrays, "")))[1]
    assert found.keys() == arrays.keys() and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    said = load_pretrained(cell, tmp_path / "a.ckpt", filter_weight=True)
    assert "DeepLabV3 of MindCV" in said and "the new classifier as initialised" in said


@pytest.mark.parametrize("write", [
    lambda path, order: checkpoint.write(values(), path, {"channel_order": order}),
    lambda path, order: save_checkpoint(path, values(), append_dict={"channel_order": order.lower()})],
    ids=["facts", "a text entry, as before there were facts"])
def test_a_network_for_red_green_blue_is_not_evaluated(write, tmp_path):
    write(tmp_path / "a.ckpt", "RGB")
    with pytest.raises(InputError, match="convert it with --channel_order bgr"):
        read(tmp_path / "a.ckpt")
    write(tmp_path / "b.ckpt", "BGR")
    assert len(read(tmp_path / "b.ckpt")[1]) == len(values())


def test_a_backbone_cannot_be_evaluated(tmp_path):
    arrays = {name: value for name, value in values().items() if "resnet" in name}
    with pytest.raises(InputError, match="only a backbone, without the classifier"):
        read(save_checkpoint(tmp_path / "a.ckpt", arrays))
