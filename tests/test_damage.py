"""Damaged pictures and unusual depths, sizes and kinds of files: each gives an error of one line."""
import os
import struct
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from src.console import InputError
from src.data import jpeg, masks
from src.data.labels import Labels
from src.data.masks import decode_mask, decode_pair
from src.data.pictures import decode_image, header_size, limit_pixels
from src.files import read_bytes
from tests import foreign
from tests.conftest import ROOT

LABELS = Labels(21, 255, ())
SCENE = cv2.resize(np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8), (400, 300),
                   interpolation=cv2.INTER_CUBIC)


def encoded(kind="JPEG", pixels=SCENE, **options):
    return foreign.encoded(pixels, kind, **options)


def spoilt(data, count=300):
    data, middle = bytearray(data), len(data) // 2
    data[middle:middle + count] = np.random.default_rng(1).bytes(count)
    return bytes(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 2}],
                         ids=["baseline", "progressive", "restarts"])
def test_damage_in_the_middle_of_a_jpeg(options, capfd):
    data = encoded(**options)
    assert decode_image(data, "a").shape == (300, 400, 3)
    with pytest.raises(InputError, match="^a: damaged picture .Corrupt JPEG data"):
        decode_image(spoilt(data), "a")
    assert capfd.readouterr().err == "", "libjpeg's own line is not shown"
    assert decode_image(spoilt(data), "a", strict=False).shape == (300, 400, 3), "what training has looked at before"


@pytest.mark.parametrize("kind, options", [("PNG", {}), ("TIFF", {"compression": "tiff_adobe_deflate"}),
                                           ("TIFF", {"compression": "tiff_lzw"})], ids=["PNG", "deflate", "LZW"])
def test_damage_in_the_middle_of_others(kind, options):
    with pytest.raises(InputError, match="^a: damaged"):
        decode_image(spoilt(encoded(kind, **options)), "a")


def test_padding_before_the_end_is_not_damage():
    data = encoded()
    assert decode_image(data[:-2] + bytes(24) + data[-2:], "a").shape == (300, 400, 3)
    with pytest.raises(InputError, match="extraneous bytes before marker 0xd9"):
        decode_image(data[:-2] + bytes(range(1, 25)) + data[-2:], "a")


def test_other_output_meanwhile_is_passed_on(capfd):
    def work():
        os.write(2, b"a word of somebody else\nCorrupt JPEG data: premature end of data segment\n")
        return 7
    assert jpeg.decode_listening(work, b"") == (7, "Corrupt JPEG data: premature end of data segment")
    assert capfd.readouterr().err == "a word of somebody else\n"


def test_each_thread_gets_the_message_of_its_own_picture():
    data, files = encoded(), len(os.listdir("/proc/self/fd"))

    def is_damaged(number):
        try:
            decode_image(spoilt(data) if number % 3 else data, "a")
            return False
        except InputError:
            return True
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(is_damaged, range(60))) == [bool(number % 3) for number in range(60)]
    assert len(os.listdir("/proc/self/fd")) < files + 20, "ONNX Runtime may have opened some, each picture none"


def test_a_closed_stderr(shell, tmp_path):
    (tmp_path / "a.jpg").write_bytes(spoilt(encoded()))
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); from src.data.pictures import decode_image\n"
            "try: decode_image(open('a.jpg', 'rb').read(), 'a.jpg')\nexcept Exception as error: print(error)")
    (tmp_path / "a.py").write_text(code)
    result = shell("bash", "-c", f"'{sys.executable}' a.py 2>&-")
    assert "damaged picture" in result.out


def sixteen_bits(ending, top):
    ramp = np.linspace(0, top, 300 * 400).reshape(300, 400).astype(np.uint16)
    return cv2.imencode(ending, ramp if ending == ".pgm" else np.dstack([ramp] * 3))[1].tobytes()


@pytest.mark.parametrize("ending", [".png", ".tiff", ".pgm"])
@pytest.mark.parametrize("top", [255, 1023, 4095])
def test_few_bits_in_16_are_named(ending, top):
    with pytest.raises(InputError, match=f"^a: has 16 bits a channel, but no value above {top}"):
        decode_image(sixteen_bits(ending, top), "a")


@pytest.mark.parametrize("ending", [".png", ".tiff", ".pgm"])
def test_16_bits_are_scaled(ending):
    image = decode_image(sixteen_bits(ending, 65535), "a")
    expected = np.linspace(0, 255, 300 * 400).reshape(300, 400)
    assert image.dtype == np.uint8 and np.abs(image - expected[:, :, None]).max() <= 1.01
    assert not decode_image(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint16))[1].tobytes(), "black").any()


def test_floats_are_named():
    with pytest.raises(InputError, match="a: holds float32 values"):
        decode_image(cv2.imencode(".tiff", np.float32(SCENE) / 255)[1].tobytes(), "a")


def test_heic_is_named_where_no_library_reads_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)    # not installed
    with pytest.raises(InputError, match="a: is HEIC.*pip install pillow-heif"):
        decode_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "a")


def test_avif_is_read():
    pytest.importorskip("PIL.AvifImagePlugin")
    image = decode_image(encoded("AVIF", quality=95), "a")
    assert image.shape == (300, 400, 3) and np.abs(image[:, :, ::-1].astype(int) - SCENE).mean() < 5


@pytest.fixture
def small_limit():
    limit_pixels(1000)
    yield
    limit_pixels(200_000_000)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_the_pixel_limit_of_every_format(small_limit, kind):
    data = encoded(kind)
    assert header_size(data) == (400, 300)
    with pytest.raises(InputError, match="a: 400x300, .* --max_pixels is 1000"):
        decode_image(data, "a")
    with pytest.raises(InputError, match="--max_pixels"):
        decode_mask(encoded("PNG", SCENE[:, :, 0]), "m")


def bomb(width, height):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))


def test_sizes_are_compared_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(masks, "decode_image", None)    # would fail
    with pytest.raises(InputError, match="^m: 9000x9000 but its picture a has 400x300"):
        decode_pair((encoded(), bomb(9000, 9000)), ("a", "m"), LABELS)
    with pytest.raises(InputError, match="^m: 60000x60000, 3600 megapixels"):
        decode_pair((encoded(), bomb(60000, 60000)), ("a", "m"), LABELS)


def test_too_little_memory_is_one_line(monkeypatch):
    def fails(*arguments):
        raise MemoryError
    monkeypatch.setattr(cv2, "imdecode", fails)
    with pytest.raises(InputError, match="a: too large for the free memory"):
        decode_image(encoded("PNG"), "a")


def test_only_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, part in ((tmp_path / "pipe.jpg", "is a pipe"), ("/dev/zero", "is a device"), (tmp_path, "is a folder"),
                       (tmp_path / "no", "no such file"), ("a\0b", "null")):
        done = []

        def read(path=path, done=done):
            try:
                read_bytes(path)
            except InputError as error:
                done.append(str(error))
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(60)
        assert done and part in done[0], (path, done)


def test_real_pictures_are_complete(voc_sample):
    for path in sorted((voc_sample / "VOCdevkit/VOC2012/JPEGImages").glob("*.jpg")):
        decode_image(path.read_bytes(), path)


def with_chunk(png, kind, content, flaw=0):
    """A PNG with one more chunk after its header; `flaw` spoils the checksum."""
    made = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ flaw)
    return png[:33] + made + png[33:]


def test_libraries_print_no_lines_of_their_own(tmp_path, shell):
    """What they say names no file: what spoils a picture is an error of ours, and the rest is of no use."""
    png, exif = encoded("PNG"), b"Exif\0\0II*\0\x08\0\0\0\xff\x00\x12\x01\x03\0\x01\0\0\0\x01"
    fine = {"profile": with_chunk(png, b"iCCP", b"icc\0\0" + zlib.compress(bytes(200))),
            "comment": with_chunk(png, b"tEXt", b"a\0b", 1), "bits": with_chunk(png, b"sBIT", b"\x09\x09\x09"),
            "more behind": png + b"\0\0\0\1MORE" + bytes(9),
            "orientation": with_chunk(png, b"eXIf", exif[6:], 1), "exif": encoded("WEBP", exif=exif)}
    damaged = {"cut": png[:len(png) // 2], "no end": png[:-12],
               "spoilt": png[:len(png) // 2] + b"12" + png[len(png) // 2 + 2:],
               "header": with_chunk(png, b"IDAT", b"", 1), "bmp": encoded("BMP")[:-20],
               "tiff": encoded("TIFF")[:-20]}
    for name, data in {**fine, **damaged}.items():
        (tmp_path / name).write_bytes(data)
    code = f"""import sys; sys.path.insert(0, {str(ROOT)!r})
from src.data.pictures import InputError, decode_image
for name in sys.argv[1:]:
    try:
        print(name, decode_image(open(name, "rb").read(), name).shape)
    except InputError as error:
        print(error)"""
    result = shell(sys.executable, "-c", code, *fine, *damaged)
    assert result.err == "" and result.code == 0, result.err
    lines = result.out.splitlines()
    assert [line.split(" (")[0] for line in lines if "damaged" not in line] == list(fine), result.out
    assert len(lines) == 12 and "spoilt: damaged picture (the PNG is cut, or a checksum wrong)" in lines, result.out
    for name in ("profile", "comment", "bits", "more behind", "orientation"):
        assert np.array_equal(decode_image(fine[name], name), decode_image(png, "png")), name
