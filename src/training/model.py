"""What is trained: network, loss and optimizer, as one Model."""
from typing import NamedTuple

import mindspore as ms
import numpy as np
from mindspore import nn

from src.data.class_weights import class_weights
from src.data.labels import Labels
from src.loss.loss import SoftmaxCrossEntropyLoss, WithDice
from src.nets.architecture import PREFIX
from src.nets.deeplab_v3.deeplab_v3 import DeepLabV3
from src.nets.net_factory import (
    TrainingNetwork,
    create_network,
    freeze_backbone,
    use_unkeyed_dropout,
    zero_init_residual,
)
from src.training import amp
from src.weights.loading import load_pretrained

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4


class Trainee(NamedTuple):
    """A Model that trains, and the network in it."""

    model: ms.Model
    network: DeepLabV3


def build_model(config, labels: Labels, device, rates: np.ndarray) -> Trainee:
    """The network of the options with its loss and optimizer, as initialised or from --ckpt_pre_trained.

    Args:
        device: src.device.Device, opened.
        rates: learning rate of every step of the run.
    """
    amp.set_jit_level(config.jit_level)
    network = create_network(config.model, labels.num_classes, config.atrous_rates, config.freeze_bn)
    if config.freeze_backbone:
        freeze_backbone(network, config.freeze_backbone)
    if config.zero_init_residual:
        zero_init_residual(network)
    if device.target != "CPU":
        use_unkeyed_dropout(network)
    training = TrainingNetwork(network, make_loss(config, labels), config.image_mean, config.image_std)
    if config.ckpt_pre_trained:
        print(load_pretrained(training, config.ckpt_pre_trained, config.filter_weight, config.allow_nonfinite,
                              labels.names))
    amp.mixed_precision(training, config.amp_level, device.target)
    optimizer = make_optimizer(config, training, network.architecture.classifier.name, rates)
    return Trainee(amp.make_model(training, optimizer, config, device.target), network)


def make_optimizer(config, training, classifier: str, rates: np.ndarray):
    """Momentum as published, with a learning rate of its own for the classifier by --classifier_lr_factor.

    Args:
        training: the TrainingNetwork; what is frozen in it is left out.
        classifier: name of that convolution within the network.
    """
    parameters = training.trainable_params()
    if config.classifier_lr_factor != 1:
        parameters = parameter_groups(parameters, f"{PREFIX}{classifier}.", rates * config.classifier_lr_factor)
    # Momentum leaves names with beta or gamma out of weight decay: BatchNorm's parameters, as published.
    return nn.Momentum(parameters, rates.tolist(), MOMENTUM, weight_decay=WEIGHT_DECAY,
                       loss_scale=amp.optimizer_scale(config))


def parameter_groups(parameters: list, prefix: str, rates: np.ndarray) -> list:
    """Groups as Momentum takes them: names with this prefix train with `rates`; with groups Momentum decays all that it
    is not told to leave out."""
    own = [parameter for parameter in parameters if parameter.name.startswith(prefix)]
    norms = [parameter for parameter in parameters if parameter.name.endswith((".gamma", ".beta"))]
    named = {parameter.name for parameter in (*own, *norms)}
    rest = [parameter for parameter in parameters if parameter.name not in named]
    return [{"params": own, "lr": rates.tolist()}, {"params": norms, "weight_decay": 0.0}, {"params": rest},
            {"order_params": parameters}]


def make_loss(config, labels: Labels):
    """The loss of the options: cross entropy, and the Dice loss beside it; says the class weights."""
    weights = class_weights(config.class_weights, config.data_file, labels)
    if weights is not None:
        print("class weights: " + " ".join(f"{weight:.4g}" for weight in weights))
    loss = SoftmaxCrossEntropyLoss(labels.ignore_label, weights, config.ohem, config.ohem_min_kept)
    return WithDice(loss, config.dice, labels.ignore_label) if config.dice else loss
