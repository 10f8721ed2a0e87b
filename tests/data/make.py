"""Copy reference values from ../shared/reference, the large ones thinned: `python tests/data/make.py`."""
import shutil
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "shared/reference"
STEP = 4    # of logits and probabilities every fourth row and column is kept


def main():
    for name in ("params.tsv", "loss.npz", "learning_rates.npz"):
        shutil.copyfile(SOURCE / name, HERE / name)
    logits = np.load(SOURCE / "logits.npz")
    np.savez_compressed(HERE / "logits.npz", **{key: logits[key][:, :, ::STEP, ::STEP] for key in logits.files})
    modes, kept = np.load(SOURCE / "eval_modes.npz"), {}
    for key in modes.files:
        if modes[key].ndim == 3 and modes[key].shape[2] == 21:
            kept[key] = modes[key][::STEP, ::STEP]
            kept[key + "_map"] = modes[key].argmax(2).astype(np.uint8)
        else:
            kept[key] = modes[key]
    np.savez_compressed(HERE / "eval_modes.npz", **kept)


if __name__ == "__main__":
    main()
