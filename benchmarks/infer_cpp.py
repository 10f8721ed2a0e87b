"""The C++ program beside Python: probabilities, class maps, mIoU, times and peak memory, on one machine in one run.

`python benchmarks/infer_cpp.py DATA_ROOT [--stride 16] [--compare 10] [--images 40] [--tiny]` for a DATA_ROOT in which
get_dataset_lst.py wrote voc_val_lst.txt. The weights are the reference's (tests/golden.py), so mIoU means nothing
but agreement.
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
from src.data.voc import read_list, read_pair
from src.evaluation.inference import Settings, add_resized, argmax_map, letterbox
from src.evaluation.metrics import ConfusionMatrix
from src.export.mindir import to_version_1
from src.export.mindspore_formats import write_mindspore
from src.nets.net_factory import InferenceNetwork, create_network
from tests.golden import set_golden


def run_cpp(program, mindir, root, pairs, folder, *more):
    """Run the program over pairs; its console and its peak memory in MB."""
    list_file = folder / "list.txt"
    list_file.write_text("".join(f"{image}\t{mask}\n" for image, mask in pairs))
    command = [program, "--mindir_path", mindir, "--dataset_path", root, "--image_list", list_file, "--device_type",
               "CPU", "--output_dir", folder, *more]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{program} failed: {out}")
    return out, usage.ru_maxrss / 1024


def number_after(text: str, words: str) -> float:
    return float(re.search(re.escape(words) + r"\D*([\d.]+)", text).group(1))


def python_results(predict, pairs, root, settings):
    """Yield (pair, mask, probabilities, class map, seconds of predict) of each pair, batch 1."""
    table, side = settings.normalisation(), settings.crop_size
    predict(np.zeros((1, 3, side, side), np.float32))    # compiles
    for pair in pairs:
        image, mask = read_pair(root, pair, settings.num_classes, 255)
        inputs = np.zeros((1, 3, side, side), np.float32)
        valid = letterbox(image, side, table, inputs[0])
        start = time.perf_counter()
        probs = predict(inputs)[0]
        seconds = time.perf_counter() - start
        yield pair, mask, probs, argmax_map(add_resized(None, probs, valid, mask.shape)), seconds


def compare(results, folder, count, settings):
    """Largest difference, share of equal pixels, Python's mIoU and mean seconds; probabilities of the first `count`."""
    matrix, seconds, largest, equal, pixels = ConfusionMatrix(settings.num_classes, 255), [], 0.0, 0, 0
    for number, (pair, mask, probs, class_map, elapsed) in enumerate(results):
        stem = folder / "result_Files" / Path(pair.image).stem
        if number < count:
            largest = max(largest, np.abs(np.fromfile(f"{stem}_0.bin", np.float32) - probs.reshape(-1)).max())
        found = cv2.imread(f"{stem}.png", cv2.IMREAD_UNCHANGED)
        equal, pixels = equal + int((found == class_map).sum()), pixels + found.size
        matrix.update(mask, class_map)
        seconds.append(elapsed)
    return largest, equal / pixels, matrix.mean_iou, float(np.mean(seconds))


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
    program = subprocess.run(["bash", ROOT / "ascend310_infer/build.sh"], stdout=subprocess.PIPE, text=True,
                             check=True).stdout.split()[-1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_mindspore(net, (1, 3, 513, 513), "float32", "MINDIR", folder / "model.mindir", to_version_1)
        run_cpp(program, folder / "model.mindir", args.data_root, pairs[:args.compare], folder, "--dump_probs")
        out, memory = run_cpp(program, folder / "model.mindir", args.data_root, pairs, folder)
        results = python_results(lambda x: net(ms.Tensor(x)).asnumpy(), pairs, args.data_root, settings)
        largest, equal, miou, seconds = compare(results, folder, args.compare, settings)
    predict = number_after(out, "average time: ")
    print(f"probabilities differ by {largest:.2e} at most; {equal:.6%} of the pixels of {len(pairs)} class maps equal")
    print(f"mIoU C++ {number_after(out, 'mean IoU'):.6f}, Python {miou:.6f}")
    print(f"Predict: C++ {predict:.1f} ms, Python {1e3 * seconds:.1f} ms, ratio {predict / 1e3 / seconds:.2f}")
    print("\n".join(out.splitlines()[-3:]))
    print(f"peak memory {memory:.0f} MB for {len(pairs)} pictures")


if __name__ == "__main__":
    main()
