"""Outputs: users' files are replaced only with --overwrite, inputs never; rights, links, leftovers, a full disk."""
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import eval_onnx
import export
import predict
from src.console import InputError, RunError
from src.drawing.encoding import encode, marked
from src.drawing.palette import palette_png
from src.files import (
    check_output,
    folder_aside,
    move_files,
    recognised,
    sweep,
    temporary_folder,
    write_whole,
    writing,
)
from src.tools import plot
from tests.conftest import ROOT, TINY


def names(folder) -> set:
    return {path.name for path in Path(folder).iterdir()}


def test_links_are_followed_and_rights_kept(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real/file.json"
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to("real/file.json")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640 and names(tmp_path / "real") == {"file.json"}
    (tmp_path / "loose").symlink_to("made/later")
    write_whole(tmp_path / "loose", b"new")
    assert (tmp_path / "made/later").read_text() == "new"


@pytest.mark.parametrize("mask", ["077", "022", "002"])
def test_new_files_have_what_the_umask_leaves(mask, tmp_path):
    code = (f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.umask(0o{mask}); from src.files import writing\n"
            f"with writing('made') as aside:\n    aside.touch(0o600)")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o666 & ~int(mask, 8)


def test_special_files_and_inputs_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "input").write_text("precious")
    (tmp_path / "link").symlink_to("input")
    os.link(tmp_path / "input", tmp_path / "other name")
    for name, part in (("folder", "is a folder"), ("pipe", "is a pipe"), ("/dev/null", "is a device"),
                       ("input", "is the input"), ("link", "is the input"), ("other name", "is the input")):
        for check in (check_output, lambda *args: writing(*args).__enter__()):
            with pytest.raises(InputError, match=f"^--x .*{part}"):
                check(tmp_path / name, "--x", "", [tmp_path / "not there", "", tmp_path / "input"])
    assert (tmp_path / "input").read_text() == "precious" and not stat.S_ISREG(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("place", ["file/x", "file/deep/x"])
def test_an_unwritable_place_is_found_before(place, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is not a folder"):
        check_output(tmp_path / place, "--x")
    with pytest.raises(InputError, match="cannot be written"):
        write_whole(tmp_path / place, b"")


@pytest.mark.parametrize("form", ["{}", "new/deep/{}", "new/{}/x.json"])
def test_a_name_that_is_too_long_is_found_before(form, tmp_path):
    check_output(tmp_path / form.format("x" * 250 + ".json"), "--x")
    with pytest.raises(InputError, match="^--x .*/xx.*: its name is too long; shorten it"):
        check_output(tmp_path / form.format("x" * 251 + ".json"), "--x")


def test_a_link_to_itself_is_found_before(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        check_output(tmp_path / "loop/x", "--x")


def test_moved_files_keep_rights_and_reach_other_disks(tmp_path, monkeypatch):
    """A link may lead to another disk, where a rename is not possible and a copy is complete or not there."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root/old").write_text("1")
    (tmp_path / "root/old").chmod(0o664)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        (tmp_path / "root/far").symlink_to(other)
        with folder_aside(tmp_path / "root/x") as made:
            for name in ("old", "far/one", "new/one"):
                write_whole(made / name, b"2")
            move_files(made, tmp_path / "root")
        assert [(tmp_path / "root" / name).read_text() for name in ("old", "far/one", "new/one")] == ["2"] * 3
        assert stat.S_IMODE((tmp_path / "root/old").stat().st_mode) == 0o664
        assert sorted(os.listdir(other)) == ["one"] and not list(tmp_path.glob("root/.*"))
        with folder_aside(tmp_path / "root/x") as made, monkeypatch.context() as patch:
            write_whole(made / "far/one", b"3" * 9)
            patch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(RunError, match=f"{other}/one: cannot be written .No space"):
                move_files(made, tmp_path / "root")
        assert Path(other, "one").read_text() == "2"


def test_no_place_for_temporary_files_is_one_line(run, monkeypatch):
    def main(argv):
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "tempdir", None)
            patch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/gone"])
            temporary_folder()
    result = run(main)
    assert result.code == 1 and result.err.count("\n") == 1, result
    assert "No usable temporary directory found in ['/gone']; TMPDIR=DIR" in result.err


def test_only_own_files_are_replaced_without_overwrite(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    result = {"mean_iou": None, "per_class_iou": [], "confusion_matrix": []}
    for kind, ours, foreign in (
            ("result", json.dumps(result).encode(), (b"{}", b"[]", b"[" * 10**5, b"\xff", b"old")),
            ("drawn", encode(picture, "a.png"), (cv2.imencode(".png", picture)[1].tobytes(),)),
            ("drawn", encode(picture, "a.jpg"), (cv2.imencode(".jpg", picture)[1].tobytes(),)),
            ("drawn", palette_png(picture[:, :, 0]), (b"old",))):
        path = tmp_path / "file"
        for content in foreign:
            path.write_bytes(content)
            with pytest.raises(InputError, match="--overwrite replaces it"):
                write_whole(path, b"new", "--x", kind)
            assert path.read_bytes() == content
        write_whole(path, b"new", "--x")
        path.write_bytes(ours)
        write_whole(path, b"new", "--x", kind)
        assert path.read_bytes() == b"new"
    assert not recognised(tmp_path / "none", "result")


def test_the_mark_leaves_the_pixels():
    picture = np.random.default_rng(1).integers(0, 255, (5, 7, 3), np.uint8)
    for ending in (".png", ".jpg"):
        plain = cv2.imencode(ending, picture)[1].tobytes()
        assert (cv2.imdecode(np.frombuffer(marked(plain), np.uint8), 1)
                == cv2.imdecode(np.frombuffer(plain, np.uint8), 1)).all()
    assert marked(b"BM") == b"BM"


def test_only_leftovers_of_dead_processes_are_removed(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    alive = os.getppid()
    kept = {f".x.0000.{alive}.aside.ckpt", ".backup.ckpt", f".backup.{dead.pid}.ckpt", ".metrics.backup", "x.1.aside"}
    for name in {*kept, f".x.0000.{dead.pid}.aside.ckpt", f".y.0000.{dead.pid}.aside"}:
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    assert names(tmp_path) == kept


def test_the_next_writer_removes_leftovers(tmp_path):
    code = f"""import os, sys; sys.path.insert(0, {str(ROOT)!r}); from src.files import writing
with writing(sys.argv[1]) as aside:
    aside.write_text("half"); os.kill(os.getpid(), 9)"""
    long = "n" * 250 + ".json"
    for name in ("a.json", "b.json", long):
        subprocess.run([sys.executable, "-c", code, name], cwd=tmp_path)
    assert len(names(tmp_path)) == 3
    write_whole(tmp_path / "a.json", b"")
    write_whole(tmp_path / long, b"")
    assert len([name for name in names(tmp_path) if name.startswith(".b.")]) == 1 and len(names(tmp_path)) == 3
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "c.json") as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert not [name for name in names(tmp_path) if name.startswith(".c.")]


@pytest.fixture
def evaluation(exported, drawn):
    return [eval_onnx.main, "--file_name", exported(), "--data_root", drawn, "--data_lst", drawn / "voc_val_lst.txt",
            "--num_classes", 6, "--crop_size", 65, "--device_target", "CPU"]


def test_a_result_replaces_a_result_and_nothing_else(evaluation, run, tmp_path):
    target = tmp_path / "result.json"
    target.write_text("notes")
    refused = run(*evaluation, "--result_file", target)
    assert refused.code == 2 and "processed" not in refused.out and target.read_text() == "notes", "before the work"
    assert run(*evaluation, "--result_file", target, "--overwrite").code == 0
    assert run(*evaluation, "--result_file", target).code == 0, "running it twice stays easy"
    assert names(tmp_path) == {"result.json"}
    for taken in (evaluation[2], evaluation[6]):
        before = Path(taken).read_bytes()
        lost = run(*evaluation, "--result_file", taken, "--overwrite")
        assert lost.code == 2 and "is the input" in lost.err and Path(taken).read_bytes() == before


def test_reports_and_overlays_replace_their_own(evaluation, run, tmp_path):
    options = [*evaluation, "--result_file", tmp_path / "r.json", "--report", tmp_path / "page", "--overlay_dir",
               tmp_path / "drawn", "--overlay_max", 2]
    for _ in range(2):
        assert run(*options).code == 0
    assert len(names(tmp_path / "drawn")) == 2 and names(tmp_path / "page") == {"report.html"}
    for path in (tmp_path / "page/report.html", sorted((tmp_path / "drawn").iterdir())[1]):
        ours = path.read_bytes()
        path.write_text("mine")
        refused = run(*options)
        assert refused.code == 2 and path.name in refused.err and "processed" not in refused.out, refused
        assert path.read_text() == "mine"
        path.write_bytes(ours)


def test_overlays_that_cannot_be_written_do_not_lose_the_result(evaluation, run, tmp_path, monkeypatch):
    from src.report import overlays

    def full(*_, **__):
        raise RunError("--overlay_dir: cannot be written (No space left on device)")
    monkeypatch.setattr(overlays, "write_picture", full)
    result = run(*evaluation, "--result_file", tmp_path / "r.json", "--overlay_dir", tmp_path / "drawn")
    assert result.code == 1 and result.err.count("error: ") == 1 and "No space left" in result.err
    assert json.loads((tmp_path / "r.json").read_text())["images"] == 6


def test_masks_with_only_ignored_pixels_give_no_result(evaluation, void_list, run, tmp_path):
    result = run(*evaluation, "--result_file", tmp_path / "r.json", "--data_root", tmp_path, "--data_lst", void_list,
                 "--ignore_findings")
    assert result.code == 1 and "no pixel could be scored" in result.err
    found = json.loads((tmp_path / "r.json").read_text(), parse_constant=lambda text: pytest.fail(text))
    assert found["mean_iou"] is None and found["pixel_accuracy"] is None


@pytest.mark.parametrize("kind", ["ONNX", "MINDIR"])
def test_exports_replace_exports(kind, trained, run, tmp_path):
    checkpoint, name = trained / "deeplab_v3_tiny_s16-2_3.ckpt", tmp_path / f"m.{kind.lower()}"
    options = [export.main, "--device_target", "CPU", "--ckpt_file", checkpoint, "--file_format", kind, "--file_name",
               name, "--input_size", 65, "--export_model", "deeplab_v3_tiny_s16", "--num_classes", 6]
    for _ in range(2):
        assert run(*options).code == 0
    name.with_name(f"{name.name}.json").unlink(missing_ok=True)
    name.write_text("mine")
    refused = run(*options)
    assert refused.code == 2 and "--overwrite replaces it" in refused.err and name.read_text() == "mine"
    assert run(*options, "--overwrite").code == 0 and name.stat().st_size > 1000
    (tmp_path / "link.onnx").symlink_to(checkpoint)
    lost = run(*options[:6], "ONNX", "--file_name", tmp_path / "link.onnx", *options[9:], "--overwrite")
    assert lost.code == 2 and "is the input" in lost.err


def test_predict_replaces_no_truth_and_no_input(exported, drawn, run, tmp_path):
    image, mask = (drawn / "voc_val_lst.txt").read_text().splitlines()[0].split()
    own = tmp_path / "own"
    for folder, source, name in (("images", image, "a.jpg"), ("masks", mask, "a.png")):
        (own / folder).mkdir(parents=True)
        (own / folder / name).write_bytes((drawn / source).read_bytes())
    truth = (own / "masks/a.png").read_bytes()
    for given in (own / "images", own / "images/a.jpg", own / "masks/a.png"):
        result = run(predict.main, given, "--model", exported(), "--crop_size", 65, "--output_dir", own, "--overwrite")
        assert result.code == 2 and result.err.count("\n") == 1 and (own / "masks/a.png").read_bytes() == truth, result
    again = [predict.main, own / "images", "--model", exported(), "--crop_size", 65, "--output_dir", tmp_path / "out"]
    assert run(*again).code == 0
    (tmp_path / "out/coverage.json").unlink()    # as after a killed run
    assert run(*again, "--overwrite").code == 0 and names(tmp_path / "out") == {"masks", "overlays", "coverage.csv",
                                                                               "coverage.json"}


def test_curves_replace_curves(trained, run, tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_bytes((trained / "metrics.jsonl").read_bytes())
    assert run(plot.main, metrics).code == 0 and run(plot.main, metrics).code == 0
    (tmp_path / "curves.png").write_text("mine")
    assert run(plot.main, metrics).code == 2 and (tmp_path / "curves.png").read_text() == "mine"
    assert run(plot.main, metrics, "--overwrite").code == 0


def test_a_run_leaves_files_of_the_user_alone(drawn, run, tmp_path):
    import train
    mine = [".backup.ckpt", ".metrics.backup", ".notes.12.json", "notes.txt"]
    for name in mine:
        (tmp_path / name).write_text("precious")
    result = run(train.main, *TINY, "--data_file", drawn / "train.mindrecord0", "--train_dir", tmp_path,
                 "--train_epochs", 1)
    assert result.code == 0 and all((tmp_path / name).read_text() == "precious" for name in mine), result
