"""Only the network, in every engine and in PyTorch: sides, and the comparison of their probabilities."""
import importlib.util
from pathlib import Path

import numpy as np

from benchmarks.prepare import ROOT, Job, Unavailable, checkpoint, torch_file
from src.console import InputError


def open_side(job: Job, stride: str, engine: str, precision: str = "float32", path=None):
    """The Model of open_model, with the checkpoint unless another file is given."""
    from src.models.model import open_model
    path = path or checkpoint(job, stride)
    try:
        return open_model(path, engine, "CPU", precision=precision)
    except InputError as error:
        if precision != "bf16":
            raise
        raise Unavailable(str(error)) from None    # this CPU has no bf16


def keep(job: Job, arrays: dict) -> None:
    """Keep the first turn's results for the comparison; it warms up and is not counted."""
    path = Path(job.out + ".npz")
    if not path.exists():
        np.savez(path, **arrays)


def repeated(job: Job, predict, batch: int = 1, shapes=()):
    """A turn that predicts random pictures of `shapes`, (batch, height, width); else `batch` of the crop's size."""
    shapes = shapes or [(batch, job.crop, job.crop)]
    if job.smallest:
        shapes = sorted({(count, 65, 65) for count, *_ in shapes})
    inputs = {"x".join(map(str, shape)): np.random.RandomState(0).randn(shape[0], 3, *shape[1:]).astype(np.float32)
              for shape in shapes}

    def turn():
        keep(job, {name: predict(images) for name, images in inputs.items()})
    return turn


def network(job: Job, stride: str, engine: str = "onnxruntime", precision: str = "float32", batch: int = 1, shapes=()):
    """The network as eval.py runs it."""
    return repeated(job, open_side(job, stride, engine, precision).predict, batch, shapes)


def torch_network(job: Job, stride: str):
    """(docs/deeplab_v3_torch.py's network with the same weights, a function from inputs to probabilities)."""
    import torch
    spec = importlib.util.spec_from_file_location("deeplab_v3_torch", ROOT / "docs/deeplab_v3_torch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network, _ = module.load(torch_file(job, stride))

    def predict(inputs):
        with torch.inference_mode():
            return torch.softmax(network(torch.from_numpy(inputs)), 1).numpy()
    return network, predict


def eager(job: Job, stride: str, batch: int = 1):
    """PyTorch eager."""
    return repeated(job, torch_network(job, stride)[1], batch)


def torch_export(job: Job, stride: str):
    """PyTorch's own export in ONNX Runtime."""
    import onnxruntime
    import torch
    network = torch.nn.Sequential(torch_network(job, stride)[0], torch.nn.Softmax(1)).eval()
    path = Path(job.folder, f"{stride}_torch.onnx")
    torch.onnx.export(network, (torch.zeros(1, 3, job.crop, job.crop),), str(path), input_names=["image"],
                      output_names=["probs"], dynamo=True, external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return repeated(job, lambda inputs: session.run(None, {"image": inputs})[0])


def difference(job: Job, keys: list):
    """Largest difference of probabilities between each side and the first, over all shapes and for each shape."""
    def turn():
        first, *others = (load_kept(job, key) for key in keys)
        found = {}
        for key, arrays in zip(keys[1:], others):
            shapes = {name: float(np.abs(arrays[name] - first[name]).max()) for name in first}
            found[key] = {"difference": max(shapes.values()), "differences": shapes}
        return {"compared": found}
    return turn


def load_kept(job: Job, key: str) -> dict:
    with np.load(f"{job.out}{key}.npz") as file:
        return dict(file)
