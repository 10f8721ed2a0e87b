"""--polygons: class maps as outlines that a person corrects and trains on again, for labelme or as one COCO file."""
import os
from pathlib import Path

from src.data.annotations.outlines import CocoFile, write_labelme
from src.files import write_whole

CLASSES = "classes.txt"


class Outlines:
    """Files of the outlines in the folder of results: labelme/NAME.json for each picture, or coco.json for all.

    Beside them is classes.txt, the names of the classes in their order: for labelme's --labels, and for
    get_dataset_lst.py --class_names, which else takes the order in which the files use them.

    Args:
        kind: labelme or coco.
        labels: src.data.labels.Labels.
    """

    def __init__(self, kind: str, folder: Path, labels):
        self.folder, self.labels = folder, labels
        self.coco = CocoFile(labels.names, labels.ignore_label) if kind == "coco" else None
        self.said = [CLASSES, "coco.json" if self.coco else "labelme"]    # what the console names

    def targets(self, pictures: list) -> list:
        """Every file that will be written."""
        files = [self.folder / "coco.json"] if self.coco else map(self.path_of, pictures)
        return [self.folder / CLASSES, *files]

    def path_of(self, picture) -> Path:
        return self.folder / "labelme" / f"{picture.name}.json"

    def add(self, picture, class_map) -> None:
        """Take a picture's class map (H, W) uint8; from any thread."""
        if self.coco:    # which names a picture as it lies in the folder that all share
            self.coco.add(Path(picture.name).with_name(picture.image.name).as_posix(), class_map)
        else:
            path = self.path_of(picture)
            write_labelme(path, class_map, self.labels.names, way_to(picture.image, path.parent),
                          self.labels.ignore_label)

    def finish(self) -> None:
        """Write what is of all pictures."""
        write_whole(self.folder / CLASSES, "".join(f"{name}\n" for name in self.labels.names).encode())
        if self.coco:
            self.coco.write(self.folder / "coco.json")


def way_to(image: Path, folder: Path) -> str:
    """The path of a picture relative to `folder`, whose links are followed, as they are by whoever opens it; the
    absolute path where there is no other, as from one drive of Windows to another."""
    image = os.path.abspath(image)
    try:
        return os.path.relpath(image, os.path.realpath(folder)).replace(os.sep, "/")
    except ValueError:
        return image
