"""Files of a user are not replaced by what the data programs write; odd masks are read right, or refused."""
import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from src.data import check_data, get_dataset_lst, sample
from src.data.masks import decode_mask
from tests.conftest import FOLDERS, write_pairs
from tests.foreign import encoded

NUMBERS = np.zeros((30, 40), np.uint8)
NUMBERS[5:15, 5:20], NUMBERS[20:, 30:] = 1, 2


@pytest.fixture
def folders(tmp_path, run):
    """A function that writes pictures, and masks of 0 and 255 as they are or by a label map, and makes their lists."""
    (tmp_path / "labels.txt").write_text("0 0 ground\n255 1 crack\n")

    def make(masks, *options):
        if not masks.exists() or not list(masks.iterdir()):
            write_pairs(tmp_path, 4 * [255 * (NUMBERS == 1).astype(np.uint8)], "images/p{}.png",
                        masks.name + "/p{}.png")
        return run(get_dataset_lst.main, "--images", tmp_path / "images", "--masks", masks, "--labels",
                   tmp_path / "labels.txt", *options)
    return make


def contents(folder) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["", "overwrite"])
@pytest.mark.parametrize("linked", [False, True])
def test_masks_are_not_written_over_themselves(folders, tmp_path, linked, overwrite):
    own = tmp_path / ("masks" if linked else "masks_gray")
    if linked:
        own.mkdir()
        (tmp_path / "masks_gray").symlink_to(own)
    result, before = None, None
    for _ in range(2):    # the masks are there from the second time on
        before = contents(own) if own.exists() else {}
        result = folders(own, *overwrite)
    assert result.code == 2 and "is the input" in result.err and result.err.count("\n") == 1, result
    assert contents(own) == before and len(before) == 4


def test_masks_of_another_program_or_corrected_by_hand_stay(folders, tmp_path):
    gray = tmp_path / "masks_gray"
    assert folders(tmp_path / "masks").code == 0 and folders(tmp_path / "masks").code == 0
    Image.fromarray(NUMBERS).save(gray / "p1.png")    # an editor
    kept = (gray / "p1.png").read_bytes()
    result = folders(tmp_path / "masks")
    assert result.code == 2 and f"{gray / 'p1.png'}: exists and was not written by this program" in result.err, result
    assert (gray / "p1.png").read_bytes() == kept
    assert folders(tmp_path / "masks", "--overwrite").code == 0 and (gray / "p1.png").read_bytes() != kept


def test_gray_masks_of_voc_folders_stay(voc_root, run):
    assert run(get_dataset_lst.main, "--data_root", voc_root).code == 0
    path = next((voc_root / "VOCdevkit/VOC2012/SegmentationClassGray").iterdir())
    before = path.read_bytes()
    Image.fromarray(NUMBERS).save(path)
    result = run(get_dataset_lst.main, "--data_root", voc_root)
    assert result.code == 2 and f"{path}: exists and was not written by this program" in result.err, result
    path.write_bytes(before)


@pytest.mark.parametrize("name", ["check.json", "contact_sheet.png"])
def test_check_data_replaces_only_its_own(name, drawn, val_list, run, tmp_path):
    options = [check_data.main, *val_list, "--check_dir", tmp_path / "c"]
    assert run(*options).code == 0 and run(*options).code == 0
    (tmp_path / "c" / name).write_text("mine")
    result = run(*options)
    assert result.code == 2 and name in result.err and "--overwrite replaces it" in result.err, result
    assert (tmp_path / "c" / name).read_text() == "mine" and run(*options, "--overwrite").code == 0


def test_a_sample_is_not_drawn_beside_files_of_its_names(run, tmp_path):
    (tmp_path / "classes.txt").write_text("mine\n")
    result = run(sample.main, "--sample_dir", tmp_path, "--sample_train", 1, "--sample_val", 1)
    assert result.code == 2 and f"already holds {tmp_path / 'classes.txt'}" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["classes.txt"]


def png_of_bits(array: np.ndarray, bits: int) -> bytes:
    """A gray PNG of few bits a pixel, which Pillow does not write."""
    rows = np.unpackbits(array[..., None], axis=2)[..., 8 - bits:].reshape(len(array), -1)
    data = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", array.shape[1], len(array), bits, 0, 0, 0, 0)),
              (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(
        ">I", zlib.crc32(kind + body)) for kind, body in chunks)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_gray_png_of_few_bits_keeps_its_numbers(bits):
    assert np.array_equal(decode_mask(png_of_bits(NUMBERS, bits), "a.png"), NUMBERS)


def test_a_gif_of_gray_keeps_its_numbers_and_one_of_colours_is_refused(tmp_path, run):
    numbers = 2 * (NUMBERS > 0).astype(np.uint8)    # Pillow writes the indices 0 and 1 of the grays 0 and 2
    assert np.array_equal(decode_mask(encoded(numbers, "gif"), "a.gif"), numbers)
    write_pairs(tmp_path, [NUMBERS] * 2, *FOLDERS)
    Image.fromarray(np.uint8([[0, 0, 0], [200, 0, 0]])[NUMBERS.clip(0, 1)]).save(tmp_path / "masks/0.gif")
    (tmp_path / "masks/0.png").unlink()
    result = run(get_dataset_lst.main, "--images", tmp_path / "images", "--masks", tmp_path / "masks")
    assert result.code == 2 and "a GIF, whose writer may have renumbered its palette; --labels FILE" in result.err


def test_a_jpeg_called_png_is_refused(tmp_path, run):
    write_pairs(tmp_path, [NUMBERS] * 2, *FOLDERS)
    (tmp_path / "masks/1.png").write_bytes(encoded(NUMBERS, "jpeg"))
    result = run(get_dataset_lst.main, "--images", tmp_path / "images", "--masks", tmp_path / "masks")
    assert result.code == 2 and "is a JPEG by its content" in result.err


def test_names_that_no_font_draws(drawn, run, tmp_path):
    for name in ("\u65e5", "\x85x"):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.jpg")
        Image.fromarray(NUMBERS).save(tmp_path / f"{name}.png")
    names = [f"{name}.jpg\t{name}.png" for name in ("\u65e5", "\x85x")]
    (tmp_path / "l.txt").write_bytes(os.fsencode("\n".join(names) + "\n"))
    result = run(check_data.main, "--data_root", tmp_path, "--data_lst", tmp_path / "l.txt", "--num_classes", 3,
                 "--check_dir", tmp_path / "c")
    assert result.code == 0 and (tmp_path / "c/contact_sheet.png").is_file(), result
    assert json.loads((tmp_path / "c/check.json").read_text())["sets"]["train"]["pairs"] == 2
