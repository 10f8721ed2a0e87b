"""The C++ program: its unit tests, its launcher against eval.py, dumped probabilities, errors, damaged inputs."""
import json
import os
import re
import shutil
import subprocess
import sys

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from PIL import Image

import eval as eval_program
import export as export_program
from src.console import RunError
from src.data.lists import format_pair, read_list
from src.evaluation.inference import Segmenter
from src.evaluation.letterbox import Settings
from src.export.mindir import to_version_1
from src.export.mindspore_file import export
from src.models.model import open_model
from src.nets.net_factory import create_inference
from src.tools import postprocess
from src.weights.folding import fold
from src.weights.loading import network_of, open_checkpoint
from src.weights.metadata import beside
from tests.conftest import ROOT
from tests.fuzz_infer_cpp import fuzz, fuzz_facts, fuzz_models

LAUNCHER = ROOT / "scripts/run_infer_cpp.sh"
UNAVAILABLE = ("could not be fetched", "for x86-64 only", "apt-get install")    # by what build.sh says


@pytest.fixture(scope="module")
def program():
    """The built program; the build folder is reused in later runs."""
    done = subprocess.run(["bash", ROOT / "ascend310_infer/build.sh"], capture_output=True, text=True,
                          env={**os.environ, "PYTHON": sys.executable})
    if any(reason in done.stderr for reason in UNAVAILABLE):
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[-2]


def folded_cell(trained):
    """The trained tiny network without BatchNorm, as in export.py."""
    opened = open_checkpoint(trained / "deeplab_v3_tiny_s16-2_3.ckpt", "")
    shape, weights = network_of(opened, "deeplab_v3_tiny_s16", (6, 12, 18))
    return create_inference(shape.folded(), fold(shape, weights))


def write_version_1(cell, path, side=65):
    export(cell, ms.Tensor(np.zeros((1, 3, side, side), np.float32)), "MINDIR", path, to_version_1)


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    """MINDIR of version 1 of the trained tiny network, batch 1, with its facts beside it."""
    path = tmp_path_factory.mktemp("mindir") / "tiny model.mindir"
    export_program.main(["--ckpt_file", str(trained / "deeplab_v3_tiny_s16-2_3.ckpt"), "--file_format", "MINDIR",
                         "--mindir_version", "1", "--file_name", str(path)])
    return path


@pytest.fixture
def infer(program, model, drawn, shell):
    """infer(*options) -> Result of the program on the drawn pictures' val list, in the test's empty folder."""
    def call(*options, lst=drawn / "voc_val_lst.txt", mindir=model, **environment):
        return shell(program, "--mindir_path", mindir, "--dataset_path", drawn, "--image_list", lst,
                     "--device_type=CPU", *options, **{"GLOG_v": "4", **environment})
    return call


@pytest.fixture
def bad_list(drawn, tmp_path):
    """The val list with a truncated JPEG as its fourth picture."""
    pairs = read_list(drawn / "voc_val_lst.txt")
    whole = (drawn / pairs[3].image).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:len(whole) // 2])
    pairs[3] = pairs[3]._replace(image=str(tmp_path / "cut.jpg"))
    path = tmp_path / "bad.txt"
    path.write_text("".join(map(format_pair, pairs)))
    return path


def test_unit_tests(program):
    done = subprocess.run(["ctest", "--output-on-failure"], cwd=os.path.dirname(program), capture_output=True,
                          text=True)
    assert done.returncode == 0 and "0 tests failed out of 4" in done.stdout, done.stdout


def test_cppcheck():
    if not shutil.which("cppcheck"):
        pytest.skip("checking C++ needs: apt-get install cppcheck")
    folder = ROOT / "ascend310_infer"
    done = subprocess.run(["cppcheck", "--std=c++17", "--enable=warning,performance,portability", "--error-exitcode=1",
                           "--quiet", "--inline-suppr", "-I", folder, folder / "src"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_launcher_equals_eval(program, model, val_list, drawn, trained_file, shell, run, tmp_path):
    result = shell("bash", LAUNCHER, model, drawn, "", drawn / "voc_val_lst.txt", "CPU", 0, "--dump_probs")
    assert result.code == 0, result.out + result.err
    done = run(eval_program.main, *val_list, "--ckpt_path", trained_file, "--result_file", tmp_path / "python.json")
    assert done.code == 0, done
    expected = json.loads((tmp_path / "python.json").read_text())
    acc = (tmp_path / "acc.log").read_text()
    python = done.out[done.out.index("class "):].splitlines()[:10]
    assert acc in result.out and acc.splitlines()[1:11] == python, "the table that eval.py prints"
    times = (tmp_path / "time_Result/test_perform_static.txt").read_text()
    assert re.match(r"NN inference cost average time: [\d.]+ ms of infer_count 6\n", times)

    scored = run(postprocess.main, "--result_path", tmp_path / "result_Files", "--data_root", drawn, "--data_lst",
                 drawn / "voc_val_lst.txt", "--crop_size", 65, "--result_file", tmp_path / "bins.json")
    assert scored.code == 0, scored
    rescored = json.loads((tmp_path / "bins.json").read_text())
    assert rescored["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-4)
    second = shell("bash", LAUNCHER, model, drawn, "", drawn / "voc_val_lst.txt", "CPU")
    assert second.code == 0 and (tmp_path / "acc.log.1").read_text() == acc, "an earlier run gets a number"
    assert (tmp_path / "acc.log").read_text() == acc, "the same without all probabilities being kept"


def test_mindspore_does_not_read_version_1(model, drawn, run):
    result = run(eval_program.main, "--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--ckpt_path", model)
    said = "tiny model.mindir: is a MINDIR of version 1, which only MindSpore Lite reads"
    assert result.code == 2 and said in result.err, result


def test_class_maps_and_probabilities(infer, model, drawn, trained, tmp_path):
    assert infer("--dump_probs").code == 0
    opened = open_model(trained / "deeplab_v3_tiny_s16-2_3.ckpt", "mindspore", "CPU")
    seen = []

    def predict(inputs):
        seen.append(opened.predict(inputs))
        return seen[-1]

    pairs = read_list(drawn / "voc_val_lst.txt")
    settings = Settings(crop_size=65, batch_size=1)
    batches = Segmenter(predict, settings).run(pairs, lambda pair: (cv2.imread(str(drawn / pair.image)), None))
    for number, ((item,), pair) in enumerate(zip(batches, pairs)):
        stem = tmp_path / "result_Files" / os.path.basename(pair.image)[:-4]
        dumped = np.fromfile(f"{stem}_0.bin", np.float32)
        assert np.abs(dumped - seen[number].reshape(-1)).max() <= 1e-5
        with Image.open(f"{stem}.png") as picture:
            assert picture.mode == "L" and (np.array(picture) == item.class_map).mean() >= 0.9999


def test_bad_picture_stops_after_the_results_so_far(infer, bad_list, tmp_path):
    result = infer(lst=bad_list)
    assert result.code == 1 and result.err.endswith("cut.jpg: the JPEG ends too early\n")
    acc = (tmp_path / "acc.log").read_text()
    assert "processed 3 of 6 images" in acc and "mean IoU" in acc and "stopped: " in acc
    assert len(list((tmp_path / "result_Files").iterdir())) == 3


def test_bad_picture_is_skipped(infer, bad_list, tmp_path):
    result = infer("--skip_bad", lst=bad_list)
    assert result.code == 0 and "processed 5 of 6 images, 1 skipped" in result.out, result
    assert len(list((tmp_path / "result_Files").iterdir())) == 5


def test_palette_masks_are_class_numbers(infer, drawn, tmp_path):
    gray = infer()
    lines = (drawn / "voc_val_lst.txt").read_text().replace("SegmentationClassGray", "SegmentationClass")
    (tmp_path / "palette.txt").write_text(lines)
    palette = infer(lst=tmp_path / "palette.txt")
    assert palette.code == 0
    assert gray.out[:gray.out.index("NN ")] == palette.out[:palette.out.index("NN ")]


def test_batch_changes_nothing(infer, tmp_path):
    assert infer().code == 0
    single = (tmp_path / "acc.log").read_text()
    batched = infer("--batch", 4)    # the second of two batches is half full
    assert batched.code == 0 and "infer_count 2\n" in batched.out, batched
    assert (tmp_path / "acc.log").read_text() == single


@pytest.mark.parametrize("options, part", [
    (("--bach", 1), "no option '--bach'"),
    (("--size", 81), "was exported for (1, 3, 65, 65) and cannot be resized to (1, 3, 81, 81)"),
    (("--mindir_path", "/no/model"), "/no/model: No such file"),
    (("--mindir_path", ROOT / "README.md"), "is not a MINDIR"),
    (("--image_list", "/no/list"), "/no/list: No such file"),
    (("--class_names", ROOT / "NOTICE"), "names for a model with 6 classes"),
    (("--output_dir", "/proc/none"), "--output_dir /proc/none: cannot be written"),
    (("--dataset_path", "/none"), "no such file, though"),
])
def test_errors_name_what_is_wrong(infer, options, part):
    result = infer(*options)
    assert result.code == 2 and part in result.err.splitlines()[-1], result


def test_cut_model_is_refused(infer, model, tmp_path):
    (tmp_path / "cut.mindir").write_bytes(model.read_bytes()[:100000])
    result = infer(mindir=tmp_path / "cut.mindir")
    assert result.code == 2 and "cut.mindir: cannot be built for CPU" in result.err, result


def test_a_model_without_softmax_is_refused(infer, trained, tmp_path):
    write_version_1(folded_cell(trained).network, tmp_path / "logits.mindir")
    result = infer(mindir=tmp_path / "logits.mindir")
    assert result.code == 2 and "no probabilities; export it with its softmax" in result.err, result


@pytest.fixture
def said(model, tmp_path):
    """said(**facts) -> a MINDIR with these facts added to the file beside it; None removes one."""
    def make(**facts):
        whole = json.loads(beside(model).read_text()) | facts
        path = tmp_path / "said.mindir"
        if not path.exists():
            path.symlink_to(model)
        beside(path).write_text(json.dumps({name: value for name, value in whole.items() if value is not None}))
        return path
    return make


def table(result) -> str:
    assert result.code == 0, result
    return result.out[:result.out.index("NN ")]


def test_the_file_beside_the_model_is_used(infer, said, tmp_path):
    whole, other = table(infer()), table(infer("--mean=0,0,0", "--std", "9,9,9"))
    assert table(infer(mindir=said(mean=[0, 0, 0], std=[9, 9, 9]))) == other != whole
    assert table(infer("--mean=103.53,116.28,123.675", mindir=said(mean=[0, 0, 0]))) == whole, "the command line wins"
    refused = infer(mindir=said(ignore_label=254))
    assert refused.code == 1 and "mask value 255 is neither a class (0 to 5) nor ignore_label 254" in refused.err
    assert table(infer("--ignore_label=255", mindir=said(ignore_label=254))) == whole


def test_class_names_come_from_the_file_beside_the_model(infer, said, tmp_path):
    def names(*options, mindir):
        lines = table(infer(*options, mindir=mindir)).splitlines()[2:8]
        return [re.split(r" {2,}", line)[0] for line in lines]

    given = ["背景", "a ball", "c", "d", "e", "f"]
    assert names(mindir=said(class_names=given)) == given
    assert names(mindir=said(class_names=None)) == [f"class_{number}" for number in range(6)]
    (tmp_path / "names.txt").write_text("\n".join("uvwxyz"))
    assert names("--class_names", tmp_path / "names.txt", mindir=said(class_names=given)) == list("uvwxyz")
    alone = said()
    beside(alone).unlink()
    assert names(mindir=alone) == [f"class_{number}" for number in range(6)], "no such file: as ever"


@pytest.mark.parametrize("facts, part", [
    ({"num_classes": 7, "class_names": None}, "has 6 classes, but "),
    ({"class_names": list("abcdefg")}, "has 7 class_names, but num_classes 6"),
    ({"num_classes": None, "class_names": list("abcde")}, "says 5"),
    ({"channel_order": "RGB"}, "channel_order is not BGR"), ({"input_type": "uint8"}, "input_type is not float32"),
    ({"std": [1, 0, 1]}, "std is not three valid numbers"), ({"mean": "x"}, "mean is not three valid numbers"),
    ({"class_names": ["\x1b[31m", *"bcdef"]}, "class_names is not a list of texts"),
])
def test_invalid_facts_are_errors(infer, said, facts, part):
    result = infer(mindir=said(**facts))
    assert result.code == 2 and part in result.err and "said.mindir.json" in result.err, result
    assert result.err.count("\n") == 1 and "\x1b" not in result.err


@pytest.mark.parametrize("content", [b"", b"text", b"{", b"[" * 500_000, b"\xff\xd8", b" " * (1 << 21)])
def test_a_foreign_file_beside_the_model_is_one_line(infer, said, content):
    model = said()
    beside(model).write_bytes(content)
    result = infer(mindir=model)
    assert result.code == 2 and result.err.startswith(f"error: {beside(model)}") and result.err.count("\n") == 1, result


def test_damaged_inputs(program, model):
    assert fuzz(program, model, 60) == []
    assert fuzz_facts(program, model, 10) == []
    assert fuzz_models(program, model, 10)[0] == []


def test_version_1_refuses_unknown_operators(tmp_path):
    with pytest.raises(RunError, match="operator Sigmoid has no known form in MINDIR version 1"):
        write_version_1(nn.Sigmoid(), tmp_path / "x.mindir", 5)
    assert not list(tmp_path.iterdir())


def test_postprocess_names_what_is_wrong(run, drawn, tmp_path):
    arguments = ("--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--num_classes", 6)
    assert "--result_path is not given" in run(postprocess.main, *arguments).err
    result = run(postprocess.main, *arguments, "--result_path", tmp_path)
    assert result.code == 2 and "_0.bin: No such file" in result.err
    name = os.path.basename(read_list(drawn / "voc_val_lst.txt")[0].image)[:-4]
    np.zeros(7, np.float32).tofile(tmp_path / f"{name}_0.bin")
    assert "holds 7 numbers, not 6 x 513 x 513" in run(postprocess.main, *arguments, "--result_path", tmp_path).err


def test_get_mindspore_lite(shell, tmp_path):
    script = ROOT / "scripts/get_mindspore_lite.sh"
    for layout in ("runtime/include/api", "include/api"):
        (tmp_path / layout).mkdir(parents=True)
        (tmp_path / layout / "model.h").touch()
        result = shell("bash", script, MS_LITE_HOME=str(tmp_path))
        assert result.code == 0 and result.out.strip() == str(tmp_path)
        shutil.rmtree(tmp_path / layout.split("/")[0])
    result = shell("bash", script, MS_LITE_HOME=str(tmp_path))
    assert result.code == 2 and "holds neither" in result.err


@pytest.mark.parametrize("arguments, part", [
    ((), "MINDIR_PATH is not given"), (("/no/m",), "DATA_LIST is not given"),
    (("/no/m", "", "", __file__), "DATA_PATH is not given"), (("/no/m", ".", "", __file__), "/no/m: no such file"),
    ((__file__, ".", "", "/no/list"), "/no/list: no such file"),
    ((__file__, "/no", "", __file__), "DATA_PATH /no: no such folder"),
    ((__file__, ".", "/no", __file__), "DATA_ROOT /no: no such folder"),
    ((__file__, ".", "", __file__, "TPU"), "one of Ascend, GPU, CPU, not 'TPU'"),
    ((__file__, ".", "", __file__, "CPU", "x"), "DEVICE_ID is a number, not 'x'"),
    ((__file__, ".", "", __file__, "--bach", 1), "no option '--bach'")])
def test_the_launcher_checks_its_arguments_before_it_fetches_and_builds(shell, arguments, part):
    result = shell("bash", LAUNCHER, *arguments, MS_LITE_HOME="/no/sdk")    # would be the next error
    assert result.code == 2 and part in result.err and "MS_LITE_HOME" not in result.err, result


def test_launcher_dry_run(shell, tmp_path):
    result = shell("bash", LAUNCHER, "m.mindir", "my data", "", "list.txt", "CPU", 3, "--threads", 2, "--dry-run")
    assert result.code == 0
    assert all(part in result.out for part in ("--device_id 3", "my\\ data", "--threads 2"))
    assert not list(tmp_path.iterdir())
