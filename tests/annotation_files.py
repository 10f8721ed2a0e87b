"""Small annotation files of each format for tests, with their pictures."""
import base64
import io
import json

import numpy as np
from PIL import Image

from src.data.annotations.reader import read_annotations

WIDTH, HEIGHT = 60, 40
SQUARE = [[10, 5], [30, 5], [30, 25], [10, 25]]


def picture(path, size=(WIDTH, HEIGHT), orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


def shape(label="cat", points=SQUARE, shape_type="polygon", **more):
    return {"label": label, "points": points, "shape_type": shape_type, "group_id": None, "flags": {}, **more}


def labelme(folder, *shapes, name="a", image="a.png", **more):
    """A labelme file beside its picture."""
    picture(folder / "a.png")
    content = {"version": "5.0.1", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None,
               "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}
    (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def coco(folder, *entries, categories=((7, "cat"), (90, "dog")), **more):
    """A COCO file of one picture with numbered annotations."""
    picture(folder / "images" / "a.png")
    content = {"images": [{"id": 3, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
               "categories": [{"id": number, "name": name} for number, name in categories],
               "annotations": [{"id": number, "image_id": 3, "category_id": 7, "iscrowd": 0, **entry}
                               for number, entry in enumerate(entries, 1)], **more}
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def cvat(folder, shapes, labels=("cat", "dog"), image=f'name="a.png" width="{WIDTH}" height="{HEIGHT}"', begin=""):
    picture(folder / "images" / "a.png")
    names = "".join(f"<label><name>{label}</name></label>" for label in labels)
    (folder / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n{begin}<annotations><version>1.1</version><meta><task><labels>{names}'
        f'</labels></task></meta><image id="0" {image}>{shapes}</image></annotations>')
    return folder


LABELMAP = "# label:color_rgb:parts:actions\ncat:255,0,0::\nbackground:0,0,0::\ndog:0,9,0::\n"


def cvat_masks(folder, mask, labelmap=LABELMAP):
    for part in ("JPEGImages/a.jpg", "SegmentationClass/a.png"):
        (folder / part).parent.mkdir(exist_ok=True)
    picture(folder / "JPEGImages/a.jpg", mask.shape[1::-1])
    Image.fromarray(mask).save(folder / "SegmentationClass/a.png")
    (folder / "labelmap.txt").write_text(labelmap)
    return folder


def only_mask(path, *classes, **options):
    """The mask of the only picture; the classes are those of the file unless given."""
    found = read_annotations(path, **options)
    return found.items[0].draw(list(classes) or found.classes, 255)


def rectangle(top, left, bottom, right, number=1, mask=None):
    """Pixels from (top, left) to before (bottom, right)."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8) if mask is None else mask
    mask[top:bottom, left:right] = number
    return mask


def base64_png(mask):
    data = io.BytesIO()
    Image.fromarray(mask).save(data, "png")
    return base64.b64encode(data.getvalue()).decode()
