"""The C++ program beside Python: probabilities, class maps, mIoU, times and peak memory, on one machine in one run.

`python benchmarks/infer_cpp.py DATA_ROOT [--stride 16] [--compare 10] [--images 40] [--tiny]` for a DATA_ROOT in which
get_dataset_lst.py wrote voc_val_lst.txt. The weights are the reference's (tests/golden.py), so mIoU means nothing
but agreement. With PyTorch installed, both programs' probabilities are also held against the network in float64.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("GLOG_v", "3")
from benchmarks.peak_memory import run_measured
from src.data.labels import Labels
from src.data.lists import read_list
from src.data.pictures import read_pair
from src.evaluation.inference import Settings, add_resized, argmax_map, letterbox, letterbox_size
from src.evaluation.metrics import ConfusionMatrix
from src.export.mindir import to_version_1
from src.export.mindspore_formats import write_mindspore
from src.nets.layers import fold_batch_norm
from src.nets.net_factory import InferenceNetwork, create_network
from tests.golden import set_golden


def run_cpp(program, mindir, root, pairs, folder, *more):
    """Run the program over pairs; its console and its peak memory in MB."""
    list_file = folder / "list.txt"
    list_file.write_text("".join(f"{image}\t{mask}\n" for image, mask in pairs))
    command = [program, "--mindir_path", mindir, "--dataset_path", root, "--image_list", list_file, "--device_type",
               "CPU", "--output_dir", folder, *more]
    return run_measured(command)


def number_after(text: str, words: str) -> float:
    return float(re.search(re.escape(words) + r"\D*([\d.]+)", text).group(1))


def python_results(predict, pairs, root, settings):
    """Yield (pair, mask, inputs, probabilities, class map, seconds of predict) of each pair, batch 1."""
    table, side = settings.normalisation(), settings.crop_size
    predict(np.zeros((1, 3, side, side), np.float32))    # compiles
    for pair in pairs:
        image, mask = read_pair(root, pair, Labels(settings.num_classes, 255, ()))
        inputs = np.zeros((1, 3, side, side), np.float32)
        valid = letterbox(image, side, table, inputs[0])
        start = time.perf_counter()
        probs = predict(inputs)[0]
        seconds = time.perf_counter() - start
        yield pair, mask, inputs, probs, argmax_map(add_resized(None, probs, valid, mask.shape)), seconds


def around_plainly(root, pair, probs, settings) -> float:
    """Seconds of what surrounds the network, written as the published Python does it: whole arrays in float."""
    start = time.perf_counter()
    image = cv2.imread(str(Path(root, pair.image)))
    mask = cv2.imread(str(Path(root, pair.mask)), cv2.IMREAD_GRAYSCALE)
    rows, columns = letterbox_size(*mask.shape, settings.crop_size)
    resized = (cv2.resize(image, (columns, rows)) - np.array(settings.mean)) / np.array(settings.std)
    below, right = settings.crop_size - rows, settings.crop_size - columns
    cv2.copyMakeBorder(resized, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0).transpose((2, 0, 1))
    scores = cv2.resize(probs[:, :rows, :columns].transpose((1, 2, 0)), mask.shape[::-1])
    class_map, known = scores.argmax(axis=2), mask < settings.num_classes
    np.bincount(settings.num_classes * mask[known].astype(int) + class_map[known], minlength=settings.num_classes**2)
    cv2.imencode(".png", class_map.astype(np.uint8))
    return time.perf_counter() - start


def in_float64(net):
    """inputs -> probabilities of the same weights in float64, or None without PyTorch."""
    try:
        import torch

        from benchmarks.torch_network import DeepLabV3
    except ImportError:
        return None
    network = DeepLabV3(net.network).double()

    def predict(inputs):
        with torch.inference_mode():
            return network(torch.from_numpy(inputs).double()).numpy()
    return predict


def compare(results, folder, count, settings, exact):
    """Largest differences of the first `count` pictures' probabilities (to Python; C++ and Python to float64), share
    of equal pixels, Python's mIoU, seconds of its Predict for each picture."""
    matrix, seconds, largest, equal, pixels = ConfusionMatrix(settings.num_classes, 255), [], np.zeros(3), 0, 0
    for number, (pair, mask, inputs, probs, class_map, elapsed) in enumerate(results):
        stem = folder / "result_Files" / Path(pair.image).stem
        if number < count:
            cpp = np.fromfile(f"{stem}_0.bin", np.float32).reshape(probs.shape)
            truth = exact(inputs)[0] if exact else np.full(1, np.nan)
            largest = np.maximum(largest, [np.abs(a - b).max() for a, b in
                                           ((cpp, probs), (cpp, truth), (probs, truth))])
        found = cv2.imread(f"{stem}.png", cv2.IMREAD_UNCHANGED)
        equal, pixels = equal + int((found == class_map).sum()), pixels + found.size
        matrix.update(mask, class_map)
        seconds.append(elapsed)
    return largest, equal / pixels, matrix.mean_iou, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--stride", default="16", choices=("16", "8"))
    parser.add_argument("--compare", type=int, default=10, help="pictures whose probabilities are compared")
    parser.add_argument("--images", type=int, default=40, help="pictures that are timed and scored")
    parser.add_argument("--tiny", action="store_true", help="the tiny network, for memory over long lists")
    args = parser.parse_args()
    import mindspore as ms
    pairs = read_list(args.data_root / "voc_val_lst.txt")
    pairs = (pairs * (args.images // len(pairs) + 1))[:args.images]
    settings = Settings()
    net = InferenceNetwork(create_network(f"deeplab_v3_{'tiny_' if args.tiny else ''}s{args.stride}"))
    set_golden(net)
    exact = in_float64(net)
    fold_batch_norm(net)    # as export.py and eval.py do
    program = subprocess.run(["bash", ROOT / "ascend310_infer/build.sh"], stdout=subprocess.PIPE, text=True,
                             check=True).stdout.split()[-1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_mindspore(net, (1, 3, 513, 513), "float32", "MINDIR", folder / "model.mindir", to_version_1)
        _, first = run_cpp(program, folder / "model.mindir", args.data_root, pairs[:args.compare], folder,
                           "--dump_probs")
        out, memory = run_cpp(program, folder / "model.mindir", args.data_root, pairs, folder)
        results = python_results(lambda x: net(ms.Tensor(x)).asnumpy(), pairs, args.data_root, settings)
        largest, equal, miou, seconds = compare(results, folder, args.compare, settings, exact)
        # Beside a network that leaves a core free: what surrounds it is then not slowed by it.
        alone, _ = run_cpp(program, folder / "model.mindir", args.data_root, pairs[:20], folder, "--threads", 1)
    probs = np.random.RandomState(0).rand(settings.num_classes, settings.crop_size, settings.crop_size)
    plain = [around_plainly(args.data_root, pair, probs.astype(np.float32), settings) for pair in pairs[:20]]
    predict = number_after(out, "average time: ")
    print(f"probabilities of {args.compare} pictures: C++ to Python {largest[0]:.1e} at most, to float64 C++ "
          f"{largest[1]:.1e}, Python {largest[2]:.1e}")
    print(f"{equal:.6%} of the pixels of {len(pairs)} class maps equal")
    print(f"mIoU C++ {number_after(out, 'mean IoU'):.6f}, Python {miou:.6f}")
    python = 1e3 * np.median(seconds)
    print(f"Predict: C++ {predict:.1f} ms, Python {python:.1f} ms, ratio {predict / python:.2f}")
    around = sum(number_after(alone, words) for words in ("reading and letterbox: ", "counting: ", "copying: "))
    print("\n".join(alone.splitlines()[-3:]))
    print(f"around Predict: C++ {around:.1f} ms, Python written plainly {1e3 * np.median(plain):.1f} ms")
    print(f"peak memory {memory:.0f} MB for {len(pairs)} pictures, {first:.0f} MB for {args.compare}")


if __name__ == "__main__":
    main()
