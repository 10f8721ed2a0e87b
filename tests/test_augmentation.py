"""Colours against NumPy and torchvision, rotation against the long way, draws that leave the published ones alone."""
import colorsys
import importlib.util

import cv2
import numpy as np
import pytest

from benchmarks.inputs import import_v2
from src.data import dataset
from src.data.augmentation import Extra, augment, draw_extra, recolour
from src.data.dataset import Augmentation, SampleOrder, TrainingTransform
from src.data.transforms import Draw, draw_transform, scaled_size, train_transform
from tests.conftest import empty_pair
from tests.test_dataset import AUGMENTATION, LABELS, batches

FILL, USUAL = (104, 116, 124), (0.4, 0.4, 0.4, 0.1)
CHANGED = [{"photometric": USUAL}, {"rotate": 20.0}, {"photometric": USUAL, "rotate": 20.0}]


def picture(height=48, width=64, seed=0):
    """(H, W, 3) uint8 with every brightness, and edges."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (width, height))
    coarse[:5] = rng.integers(0, 256, (5, width, 3))
    coarse[5:9] = np.uint8([[[0, 0, 0]], [[255, 255, 255]], [[9, 9, 9]], [[0, 0, 255]]])    # no hue; hue 0
    return coarse


def by_numpy(image, extra):
    """ColorJitter's four changes in float64, from its documentation: (H, W, 3) uint8 blue green red -> float64."""
    def gray(pixels):
        return pixels @ (0.114, 0.587, 0.299)

    def turned(pixels):
        rows = [colorsys.hsv_to_rgb((hue + extra.hue) % 1, *rest)[::-1]
                for hue, *rest in (colorsys.rgb_to_hsv(*pixel[::-1]) for pixel in pixels.reshape(-1, 3))]
        return np.reshape(rows, pixels.shape)
    changes = (lambda pixels: extra.brightness * pixels,
               lambda pixels: extra.contrast * pixels + (1 - extra.contrast) * gray(pixels).mean(),
               lambda pixels: extra.saturation * pixels + (1 - extra.saturation) * gray(pixels)[:, :, None], turned)
    pixels = image / 255
    for number in extra.order:
        pixels = np.clip(changes[number](pixels), 0, 1)
    return pixels * 255


def by_torchvision(image, extra):
    """The same by torchvision, where it is installed."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    torch, v2 = import_v2()
    functional = v2.functional
    changes = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation,
               functional.adjust_hue)
    pixels = torch.from_numpy(image[:, :, ::-1].transpose(2, 0, 1) / 255)
    for number in extra.order:
        pixels = changes[number](pixels, extra[1 + number]).double()
    return pixels.numpy().transpose(1, 2, 0)[:, :, ::-1] * 255


@pytest.mark.parametrize("one", [
    {"brightness": 0.6}, {"brightness": 1.4}, {"contrast": 0.6}, {"contrast": 1.4}, {"saturation": 0.0},
    {"saturation": 1.4}, {"hue": 0.1}, {"hue": -0.1}, {"hue": 0.5}, {"hue": -0.5}], ids=str)
@pytest.mark.parametrize("reference", [by_numpy, by_torchvision])
def test_each_change_of_colours(one, reference):
    image = picture()
    found, expected = recolour(image, Extra(**one)), reference(image, Extra(**one))
    assert found.dtype == np.uint8
    if "hue" in one:    # in bytes, where ColorJitter computes in bytes too if the picture is Pillow's
        assert np.abs(found - expected).max() <= 10 and np.abs(found - expected).mean() <= 0.8
    else:
        assert np.abs(found - expected).max() <= 0.7, "rounding, once"
    assert np.abs(found.astype(float) - image).mean() > 5


@pytest.mark.parametrize("reference", [by_numpy, by_torchvision])
def test_all_changes_in_a_drawn_order(reference):
    """Each change rounds, and what follows multiplies that by up to 1.4."""
    rng = np.random.default_rng(1)
    for case in range(40):
        image, extra = picture(seed=case), draw_extra(rng, USUAL, 0)
        assert np.abs(recolour(image, extra) - reference(image, extra)).mean() <= 1.5, (case, extra)
        extra = extra._replace(hue=0.0)
        assert np.abs(recolour(image, extra) - reference(image, extra)).max() <= 2.5, (case, extra)


def test_neutral_colours_are_the_picture_itself():
    image = picture()
    assert recolour(image, Extra()) is image


def test_draws_cover_their_ranges_in_every_order():
    rng = np.random.default_rng(0)
    draws = [draw_extra(rng, (0.4, 0.3, 0.2, 0.1), 15) for _ in range(2000)]
    for number, (least, most) in enumerate([(-15, 15), (0.6, 1.4), (0.7, 1.3), (0.8, 1.2), (-0.1, 0.1)]):
        values = np.array([extra[number] for extra in draws])
        edge = (most - least) / 50
        assert least <= values.min() < least + edge and most - edge < values.max() <= most
        assert np.histogram(values, 4, (least, most))[0].min() > 400, "uniform"
    assert len({extra.order for extra in draws}) == 24
    plain = draw_extra(np.random.default_rng(5), (0, 0, 0, 0), 15)
    both = draw_extra(np.random.default_rng(5), USUAL, 15)
    assert plain.angle == both.angle and plain[1:5] == Extra()[1:5], "an option leaves the other's draws alone"


def turned_long_way(image, mask, draw, angle, crop_size, ignore_label):
    """Resize the whole, turn it about the middle of what the crop sees, cut, flip."""
    rows, columns = scaled_size(*mask.shape, draw.scale)
    middle = (draw.offset_w + (min(crop_size, columns - draw.offset_w) - 1) / 2,
              draw.offset_h + (min(crop_size, rows - draw.offset_h) - 1) / 2)
    turn, size = cv2.getRotationMatrix2D(middle, angle, 1), (columns + crop_size, rows + crop_size)
    image = cv2.warpAffine(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC), turn, size,
                           flags=cv2.INTER_CUBIC, borderValue=FILL)
    mask = cv2.warpAffine(cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT), turn, size,
                          flags=cv2.INTER_NEAREST, borderValue=ignore_label)
    cut = np.s_[draw.offset_h:draw.offset_h + crop_size, draw.offset_w:draw.offset_w + crop_size]
    step = -1 if draw.flip else 1
    return image[cut][:, ::step].transpose(2, 0, 1), mask[cut][:, ::step]


def coarse_pair(rng, height, width):
    """Blocks of six classes, and a picture in which class c has the level 40 * c."""
    mask = cv2.resize(rng.integers(0, 6, (4, 4), dtype=np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.repeat(40 * mask[:, :, None], 3, 2), mask


def test_rotation_against_the_long_way():
    rng = np.random.default_rng(0)
    for case in range(60):
        image, mask = coarse_pair(rng, *rng.integers(40, 300, 2))
        draw, angle = draw_transform(rng, *mask.shape, 129, 0.5, 2.0), float(rng.uniform(-180, 180))
        pixels, labels = augment(image, mask, draw, Extra(angle), empty_pair(129), FILL, 255)
        long_pixels, long_labels = turned_long_way(image, mask, draw, angle, 129, 255)
        assert (labels == long_labels).mean() >= 0.97, (case, draw, angle)
        assert np.abs(pixels.astype(int) - long_pixels).mean() <= 2, (case, draw, angle)
        inside = labels != 255
        assert (np.rint(pixels.astype(float).mean(0) / 40)[inside] == labels[inside]).mean() >= 0.9, "aligned"


def test_a_vanishing_angle_is_the_published_transform():
    rng = np.random.default_rng(1)
    for case in range(40):
        image, mask = coarse_pair(rng, *rng.integers(40, 300, 2))
        draw = draw_transform(rng, *mask.shape, 129, 0.5, 2.0)
        turned = augment(image, mask, draw, Extra(1e-9), empty_pair(129), FILL, 255)
        plain = train_transform(image, mask, draw, empty_pair(129), FILL, 255)
        assert (turned[1] == plain[1]).mean() >= 0.96, (case, draw)    # the published grid of masks is half a pixel off
        assert np.abs(turned[0].astype(int) - plain[0]).mean() <= 1, (case, draw)


def test_a_corner_shows_what_the_picture_has_there():
    """A crop from the middle of a larger picture has no padding, however it is turned."""
    image = np.full((300, 300, 3), 50, np.uint8)
    for angle in (10.0, 45.0, -90.0):
        pixels, labels = augment(image, np.ones((300, 300), np.uint8), Draw(1.0, 85, 85, True), Extra(angle),
                                 empty_pair(129), FILL, 255)
        assert (pixels == 50).all() and (labels == 1).all()


def test_padding_keeps_its_colour():
    image, mask = np.full((40, 60, 3), 200, np.uint8), np.zeros((40, 60), np.uint8)
    for angle in (0.0, 30.0):
        pixels, labels = augment(image, mask, Draw(1.0, 0, 0, False), Extra(angle, brightness=0.5),
                                 empty_pair(65), FILL, 255)
        padding = cv2.erode((labels == 255).astype(np.uint8), np.ones((5, 5))) == 1
        assert (pixels[:, padding] == np.reshape(FILL, (3, 1))).all() and padding.any()
        assert (pixels[:, 15, 25] == 100).all()


def test_a_place_in_a_batch_is_written_and_nothing_else():
    rng = np.random.default_rng(2)
    image, mask = coarse_pair(rng, 90, 70)
    draw, extra = draw_transform(rng, 90, 70, 65, 0.5, 2.0), draw_extra(rng, USUAL, 30)
    images, masks = np.full((3, 3, 65, 65), 7, np.uint8), np.full((3, 65, 65), 7, np.uint8)
    augment(image, mask, draw, extra, (images[1], masks[1]), FILL, 255)
    pixels, labels = augment(image, mask, draw, extra, empty_pair(65), FILL, 255)
    assert np.array_equal(images[1], pixels) and np.array_equal(masks[1], labels)
    assert (images[::2] == 7).all() and (masks[::2] == 7).all()


@pytest.fixture(scope="module")
def data_file(drawn):
    return drawn / "train.mindrecord0"


def samples(data_file, monkeypatch, **options):
    """[(published draw, image, label, key)] of eight samples, with these fields of Augmentation."""
    draws, places, transform = [], [], TrainingTransform(3, LABELS, AUGMENTATION._replace(**options))

    def watched(*arguments):
        draws.append(draw_transform(*arguments))
        return draws[-1]
    monkeypatch.setattr(dataset, "draw_transform", watched)
    for record in list(SampleOrder(data_file, 3))[:8]:
        places.append((np.empty((3, 65, 65), np.uint8), np.empty((65, 65), np.uint8), np.empty(1, np.int32)))
        transform(record, places[-1])
    return [(draw, *place) for draw, place in zip(draws, places, strict=True)]


@pytest.mark.parametrize("options", CHANGED, ids=str)
def test_published_draws_stay(data_file, monkeypatch, options):
    for plain, other in zip(samples(data_file, monkeypatch), samples(data_file, monkeypatch, **options), strict=True):
        assert plain[0] == other[0], "scale, place and flip"
        assert plain[3] == other[3], "what the network drops"
        assert not np.array_equal(plain[1], other[1])
        assert np.array_equal(plain[2], other[2]) == ("rotate" not in options)


def test_without_the_options_samples_are_what_the_published_draws_make(data_file):
    from src.data.masks import decode_pair
    transform = TrainingTransform(3, LABELS, AUGMENTATION)
    for record in list(SampleOrder(data_file, 3))[:6]:
        place = np.empty((3, 65, 65), np.uint8), np.empty((65, 65), np.uint8), np.empty(1, np.int32)
        transform(record, place)
        rng = np.random.default_rng([3, record.epoch, record.index])
        image, mask = decode_pair((record.data, record.label), ("", ""), LABELS, strict=False)
        draw = draw_transform(rng, *mask.shape, 65, 0.5, 2.0)
        pixels, labels = train_transform(image, mask, draw, empty_pair(65), FILL, 255)
        assert np.array_equal(place[0], pixels) and np.array_equal(place[1], labels)
        assert place[2] == rng.integers(2 ** 31)


def test_same_seed_same_batches_whatever_the_workers(data_file):
    augmentation = Augmentation(*AUGMENTATION[:4], **CHANGED[-1])
    first, second = (batches(data_file, augmentation=augmentation, workers=workers)[0] for workers in (1, 2))
    assert all(np.array_equal(a, b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two))
