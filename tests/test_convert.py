"""convert_resnet101.py: every source compared with PyTorch's features, the way back to PyTorch, and refused files."""
import pickle

import mindspore as ms
import numpy as np
import pytest

import convert_resnet101
import train
from src.console import InputError
from src.weights.formats import write_safetensors
from src.weights.names import torch_names
from tests.conftest import ROOT, TINY, load_script
from tests.golden import DATA, STEP, golden_shapes, golden_weight, save_checkpoint

torch = pytest.importorskip("torch")
from tests.torch_resnet import TorchResNet, random_resnet

TINY_SIZE = {"blocks": (1, 1, 1, 3), "width": 8}
PREFIX = "network.resnet."


def save_as(network, path):
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    return path


def mindspore_names(network, down_sample, head):
    """The values of a torch network in the form of a MindSpore classifier's checkpoint."""
    suffix = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    arrays = {f"{head}.weight": np.zeros((10, 256), np.float32), f"{head}.bias": np.zeros(10, np.float32)}
    for name, value in network.state_dict().items():
        cell, _, last = name.rpartition(".")
        if value.dim() == 1 and not name.startswith("fc."):
            arrays[f"{cell}.{suffix[last]}".replace("downsample", down_sample)] = value.numpy()
        elif value.dim() == 4:
            arrays[name.replace("downsample", down_sample)] = value.numpy()
    return arrays


def load(path):
    return ms.load_checkpoint(str(path))


def features(path, model, image):
    """layer4's output of the backbone in `path`, loaded as train.py does."""
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.weights.loading import load_pretrained
    cell = InferenceNetwork(create_network(model))
    load_pretrained(cell, path, False)
    return cell.network.resnet(ms.Tensor(image)).asnumpy()


def assert_same_features(network, path, sizes, size=65, **shape):
    """The converted backbone gives the same features as PyTorch's dilated network on the picture with swapped channels.
    """
    image = np.random.default_rng(0).standard_normal((1, 3, size, size + 16)).astype(np.float32)
    for model, stride in sizes:
        dilated = TorchResNet(output_stride=stride, **shape).eval()
        dilated.load_state_dict(network.state_dict())
        with torch.no_grad():
            expected = dilated(torch.from_numpy(image[:, ::-1].copy())).numpy()
        got = features(path, model, image)
        assert got.shape == expected.shape
        error = np.abs(got - expected).max() / np.abs(expected).max()
        assert error <= 1e-5, (model, error)
        print(f"{model}: relative error {error:.1e}")


@pytest.mark.usefixtures("pynative")
def test_real_resnet101_gives_pytorchs_features(tmp_path, run):
    """The claim itself: 101 layers, both strides, from .pth and from .safetensors."""
    network = random_resnet()
    for name in ("resnet101.pth", "resnet101.safetensors"):
        source = save_as(network, tmp_path / name)
        result = run(convert_resnet101.main, "--src", source, "--dst", tmp_path / f"{name}.ckpt")
        assert result.code == 0, result.err
        assert "520 parameters set, each once; dropped: 104 num_batches_tracked" in result.out
        assert "swapped from red green blue to blue green red" in result.out
    first, second = load(tmp_path / "resnet101.pth.ckpt"), load(tmp_path / "resnet101.safetensors.ckpt")
    assert all(np.array_equal(first[n].asnumpy(), second[n].asnumpy()) for n in first if n.startswith("network."))
    assert_same_features(network, tmp_path / "resnet101.pth.ckpt", [("deeplab_v3_s16", 16), ("deeplab_v3_s8", 8)])


@pytest.mark.usefixtures("pynative")
@pytest.mark.parametrize("down_sample, head", [("down_sample_layer", "end_point"), ("down_sample", "classifier")])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_mindspore_classifiers(tmp_path, run, down_sample, head, dtype):
    network = random_resnet(**TINY_SIZE)
    if dtype == np.float16:    # values must not change
        network.load_state_dict({k: v.half().float() if v.is_floating_point() else v
                                 for k, v in network.state_dict().items()})
    arrays = {name: value.astype(dtype) for name, value in mindspore_names(network, down_sample, head).items()}
    source, target = save_checkpoint(tmp_path / "a.ckpt", arrays), tmp_path / "b.ckpt"
    result = run(convert_resnet101.main, "--src", source, "--dst", target, "--model", "deeplab_v3_tiny_s16")
    assert result.code == 0 and f"dropped: {head}.weight, {head}.bias" in result.out, result
    assert_same_features(network, target, [("deeplab_v3_tiny_s16", 16), ("deeplab_v3_tiny_s8", 8)], **TINY_SIZE)


@pytest.mark.usefixtures("pynative")
def test_channel_order_and_notes(tmp_path, run):
    from src.weights.checkpoint import digest, read
    network = random_resnet(**TINY_SIZE)
    source = save_as(network, tmp_path / "a.pth")
    short = ["--src", source, "--model", "deeplab_v3_tiny_s16"]
    stems = {}
    for order in ("bgr", "rgb"):
        result = run(convert_resnet101.main, *short, "--dst", tmp_path / f"{order}.ckpt", "--channel_order", order)
        assert result.code == 0, result.err
        values = load(tmp_path / f"{order}.ckpt")
        facts = read(tmp_path / f"{order}.ckpt", "").facts
        assert facts == {"source": "a.pth", "channel_order": order.upper(), "source_sha256": digest(source)}
        stems[order] = values[PREFIX + "conv1.weight"].asnumpy()
    assert np.array_equal(stems["rgb"], network.conv1.weight.detach().numpy())
    assert np.array_equal(stems["bgr"], stems["rgb"][:, ::-1])
    # A file of the converter is a source too: its note has the order, so channels are not swapped twice.
    again = run(convert_resnet101.main, "--src", tmp_path / "rgb.ckpt", "--dst", tmp_path / "again.ckpt",
                "--model", "deeplab_v3_tiny_s16")
    assert again.code == 0 and "swapped from red green blue" in again.out, again
    assert np.array_equal(load(tmp_path / "again.ckpt")[PREFIX + "conv1.weight"].asnumpy(), stems["bgr"])


def test_an_existing_file_is_kept(tmp_path, run):
    source = save_as(random_resnet(**TINY_SIZE), tmp_path / "a.pth")
    (tmp_path / "b.ckpt").write_text("mine")
    short = ["--src", source, "--dst", tmp_path / "b.ckpt", "--model", "deeplab_v3_tiny_s16"]
    refused = run(convert_resnet101.main, *short)
    assert refused.code == 2 and "b.ckpt: exists" in refused.err and (tmp_path / "b.ckpt").read_text() == "mine"
    assert run(convert_resnet101.main, *short, "--overwrite").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth", "b.ckpt"]


def test_the_source_is_never_replaced(tmp_path, run):
    source = save_as(random_resnet(**TINY_SIZE), tmp_path / "a.pth")
    (tmp_path / "link.pth").symlink_to(source)
    content = source.read_bytes()
    for target in (source, tmp_path / "link.pth"):
        refused = run(convert_resnet101.main, "--src", source, "--dst", target, "--overwrite",
                      "--model", "deeplab_v3_tiny_s16")
        assert refused.code == 2 and f"--dst {target}: is the input {source}" in refused.err, refused
    assert source.read_bytes() == content


def test_train_says_what_it_does_with_a_converted_and_an_unconverted_file(drawn, tmp_path, run):
    network = random_resnet(**TINY_SIZE)
    zoo = save_checkpoint(tmp_path / "zoo.ckpt", mindspore_names(network, "down_sample_layer", "end_point"))
    run(convert_resnet101.main, "--src", zoo, "--dst", tmp_path / "turned.ckpt", "--model", "deeplab_v3_tiny_s16")
    options = [*TINY, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path / "ckpt", "--train_epochs", 1,
               "--batch_size", 24, "--ckpt_pre_trained"]
    result = run(train.main, *options, zoo)
    assert result.code == 0, result.err
    assert "ResNet classifier of the model zoo, 115 parameters loaded" in result.out, result.out
    assert "its stem expects red green blue but gets blue green red" in result.out
    result = run(train.main, *options, tmp_path / "turned.ckpt")
    assert result.code == 0 and "converted backbone, 115 parameters loaded" in result.out
    assert "its stem expects" not in result.out
    result = run(train.main, *options, save_as(network, tmp_path / "a.safetensors"))
    assert result.code == 2 and "convert_resnet101.py" in result.err


def test_mindspores_own_safetensors_of_a_checkpoint(trained, tmp_path, run):
    """It has the entries of the .ckpt, and with them what is no weight."""
    from safetensors.torch import load_file
    source = trained / "deeplab_v3_tiny_s16-2_3.ckpt"
    ms.ckpt_to_safetensors(str(source), str(tmp_path))
    found, = tmp_path.rglob("*.safetensors")
    results = [run(convert_resnet101.main, "--src", path, "--dst", tmp_path / name, "--to", "torch", "--model",
                   "deeplab_v3_tiny_s16", "--atrous_rates", 6, 12, 18) for path, name in ((source, "a"), (found, "b"))]
    assert [result.code for result in results] == [0, 0], results
    one, other = (load_file(tmp_path / name) for name in "ab")
    assert one.keys() == other.keys() and all(map(torch.equal, one.values(), other.values()))


@pytest.mark.usefixtures("pynative")
@pytest.mark.parametrize("model, size", [("deeplab_v3_tiny_s16", (65, 97)), ("deeplab_v3_tiny_s8", (60, 83))])
def test_a_trained_network_gives_the_same_logits_in_pytorch(trained, tmp_path, run, model, size):
    from src.nets.net_factory import create_inference
    from src.weights.loading import network_of, open_checkpoint
    source, target = trained / "deeplab_v3_tiny_s16-2_3.ckpt", tmp_path / "a.safetensors"
    result = run(convert_resnet101.main, "--src", source, "--dst", target, "--to", "torch", "--model", model,
                 "--atrous_rates", 2, 4, 6)
    assert result.code == 0, result.err
    cell = create_inference(*network_of(open_checkpoint(source, "--src"), model, (2, 4, 6)))
    image = np.random.default_rng(1).standard_normal((2, 3, *size)).astype(np.float32)
    expected = cell.network(ms.Tensor(image)).asnumpy()
    network, notes = load_script(ROOT / "docs/deeplab_v3_torch.py").load(target)
    with torch.no_grad():
        got = network(torch.from_numpy(image)).numpy()
    assert np.abs(got - expected).max() <= 1e-4 and np.abs(expected).max() > 0.01
    assert notes["channel_order"] == "bgr" and notes["image_mean"] == "103.53 116.28 123.675"


@pytest.mark.parametrize("stride, size", [(16, 129), (8, 65)])
def test_the_published_network_gives_its_published_logits_in_pytorch(tmp_path, stride, size):
    """The real size: reference weights through --to torch's names into docs/deeplab_v3_torch.py."""
    weights = {name: golden_weight(name, shape) for name, shape in golden_shapes().items()}
    notes = {"output_stride": str(stride), "atrous_rates": "6 12 18"}
    write_safetensors(tmp_path / "a.safetensors", torch_names(weights), notes)
    network, _ = load_script(ROOT / "docs/deeplab_v3_torch.py").load(tmp_path / "a.safetensors")
    image = np.random.RandomState(size).randn(1, 3, size, size).astype(np.float32)
    with torch.no_grad():
        got = network(torch.from_numpy(image)).numpy()[:, :, ::STEP, ::STEP]
    assert np.abs(got - np.load(DATA / "logits.npz")[f"s{stride}_{size}"]).max() <= 1e-4


def test_a_backbone_alone_does_not_go_to_pytorch(tmp_path, run):
    source = save_as(random_resnet(**TINY_SIZE), tmp_path / "a.pth")
    result = run(convert_resnet101.main, "--src", source, "--dst", tmp_path / "b", "--to", "torch",
                 "--model", "deeplab_v3_tiny_s16")
    assert result.code == 2 and "only a backbone" in result.err and not (tmp_path / "b").exists()


class Evil:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))],
                         ids=["torch.save", "pickle"])
def test_a_pickle_that_wants_to_run_code_does_not_run(tmp_path, run, writer):
    (tmp_path / "in").mkdir()
    writer({"conv1.weight": torch.zeros(3), "x": Evil(tmp_path / "ran")}, source := tmp_path / "in/a.pth")
    result = run(convert_resnet101.main, "--src", source, "--dst", tmp_path / "b.ckpt")
    assert result.code == 2 and "refused" in result.err and result.err.count("\n") == 1, result
    assert not (tmp_path / "ran").exists() and not (tmp_path / "b.ckpt").exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-2000])
    return path


@pytest.mark.parametrize("make, part", [
    (lambda folder: folder / "missing.pth", "missing.pth: no such file"),
    (lambda folder: cut(save_as(random_resnet(**TINY_SIZE), folder / "cut.pth")), "is not a complete PyTorch file"),
    (lambda folder: save_as(random_resnet(blocks=(1, 1, 2, 3), width=8), folder / "b.pth"), "ResNet of 1 1 2 3 blocks"),
    (lambda folder: torch.save([1], folder / "list.pth") or folder / "list.pth", "contains no state_dict")],
    ids=["missing", "cut", "other blocks", "no table"])
def test_bad_sources_are_one_line(tmp_path, run, make, part):
    result = run(convert_resnet101.main, "--src", make(tmp_path), "--dst", tmp_path / "out.ckpt",
                 "--model", "deeplab_v3_tiny_s16")
    assert result.code == 2 and part in result.err and result.err.count("\n") == 1, result
    assert not (tmp_path / "out.ckpt").exists()


def test_pytorch_is_optional_and_named_when_missing(tmp_path, monkeypatch):
    import sys

    from src.weights.formats import read_arrays
    network = random_resnet(**TINY_SIZE)
    paths = [save_as(network, tmp_path / name) for name in ("a.pth", "a.safetensors")]
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="reading it needs PyTorch"):
        read_arrays(paths[0], "src")
    assert "conv1.weight" in read_arrays(paths[1], "src")[0]
    monkeypatch.setitem(sys.modules, "torch", type("old", (), {"__version__": "2.5.1"}))
    with pytest.raises(InputError, match="PyTorch 2.5.1 is installed; 2.6 or later"):
        read_arrays(paths[0], "src")


def test_missing_options(tmp_path, run):
    assert "--src is not given" in run(convert_resnet101.main, "--dst", "x").err
    assert "--dst is not given" in run(convert_resnet101.main, "--src", "x").err
