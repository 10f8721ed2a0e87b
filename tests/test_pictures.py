"""Pictures, masks, labels and list files are read in the same way everywhere; errors name the file."""

import cv2
import numpy as np
import pytest
from PIL import Image

from src.console import InputError
from src.data.labels import Labels, make_labels
from src.data.lists import Pair
from src.data.mask_values import class_map
from src.data.masks import decode_mask, read_pair
from src.data.pictures import decode_image
from src.drawing.palette import palette
from tests.foreign import encoded, paletted


def test_palette_equals_the_one_in_real_masks(voc_sample):
    path = next((voc_sample / "VOCdevkit/VOC2012/SegmentationClass").glob("*.png"))
    stored = np.array(Image.open(path).getpalette(), np.uint8).reshape(-1, 3)
    assert np.array_equal(stored, palette()[:len(stored)])


def test_palette_masks_are_read_as_class_numbers(tmp_path):
    numbers = np.array([[0, 15], [255, 20]], np.uint8)
    paletted(numbers).save(tmp_path / "p.png")
    assert np.array_equal(decode_mask((tmp_path / "p.png").read_bytes(), "p.png"), numbers)
    luminance = cv2.imread(str(tmp_path / "p.png"), cv2.IMREAD_GRAYSCALE)
    assert not np.array_equal(luminance, numbers), "what OpenCV would have given"


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16)], ids=["rgb", "16 bit"])
def test_other_masks_are_refused(tmp_path, array):
    cv2.imwrite(str(tmp_path / "m.png"), array)
    with pytest.raises(InputError, match="m.png: mode"):
        decode_mask((tmp_path / "m.png").read_bytes(), "m.png")


def test_damaged_files_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    png = cv2.imencode(".png", noise[:, :, 0])[1].tobytes()
    for data in (b"", b"text", jpeg[:len(jpeg) // 2], jpeg[:20]):
        with pytest.raises(InputError, match="a.jpg"):
            decode_image(data, "a.jpg")
    for data in (b"", b"text", png[:len(png) // 2], png[:-60]):
        with pytest.raises(InputError, match="m.png"):
            decode_mask(data, "m.png")
    assert decode_image(jpeg + b"trailing", "a.jpg").shape == (60, 80, 3)
    motion = jpeg + b"\xff\xd8 a film \xff\xda that a phone appended"
    assert decode_image(motion, "a.jpg").shape == (60, 80, 3)


def test_gray_masks_of_every_kind_are_read_as_written():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 9), (7, 1), (60, 81)):
        mask = rng.integers(0, 256, shape, dtype=np.uint8)
        for options in ({}, {"compress_level": 1}, {"transparency": 3}, {"dpi": (72, 72)}):
            data = encoded(mask, "png", **options)
            assert np.array_equal(decode_mask(data, "m"), mask)
            assert np.array_equal(decode_mask(data + b"more", "m"), mask)


def test_cut_and_changed_gray_masks_are_refused():
    """A mask that ends early, or with a wrong header or checksum: its class numbers cannot be trusted."""
    mask = np.random.default_rng(0).integers(0, 21, (60, 80), dtype=np.uint8)
    png = cv2.imencode(".png", mask)[1].tobytes()
    end = len(png) - 16    # the last chunk's checksum and the empty IEND chunk contain no mask data
    for place in range(8, end, 37):
        with pytest.raises(InputError, match="m.png: damaged mask"):
            decode_mask(png[:place], "m.png")
    for place in range(12, 29):    # width, height, kind of pixels
        changed = png[:place] + bytes([png[place] ^ 1]) + png[place + 1:]
        with pytest.raises(InputError, match="m.png: damaged mask"):
            decode_mask(changed, "m.png")


def with_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


# [[1, 2, 3], [4, 5, 6]] as a viewer shows it with each EXIF orientation (EXIF 2.32, section 4.6.4).
SHOWN = {1: [[1, 2, 3], [4, 5, 6]], 2: [[3, 2, 1], [6, 5, 4]], 3: [[6, 5, 4], [3, 2, 1]], 4: [[4, 5, 6], [1, 2, 3]],
         5: [[1, 4], [2, 5], [3, 6]], 6: [[4, 1], [5, 2], [6, 3]], 7: [[6, 3], [5, 2], [4, 1]],
         8: [[3, 6], [2, 5], [1, 4]]}


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("kind, options", [("JPEG", {"quality": 100}), ("PNG", {}), ("TIFF", {}),
                                           ("WEBP", {"lossless": True})], ids=["JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_stand_upright_in_every_format(kind, options, orientation):
    tiles = np.kron(np.uint8([[1, 2, 3], [4, 5, 6]]) * 40, np.ones((16, 16), np.uint8))
    data = encoded(np.dstack([tiles] * 3), kind, **options, **with_orientation(orientation))
    image = decode_image(data, "a")
    assert image.shape[:2] == tuple(16 * side for side in np.shape(SHOWN[orientation]))
    assert np.array_equal(np.rint(image[8::16, 8::16, 0] / 40), SHOWN[orientation])


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_masks_stand_upright_as_their_pictures_do(kind, orientation):
    data = encoded(np.uint8([[1, 2, 3], [4, 5, 6]]), kind, **with_orientation(orientation))
    assert decode_mask(data, "m").tolist() == SHOWN[orientation]
    assert class_map(data, "m", None).tolist() == SHOWN[orientation]


def test_damaged_exif_turns_nothing():
    pixels = np.uint8([[1, 2, 3], [4, 5, 6]])
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0"):
        assert np.array_equal(decode_mask(encoded(pixels, "PNG", exif=exif), "m"), pixels)
        webp = encoded(np.dstack([pixels] * 3), "WEBP", lossless=True, exif=exif)
        assert np.array_equal(decode_image(webp, "a")[:, :, 0], pixels)


@pytest.mark.parametrize("kind, options", [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})],
                         ids=["PNG", "BMP", "TIFF", "WEBP"])
def test_cut_pictures_of_every_format_are_refused(kind, options):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    data = encoded(noise, kind, **options)
    for share in (0.2, 0.6, 0.95):
        with pytest.raises(InputError, match="^a: "):
            decode_image(data[:int(share * len(data))], "a")


def test_a_damaged_mask_of_a_size_beyond_all_numbers_is_named():
    data = bytearray(encoded(np.zeros((4, 4), np.uint8), "BMP"))
    data[18:26] = b"\xff\xff\xff\x7f" * 2    # width and height
    with pytest.raises(InputError, match="m.bmp: 2147483647x2147483647, .* --max_pixels"):
        decode_mask(bytes(data), "m.bmp")


def test_labels_outside_the_classes_are_named():
    Labels(21, 255, ()).check(np.array([[0, 20, 255]], np.uint8), "m")
    for values, classes, ignored, wrong in (([0, 37, 255], 21, 255, 37), ([0, 5, 6], 6, 0, 6), ([0, 6, 7], 6, 6, 7),
                                            ([3, 200, 255], 21, 200, 255), ([254], 254, 255, 254)):
        with pytest.raises(InputError, match=f"m: mask value {wrong} "):
            Labels(classes, ignored, ()).check(np.array([values], np.uint8), "m")
    for values, classes, ignored in (([0, 5], 6, 0), ([0, 6], 6, 6), ([3, 200], 21, 200), ([254, 255], 255, 255)):
        Labels(classes, ignored, ()).check(np.array([values], np.uint8), "m")


def test_mask_of_another_size(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((8, 9, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 8), np.uint8))
    with pytest.raises(InputError, match="a.png: 8x9 but its picture .*a.jpg has 9x8"):
        read_pair(tmp_path, Pair("a.jpg", "a.png"), Labels(21, 255, ()))


def test_class_names(tmp_path):
    assert make_labels(21, 255).names[15] == "person"
    assert make_labels(3, 255).names == ("class_0", "class_1", "class_2")
    (tmp_path / "n").write_text("ground\ncat\n")
    assert make_labels(2, 255, tmp_path / "n", ("a", "b")).names == ("ground", "cat")
    assert make_labels(2, 255, "", ("a", "b")).names == ("a", "b")
    with pytest.raises(InputError, match="2 names for num_classes 3"):
        make_labels(3, 255, tmp_path / "n")


@pytest.mark.parametrize("pixels", [np.full((3, 4), 200, np.uint8), np.full((3, 4, 4), 200, np.uint8),
                                    np.full((3, 4), 200 * 257, np.uint16)], ids=["gray", "alpha", "16 bit"])
def test_pictures_of_every_kind_have_three_channels(pixels):
    image = decode_image(cv2.imencode(".png", pixels)[1].tobytes(), "a.png")
    assert image.shape == (3, 4, 3) and image.dtype == np.uint8 and (image == 200).all()
