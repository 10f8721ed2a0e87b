"""Every command of docs/own_dataset.md, in its order, on drawn pictures with the tiny network."""
import re
import shlex
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from tests.annotation_files import SQUARE, coco, cvat_masks, labelme, picture, shape
from tests.conftest import ROOT

torch = pytest.importorskip("torch")
from tests.torch_resnet import random_resnet

TINY_NET = "--model deeplab_v3_tiny_s16"
# Options that make a command fast; they come last, so they replace the documented ones.
QUICKER = {
    "get_dataset_lst.py": "", "build_data.sh": "",
    "convert_resnet101.py": TINY_NET,
    "run_standalone_train.sh": f"{TINY_NET} --crop_size 65 --train_epochs 1 --batch_size 4",
    "run_eval_s16.sh": f"{TINY_NET} --batch_size 2",
    "train.py": "--crop_size 65 --train_epochs 1 --batch_size 4", "eval.py": "",
    "export.py": "",
    "predict.py": "",
}


def commands():
    text = (ROOT / "docs/own_dataset.md").read_text()
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines()]


def label_map():
    text = (ROOT / "docs/own_dataset.md").read_text()
    return "\n".join(re.findall(r"^    (\d+ \d+ \d+ .*)$", text, re.M)) + "\n"


def draw(root, count=5):
    """Pictures of a dark line on a bright ground, masks in the document's three colours."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        image = rng.normal(180, 10, (70, 90, 3))
        mask = np.zeros((70, 90, 3), np.uint8)
        row = int(rng.integers(10, 55))
        image[row:row + 6] -= 120
        mask[row - 1:row + 7] = 255
        mask[row:row + 6] = (255, 0, 0)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(root / f"images/p{number}.jpg")
        Image.fromarray(mask).save(root / f"masks/p{number}.png")


def draw_annotations(root):
    """Two pictures for each annotation format, in the page's folders."""
    for name in ("first", "second"):
        labelme(root / "labelme" / name, shape(), shape("__ignore__", [[0, 30], [9, 30], [9, 39]]))
    picture(root / "coco/images/b.png", (60, 40))
    flat = np.ravel(SQUARE).tolist()
    coco(root / "coco", {"segmentation": [flat]}, {"segmentation": [flat], "image_id": 4}, categories=[(7, "cat")],
         images=[{"id": number, "file_name": f"{name}.png", "width": 60, "height": 40}
                 for number, name in ((3, "a"), (4, "b"))])
    (root / "cvat").mkdir()
    mask = np.zeros((40, 60, 3), np.uint8)
    mask[5:25, 10:30] = (255, 0, 0)
    cvat_masks(root / "cvat", mask, "background:0,0,0::\ncat:255,0,0::\n")
    for part in ("JPEGImages/%s.jpg", "SegmentationClass/%s.png"):
        shutil.copy(root / "cvat" / (part % "a"), root / "cvat" / (part % "b"))


def draw_published(root):
    """Small versions of Cityscapes, ADE20K and CamVid: one picture for training, one for validation."""
    places = [(f"cityscapes/leftImg8bit/{side}/ulm/x_{side}_leftImg8bit.png",
               f"cityscapes/gtFine/{side}/ulm/x_{side}_gtFine_%s.png", 7, 26) for side in ("train", "val")]
    places += [(f"ADEChallengeData2016/images/{side}/{side}.jpg",
                f"ADEChallengeData2016/annotations/{side}/{side}.png", 0, 13) for side in ("training", "validation")]
    places += [(f"camvid/{side}/x.png", f"camvid/{side}annot/x.png", 3, 11) for side in ("train", "val")]
    for image, mask, left, right in places:
        numbers = np.full((40, 60), left, np.uint8)
        numbers[:, 40:], numbers[:20, 40:] = right, {7: 8, 0: 1, 3: 8}[left]
        picture(root / image, (60, 40))
        picture(root / (mask.replace("%s", "color")), (60, 40))
        Image.fromarray(numbers).save(root / mask.replace("%s", "labelIds"))


def test_every_command(tmp_path, shell):
    data, work = tmp_path / "data/mine", tmp_path / "work"
    draw(data)
    draw_annotations(tmp_path / "data")
    draw_published(tmp_path / "data")
    work.mkdir()
    (data / "labels.txt").write_text(label_map())
    torch.save(random_resnet(blocks=(1, 1, 1, 3), width=8).state_dict(), work / "resnet101-689c5e77.ckpt")
    seen = []
    for command in commands():
        program = next(name for name in QUICKER if name in command)
        if "deeplab_v3_s16.ckpt" in command:    # a network of other classes, trained elsewhere
            make_foreign_network(work / "deeplab_v3_s16.ckpt")
        line = re.sub("(?<= )/data/", shlex.quote(f"{tmp_path}/data/"), command)
        line = line.replace("python ", f"{sys.executable} {ROOT}/")
        line = line.replace("scripts/", f"{ROOT}/scripts/").replace("deeplab_v3_s16-200_10",
                                                                                  "deeplab_v3_tiny_s16-1_1")
        line = line.replace("tiny_s16-200_10", "tiny_s16-1_1")
        result = shell("bash", "-c", f"{line} {QUICKER[program]}", cwd=work, timeout=300)
        assert result.code == 0, (command, result)
        seen.append(program)
        check(program, command, result, data, work)
    assert seen.count("run_standalone_train.sh") == 3 and "run_eval_s16.sh" in seen


def make_foreign_network(path):
    """A checkpoint of the complete tiny network with 21 classes."""
    from src.nets.net_factory import InferenceNetwork, create_network
    from src.weights.checkpoint import save
    save(InferenceNetwork(create_network("deeplab_v3_tiny_s16", 21)), path)


def test_names_are_given_once_and_the_crop_size_never():
    """The page gives names once; later commands read them and the crop size from the files."""
    page = "\n".join(commands())
    assert page.count("/data/mine/labels.txt") == 1
    assert not any(option in page for option in ("--num_classes", "--class_names", "--crop_size"))


def onnx_facts(path):
    import onnx
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


# Contents of each command's data set: a word of the command -> (folder, classes, a mask's class numbers).
LISTS = {
    "/data/labelme": ("labelme", "2 classes (background, cat)", [0, 1, 255]),
    "/data/coco": ("coco", "2 classes (background, cat)", [0, 1]),
    "/data/cvat": ("cvat", "2 classes (background, cat)", [0, 1]),
    "--labels cityscapes": ("cityscapes", "19 classes (road, sidewalk, building, wall, fence, ...)", [0, 1, 13]),
    "--labels ade20k": ("ADEChallengeData2016", "150 classes (wall, building, sky, floor, tree, ...)", [0, 12, 255]),
    "--labels camvid": ("camvid", "11 classes (sky, building, pole, road, pavement, ...)", [3, 8, 255]),
    "/data/mine": ("mine", "2 classes (background, crack)", [0, 1, 255]),
}


def check_lists(command, result, data):
    folder, classes, numbers = next(LISTS[word] for word in LISTS if word in command)
    assert f"{classes}, 255 is ignored" in result.out
    lines = [(data.parent / folder / f"{side}_lst.txt").read_text().splitlines() for side in ("train", "val")]
    assert list(map(len, lines)) == ([4, 1] if folder == "mine" else [1, 1])
    for line in sum(lines, []):
        image, mask = (data.parent / folder / name for name in line.split())
        assert image.is_file() and np.unique(np.asarray(Image.open(mask))).tolist() == numbers


def check(program, command, result, data, work):
    """Check the document's statements about the command."""
    if program == "get_dataset_lst.py":
        check_lists(command, result, data)
    if "--filter_weight" in command:
        assert "complete network of train.py or the model zoo" in result.out
        assert "parameters loaded, the new classifier as initialised" in result.out
    if program == "run_eval_s16.sh":
        assert re.search(r"^crack .*\d", result.out, re.M) and "mean IoU" in result.out
    if program == "export.py":
        assert "crack" in str(onnx_facts(work / "mine.onnx"))
    if program == "predict.py":
        assert "2 classes" in result.out and (work / "predictions/masks/p0.png").is_file()
        assert (work / "predictions/overlays").is_dir()
    if "--to torch" in command:
        assert (work / "mine.safetensors").is_file()
