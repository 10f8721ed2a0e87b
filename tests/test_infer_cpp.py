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
from src.evaluation.inference import Segmenter, Settings
from src.export.mindir import to_version_1
from src.export.mindspore_file import export
from src.models.model import open_model
from src.nets.net_factory import create_inference
from src.tools import postprocess
from src.weights.folding import fold
from src.weights.loading import read_network
from tests.conftest import ROOT, TINY
from tests.fuzz_infer_cpp import fuzz

LAUNCHER = ROOT / "scripts/run_infer_cpp.sh"
PACKAGES = ("cmake", "make", "g++", "libopencv-dev", "libpng-dev")


def install_packages():
    """What building needs, through apt on a fresh machine; or a skip that names it."""
    listed = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *PACKAGES], capture_output=True,
                            text=True).stdout if shutil.which("dpkg-query") else ""
    missing = [name for name in PACKAGES if f"{name} install ok installed" not in listed]
    if missing and (os.geteuid() != 0 or not shutil.which("apt-get")):
        pytest.skip(f"building C++ needs: apt-get install {' '.join(missing)}")
    if missing:
        command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(missing)}"
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"apt-get install {' '.join(missing)} failed: {done.stderr[-300:]}")


@pytest.fixture(scope="module")
def program():
    """The built program; the build folder is kept between runs."""
    install_packages()
    done = subprocess.run(["bash", ROOT / "ascend310_infer/build.sh"], capture_output=True, text=True,
                          env={**os.environ, "PYTHON": sys.executable})
    if "could not be fetched" in done.stderr or "for x86-64 only" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[-2]


def folded_cell(trained):
    """The trained tiny network without BatchNorm, as export.py writes it."""
    shape, weights = read_network(trained / "deeplab_v3_tiny_s16-2_3.ckpt", "", "deeplab_v3_tiny_s16", (6, 12, 18))
    return create_inference(shape.folded(), fold(shape, weights))


def write_version_1(cell, path, side=65):
    export(cell, ms.Tensor(np.zeros((1, 3, side, side), np.float32)), "MINDIR", path, to_version_1)


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    """MINDIR of version 1 of the trained tiny network, batch 1."""
    path = tmp_path_factory.mktemp("mindir") / "tiny model.mindir"
    write_version_1(folded_cell(trained), path)
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
    """The val list with a cut JPEG as its fourth picture."""
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
    assert done.returncode == 0 and "0 tests failed out of 3" in done.stdout, done.stdout


def test_cppcheck(program):
    if not shutil.which("cppcheck"):
        pytest.skip("cppcheck is not installed")
    folder = ROOT / "ascend310_infer"
    done = subprocess.run(["cppcheck", "--std=c++17", "--enable=warning,performance,portability", "--error-exitcode=1",
                           "--quiet", "--inline-suppr", "-I", folder, folder / "src"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_launcher_equals_eval(program, model, drawn, trained, shell, run, tmp_path):
    result = shell("bash", LAUNCHER, model, drawn, "", drawn / "voc_val_lst.txt", "CPU", 0, "--dump_probs")
    assert result.code == 0, result.out + result.err
    done = run(eval_program.main, *TINY, "--batch_size", 1, "--data_root", drawn, "--data_lst",
               drawn / "voc_val_lst.txt", "--ckpt_path", trained / "deeplab_v3_tiny_s16-2_3.ckpt",
               "--result_file", tmp_path / "python.json")
    assert done.code == 0, done
    expected = json.loads((tmp_path / "python.json").read_text())
    acc = (tmp_path / "acc.log").read_text()
    assert acc in result.out
    assert float(re.search(r"mean IoU ([\d.]+)", acc)[1]) == pytest.approx(expected["mean_iou"], abs=1e-4)
    for line in done.out[done.out.index("class "):].splitlines()[1:7]:
        assert line.split()[-1] in acc, "pixels of each class as eval.py prints them"
    times = (tmp_path / "time_Result/test_perform_static.txt").read_text()
    assert re.match(r"NN inference cost average time: [\d.]+ ms of infer_count 6\n", times)

    scored = run(postprocess.main, "--result_path", tmp_path / "result_Files", "--data_root", drawn, "--data_lst",
                 drawn / "voc_val_lst.txt", "--num_classes", 6, "--crop_size", 65,
                 "--result_file", tmp_path / "bins.json")
    assert scored.code == 0, scored
    rescored = json.loads((tmp_path / "bins.json").read_text())
    assert rescored["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-4)
    second = shell("bash", LAUNCHER, model, drawn, "", drawn / "voc_val_lst.txt", "CPU")
    assert second.code == 0 and (tmp_path / "acc.log.1").read_text() == acc, "an earlier run gets a number"
    assert (tmp_path / "acc.log").read_text() == acc, "the same without all probabilities being kept"


def test_the_same_answer_as_evaluation_on_the_exported_file(infer, drawn, trained, run, tmp_path):
    """No option about the network anywhere; this MindSpore Lite reads version 1, MindSpore the one that it writes."""
    checkpoint = trained / "deeplab_v3_tiny_s16-2_3.ckpt"
    for version in (0, 1):
        assert run(export_program.main, "--ckpt_file", checkpoint, "--file_format", "MINDIR", "--mindir_version",
                   version, "--file_name", tmp_path / f"net{version}").code == 0
    answers = []
    assert infer(mindir=tmp_path / "net1.mindir").code == 0
    answers.append(re.search(r"mean IoU ([\d.]+)", (tmp_path / "acc.log").read_text())[1])
    for model in (checkpoint, tmp_path / "net0.mindir"):
        assert run(eval_program.main, "--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--ckpt_path",
                   model, "--result_file", tmp_path / "r.json").code == 0
        answers.append(f"{json.loads((tmp_path / 'r.json').read_text())['mean_iou']:.6f}")
    assert len(set(answers)) == 1, answers
    result = run(eval_program.main, "--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--ckpt_path",
                 tmp_path / "net1.mindir")
    assert result.code == 2 and "net1.mindir: is a MINDIR of version 1, which MindSpore Lite reads" in result.err


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
    for number, (batch, pair) in enumerate(zip(batches, pairs)):
        stem = tmp_path / "result_Files" / os.path.basename(pair.image)[:-4]
        dumped = np.fromfile(f"{stem}_0.bin", np.float32)
        assert np.abs(dumped - seen[number].reshape(-1)).max() <= 1e-5
        with Image.open(f"{stem}.png") as picture:
            assert picture.mode == "L" and (np.array(picture) == batch.maps[0]).mean() >= 0.9999


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
    batched = infer("--batch", 4)    # the last of the two is half empty
    assert batched.code == 0 and "infer_count 2\n" in batched.out, batched
    assert (tmp_path / "acc.log").read_text() == single


@pytest.mark.parametrize("options, part", [
    (("--bach", 1), "no option '--bach'"),
    (("--size", 81), "was exported for (1, 3, 65, 65) and cannot be resized to (1, 3, 81, 81)"),
    (("--mindir_path", "/no/model"), "/no/model: No such file"),
    (("--mindir_path", ROOT / "README.md"), "is no MINDIR"),
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


def test_damaged_inputs(program, model):
    assert fuzz(program, model, 60) == []


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


def test_launcher_dry_run(shell, tmp_path):
    result = shell("bash", LAUNCHER, "m.mindir", "my data", "", "list.txt", "CPU", 3, "--threads", 2, "--dry-run")
    assert result.code == 0
    assert all(part in result.out for part in ("--device_id 3", "my\\ data", "--threads 2"))
    assert not list(tmp_path.iterdir())
