"""MINDIR and AIR through MindSpore's own exporter."""
import shutil
from pathlib import Path

import mindspore as ms
import numpy as np

from src.console import InputError, first_line
from src.device import resolve_target, use_device
from src.export.mindir import to_version_1
from src.files import temporary_folder
from src.nets.net_factory import create_inference


def write(config, network, facts: dict, path: Path) -> None:
    """Write a folded network to `path` with an input of fixed sizes; these formats have no place for `facts`.

    MindSpore refuses blanks and other characters in a path, so it writes into a temporary folder.

    Raises InputError if this MindSpore cannot write the format, OSError if `path` cannot be written.
    """
    use_device(resolve_target(config.device_target), config.device_id)
    cell = create_inference(*network, input_type=config.input_type, input_format=config.input_format,
                            mean=config.image_mean, std=config.image_std)
    area = (config.input_size, config.input_size)
    shape = (3, *area) if config.input_format == "NCHW" else (*area, 3)
    image = ms.Tensor(np.zeros((config.export_batch_size, *shape), config.input_type))
    export(cell, image, config.file_format, path, to_version_1 if config.mindir_version == 1 else None)


def export(cell, image, file_format: str, path: Path, rewrite=None) -> None:
    """Write `cell` with an input like `image`; `rewrite` changes the protobuf of a MINDIR before."""
    changes = {"custom_func": rewrite} if rewrite and file_format == "MINDIR" else {}
    with temporary_folder() as folder:
        made = Path(folder, f"network.{file_format.lower()}")
        try:
            ms.export(cell, image, file_name=str(made), file_format=file_format, **changes)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"--file_format {file_format}: {first_line(error)}") from None
        shutil.move(made, path)
