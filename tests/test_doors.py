"""One trained network in every program, without options about it, gives the same result; contradictions are errors."""
import json

import numpy as np
import pytest

import eval as evaluation
import eval_onnx
import export
import predict
from src.console import InputError
from src.models.model import open_model
from src.models.model_file import named_network, read_model_file
from src.nets.architecture import architecture
from src.weights import checkpoint
from tests.golden import golden_weights

NAME = "deeplab_v3_tiny_s16"


@pytest.fixture
def data(drawn, tmp_path):
    return ["--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt", "--result_file", tmp_path / "r.json"]


@pytest.fixture(scope="module")
def files(trained_file, tmp_path_factory):
    """Kind -> the trained network as a file of that kind, exported without options about it."""
    folder = tmp_path_factory.mktemp("files")
    for kind in ("ONNX", "MINDIR"):
        export.main(["--ckpt_file", str(trained_file), "--file_format", kind, "--file_name", str(folder / "net")])
    return {"ckpt": trained_file, "onnx": folder / "net.onnx", "mindir": folder / "net.mindir"}


def test_every_program_gives_the_same_result(files, data, drawn, run, tmp_path):
    found = {}
    for kind, path in files.items():
        result = run(evaluation.main, *data, "--ckpt_path", path)
        assert result.code == 0, result
        found[f"eval.py {kind}"] = json.loads((tmp_path / "r.json").read_text())
        result = run(predict.main, drawn / "voc_val_lst.txt", "--data_root", drawn, "--model", path, "--output_dir",
                     tmp_path / kind)
        assert result.code == 0, result
        found[f"predict.py {kind}"] = json.loads((tmp_path / kind / "coverage.json").read_text())
    assert run(eval_onnx.main, *data, "--file_name", files["onnx"]).code == 0
    found["eval_onnx.py"] = json.loads((tmp_path / "r.json").read_text())
    assert {round(answer["mean_iou"], 6) for answer in found.values()} == {round(found["eval.py ckpt"]["mean_iou"], 6)}
    assert {tuple(answer["class_names"]) for answer in found.values()} == {
        tuple(read_model_file(files["ckpt"], "").facts["class_names"])}
    assert {answer["settings"]["crop_size"] for answer in found.values()} == {65}
    assert len(found["eval_onnx.py"]["class_names"]) == 6 and found["eval_onnx.py"]["mean_iou"] > 0.1


def test_facts_of_a_checkpoint_are_in_its_exports(files):
    said = {kind: read_model_file(path, "").facts for kind, path in files.items()}
    of_input = {name: said["onnx"].pop(name) for name in ("input_type", "input_format", "precision",
                                                          "checkpoint_sha256")}
    assert of_input == {"input_type": "float32", "input_format": "NCHW", "precision": "float32",
                        "checkpoint_sha256": checkpoint.digest(files["ckpt"])}
    assert said["onnx"] == said["ckpt"] and said["mindir"] == said["ckpt"] | of_input
    assert said["ckpt"]["network"] == NAME and said["ckpt"]["recipe"]["train_epochs"] == 2


@pytest.mark.parametrize("door, options, part", [
    ("eval", ["--model", "deeplab_v3_tiny_s8"], "--model deeplab_v3_tiny_s8: but {} says deeplab_v3_tiny_s16; leave"),
    ("eval", ["--model", "deeplab_v3_s16"], "--model deeplab_v3_s16: but {} says deeplab_v3_tiny_s16; leave"),
    ("eval", ["--num_classes", 21], "--num_classes 21: but {} says 6; leave the option out"),
    ("predict", ["--net", "deeplab_v3_tiny_s8"], "--net deeplab_v3_tiny_s8: but {} says deeplab_v3_tiny_s16; leave"),
    ("export", ["--export_model", "deeplab_v3_tiny_s8"], "--export_model deeplab_v3_tiny_s8: but {} says deeplab_v3_t"),
    ("export", ["--num_classes", 5], "--num_classes 5: but {} says 6; leave the option out"),
])
def test_a_contradiction_names_both_sources(door, options, part, trained_file, data, drawn, run, tmp_path):
    result = run(*{
        "eval": [evaluation.main, *data, "--ckpt_path", trained_file],
        "predict": [predict.main, drawn / "voc_val_lst.txt", "--data_root", drawn, "--model", trained_file,
                    "--output_dir", tmp_path / "out"],
        "export": [export.main, "--ckpt_file", trained_file, "--file_format", "ONNX", "--file_name", tmp_path / "net"],
    }[door], *options)
    assert result.code == 2 and part.format(trained_file) in result.err and result.err.count("\n") == 1, result
    assert not list(tmp_path.iterdir())


def test_a_recipe_that_contradicts_is_named(trained_file, data, run, tmp_path):
    (tmp_path / "my.yaml").write_text("model: deeplab_v3_tiny_s8\n")
    result = run(evaluation.main, *data, "--ckpt_path", trained_file, "--config_path", tmp_path / "my.yaml")
    assert result.code == 2 and f"model deeplab_v3_tiny_s8 of {tmp_path / 'my.yaml'}: but " in result.err, result
    assert "; --model deeplab_v3_tiny_s16 replaces that line" in result.err


@pytest.mark.parametrize("name, network", [
    ("deeplab_v3_s8-300_11.ckpt", "deeplab_v3_s8"), ("deeplabv3-s16-best.ckpt", "deeplab_v3_s16"),
    ("deeplabv3_s8_resnet101-a297e7af.ckpt", "deeplab_v3_s8"), ("deeplabv3_dilated_resnet101-8614f6af.ckpt", None),
    ("deeplabv3s16_ascend_v190_voc2012_official_cv_acc77.21.ckpt", "deeplab_v3_s16"),
    ("deeplabv3s8r2_ascend_v190_voc2012_official_cv_s8acc78.51_ns8mul79.45.ckpt", "deeplab_v3_s8"),
    ("deeplab_v3_tiny_s8-best.ckpt", "deeplab_v3_tiny_s8"), ("deeplabv3s80.ckpt", None), ("my_s8.ckpt", None)])
def test_names_of_published_files_say_the_network(name, network):
    assert named_network(name) == network


def test_a_file_that_does_not_say_its_network_is_warned_about_once(trained_file, run, tmp_path, capfd):
    """Export's default is the stride-8 network, as published; a file without facts could be either."""
    weights = {name: value for name, value in checkpoint.read(trained_file, "").arrays.items()
               if name.startswith("network.")}
    bare = tmp_path / "mine.ckpt"
    checkpoint.write(weights, bare)
    options = ["--ckpt_file", bare, "--file_format", "ONNX", "--file_name", tmp_path / "net"]
    result = run(export.main, *options, "--export_model", NAME)
    assert result.code == 0 and result.err == "", result
    result = run(export.main, *options)
    assert "warning: " in result.err and f"{bare}: does not say which network it holds; deeplab_v3_s8 is" in result.err
    assert "is assumed; --export_model names another" in result.err
    with pytest.raises(InputError):    # the small network's weights do not fit
        open_model(bare)
    assert "deeplab_v3_s16 is assumed; network=NAME names another" in capfd.readouterr().err
    assert open_model(bare, network=NAME).num_classes == 6 and capfd.readouterr().err == ""


def test_a_stride_16_network_is_evaluated_at_stride_8_with_doubled_rates(trained_file, data, run, tmp_path):
    """Paper, section 4.1; the given rates are used."""
    options = ["--atrous_rates", 12, 24, 36, "--model", "deeplab_v3_tiny_s8"]
    result = run(evaluation.main, *data, "--ckpt_path", trained_file, *options)
    assert result.code == 0, result
    expected = json.loads((tmp_path / "r.json").read_text())["confusion_matrix"]
    result = run(export.main, "--ckpt_file", trained_file, "--file_format", "ONNX", "--file_name",
                 tmp_path / "s8", "--atrous_rates", 12, 24, 36, "--export_model", "deeplab_v3_tiny_s8")
    assert result.code == 0 and result.out.startswith("deeplab_v3_tiny_s8 exported to "), result
    said = read_model_file(tmp_path / "s8.onnx", "").facts
    assert (said["output_stride"], said["atrous_rates"]) == (8, [12, 24, 36])
    assert run(eval_onnx.main, *data, "--file_name", tmp_path / "s8").code == 0
    assert json.loads((tmp_path / "r.json").read_text())["confusion_matrix"] == expected
    assert run(evaluation.main, *data, "--ckpt_path", trained_file).code == 0
    assert json.loads((tmp_path / "r.json").read_text())["confusion_matrix"] != expected


def probabilities(path, **options):
    image = np.random.default_rng(0).standard_normal((1, 3, 65, 65)).astype(np.float32)
    return open_model(path, device="CPU", **options).predict(image)


def test_the_published_name_is_used_where_the_file_has_no_facts(data, run, tmp_path):
    weights, path = golden_weights(architecture(NAME, 6)), tmp_path / "deeplab_v3_tiny_s8-1_1.ckpt"
    checkpoint.write(weights, path)
    assert read_model_file(path, "").facts == {"network": "deeplab_v3_tiny_s8", "num_classes": 6}
    checkpoint.write(weights, tmp_path / "other.ckpt", {"network": "deeplab_v3_tiny_s8"})
    assert np.array_equal(probabilities(path), probabilities(tmp_path / "other.ckpt"))
    assert not np.allclose(probabilities(path), probabilities(path, network=NAME), atol=1e-3)
    result = run(evaluation.main, *data, "--ckpt_path", path, "--crop_size", 65)
    assert result.code == 0 and result.out.startswith("deeplab_v3_tiny_s8: 6 classes"), result
    result = run(evaluation.main, *data, "--ckpt_path", path, "--model", NAME)
    assert result.code == 2 and f"--model {NAME}: but {path} says deeplab_v3_tiny_s8" in result.err, result


def test_facts_in_a_file_come_before_its_name(tmp_path):
    checkpoint.write(golden_weights(architecture(NAME, 6)), tmp_path / "deeplab_v3_tiny_s8-1_1.ckpt", {"network": NAME})
    assert read_model_file(tmp_path / "deeplab_v3_tiny_s8-1_1.ckpt", "").facts["network"] == NAME


def test_the_command_line_wins_where_that_makes_sense(trained_file, data, run, tmp_path):
    assert run(evaluation.main, *data, "--ckpt_path", trained_file, "--crop_size", 97, "--image_mean", 1, 2,
               3).code == 0
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert (settings["crop_size"], settings["mean"]) == (97, [1, 2, 3])
