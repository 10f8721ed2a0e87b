"""How fast a model file is in one engine, and how much memory that takes: a process for each, so that none is warm.

python -m src.models.speed JSON computes; `measure` starts it.
"""
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from src.console import InputError, run_program
from src.device import numbers_of
from src.files import temporary_folder
from src.models.model import open_model

ROOT = Path(__file__).resolve().parents[2]
SECONDS, LEAST, MOST = 3, 3, 50    # of the passes: how long, and how many at least and at most


def measure(path, engine: str, side: int, known: dict) -> dict:
    """Seconds of a picture (the median), passes, peak memory in MB (None where the system does not say), and device.

    Args:
        side: of the picture in pixels, where the file leaves it free.
        known: facts that the caller knows better than the file.

    Raises InputError with what the engine says if it cannot run the file.
    """
    order = json.dumps({"path": str(Path(path).absolute()), "engine": engine, "side": side, "known": known})
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with temporary_folder() as folder:    # where MindSpore may leave files
        done = subprocess.run([sys.executable, "-m", "src.models.speed", order], cwd=folder, capture_output=True,
                              text=True, env={**os.environ, "PYTHONPATH": paths})
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
        raise InputError(next((line for line in said if line.startswith("error: ")), said[-1]).removeprefix("error: "))
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(argv) -> None:
    order = json.loads(argv[0])
    model = open_model(order["path"], order["engine"], option="FILE", **order["known"])
    side = model.size or order["side"]
    image = np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)
    model.predict(image)    # compiles, and allocates what stays
    times = []
    while len(times) < LEAST or (sum(times) < SECONDS and len(times) < MOST):
        start = time.perf_counter()
        model.predict(image)
        times.append(time.perf_counter() - start)
    peak = numbers_of("/proc/self/status").get("VmHWM")    # kB; Linux alone says it
    print(json.dumps({"s": statistics.median(times), "passes": len(times), "mb": peak and peak / 1024,
                      "device": model.device, "side": side}))


if __name__ == "__main__":
    sys.exit(run_program(main, sys.argv[1:]))
