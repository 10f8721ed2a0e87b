"""List file -> MindRecord shards with the unchanged encoded pictures and masks, and the classes in the header."""
import os
import sys
import tempfile
import uuid
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.config import parse_args
from src.console import InputError, run_program
from src.data.facts import check_facts, facts_of, labels_beside, labels_of
from src.data.findings import Summary, tell
from src.data.labels import Labels
from src.data.lists import read_list
from src.data.pictures import limit_pixels
from src.data.survey import jobs_of, look_at, survey


def check_pairs(pairs: list, labels: Labels, config) -> Summary:
    """Check every pair on all cores and print what looks wrong; returns the Summary of all masks.

    Raises InputError with the first problem and the number of problems, or for labels that cannot be trained on.
    """
    look = partial(look_at, labels=labels)
    cv2.setNumThreads(1)    # the processes are the parallelism, and OpenCV's threads would not survive their fork
    with ProcessPoolExecutor(config.workers or os.cpu_count(), initializer=limit_pixels,
                             initargs=(config.max_pixels,)) as pool:
        looked = pool.map(look, jobs_of(pairs, config.data_root), chunksize=16)
        summary, found = survey(looked, pairs, config.data_lst, labels)
    tell(found, config.ignore_findings)
    return summary


def shard_names(dst_path: Path, num_shards: int) -> list:
    """Files that MindSpore's FileWriter makes: each shard with its index; several shards are numbered."""
    width = len(str(num_shards - 1))
    names = [dst_path.name] if num_shards == 1 else [f"{dst_path.name}{i:0{width}d}" for i in range(num_shards)]
    return [name + end for name in names for end in ("", ".db")]


def known_labels(config) -> tuple:
    """(Labels, facts for the header), from the options and the dataset.yaml beside the list. The facts are {} where
    neither gives the number of classes: a default is not written as a fact."""
    known, path = labels_beside(config.data_lst, config.data_root)
    labels = labels_of(config, known, path)
    if not (known or {"num_classes", "class_names"} & set(config.given)):
        return labels, {}
    facts = facts_of(labels, known.get("source", str(config.data_lst)))
    return labels, check_facts(facts, f"--class_names {config.class_names}" if config.class_names else path)


def build(config) -> list:
    """Check all, write aside, rename. Returns the paths of the shards' files.

    MindRecord keeps the shards' names in each header, so they are written under their final names in a temporary folder
    beside them. The first shard, which users name, is moved last.
    """
    dst_path = Path(config.dst_path)
    final = [dst_path.parent / name for name in shard_names(dst_path, config.num_shards)]
    present = [path for path in final if path.exists()]
    if present and not config.overwrite:
        raise InputError(f"--dst_path {present[0]}: exists; give another name, or --overwrite to replace it")
    pairs = read_list(config.data_lst, config.data_root)
    if config.num_shards > len(pairs):
        raise InputError(f"--num_shards {config.num_shards}: more than the {len(pairs)} pairs of {config.data_lst}")
    labels, facts = known_labels(config)
    summary = check_pairs(pairs, labels, config)
    if config.shuffle:
        pairs = [pairs[i] for i in np.random.default_rng(config.seed).permutation(len(pairs))]
    write(final, pairs, config, facts | {"build": uuid.uuid4().hex, "seen": summary.to_json()})
    print(f"{final[0]}: {len(pairs)} samples in {config.num_shards} shards, {labels.num_classes} classes")
    return final


def write(final: list, pairs: list, config, facts: dict) -> None:
    """Write the shards in a temporary folder beside `final`, then move them there."""
    # Imported here: MindSpore's threads would not survive the fork of the processes that check.
    from src.data.mindrecord import write_records
    place = final[0].parent
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build_", dir=place) as folder:
        write_records(Path(folder, Path(config.dst_path).name), pairs, config.data_root, config.num_shards, facts)
        for path in reversed(final):
            os.replace(Path(folder, path.name), path)


def main(argv=None):
    config = parse_args("build_seg_data", __doc__, argv)
    if not config.dst_path:
        raise InputError("--dst_path is not given: the MindRecord to write, such as vocaug.mindrecord")
    build(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
