"""What build_seg_data.py left in the header of a MindRecord: facts about its masks, and a summary of what they hold.

The header is read without MindSpore.
"""
import json
import os
from pathlib import Path

from src.console import InputError
from src.data.dataset_yaml import check_facts
from src.data.summary import Summary

HEADER_BYTES = 128 << 20    # the largest header that MindSpore writes


def read_header(path) -> dict:
    """The header of a MindRecord shard, {} for another file: its length (8 bytes, little endian), then JSON."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length <= HEADER_BYTES else {}
    except (OSError, ValueError, RecursionError):    # the reader of the samples will report the error
        return {}
    return header if isinstance(header, dict) else {}


def read_description(path) -> tuple:
    """(facts, shard names) that build_seg_data.py left in the header: the facts are JSON, in the description of the
    schema, which MindSpore carries and never reads. ({}, []) for records of other programs."""
    header = read_header(path)
    try:
        facts = json.loads(header["schema"][0]["desc"])
        build, names = facts["build"], list(header["shard_addresses"])
    except (KeyError, IndexError, TypeError, ValueError, RecursionError):    # a plain description, or none
        return {}, []
    shards = [Path(path).parent / Path(str(name)).name for name in names]
    return (facts, shards) if type(build) is str else ({}, [])


def facts_in_record(data_file) -> dict:
    """The facts in a MindRecord, given any of its shards, as in dataset.yaml; {} if it has none (built without them, by
    an older version or by another program).

    Raises InputError if its facts are damaged, or its shards come from different builds.
    """
    facts, shards = read_description(data_file)
    for shard in shards:
        if os.path.isfile(shard) and read_description(shard)[0].get("build") != facts["build"]:
            raise InputError(f"--data_file {data_file}: {shard} is of another build; build all shards again")
    facts.pop("seen", None)
    return check_facts(facts, data_file) if "num_classes" in facts else {}


def summary_in_record(data_file):
    """The Summary of the masks that build_seg_data.py wrote into a MindRecord; None if it has none."""
    return Summary.from_json(read_description(data_file)[0].get("seen"))
