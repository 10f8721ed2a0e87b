"""Options: defaults, recipes, command line; published spellings; errors that name the nearest right name."""
import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from src.config import OTHER_NAMES, believe, parse_args, read_options, to_yaml
from src.console import InputError
from src.models.model import ENGINES
from src.nets.architecture import NETWORKS

ROOT = Path(__file__).resolve().parents[1]

# Defaults that the published documentation states.
PUBLISHED = {
    "train_epochs": 300, "batch_size": 32, "crop_size": 513, "base_lr": 0.08,
    "lr_type": "cos", "lr_decay_step": 40000, "lr_decay_rate": 0.1, "min_scale": 0.5, "max_scale": 2.0,
    "ignore_label": 255, "num_classes": 21, "model": "deeplab_v3_s16", "filter_weight": False, "freeze_bn": False,
    "is_distributed": False, "save_steps": 410, "keep_checkpoint_max": 200, "loss_scale": 3072.0,
    "image_mean": [103.53, 116.28, 123.675], "image_std": [57.375, 57.120, 58.395],
}


def parse(program, *argv):
    return parse_args(program, "", list(argv))


@pytest.mark.parametrize("program, published", [("train", PUBLISHED), ("export", {
    "export_batch_size": 1, "input_size": 513, "file_name": "deeplabv3", "file_format": "AIR",
    "export_model": "deeplab_v3_s8", "input_format": "NCHW"})], ids=["train", "export"])
def test_published_defaults(program, published):
    config = parse(program)
    assert {name: getattr(config, name) for name in published} == published


def test_every_option_has_help_and_a_program():
    for option in read_options().values():
        assert option.help and option.programs, option.name


def test_help_says_which_options_are_paths(capsys):
    """An option whose help mentions a file or folder is a path; --help shows FILE or DIR in place of STR."""
    with pytest.raises(SystemExit):
        parse("train", "--help")
    shown, options = capsys.readouterr().out, read_options()
    for option in options.values():
        if re.match(r"(text |list |JSON |exported |local )?(file|folder|checkpoint|MindRecord)\b", option.help):
            assert option.path, option.name
        if option.folder:
            assert options[option.folder].path == "DIR" and "train" in options[option.folder].programs, option.name
    assert "--train_dir DIR" in shown and "--data_file FILE" in shown and "--train_url URL" in shown
    assert "--lr_type STR" in shown


def test_other_projects_names_lead_to_options_that_exist():
    options = read_options()
    assert {name for ours in OTHER_NAMES.values() for name in ours} <= set(options)
    assert not set(OTHER_NAMES) & set(options), "a name of ours means ours"


def test_choices_are_the_networks_and_engines_that_exist():
    options = read_options()
    assert set(NETWORKS) == set(options["model"].choices) == set(options["export_model"].choices) - {""}
    assert ("auto", *ENGINES) == tuple(options["engine"].choices)


def test_lines_fit_and_comments_go_on(tmp_path):
    lines = (ROOT / "default_config.yaml").read_text().splitlines()
    assert [line for line in lines if len(line) > 120] == []
    path = tmp_path / "options.yaml"
    path.write_text("## Group\nside: 3   # [train eval:edge] side of\n          # a square {FILE in load_path,\n"
                    "          # >= 2}\n\nnames: [a]   # [all] names {2 values, a, b}\n")
    side, names = read_options(path).values()
    assert (side.help, side.bounds, side.path, side.folder) == ("side of a square", ((">=", 2),), "FILE", "load_path")
    assert side.spelled("eval") == "--edge" and side.group == "Group" and names.length == 2
    path = tmp_path / "wrong.yaml"
    path.write_text("side: 3   # a comment without programs\n")
    with pytest.raises(ValueError, match="no .* on the line 'side: 3"):
        read_options(path)


@pytest.mark.parametrize("argv, scales", [
    (["--scales=0.5", "--scales=0.75"], [0.5, 0.75]), (["--scales", "0.5", "0.75"], [0.5, 0.75]),
    (["--scales", "2"], [2.0]), ([], [1.0])])
def test_lists_repeat_or_follow(argv, scales):
    assert parse("eval", *argv).scales == scales


@pytest.mark.parametrize("argv, flip", [
    (["--flip"], True), (["--flip", "True"], True), (["--flip=False"], False), (["--flip", "--freeze_bn"], True)])
def test_flags_stand_alone_or_take_a_value(argv, flip):
    assert parse("eval", *argv).flip is flip


def test_recipe_and_command_line_override_in_order(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("batch_size: 4\nbase_lr: 1\ncrop_size: 65\n")
    second.write_text("batch_size: 5\n")
    config = parse("train", "--config_path", str(first), "--config_path", str(second), "--crop_size", "33")
    assert (config.batch_size, config.base_lr, config.crop_size) == (5, 1.0, 33)


def test_resolved_options_are_frozen_and_read_again(tmp_path):
    config = parse("train", "--batch_size", "7", "--atrous_rates", "12", "24", "36")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.batch_size = 8
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    again = parse("train", "--config_path", str(tmp_path / "c.yaml"))
    assert dataclasses.asdict(again) == dataclasses.asdict(config)


def test_a_program_may_spell_an_option_otherwise(tmp_path):
    (tmp_path / "c.yaml").write_text("model: deeplab_v3_s8\ncrop_size: 33\n")
    config = parse_args("predict", "", ["a.jpg", "-", "--model", "x.onnx", "--batch_size", "3", "--config_path",
                                        str(tmp_path / "c.yaml")])
    config = believe(config, {"crop_size": 65, "alpha": 0.25}, "m.onnx")
    assert config.sources == ["a.jpg", "-"] and config.model_file == "x.onnx" and config.predict_batch == 3
    assert config.model == "deeplab_v3_s8", "train.py's --model keeps its name in recipes"
    assert (config.crop_size, config.alpha) == (33, 0.25), "what the user gave stays, a default does not"
    assert not hasattr(config, "batch_size"), "train.py's option of that name is not predict.py's"


def test_plain_arguments_may_stand_among_the_options():
    config = parse("predict", "a.jpg", "--model", "m.onnx", "b.jpg", "--flip")
    assert config.sources == ["a.jpg", "b.jpg"] and config.model_file == "m.onnx" and config.flip


@pytest.mark.parametrize("program, argv, parts", [
    ("predict", ["--batch_size", "0"], ["--batch_size: batch_size must be >= 1"]),
    ("predict", ["--model_file", "x"], ["--model_file", "did you mean --model?"]),
    ("train", ["--lr", "1"], ["no option --lr; here it is --base_lr"]),
    ("train", ["--learning-rate=1"], ["no option --learning-rate; here it is --base_lr"]),
    ("train", ["--weights", "a"], ["here it is --ckpt_pre_trained"]),
    ("eval", ["--weights", "a"], ["here it is --ckpt_path"]),
    ("predict", ["--data", "a"], ["here it is SOURCE"]),
    ("eval", ["--epochs", "3"], ["eval.py has no option --epochs (see --help)"]),
    ("eval", ["--workers", "3"], ["belongs to train"]),
    ("train", ["--base_lrr", "1"], ["--base_lrr", "did you mean --base_lr"]),
    ("train", ["--flip"], ["--flip", "belongs to eval"]),
    ("eval", ["--scale=0.5"], ["--scale", "did you mean --scales"]),
    ("train", ["--batch_size", "many"], ["--batch_size", "int"]),
    ("train", ["--batch_size", "0"], ["--batch_size", ">= 1"]),
    ("train", ["--crop_size", "0"], ["--crop_size", ">= 2"]),
    ("train", ["--lr_type", "cosine"], ["--lr_type", "cos, poly, exp", "did you mean cos"]),
    ("train", ["--model", "deeplab_v3_s32"], ["--model", "did you mean deeplab_v3_s"]),
    ("train", ["--freeze_bn", "perhaps"], ["--freeze_bn", "True or False"]),
    ("eval", ["--scales", "0"], ["--scales", "> 0"]),
    ("eval", ["stray"], ["stray"]),
    ("train", ["--batch_size"], ["--batch_size", "expected"]),
    ("train", ["--config_path", "missing.yaml"], ["missing.yaml", "No such file"]),
])
def test_errors_name_the_option_and_the_fix(program, argv, parts):
    with pytest.raises(InputError) as error:
        parse(program, *argv)
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize("text, parts", [
    ("batchsize: 3", ["unknown key batchsize", "batch_size"]), ("batch_size: x", ["batch_size", "int"]),
    ("scales: 1.0", ["scales", "list"]), ("flip: 1", ["flip", "bool"]), ("- 3", ["key: value"]),
    ("imgsz: 3", ["unknown key imgsz; here it is crop_size"]),
    ("crop_size: 3\n\tbatch_size: 4", ["line 2: found", "'\\t'"])])
def test_recipe_errors_name_file_and_key(tmp_path, text, parts):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        parse("eval", "--config_path", str(path))
    assert all(part in str(error.value) for part in [str(path), *parts]), error.value


@pytest.mark.parametrize("path", sorted((ROOT / "scripts/recipes").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_parses_and_says_what_it_is(path):
    parse("train", "--config_path", str(path))
    assert path.read_text().startswith("# "), "a recipe begins with its purpose"
    assert yaml.safe_load(path.read_text())


def test_a_picture_whose_name_begins_with_a_dash_is_explained():
    with pytest.raises(InputError, match=r"has no option -x.jpg; a name that begins with - goes behind --, or as ./-x"):
        parse_args("predict", "", ["-x.jpg"])
    assert parse_args("predict", "", ["--", "-x.jpg"]).sources == ["-x.jpg"]
