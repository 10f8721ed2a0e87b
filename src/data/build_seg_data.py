"""List file -> MindRecord shards that hold the encoded pictures and masks as they are."""
import io
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from src.config import parse_args
from src.console import InputError, progress, run_program
from src.data.labels import check_labels
from src.data.lists import read_list
from src.data.pictures import decode_mask, picture_size, read_bytes

SCHEMA = {"file_name": {"type": "string"}, "data": {"type": "bytes"}, "label": {"type": "bytes"}}
CHUNK = 64    # samples in memory at a time


def check_pair(root: str, num_classes: int, ignore_label: int, pair) -> str:
    """What is wrong with a pair, or "". Decodes both, the picture at an eighth of its size, which is enough to fail."""
    image_path, mask_path = Path(root, pair.image), Path(root, pair.mask)
    try:
        data = read_bytes(image_path)
        mask = decode_mask(read_bytes(mask_path), mask_path)
        check_labels(mask, num_classes, ignore_label, mask_path)
        with Image.open(io.BytesIO(data)) as image:
            size = picture_size(image)
            image.draft("L", (image.width // 8, image.height // 8))
            image.load()
    except InputError as error:
        return str(error)
    except (OSError, SyntaxError, ValueError) as error:
        return f"{image_path}: damaged picture ({error})"
    if size != mask.shape[::-1]:
        return (f"{mask_path}: {mask.shape[1]}x{mask.shape[0]} where its picture {image_path} has "
                f"{size[0]}x{size[1]}")
    return ""


def check_pairs(pairs: list, config) -> None:
    """Check every pair on all cores. Raises InputError with the first problem and the number of all."""
    check = partial(check_pair, config.data_root, config.num_classes, config.ignore_label)
    problems = []
    with ProcessPoolExecutor(config.workers or os.cpu_count()) as pool, progress(len(pairs), "check", "pair") as bar:
        for problem in pool.map(check, pairs, chunksize=16):
            if problem:
                problems.append(problem)
            bar.update()
    if problems:
        more = f" (and {len(problems) - 1} more pairs with problems)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)


def shard_names(dst_path: Path, num_shards: int) -> list:
    """Files that MindSpore's FileWriter makes: a number behind the name for several shards, an index for each."""
    width = len(str(num_shards - 1))
    names = [dst_path.name] if num_shards == 1 else [f"{dst_path.name}{i:0{width}d}" for i in range(num_shards)]
    return [name + end for name in names for end in ("", ".db")]


def write_records(pairs: list, config, folder: Path) -> None:
    """Write the shards into `folder`, CHUNK samples at a time."""
    from mindspore.mindrecord import FileWriter
    writer = FileWriter(str(folder / Path(config.dst_path).name), shard_num=config.num_shards)
    writer.add_schema(SCHEMA, "seg_schema")
    with progress(len(pairs), "write", "pair") as bar:
        for first in range(0, len(pairs), CHUNK):
            chunk = pairs[first:first + CHUNK]
            writer.write_raw_data([{"file_name": Path(pair.image).name,
                                    "data": read_bytes(Path(config.data_root, pair.image)),
                                    "label": read_bytes(Path(config.data_root, pair.mask))} for pair in chunk])
            bar.update(len(chunk))
    writer.commit()


def build(config) -> list:
    """Check all, write aside, rename. Returns the paths of the shards' files.

    MindRecord keeps the shards' names in each header, so they are written under their final names in a folder
    beside the place; the first shard, the one users name, is renamed last.
    """
    dst_path = Path(config.dst_path)
    final = [dst_path.parent / name for name in shard_names(dst_path, config.num_shards)]
    present = [path for path in final if path.exists()]
    if present and not config.overwrite:
        raise InputError(f"--dst_path {present[0]}: exists; give another name, or --overwrite to replace it")
    pairs = read_list(config.data_lst)
    if config.num_shards > len(pairs):
        raise InputError(f"--num_shards {config.num_shards}: more than the {len(pairs)} pairs of {config.data_lst}")
    check_pairs(pairs, config)
    if config.shuffle:
        pairs = [pairs[i] for i in np.random.default_rng(config.seed).permutation(len(pairs))]
    dst_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build_", dir=dst_path.parent) as folder:
        write_records(pairs, config, Path(folder))
        for path in reversed(final):
            os.replace(Path(folder, path.name), path)
    print(f"{final[0]}: {len(pairs)} samples in {config.num_shards} shards")
    return final


def main(argv=None):
    config = parse_args("build_seg_data", __doc__, argv)
    if not config.dst_path:
        raise InputError("--dst_path is not given: the MindRecord to write, such as vocaug.mindrecord")
    build(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
