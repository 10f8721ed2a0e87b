"""Prepare the folder of a run, train_dir."""
import os
import re
from pathlib import Path

from src.config import to_yaml
from src.console import InputError
from src.files import sweep, write_whole

OF_A_RUN = re.compile(r"[^.].*\.ckpt|metrics\.jsonl|config\.yaml|checkpoints\.json|curves\.png|batch_\d+\.png")


def prepare_folder(train_dir: Path, config, keep: bool) -> None:
    """Save the resolved options in train_dir, which this process has claimed. Unless `keep`, an earlier run's files are
    moved to a subfolder. Temporary files of a killed run are removed."""
    try:
        sweep(train_dir)
        earlier = [path for path in train_dir.iterdir() if OF_A_RUN.fullmatch(path.name) and path.is_file()]
        if earlier and not keep:
            move_aside(earlier, train_dir)
    except OSError as error:
        raise InputError(f"--train_dir {train_dir}: cannot be written ({error.strerror})") from None
    write_whole(train_dir / "config.yaml", to_yaml(config).encode(), "--train_dir")


def move_aside(paths: list, train_dir: Path) -> None:
    """Move an earlier run's files to a new folder earlier_1, earlier_2, ... of train_dir."""
    folder = next(path for number in range(1, 10**6)
                  if not os.path.lexists(path := train_dir / f"earlier_{number}"))
    folder.mkdir()
    for path in paths:
        os.replace(path, folder / path.name)
    print(f"the earlier run in {train_dir} was moved to {folder}")
