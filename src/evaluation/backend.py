"""A checkpoint as a network and as the evaluator's predict function, and one result from all devices."""
import numpy as np


def load_trained(model: str, num_classes: int, atrous_rates, path, option: str, weights=None):
    """InferenceNetwork called `model` with a checkpoint's weights, BatchNorm folded into the convolutions.

    The device must be open, since this imports MindSpore.

    Args:
        path, option, weights: as src.utils.checkpoint.load_network takes them; it raises InputError.
    """
    from src.nets.layers import fold_batch_norm
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.utils.checkpoint import load_network
    network = InferenceNetwork(create_network(model, num_classes, atrous_rates, draw=False))
    load_network(network, path, option, weights)
    fold_batch_norm(network)
    return network


def make_predict(network, batch_size: int):
    """predict(inputs (N, 3, S, S) float32, N <= batch_size) -> probabilities (N, C, S, S) float32.

    A smaller last batch is filled up, since every new shape would be compiled anew.
    """
    import mindspore as ms

    def predict(inputs):
        count = len(inputs)
        if count < batch_size:
            inputs = np.concatenate([inputs, np.zeros((batch_size - count, *inputs.shape[1:]), np.float32)])
        return network(ms.Tensor(inputs)).asnumpy()[:count]
    return predict


def all_reduce(array: np.ndarray) -> np.ndarray:
    """Sum of a float32 array over the devices of a distributed run.

    Outside any graph: its shape may hang on the data, and the compile cache knows graphs by their number alone.
    """
    import mindspore as ms
    from mindspore import ops
    return ops.AllReduce()(ms.Tensor(array)).asnumpy()


def sum_over_ranks(counts: np.ndarray, device) -> np.ndarray:
    """Sum of int64 counts over the devices, exact up to 2 ** 45.

    Communication is sure to know float32, so each count travels as three 15-bit parts.
    """
    if device.size == 1:
        return counts
    parts = all_reduce(np.stack([counts >> shift & 0x7FFF for shift in (0, 15, 30)]).astype(np.float32))
    return sum(part << shift for part, shift in zip(parts.astype(np.int64), (0, 15, 30)))


def gather(data: bytes, device) -> list:
    """The bytes of every device, in the order of their ranks; each travels as a float32, see sum_over_ranks."""
    if device.size == 1:
        return [data]
    lengths = np.zeros(device.size, np.int64)
    lengths[device.rank] = len(data)
    lengths = sum_over_ranks(lengths, device)
    buffer = np.zeros((device.size, lengths.max()), np.float32)
    buffer[device.rank, :len(data)] = np.frombuffer(data, np.uint8)
    return [row[:length].astype(np.uint8).tobytes() for row, length in zip(all_reduce(buffer), lengths)]


def take_statistics_of_rank_0(network, device) -> None:
    """Give every device rank 0's moving statistics: those that checkpoints hold.

    In data parallel training each device has statistics of its own batches; weights are equal everywhere.
    """
    if device.size == 1:
        return
    import mindspore as ms
    own = [value for name, value in network.parameters_and_names() if "moving_" in name]
    flat = np.concatenate([value.asnumpy() for value in own])
    flat = all_reduce(flat if device.rank == 0 else np.zeros_like(flat))
    for value, part in zip(own, np.split(flat, np.cumsum([value.size for value in own])[:-1])):
        value.set_data(ms.Tensor(part))
