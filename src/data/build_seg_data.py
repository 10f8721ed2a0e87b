"""List file -> MindRecord shards that hold the encoded pictures and masks as they are, and what their classes are."""
import contextlib
import os
import shutil
import sys
import uuid
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.claims import claim_file
from src.config import parse_args
from src.console import InputError, RunError, first_line, number_of, run_program
from src.data.dataset_yaml import check_facts, facts_beside, facts_of, labels_of
from src.data.findings import tell
from src.data.labels import Labels
from src.data.lists import read_list
from src.data.pictures import limit_pixels
from src.data.summary import Summary
from src.data.survey import jobs_of, look_at, survey
from src.data.workers import in_processes
from src.files import check_output, folder_aside, identities


def check_pairs(pairs: list, labels: Labels, config) -> Summary:
    """Check every pair on all cores and print what looks wrong; returns the Summary of all masks.

    Raises InputError with the first problem and the number of problems, or for labels that cannot be trained on.
    """
    limit_pixels(config.max_pixels)
    looked = in_processes(partial(look_at, labels=labels), jobs_of(pairs, config.data_root), config.workers)
    summary, found = survey(looked, pairs, config.data_lst, labels)
    tell(found, config.ignore_findings)
    return summary


def check_space(place: Path, pairs: list, data_root) -> None:
    """Raises InputError where the disk of the folder `place` has less room than the files of the pairs take."""
    needed, free = 0, shutil.disk_usage(place).free
    for path in (Path(data_root, name) for pair in pairs for name in pair):
        with contextlib.suppress(OSError, ValueError):    # what cannot be read is named by the look at it
            needed += path.stat().st_size
    if needed > free:
        raise InputError(f"--dst_path {place}: {free / 1e6:.1f} MB are free on this disk, and the MindRecord takes "
                         f"{needed / 1e6:.1f} MB; make room, or give another place")


def shard_names(dst_path: Path, num_shards: int) -> list:
    """Files that MindSpore's FileWriter makes: each shard with its index; several shards are numbered."""
    width = len(str(num_shards - 1))
    names = [dst_path.name] if num_shards == 1 else [f"{dst_path.name}{i:0{width}d}" for i in range(num_shards)]
    return [name + end for name in names for end in ("", ".db")]


def known_labels(config) -> tuple:
    """(Labels, facts for the header), from the options and the dataset.yaml beside the list. The facts are {} where
    neither gives the number of classes: a default is not written as a fact."""
    known, path = facts_beside(config.data_lst, config.data_root)
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
    claim_file(dst_path, "--dst_path")
    pairs = read_list(config.data_lst, config.data_root)
    if config.num_shards > len(pairs):
        raise InputError(f"--num_shards {config.num_shards}: more than the {len(pairs)} pairs of "
                         f"{config.data_lst}; give 1")
    inputs = [config.data_lst, config.class_names, *(Path(config.data_root, name) for pair in pairs for name in pair)]
    inputs = identities(inputs) if present else {}
    for path in present:
        check_output(path, "--dst_path", inputs=inputs)
    check_space(final[0].parent, pairs, config.data_root)
    labels, facts = known_labels(config)
    summary = check_pairs(pairs, labels, config)
    if config.shuffle:
        pairs = [pairs[i] for i in np.random.default_rng(config.seed).permutation(len(pairs))]
    write(final, pairs, config, facts | {"build": uuid.uuid4().hex, "seen": summary.to_json()})
    print(f"{final[0]}: {number_of(len(pairs), 'sample')} in {number_of(config.num_shards, 'shard')}, "
          f"{number_of(labels.num_classes, 'class')}")
    return final


def write(final: list, pairs: list, config, facts: dict) -> None:
    """Write the shards in a temporary folder beside `final`, then move them there."""
    # Imported here: MindSpore's threads would not survive the fork of the processes that check.
    from src.data.mindrecord import write_records
    with folder_aside(Path(config.dst_path)) as folder:
        try:
            write_records(folder / Path(config.dst_path).name, pairs, config.data_root, config.num_shards, facts)
        except RuntimeError as error:    # of MindSpore: a full disk, a name that it does not take
            raise RunError(f"--dst_path {final[0]}: cannot be written ({first_line(error)})") from None
        for path in reversed(final):
            os.replace(folder / path.name, path)


def main(argv=None):
    config = parse_args("build_seg_data", __doc__, argv)
    if not config.dst_path:
        raise InputError("--dst_path is not given: the MindRecord to write, such as vocaug.mindrecord")
    build(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
