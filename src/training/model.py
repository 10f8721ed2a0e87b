"""What is trained: network, loss and optimizer, as one Model."""
from typing import NamedTuple

import mindspore as ms
import numpy as np
from mindspore import nn

from src.data.class_weights import class_weights
from src.data.labels import Labels
from src.loss.loss import BalancedCrossEntropyLoss, SoftmaxCrossEntropyLoss
from src.nets.deeplab_v3.deeplab_v3 import DeepLabV3
from src.nets.net_factory import TrainingNetwork, create_network, use_unkeyed_dropout, zero_init_residual
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
    if config.zero_init_residual:
        zero_init_residual(network)
    if device.target != "CPU":
        use_unkeyed_dropout(network)
    training = TrainingNetwork(network, make_loss(config, labels), config.image_mean, config.image_std)
    if config.ckpt_pre_trained:
        print(load_pretrained(training, config.ckpt_pre_trained, config.filter_weight, config.allow_nonfinite))
    amp.mixed_precision(training, config.amp_level, device.target)
    # Momentum leaves names with beta or gamma out of weight decay: BatchNorm's parameters, as published.
    optimizer = nn.Momentum(training.trainable_params(), rates.tolist(), MOMENTUM, weight_decay=WEIGHT_DECAY,
                            loss_scale=amp.optimizer_scale(config))
    return Trainee(amp.make_model(training, optimizer, config, device.target), network)


def make_loss(config, labels: Labels):
    """The loss of the options: plain cross entropy, or the balanced one; says the weights."""
    weights = class_weights(config.class_weights, config.data_file, labels)
    if weights is None and not config.ohem:
        return SoftmaxCrossEntropyLoss(labels.ignore_label)
    if weights is not None:
        print("class weights: " + " ".join(f"{weight:.4g}" for weight in weights))
    return BalancedCrossEntropyLoss(labels.ignore_label, weights, config.ohem, config.ohem_min_kept)
