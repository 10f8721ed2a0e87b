"""The C++ program (ascend310_infer) on MindSpore Lite compared with Python: Predict, the rest, agreement, memory."""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.networks import keep, load_kept, open_side, torch_network
from benchmarks.pictures import around_inputs, loader, plain_counts, plain_input, plain_sum, settings_of
from benchmarks.prepare import ROOT, Job, Unavailable, checkpoint, environment, pairs, program, voc
from src.evaluation.letterbox import letterbox, letterbox_size
from src.evaluation.planes import add_resized, argmax_map

COMPARED = 10    # pictures whose probabilities are compared


def built() -> str:
    """The program. Raises Unavailable where it cannot be built."""
    done = subprocess.run(["bash", "ascend310_infer/build.sh"], cwd=ROOT, env=environment(), capture_output=True,
                          text=True)
    if done.returncode:
        raise Unavailable(done.stderr.strip().splitlines()[-1])
    return done.stdout.split()[-1]


def mindir(job: Job, stride: str) -> Path:
    path = Path(job.folder, f"{stride}.mindir")
    if not path.exists():
        program("export.py", "--ckpt_file", checkpoint(job, stride), "--file_name", path, "--file_format", "MINDIR",
                "--mindir_version", 1, "--device_target", "CPU", "--export_batch_size", 1, "--input_size", job.crop)
    return path


def number_after(text: str, words: str) -> float:
    return float(re.search(re.escape(words) + r"\D*([\d.]+)", text).group(1))


def run(job: Job, stride: str, chosen: list, *more) -> dict:
    """The program over `chosen` in a folder: its console, its peak memory in MB, the folder."""
    name = f"{job.out}_cpp"
    Path(name).mkdir(exist_ok=True)
    Path(name, "list.txt").write_text("".join(f"{image}\t{mask}\n" for image, mask in chosen))
    # A small process starts it: Linux includes the memory of the process before exec in the peak.
    code = "import json, sys; from benchmarks.commands import timed; print(json.dumps(timed(*sys.argv[1:])))"
    command = [built(), "--mindir_path", mindir(job, stride), "--dataset_path", voc(job), "--image_list",
               f"{name}/list.txt", "--device_type", "CPU", "--output_dir", name, *more]
    done = subprocess.run([sys.executable, "-c", code, *map(str, command)], cwd=ROOT, env=environment(GLOG_v="4"),
                          stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "folder": Path(name)}


def cpp(job: Job, stride: str, images: int = 30):
    """Seconds of Predict per picture; the first probabilities and all class maps are kept."""
    chosen = pairs(job, job.fewer(images))
    compared = min(COMPARED, len(chosen))
    folder = run(job, stride, chosen[:compared], "--dump_probs")["folder"] / "result_Files"
    probs = [np.fromfile(folder / f"{Path(image).stem}_0.bin", np.float32) for image, _ in chosen[:compared]]

    def turn():
        found = run(job, stride, chosen)
        maps = [cv2.imread(str(folder / f"{Path(image).stem}.png"), cv2.IMREAD_UNCHANGED) for image, _ in chosen]
        keep(job, {"probs": np.concatenate(probs), "maps": np.concatenate([one.ravel() for one in maps])})
        return {"s": number_after(found["console"], "average time: ") / 1e3, "mb": found["mb"],
                "mean_iou": number_after(found["console"], "mean IoU")}
    return turn


def python(job: Job, stride: str, side: str = "mindspore", images: int = 30):
    """Seconds per picture of MindSpore, or of PyTorch in float64, whose probabilities are the reference."""
    chosen, settings = pairs(job, job.fewer(images)), settings_of(job)
    if side == "float64":
        import torch
        network = torch_network(job, stride)[0].double()
        chosen = chosen[:COMPARED]

        def predict(inputs):
            with torch.inference_mode():
                return torch.softmax(network(torch.from_numpy(inputs).double()), 1).numpy()
    else:
        predict = open_side(job, stride, side).predict
    inputs = [prepared(job, pair, settings) for pair in chosen]

    def turn():
        seconds, probs, maps = [], [], []
        for image, valid, shape in inputs:
            start = time.perf_counter()
            found = predict(image)[0]
            seconds.append(time.perf_counter() - start)
            probs += [found.ravel()] if len(probs) < COMPARED else []
            maps.append(argmax_map(add_resized(None, np.float32(found), valid, shape)).ravel())
        keep(job, {"probs": np.concatenate(probs), "maps": np.concatenate(maps)})
        return {"s": float(np.median(seconds))}
    return turn


def prepared(job: Job, pair, settings) -> tuple:
    """(input (1, 3, S, S), its size there, the picture's size)."""
    image, _ = loader(job)(pair)
    inputs = np.zeros((1, 3, settings.crop_size, settings.crop_size), np.float32)
    valid = letterbox(image, settings.crop_size, settings.normalisation(), inputs[0])
    return inputs, valid, image.shape[:2]


def agreement(job: Job, keys: list):
    """Largest difference of probabilities and share of equal pixels, between each side and the first."""
    def turn():
        first, found = load_kept(job, keys[0]), {}
        for key in keys[1:]:
            other = load_kept(job, key)
            count = min(len(first["maps"]), len(other["maps"]))    # float64 has only the first pictures
            found[key] = {"difference": float(np.abs(first["probs"] - other["probs"]).max()),
                          "equal_pixels": float((first["maps"][:count] == other["maps"][:count]).mean())}
        return {"compared": found}
    return turn


def around(job: Job, stride: str, images: int = 20):
    """Reading, letterbox, class map, PNG and counting of a picture, while the network leaves one core free."""
    chosen = pairs(job, job.fewer(images))

    def turn():
        console = run(job, stride, chosen, "--threads", 1)["console"]
        parts = [number_after(console, words) for words in ("reading and letterbox: ", "counting: ", "copying: ")]
        return {"s": sum(parts) / 1e3, "images": 1, "parts": parts}
    return turn


def plain_around(job: Job, images: int = 20):
    """The same as in the published Python code: complete arrays in float."""
    chosen, root = pairs(job, job.fewer(images)), voc(job)
    settings, _, probs = around_inputs(job, 1)
    cv2.setNumThreads(os.cpu_count())

    def turn():
        for pair in chosen:
            image, mask = cv2.imread(str(root / pair.image)), cv2.imread(str(root / pair.mask), cv2.IMREAD_GRAYSCALE)
            plain_input(image, settings.crop_size, settings)
            size = letterbox_size(*mask.shape, settings.crop_size)
            found = plain_sum(np.float32(0), probs, size, mask.shape).argmax(2)
            plain_counts(mask, found, job.classes)
            cv2.imencode(".png", found.astype(np.uint8))
        return {"images": len(chosen)}
    return turn


def memory(job: Job, stride: str, images: int):
    """Peak memory over a list of this length."""
    chosen = pairs(job, images // 50 if job.smallest else images)
    return lambda: {"mb": run(job, stride, chosen)["mb"]}
