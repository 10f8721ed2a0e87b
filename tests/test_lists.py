"""List files: slashes, encodings, names of any bytes; and the files of folders."""
import json
import os
import sys

import cv2
import numpy as np
import pytest

import eval_onnx
import predict
from src.console import InputError
from src.data import build_seg_data, check_data
from src.data.annotations.item import find_picture
from src.data.folders import find_files
from src.data.lists import Pair, check_files, read_list, read_text, write_list
from src.prediction.sources import find_sources
from tests.conftest import ROOT


def write_pair(folder, image=b"a.jpg", mask=b"a.png", number=0):
    folder = os.fsencode(folder)
    rng = np.random.default_rng(number)
    labels = rng.integers(0, 3, (6, 8), dtype=np.uint8)
    for name, data in ((image, cv2.imencode(".jpg", rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))[1].tobytes()),
                       (mask, cv2.imencode(".png", np.kron(labels, np.ones((10, 10), np.uint8)))[1].tobytes())):
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


NAMES = {"of Windows": "i\\m\\a é.jpg", "of macOS": "i/m/a e\u0301.jpg", "of both": "\\i\\m\\a e\u0301.jpg"}


@pytest.mark.parametrize("kind", NAMES)
def test_names_as_another_system_writes_them(tmp_path, capsys, kind):
    write_pair(tmp_path, "i/m/a é.jpg".encode(), b"m/a.png")
    (tmp_path / "l.txt").write_text(f"{NAMES[kind]}\tm/a.png\n")
    assert read_list(tmp_path / "l.txt", tmp_path) == [Pair("i/m/a é.jpg", "m/a.png")]
    assert capsys.readouterr().err.endswith(f"of accents, than in --data_root {tmp_path}, such as "
                                            f"{NAMES[kind]}, read as i/m/a é.jpg\n")
    found = find_sources([str(tmp_path / "l.txt")], str(tmp_path)).pictures if kind != "of both" else []
    assert all(picture.image == tmp_path / "i/m/a é.jpg" for picture in found)
    assert find_picture(NAMES[kind].lstrip("\\"), [tmp_path], "")[0] == tmp_path / "i/m/a é.jpg"


def test_a_locale_that_is_not_utf8_is_named(tmp_path, shell):
    write_pair(tmp_path, "é.jpg".encode(), b"a.png")
    (tmp_path / "l.txt").write_text("é.jpg a.png\n")
    command = (sys.executable, ROOT / "src/data/build_seg_data.py", "--data_root", tmp_path, "--data_lst",
               tmp_path / "l.txt", "--dst_path", tmp_path / "x.mindrecord", "--num_shards", 1, "--num_classes", 3)
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    result = shell(*command, **locale, PYTHONUTF8="0")
    assert result.code == 2 and result.err.count("\n") == 2, result
    assert result.err.startswith("warning: the locale says that names of files are ascii")
    assert shell(*command, **locale, PYTHONUTF8="1") == (0, shell(*command, "--overwrite").out, "")


def test_a_file_of_the_very_name_is_taken(tmp_path, capsys):
    write_pair(tmp_path, "é.jpg".encode(), "e\u0301.png".encode())
    write_pair(tmp_path, "e\u0301.jpg".encode(), "é.png".encode())
    (tmp_path / "l.txt").write_text("é.jpg e\u0301.png\n")
    assert read_list(tmp_path / "l.txt", tmp_path) == [Pair("é.jpg", "e\u0301.png")]
    assert capsys.readouterr().err == ""


def test_a_leading_slash_is_relative_where_only_that_file_exists(tmp_path, capsys):
    write_pair(tmp_path, b"i/a.jpg", b"m/a.png")
    (tmp_path / "l.txt").write_text("/i/a.jpg /m/a.png\n")
    assert read_list(tmp_path / "l.txt", tmp_path) == [Pair("i/a.jpg", "m/a.png")]
    said = capsys.readouterr().err
    assert "2 names with other slashes" in said and f"{tmp_path}, such as /i/a.jpg, read as i/a.jpg" in said
    absolute = Pair(str(tmp_path / "i/a.jpg"), str(tmp_path / "m/a.png"))
    (tmp_path / "l.txt").write_text(f"{absolute.image} {absolute.mask}\n")
    assert read_list(tmp_path / "l.txt", tmp_path) == [absolute] and capsys.readouterr().err == ""
    (tmp_path / "l.txt").write_text("/i/b.jpg /m/b.png\n")
    with pytest.raises(InputError, match="/i/b.jpg: no such file.*begins with a slash"):
        check_files(read_list(tmp_path / "l.txt", tmp_path), tmp_path, "l.txt")


ENCODINGS = {"utf-16": "UTF-16", "utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "gb18030": "GB18030"}


@pytest.mark.parametrize("code, said", ENCODINGS.items())
def test_lists_in_another_encoding_are_named(tmp_path, code, said):
    write_pair(tmp_path, "图片.jpg".encode(), "图片.png".encode())
    (tmp_path / "l.txt").write_bytes("图片.jpg 图片.png\n".encode(code))
    with pytest.raises(InputError, match=f"l.txt: is {said} text.*save it as UTF-8"):
        read_list(tmp_path / "l.txt", tmp_path)


def test_latin_1(tmp_path):
    write_pair(tmp_path, "straße.jpg".encode(), "straße.png".encode())
    (tmp_path / "l.txt").write_bytes("straße.jpg straße.png\n".encode("latin-1"))
    with pytest.raises(InputError, match="l.txt: is LATIN-1 text"):
        read_list(tmp_path / "l.txt", tmp_path)
    (tmp_path / "names").write_bytes("straße\n".encode("latin-1"))
    with pytest.raises(InputError, match="--class_names .*names: is not UTF-8 but .*ISO-8859-1"):
        read_text(tmp_path / "names", "--class_names")


RAW = "图片".encode("gb18030") + b"\xd0%d"


@pytest.fixture
def raw_names(tmp_path):
    """A data set whose files have names in GBK, as from Windows archives; list files have the same bytes."""
    lines = []
    for number in range(4):
        image, mask = RAW % number + b".jpg", RAW % number + b".png"
        write_pair(tmp_path, image, mask, number)
        lines.append(image + b" " + mask + b"\n")
    (tmp_path / "l.txt").write_bytes(b"".join(lines))
    return tmp_path


def test_names_that_are_not_utf8_work_in_every_program(raw_names, run, exported):
    arguments = ["--data_root", raw_names, "--data_lst", raw_names / "l.txt"]
    assert run(check_data.main, *arguments, "--num_classes", 3, "--check_dir", raw_names / "check").code == 0
    json.loads((raw_names / "check/check.json").read_text())
    result = run(build_seg_data.main, *arguments, "--num_classes", 3, "--num_shards", 1, "--dst_path",
                 raw_names / "x.mindrecord")
    assert result.code == 0, result
    from src.data.mindrecord import read_records
    names = sorted(name for (name,) in read_records(raw_names / "x.mindrecord", ["file_name"]))
    assert len(names) == 4 and all(name.endswith(f"{n}.jpg") for n, name in enumerate(names))
    out = raw_names / "out"
    result = run(predict.main, raw_names / "l.txt", "--data_root", raw_names, "--model", exported(), "--device_target",
                 "CPU", "--crop_size", 65, "--output_dir", out)
    assert result.code == 0, result
    assert len(json.loads((out / "coverage.json").read_text())["pictures"]) == 4
    assert sorted(os.listdir(os.fsencode(out / "masks"))) == [RAW % number + b".png" for number in range(4)]
    overlays = raw_names / "overlays"
    result = run(eval_onnx.main, *arguments, "--file_name", exported(), "--device_target", "CPU", "--crop_size", 65,
                 "--result_file", raw_names / "r.json", "--overlay_dir", overlays, "--report", raw_names / "report")
    assert result.code == 0, result
    assert len(os.listdir(os.fsencode(overlays))) == 4 and (raw_names / "report/report.html").is_file()


def test_lists_of_any_names_are_read_as_written(tmp_path):
    names = ["a b.jpg", "x\u3000y.jpg", "n\u00a0b.jpg", "l\u2028s.jpg", "v\x0bt.jpg", os.fsdecode(b"\xff\xfe1.jpg")]
    pairs = [Pair(name, name[:-4] + ".png") for name in names]
    for pair in pairs:
        write_pair(tmp_path, os.fsencode(pair.image), os.fsencode(pair.mask))
    write_list(tmp_path, "l.txt", pairs)
    assert read_list(tmp_path / "l.txt", tmp_path) == pairs


@pytest.mark.parametrize("name", ["a\tb.jpg", "a\nb.jpg", "a\rb.jpg", " a.jpg", "a.jpg "])
def test_names_that_a_list_cannot_hold_are_refused(tmp_path, name):
    write_pair(tmp_path, name.encode())
    with pytest.raises(InputError, match="a list file cannot name it"):
        write_list(tmp_path, "l.txt", [Pair(name, "a.png")])
    assert not (tmp_path / "l.txt").exists()


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig"], ids=["", "byte order mark"])
def test_old_line_ends(tmp_path, code):
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "l.txt").write_bytes(end.join(["a.jpg a.png", "", "b.jpg\tb.png"]).encode(code))
        assert read_list(tmp_path / "l.txt") == [Pair("a.jpg", "a.png"), Pair("b.jpg", "b.png")]


@pytest.mark.parametrize("text, part", [
    ("", "is empty"), ("\n \n", "is empty"), ("a.jpg a.png\nb.jpg\n", "line 2: 1 fields"),
    ("a b c\n", "line 1: 3 fields")])
def test_bad_lists(tmp_path, text, part):
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(InputError, match=part):
        read_list(tmp_path / "l.txt")


def test_a_list_is_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, part in ((tmp_path / "pipe", "is a pipe, not a file"), (tmp_path, "is a folder, not a file"),
                       ("/dev/null", "is a device, not a file"), (tmp_path / "no.txt", "no such file"),
                       ("", "--data_lst is not given")):
        with pytest.raises(InputError, match=f"{path}.*{part}"):
            read_list(path)
    (tmp_path / "l.txt").write_text("pipe pipe\n")
    with pytest.raises(InputError, match="pipe: is a pipe, not a file, though .*l.txt lists it"):
        check_files(read_list(tmp_path / "l.txt"), tmp_path, "l.txt")


def test_names_that_are_too_long_are_missing_files(tmp_path):
    image, mask, longer = "a" * 140 + ".jpg", "a" * 140 + ".png", "ü" * 300 + ".jpg"
    write_pair(tmp_path, image.encode(), mask.encode())
    (tmp_path / "l.txt").write_text(f"{image} {mask}\n")    # the complete line would be too long for one name
    assert find_sources([str(tmp_path / "l.txt")], "").pictures[0][:2] == (tmp_path / image, tmp_path / mask)
    for root in ("", "/"):
        (tmp_path / "l.txt").write_text(f"{root}{longer} {mask}\n")
        with pytest.raises(InputError, match="ü.jpg: no such file, though .*l.txt lists it"):
            check_files(read_list(tmp_path / "l.txt", tmp_path), tmp_path, "l.txt")
        with pytest.raises(InputError, match="l.txt, line 1: .*ü.jpg: no such file in "):
            find_sources([str(tmp_path / "l.txt")], "")
    with pytest.raises(InputError, match="ü.jpg: no such file or folder"):
        find_sources([longer], "")


def test_folders_follow_links_end_cycles_and_count_what_is_left(tmp_path, capsys):
    real, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for path in (real / "b.jpg", real / "in/A.JPG", elsewhere / "c.jpg", real / "._b.jpg", real / "Thumbs.db",
                 real / "notes.txt", real / "__MACOSX/._d.jpg", real / ".hidden/e.jpg", real / "in/desktop.ini"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (real / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(real)    # a cycle
    (real / "lost.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(real / "pipe.jpg")
    assert find_files(real, (".jpg",)) == [real / "b.jpg", real / "in/A.JPG", real / "link/c.jpg"]
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "3 files of the operating system" in said
    assert "1 file of other kinds than .jpg, such as notes.txt" in said
    assert "2 files that are pipes, devices or broken links" in said
