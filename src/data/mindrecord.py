"""Write, count and read MindRecord files: the part of the data preparation that needs MindSpore."""
import json
from pathlib import Path

import mindspore.dataset as ds
from mindspore.mindrecord import FileWriter

from src.console import InputError, first_line, progress
from src.data.lists import escaped
from src.files import check_input, read_bytes

SCHEMA = {"file_name": {"type": "string"}, "data": {"type": "bytes"}, "label": {"type": "bytes"}}
CHUNK, CHUNK_BYTES = 64, 64 << 20    # samples in memory at a time, and their bytes
PAGE, MARGIN = 1 << 20, 4096    # bytes: pages are multiples of 1 MB; room for the other data of a page
DEFAULT_PAGE, LARGEST_PAGE = 32 << 20, 256 << 20    # MindSpore's default and maximum; a sample must fit in one page


def page_size(sizes: list, pairs: list) -> int:
    """Bytes of a page that every sample fits in. Raises InputError with a sample that is too large for any page."""
    largest = max(sizes)
    needed = -(-(largest + MARGIN) // PAGE) * PAGE
    if needed > LARGEST_PAGE:
        pair = pairs[sizes.index(largest)]
        raise InputError(f"{pair.image}: picture and mask are {largest / 2 ** 20:.0f} MB, but a MindRecord holds "
                         f"samples below {LARGEST_PAGE >> 20} MB; save them compressed (JPEG, PNG) or smaller")
    return max(needed, DEFAULT_PAGE)


def chunks(pairs: list, sizes: list):
    """Yield the pairs in lists of at most CHUNK and about CHUNK_BYTES, but at least one."""
    chunk, total = [], 0
    for pair, size in zip(pairs, sizes):
        if chunk and (len(chunk) == CHUNK or total + size > CHUNK_BYTES):
            yield chunk
            chunk, total = [], 0
        chunk.append(pair)
        total += size
    yield chunk


def write_records(path, pairs: list, data_root, num_shards: int, facts: dict) -> None:
    """Write the shards of `path`: each pair's file name and the bytes of its files, `facts` in the header."""
    sizes = [sum(Path(data_root, name).stat().st_size for name in pair) for pair in pairs]
    writer = FileWriter(str(path), shard_num=num_shards)
    writer.set_page_size(page_size(sizes, pairs))
    writer.add_schema(SCHEMA, json.dumps(facts))    # the description may be any text; MindSpore does not read it
    with progress(len(pairs), "write", "pair") as bar:
        for chunk in chunks(pairs, sizes):
            writer.write_raw_data([{"file_name": escaped(Path(pair.image).name),
                                    "data": read_bytes(Path(data_root, pair.image)),
                                    "label": read_bytes(Path(data_root, pair.mask))} for pair in chunk])
            bar.update(len(chunk))
    writer.commit()


def count_samples(data_file) -> int:
    """Number of samples in a MindRecord, over all shards. Raises InputError if it is missing or not a MindRecord."""
    if not str(data_file):
        raise InputError("--data_file is not given; scripts/build_data.sh makes a MindRecord")
    if not Path(data_file).exists():
        shard = f"{data_file}0"
        hint = f"; its first shard is {shard}" if Path(shard).is_file() else "; scripts/build_data.sh makes it"
        raise InputError(f"--data_file {data_file}: no such file{hint}")
    check_input(data_file, f"--data_file {data_file}")
    try:
        return ds.MindDataset(str(data_file)).get_dataset_size()
    except (RuntimeError, ValueError) as error:    # ValueError: no permission to read it
        raise InputError(f"--data_file {data_file}: not a complete MindRecord: {first_line(error)}") from None


def read_records(data_file, columns: list, indices=None):
    """Yield the samples in the file's order, or those at `indices` in that order: bytes for each column, text for
    file_name."""
    chosen = {"shuffle": False} if indices is None else {"sampler": ds.SubsetSampler(indices)}
    records = ds.MindDataset(str(data_file), columns_list=columns, num_parallel_workers=1, **chosen)
    for row in records.create_tuple_iterator(num_epochs=1, output_numpy=True):
        yield [str(value) if name == "file_name" else value.tobytes() for name, value in zip(columns, row)]
