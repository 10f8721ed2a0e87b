"""The table of names, checked with the published names and shapes of every public ResNet-101 and DeepLabV3."""
import re

import numpy as np
import pytest

from src.console import InputError
from src.weights.names import CLASSIFIER, misfits, torch_names, translate
from tests.conftest import SHARED
from tests.golden import golden_shapes

SHAPES = golden_shapes()
BACKBONE = {name: shape for name, shape in SHAPES.items() if name.startswith("network.resnet.")}


def array(shape):
    return np.broadcast_to(np.float32(0), shape)    # a shape without memory


def arrays(shapes):
    return {name: array(shape) for name, shape in shapes.items()}


def published(kind):
    """Name -> array of a public ResNet-101, from the list of its names and shapes."""
    path = SHARED / f"reference/{kind}_resnet101_keys.txt"
    if not path.is_file():
        pytest.skip(f"no list of names in {path}")
    rows = (line.split(maxsplit=1) for line in path.read_text().splitlines())
    return {name: array(tuple(map(int, re.findall(r"\d+", text.split(")")[0])))) for name, text in rows}


@pytest.mark.parametrize("kind, dropped", [("zoo", 2), ("mindcv", 2), ("torchvision", 106)])
def test_public_resnet101_sets_every_parameter_of_the_backbone_once(kind, dropped):
    values = published(kind)
    source, weights, left = translate(values, "x")
    assert kind.replace("zoo", "model zoo") in source.title.lower() and source.channels == "rgb" and not source.whole
    assert misfits(weights, BACKBONE) == [] and len(weights) == len(BACKBONE) == 520
    assert len(left) == dropped and len(values) == 520 + dropped


@pytest.mark.parametrize("kind, theirs, ours", [
    ("zoo", "layer2.0.down_sample_layer.1.moving_variance", "layer2.0.downsample.1.moving_variance"),
    ("mindcv", "layer3.22.bn3.gamma", "layer3.22.bn3.gamma"),
    ("torchvision", "layer1.0.downsample.1.weight", "layer1.0.downsample.1.gamma"),
    ("torchvision", "layer4.2.bn3.bias", "layer4.2.bn3.beta"),
    ("torchvision", "bn1.running_mean", "bn1.moving_mean"),
    ("torchvision", "layer3.5.bn2.running_var", "layer3.5.bn2.moving_variance"),
    ("torchvision", "layer1.0.downsample.0.weight", "layer1.0.downsample.0.weight"),
])
def test_values_arrive_where_they_belong(kind, theirs, ours):
    values = published(kind)
    values[theirs] = mark = np.array(values[theirs])
    assert translate(values, "x")[1]["network.resnet." + ours] is mark


def test_published_networks_load_with_and_without_moments():
    values = arrays(SHAPES)
    state = {"moments." + name: value for name, value in values.items()} | {"global_step": 1, "learning_rate": 1}
    for full in (values, {**values, **state}):
        source, weights, dropped = translate(full, "x")
        assert source.whole and misfits(weights, SHAPES) == [] and len(dropped) == len(full) - len(SHAPES)


def mindcv_names(shapes, prefix):
    """This network's names in MindCV's examples/seg/deeplabv3."""
    names = {}
    for name, value in shapes.items():
        name = name.replace("network.resnet.", "backbone.net.").replace(".downsample.", ".down_sample.")
        name = re.sub(r"network\.aspp\.aspp(\d)\.aspp_conv",
                      lambda found: f"aspp.aspp_convs.{int(found[1]) - 1}._aspp_conv", name)
        name = name.replace("network.aspp.aspp_pooling.conv", "aspp.aspp_convs.4.conv")
        name = name.replace("network.aspp.conv2", "conv").replace("network.", "")
        names[prefix + name] = value
    return names


@pytest.mark.parametrize("prefix", ["", "network."])
def test_mindcv_deeplabv3_maps_one_to_one(prefix):
    source, weights, dropped = translate(mindcv_names(arrays(SHAPES), prefix), "x")
    assert source.whole and source.channels == "bgr" and not dropped
    assert misfits(weights, SHAPES) == [] and len(weights) == 552


def test_mindcv_deeplabv3plus_is_refused():
    values = mindcv_names(arrays(SHAPES), "") | {"decoder.conv1.weight": array((48, 256, 1, 1))}
    with pytest.raises(InputError, match="no place for decoder.conv1.weight"):
        translate(values, "--src plus.ckpt")


def resnet50():
    return {name: value for name, value in published("torchvision").items()
            if not re.match(r"layer3\.([6-9]|1\d|2\d)\.", name)}


@pytest.mark.parametrize("spoil, part", [
    (lambda v: v.pop("layer2.1.bn2.running_var"), r"layer2\.1\.bn2\.moving_variance is missing"),
    (lambda v: v.update({"conv1.weight": array((64, 4, 7, 7))}), r"shape \(64, 4, 7, 7\), not \(64, 3"),
    (lambda v: v.update({"layer4.3.conv1.weight": array((1,))}), "ResNet of 3 4 23 4 blocks, not 3 4 23 3"),
    (lambda v: [v.pop(name) for name in set(v) - set(resnet50())], "ResNet of 3 4 6 3 blocks, not 3 4 23 3"),
])
def test_another_architecture_is_named(spoil, part):
    values = published("torchvision")
    spoil(values)
    assert re.search(part, ", ".join(misfits(translate(values, "x")[1], BACKBONE)))


@pytest.mark.parametrize("names, part", [
    (["features.0.weight", "classifier.6.bias"], "names such as features.0.weight, classifier.6.bias belong to none"),
    (["layer1.0.bn1.running_mean", "conv1.0.weight"], "no place for conv1.0.weight"),
    (["aspp.aspp_convs.0._aspp_conv.0.weight", "network.aspp.aspp_convs.0._aspp_conv.0.weight"], "would be set twice"),
])
def test_what_no_rule_knows_is_an_error(names, part):
    with pytest.raises(InputError, match=part):
        translate(dict.fromkeys(names, array((1,))), "--src a.pth")


def test_names_for_pytorch_are_reversible():
    names = torch_names(arrays(SHAPES))
    assert len(names) == len(SHAPES) and set(CLASSIFIER) == {"network." + n for n in names if "aspp.conv2" in n}
    assert "resnet.layer1.0.downsample.1.running_var" in names and "aspp.aspp2.aspp_conv.1.weight" in names
