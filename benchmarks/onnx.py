"""The exported model against MindSpore, PyTorch and OpenVINO: differences, agreement on pictures, time, memory.

    python benchmarks/onnx.py differences            # probabilities, random pictures
    python benchmarks/onnx.py agreement --data_root DIR --data_lst FILE [--images 12]
    python benchmarks/onnx.py speed                  # also needs: pip install torch onnxscript openvino
    python benchmarks/onnx.py memory --data_root DIR --data_lst FILE
    python benchmarks/onnx.py precision --ckpt_file CKPT --data_root DIR --data_lst VAL --calibration_lst TRAIN

The weights are made from the parameters' names (tests/golden.py), or --ckpt_file and --num_classes give trained ones.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)    # in place of this folder, whose onnx.py would hide the package

import numpy as np

from benchmarks.peak_memory import run_measured
from src.data.labels import Labels
from src.data.lists import format_pair, read_list
from src.data.pictures import read_pair
from src.device import open_device
from src.evaluation.inference import FIVE_SCALES, Settings, evaluate
from src.models.onnxruntime_engine import OnnxModel

SHAPES = [(1, 257, 257), (1, 513, 513), (3, 257, 257), (3, 385, 513)]
MODES = [("s16", (1.0,), False), ("s8", (1.0,), False), ("s8", FIVE_SCALES, False), ("s8", FIVE_SCALES, True)]


def make_cell(options, stride):
    """InferenceNetwork of the stride, with the golden weights or the checkpoint's."""
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.weights.checkpoint import load_network
    from tests.golden import DATA, set_golden
    cell = InferenceNetwork(create_network(f"deeplab_v3_{stride}", options.num_classes))
    if options.ckpt_file:
        load_network(cell, options.ckpt_file, "ckpt_file")
    else:    # with the bias that makes every class occur
        set_golden(cell, {"network.aspp.conv2.bias": np.load(DATA / "eval_modes.npz")[f"{stride}_conv2_bias"]})
    return cell


def make_pair(options, stride, folder):
    """MindSpore's predict as eval.py makes it, the exported model of the same weights, and the network as loaded."""
    import mindspore as ms
    import onnx

    from src.export.onnx_graph import build_model
    from src.nets.layers import fold_batch_norm
    cell, folded = make_cell(options, stride), make_cell(options, stride)
    fold_batch_norm(folded)
    path = f"{folder}/{stride}.onnx"
    onnx.save(build_model(cell.network, {}), path)
    return lambda inputs: folded(ms.Tensor(inputs)).asnumpy(), OnnxModel(path, "CPU"), cell


def random_images(shape):
    return np.random.RandomState(0).randn(shape[0], 3, *shape[1:]).astype(np.float32)


def differences(options, folder):
    print("| stride | batch | height x width | largest difference of a probability |\n| --- | --- | --- | --- |")
    for stride in ("s16", "s8"):
        theirs, model, _ = make_pair(options, stride, folder)
        ours = model.make_predict(Settings())
        for shape in SHAPES:
            images = random_images(shape)
            worst = np.abs(ours(images) - theirs(images)).max()
            print(f"| {stride} | {shape[0]} | {shape[1]}x{shape[2]} | {worst:.1e} |", flush=True)


def agreement(options, folder):
    print("| stride | scales | flip | pictures | equal pixels | mIoU MindSpore | mIoU ONNX | images/s | images/s |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    pairs = read_list(options.data_lst)[:options.images]
    load = partial(read_pair, options.data_root, labels=Labels(options.num_classes, 255, ()))
    opened = {}
    for stride, scales, flip in MODES:
        if options.modes and f"{stride}_{len(scales)}{'_flip' * flip}" not in options.modes:
            continue
        if stride not in opened:
            opened = {stride: make_pair(options, stride, folder)}
        theirs, model, _ = opened[stride]
        settings = Settings(options.crop_size, scales, flip, 1, options.num_classes)
        maps, results, rates = ([], []), [], []
        for predict, kept in zip((theirs, model.make_predict(settings)), maps):
            for scale in scales:    # graphs are compiled before the clock starts
                predict(random_images((1, settings.input_size(scale), settings.input_size(scale))))
            start = time.perf_counter()
            results.append(evaluate(predict, pairs, load, settings, lambda *x, kept=kept: kept.append(x[3])).mean_iou)
            rates.append(len(pairs) / (time.perf_counter() - start))
        equal = sum((a == b).sum() for a, b in zip(*maps)) / sum(a.size for a in maps[0])
        print(f"| {stride} | {len(scales)} | {'yes' if flip else 'no'} | {len(pairs)} | {100 * equal:.4f} % | "
              f"{results[0]:.6f} | {results[1]:.6f} | {rates[0]:.2f} | {rates[1]:.2f} |", flush=True)


def torch_runs(cell, folder, images) -> dict:
    """PyTorch eager, and its export in ONNX Runtime, as functions without arguments."""
    try:
        import torch

        from benchmarks.torch_network import DeepLabV3
    except ImportError as error:
        print(f"left out: PyTorch ({error}); mend: pip install torch onnxscript")
        return {}
    network, image = DeepLabV3(cell.network), torch.from_numpy(images)
    path = f"{folder}/torch.onnx"
    torch.save(network, f"{folder}/module.pt")
    # In a process without MindSpore, which asks for protobuf's slow Python implementation.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROTOCOL_BUFFERS")}
    subprocess.run([sys.executable, "-m", "benchmarks.torch_network", f"{folder}/module.pt", str(images.shape[-1]),
                    path], cwd=ROOT, env=clean, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    exported = OnnxModel(path, "CPU").make_predict(Settings())

    def eager():
        with torch.inference_mode():
            return network(image).numpy()
    return {"PyTorch's own export in ONNX Runtime": lambda: exported(images), "PyTorch eager": eager}


def openvino_run(path, images) -> dict:
    try:
        import openvino
    except ImportError as error:
        print(f"left out: OpenVINO ({error}); mend: pip install openvino")
        return {}
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {"this file in OpenVINO, float32": lambda: compiled([images])[0]}


def speed(options, folder):
    print("| stride | what | ms | of ours | difference |\n| --- | --- | --- | --- | --- |")
    images = random_images((1, options.crop_size, options.crop_size))
    for stride in options.strides:
        theirs, model, cell = make_pair(options, stride, folder)
        ours = model.make_predict(Settings())
        runs = {"this file in ONNX Runtime": lambda ours=ours: ours(images),
                "MindSpore, as eval.py runs it": lambda theirs=theirs: theirs(images),
                **torch_runs(cell, folder, images), **openvino_run(model.path, images)}
        outputs = {name: run().copy() for name, run in runs.items()}    # compiles and warms up
        times = {name: [] for name in runs}
        for _ in range(options.rounds):    # in turns, so that a disturbance meets all
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
        first = next(iter(runs))
        for name in runs:
            middle, base = np.median(times[name]), np.median(times[first])
            worst = np.abs(outputs[name] - outputs[first]).max()
            print(f"| {stride} | {name} | {1e3 * middle:.0f} | {middle / base:.2f} | {worst:.1e} |", flush=True)


def memory(options, folder):
    print("| stride | program | peak memory, batch 1 |\n| --- | --- | --- |")
    for stride in options.strides:
        make_pair(options, stride, folder)
        short_list = Path(folder, "list.txt")    # eight pictures are enough to see the peak
        short_list.write_text("".join(map(format_pair, read_list(options.data_lst)[:8])))
        command = [sys.executable, ROOT / "eval_onnx.py", "--file_name", f"{folder}/{stride}.onnx", "--batch_size", "1",
                   "--device_target", "CPU", "--data_root", options.data_root, "--data_lst", short_list,
                   "--num_classes", str(options.num_classes), "--crop_size", str(options.crop_size),
                   "--result_file", f"{folder}/result.json"]
        peak = run_measured(command)[1]
        print(f"| {stride} | eval_onnx.py at {options.crop_size} | {peak / 1024:.2f} GB |", flush=True)


def precision(options, folder):
    """Trained weights are needed for this: --ckpt_file; calibrated on --calibration_lst, measured on --data_lst."""
    import onnx

    from src.export.onnx_graph import build_model
    from src.export.quantise import calibration_inputs, to_int8
    print("| stride | precision | MB | ms at 513x513 | mIoU | equal pixels |\n| --- | --- | --- | --- | --- | --- |")
    load = partial(read_pair, options.data_root, labels=Labels(options.num_classes, 255, ()))
    pairs = read_list(options.data_lst)[:options.images]
    settings = Settings(options.crop_size, batch_size=1, num_classes=options.num_classes)
    calibration = [load(pair)[0] for pair in read_list(options.calibration_lst or options.data_lst)[:32]]
    for stride in options.strides:
        network, first = make_cell(options, stride).network, None
        for name in ("float32", "fp16", "int8"):
            path = f"{folder}/{name}.onnx"
            if name == "int8":
                to_int8(build_model(network, {}), calibration_inputs(calibration, settings, "float32", "NCHW"), path)
            else:
                onnx.save(build_model(network, {}, half=name == "fp16"), path)
            predict, maps = OnnxModel(path, "CPU").make_predict(settings), []
            found = evaluate(predict, pairs, load, settings, lambda *x, maps=maps: maps.append(x[3]))
            times, image = [], random_images((1, 513, 513))
            for _ in range(3):
                start = time.perf_counter()
                predict(image)
                times.append(time.perf_counter() - start)
            first = first or maps
            equal = sum((a == b).sum() for a, b in zip(first, maps)) / sum(a.size for a in maps)
            print(f"| {stride} | {name} | {os.path.getsize(path) / 1e6:.0f} | {1e3 * np.median(times):.0f} | "
                  f"{100 * found.mean_iou:.2f} | {100 * equal:.2f} % |", flush=True)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--data_root", default="", help="folder that the list's paths are relative to")
    parser.add_argument("--data_lst", default="", help="list file of pictures with masks")
    parser.add_argument("--images", type=int, default=12, help="pictures of the list to take")
    parser.add_argument("--modes", nargs="*", help="of s16_1 s8_1 s8_5 s8_5_flip, all by default")
    parser.add_argument("--strides", nargs="*", default=["s16", "s8"])
    parser.add_argument("--crop_size", type=int, default=513)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ckpt_file", default="")
    parser.add_argument("--calibration_lst", default="", help="list file that int8 is calibrated on")
    parser.add_argument("--num_classes", type=int, default=21)
    return parser.parse_args(argv)


PARTS = {"differences": differences, "agreement": agreement, "speed": speed, "memory": memory,
         "precision": precision}


def main(argv=None):
    options = parse(argv)
    open_device("CPU")
    print(f"{os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        PARTS[options.part](options, folder)


if __name__ == "__main__":
    main()
