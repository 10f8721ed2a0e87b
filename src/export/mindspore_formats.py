"""MINDIR and AIR through MindSpore's own exporter."""
import shutil
import tempfile
from pathlib import Path

import numpy as np

from src.console import InputError, first_line


def write_mindspore(cell, shape: tuple, input_type: str, file_format: str, path, rewrite=None) -> None:
    """Write `cell` with an input of this shape and type to `path`; `rewrite` may change a MINDIR's protobuf before.

    MindSpore refuses blanks and more in a path, so it writes into a temporary folder.

    Raises InputError if this MindSpore cannot write the format, OSError if `path` cannot be written.
    """
    import mindspore as ms
    image = ms.Tensor(np.zeros(shape, input_type))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, f"network.{file_format.lower()}")
        try:
            ms.export(cell, image, file_name=str(made), file_format=file_format,
                      **({"custom_func": rewrite} if rewrite else {}))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"--file_format {file_format}: {first_line(error)}") from None
        shutil.move(made, path)
