"""Read annotations of any known format, detected from the contents of the path."""
from pathlib import Path

from src.console import InputError
from src.data.annotations.coco import read_coco
from src.data.annotations.cvat import read_cvat_masks, read_cvat_xml
from src.data.annotations.item import Annotations, read_json, read_whole_text, visible
from src.data.annotations.labelme import read_labelme

KNOWN = "expected: a folder of labelme files, a COCO file, or CVAT's annotations.xml or masks with labelmap.txt"


def read_annotations(path, images=None) -> Annotations:
    """Classes and annotated pictures of labelme, COCO or CVAT at `path`; pictures are searched in `images` if given.

    A folder has CVAT's masks (labelmap.txt), CVAT's annotations.xml, one COCO file, or labelme's files. Raises
    InputError with file, place and fix for anything else and for invalid annotations.
    """
    path = Path(path)
    if images and not Path(images).is_dir():
        raise InputError(f"--images {images}: no such folder")
    if not path.is_dir():
        return read_file(path, images)
    if (path / "labelmap.txt").is_file():
        return read_cvat_masks(path, images)
    if (path / "annotations.xml").is_file():
        return read_cvat_xml(path / "annotations.xml", images)
    files = visible(path, "*.json")
    if not files:
        raise InputError(f"{path}: contains no annotations; {KNOWN}")
    if len(files) == 1 and is_coco(content := read_json(files[0])):
        return read_coco(files[0], images, content)
    return read_labelme(path, images)


def read_file(path: Path, images) -> Annotations:
    """Annotations of one file."""
    if path.suffix.lower() == ".zip":
        raise InputError(f"{path}: is a zip file; unpack it, and give the folder")
    start = read_whole_text(path).lstrip()[:1]
    if start == "<":
        return read_cvat_xml(path, images)
    if start != "{":
        raise InputError(f"{path}: is not a file of annotations; {KNOWN}")
    content = read_json(path)
    return read_coco(path, images, content) if is_coco(content) else read_labelme(path, images)


def is_coco(content) -> bool:
    """Whether a JSON file's content is COCO's rather than labelme's."""
    return isinstance(content, dict) and "annotations" in content and "shapes" not in content
