"""The network compared with published values: names, shapes, logits; effects of BatchNorm, rates and sizes."""
import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.nets.architecture import NETWORKS, architecture
from src.nets.net_factory import (
    InferenceNetwork,
    create_inference,
    create_network,
    use_unkeyed_dropout,
    zero_init_residual,
)
from src.weights.folding import fold
from tests.golden import DATA, STEP, golden_shapes, golden_weights, set_golden

pytestmark = pytest.mark.usefixtures("pynative")


def tensor(*shape, seed=0):
    return ms.Tensor(np.random.RandomState(seed).randn(*shape).astype(np.float32))


@pytest.mark.parametrize("stride", [16, 8])
def test_published_names_shapes_and_logits(stride):
    network = create_network(f"deeplab_v3_s{stride}")
    cell = InferenceNetwork(network)
    assert {name: value.shape for name, value in cell.parameters_and_names()} == golden_shapes()
    assert list(architecture(f"deeplab_v3_s{stride}").shapes().items()) == list(golden_shapes().items())
    set_golden(cell)
    golden = np.load(DATA / "logits.npz")
    for size in (65, 129):
        logits = network(tensor(1, 3, size, size, seed=size)).asnumpy()
        assert logits.shape == (1, 21, size, size)
        assert np.abs(logits[:, :, ::STEP, ::STEP] - golden[f"s{stride}_{size}"]).max() <= 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_feature_map_sizes_by_stride(name):
    network, stride = create_network(name, num_classes=5), NETWORKS[name][0]
    network.set_train(False)
    for height, width in ((65, 65), (65, 129), (97, 33), (70, 51))[:4 if "tiny" in name else 1]:
        features = network.resnet(tensor(1, 3, height, width))
        assert features.shape[2:] == ((height - 1) // stride + 1, (width - 1) // stride + 1)
        assert network(tensor(1, 3, height, width)).shape == (1, 5, height, width)


def test_both_strides_share_their_parameters():
    shapes = [architecture(f"deeplab_v3_tiny_s{stride}").shapes() for stride in (16, 8)]
    cell = InferenceNetwork(create_network("deeplab_v3_tiny_s8"))
    assert shapes[0] == shapes[1] == {name: value.shape for name, value in cell.parameters_and_names()}


def test_not_square_equals_the_part_that_does_not_see_the_difference():
    """Image pooling is a mean over both axes: a transposed picture gives transposed logits with transposed kernels."""
    network = create_network("deeplab_v3_tiny_s16", num_classes=4)
    network.set_train(False)
    image = tensor(1, 3, 65, 97)
    logits = network(image).asnumpy()
    for _, value in network.parameters_and_names():
        if value.ndim == 4:
            value.set_data(ms.Tensor(np.ascontiguousarray(value.asnumpy().transpose(0, 1, 3, 2))))
    turned = network(ms.Tensor(np.ascontiguousarray(image.asnumpy().transpose(0, 1, 3, 2)))).asnumpy()
    assert np.abs(turned.transpose(0, 1, 3, 2) - logits).max() < 1e-4


def test_atrous_rates_are_an_option_that_matters():
    outs = []
    for rates in ((6, 12, 18), (12, 24, 36), (1, 2, 3)):
        network = create_network("deeplab_v3_tiny_s8", atrous_rates=rates)
        set_golden_like(network)
        network.set_train(False)
        outs.append(network(tensor(1, 3, 129, 129)).asnumpy())
        assert [branch.aspp_conv[0].dilation for branch in network.aspp.branches[1:]] == [(r, r) for r in rates]
    assert np.abs(outs[0] - outs[1]).max() > 1e-3 and np.abs(outs[0] - outs[2]).max() > 1e-3


def set_golden_like(network):
    for number, (_, value) in enumerate(network.parameters_and_names()):
        noise = np.random.RandomState(number).rand(*value.shape).astype(np.float32)
        value.set_data(ms.Tensor(noise * 0.1 + (0.5 if value.ndim == 1 else -0.05)))


def test_evaluation_uses_moving_statistics_and_leaves_them():
    cell = InferenceNetwork(create_network("deeplab_v3_tiny_s16"))
    before = {name: value.asnumpy().copy() for name, value in cell.parameters_and_names()}
    one, other = tensor(1, 3, 65, 65), tensor(1, 3, 65, 65, seed=1)
    alone = cell(one).asnumpy()
    together = cell(ms.Tensor(np.concatenate([one.asnumpy(), 5 * other.asnumpy()]))).asnumpy()[:1]
    assert np.abs(alone - together).max() < 1e-5, "a picture's result must not depend on its neighbours"
    assert np.allclose(alone.sum(1), 1, atol=1e-5)
    assert all(np.array_equal(before[name], value.asnumpy()) for name, value in cell.parameters_and_names())


def test_folded_batch_norm_computes_the_same():
    shape = architecture("deeplab_v3_tiny_s16", num_classes=5)
    weights, image = golden_weights(shape), tensor(1, 3, 65, 97)
    plain = create_inference(shape, weights)
    before = {name: value.copy() for name, value in weights.items()}
    folded = create_inference(shape.folded(), fold(shape, weights))
    assert all(np.array_equal(before[name], value) for name, value in weights.items()), "the arrays are left alone"
    assert not any(isinstance(cell, nn.BatchNorm2d) for _, cell in folded.cells_and_names())
    names = {name: value.shape for name, value in folded.parameters_and_names()}
    assert names == shape.folded().shapes() and len(names) == 2 * len(shape.convs())
    expected = plain.network(image).asnumpy()
    assert np.abs(folded.network(image).asnumpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def test_dropout_drops_seventy_percent_in_training_only():
    drop = create_network("deeplab_v3_tiny_s16").aspp.drop
    ones = ms.Tensor(np.ones((2, 32, 64, 64), np.float32))
    assert (drop.set_train(False)(ones, None).asnumpy() == 1).all()
    drop.set_train(True)
    out = drop(ones, ms.Tensor([7, 123456789], ms.int32)).asnumpy()
    assert np.unique(out).tolist() == pytest.approx([0, 1 / 0.3], rel=1e-5)
    kept = (out > 0).astype(float)
    assert np.abs(kept.mean((1, 2, 3)) - 0.3).max() < 0.005
    assert np.abs(kept.mean((2, 3)) - 0.3).max() < 0.05 and kept.mean(1).std() < 0.1, "every channel and place alike"
    centred = kept - 0.3
    for axis in range(4):    # neighbours along samples, channels, rows and columns are independent
        first, second = np.delete(centred, 0, axis), np.delete(centred, -1, axis)
        assert abs((first * second).mean()) / 0.21 < 0.01, axis
    assert np.array_equal(drop(ones, ms.Tensor([7, 123456789], ms.int32)).asnumpy(), out)
    assert not np.array_equal(drop(ones, ms.Tensor([8, 123456789], ms.int32)).asnumpy()[0], out[0])


def test_the_dropout_of_accelerators_drops_as_many():
    """MindSpore's own, forced on a CPU; it takes a key as the other does, and leaves it."""
    network = create_network("deeplab_v3_tiny_s16")
    use_unkeyed_dropout(network)
    drop, ones = network.aspp.drop, ms.Tensor(np.ones((2, 32, 64, 64), np.float32))
    network.set_train(False)
    assert (drop(ones, None).asnumpy() == 1).all()
    network.set_train(True)
    out = drop(ones, ms.Tensor([7, 8], ms.int32)).asnumpy()
    assert np.unique(out).tolist() == pytest.approx([0, 1 / 0.3], rel=1e-5)
    assert np.abs((out > 0).mean((1, 2, 3)) - 0.3).max() < 0.005


def test_zero_init_residual_makes_blocks_identities():
    network = create_network("deeplab_v3_tiny_s16")
    zero_init_residual(network)
    last = [value.asnumpy() for name, value in network.parameters_and_names() if name.endswith("bn3.gamma")]
    assert len(last) == 6 and not np.any(np.concatenate(last))


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="deeplab_v3_s32.*deeplab_v3_s16, deeplab_v3_s8"):
        create_network("deeplab_v3_s32")
    assert {"deeplab_v3_s16", "deeplab_v3_s8"} <= set(NETWORKS)
