"""The training transform compared with the published values, and with a simple implementation."""
import csv

import cv2
import numpy as np
import pytest

from src.data.masks import decode_mask
from src.data.pictures import decode_image
from src.data.transforms import Draw, draw_transform, resize_mask_window, resize_window, scaled_size, train_transform
from tests.conftest import SHARED, empty_pair

MEAN, STD = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.120, 58.395])


def test_published_transform(voc_sample):
    voc = voc_sample / "VOCdevkit/VOC2012"
    golden = np.load(SHARED / "reference/transforms.npz")
    rows = list(csv.DictReader((SHARED / "reference/transforms.tsv").open(), delimiter="\t"))
    assert len(rows) == 6
    for row in rows:
        image = decode_image((voc / f"JPEGImages/{row['id']}.jpg").read_bytes(), row["id"])
        mask = decode_mask((voc / f"SegmentationClass/{row['id']}.png").read_bytes(), row["id"])
        draw = Draw(float(row["scale"]), int(row["offset_h"]), int(row["offset_w"]), row["flip"] == "1")
        pixels, labels = train_transform(image, mask, draw, empty_pair(257), np.rint(MEAN), 255)
        normalised = (pixels - MEAN[:, None, None]) / STD[:, None, None]
        assert np.abs(normalised - golden["image" + row["case"]].astype(float)).mean() <= 0.02, row
        assert (labels == golden["label" + row["case"]]).mean() >= 0.999, row


def long_way(image, mask, draw, crop_size, ignore_label):
    """Resize the complete picture, pad, crop, flip; masks by OpenCV's nearest neighbour."""
    rows, columns = scaled_size(*mask.shape, draw.scale)
    image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST)
    pad = (0, max(0, crop_size - rows), 0, max(0, crop_size - columns))
    image = cv2.copyMakeBorder(image, *pad, cv2.BORDER_CONSTANT, value=(104, 116, 124))
    mask = cv2.copyMakeBorder(mask, *pad, cv2.BORDER_CONSTANT, value=ignore_label)
    cut = np.s_[draw.offset_h:draw.offset_h + crop_size, draw.offset_w:draw.offset_w + crop_size]
    step = -1 if draw.flip else 1
    return image[cut][:, ::step].transpose(2, 0, 1), mask[cut][:, ::step]


def test_only_the_window_is_computed_and_equals_the_complete_transform():
    rng = np.random.default_rng(0)
    for case in range(60):
        height, width = rng.integers(20, 300, 2)
        image = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), (0, 0), 2)
        mask = rng.integers(0, 21, (height, width), dtype=np.uint8)
        draw = draw_transform(rng, height, width, 129, 0.5, 2.0)
        pixels, labels = train_transform(image, mask, draw, empty_pair(129), (104, 116, 124), 255)
        whole_pixels, whole_labels = long_way(image, mask, draw, 129, 255)
        assert np.array_equal(labels, whole_labels), (case, draw)
        assert np.abs(pixels.astype(int) - whole_pixels).mean() <= 0.25, (case, draw)
        assert pixels.flags.c_contiguous and labels.flags.c_contiguous


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.999, 2.0])
def test_windows_at_corners(scale):
    image = np.random.default_rng(1).integers(0, 255, (97, 131, 3), dtype=np.uint8)
    size = scaled_size(97, 131, scale)
    whole = cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)
    whole_mask = cv2.resize(image[:, :, 0], size[::-1], interpolation=cv2.INTER_NEAREST)
    for top, left in ((0, 0), (size[0] - 20, 0), (0, size[1] - 20), (size[0] - 20, size[1] - 20)):
        part = resize_window(image, size, (top, left, 20, 20))
        assert part.shape == (20, 20, 3)
        assert np.abs(part.astype(int) - whole[top:top + 20, left:left + 20]).mean() < 2
        for flip in (False, True):
            mask = np.zeros((20, 24), np.uint8)
            resize_mask_window(image[:, :, 0], size, (top, left, 20, 20), flip, mask[:, 4:])
            expected = whole_mask[top:top + 20, left:left + 20]
            assert np.array_equal(mask[:, 4:], expected[:, ::-1] if flip else expected) and not mask[:, :4].any()


def test_a_place_in_a_batch_gets_what_new_arrays_get():
    rng = np.random.default_rng(2)
    for height, width in ((1, 1), (1, 90), (70, 1), (40, 200), (300, 61)):
        image = cv2.GaussianBlur(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), (0, 0), 2)
        mask = rng.integers(0, 21, (height, width), dtype=np.uint8)
        for flip in (False, True):
            draw = draw_transform(rng, height, width, 65, 0.5, 2.0)._replace(flip=flip)
            pixels, labels = train_transform(image, mask, draw, empty_pair(65), (104, 116, 124), 255)
            images, masks = np.full((3, 3, 65, 65), 7, np.uint8), np.full((3, 65, 65), 7, np.uint8)
            train_transform(image, mask, draw, (images[1], masks[1]), (104, 116, 124), 255)
            assert np.array_equal(images[1], pixels) and np.array_equal(masks[1], labels)
            assert (images[::2] == 7).all() and (masks[::2] == 7).all()
            whole_pixels, whole_labels = long_way(image, mask, draw, 65, 255)
            assert np.array_equal(labels, whole_labels) and np.abs(pixels.astype(int) - whole_pixels).mean() <= 1


def test_draws_cover_their_ranges():
    rng = np.random.default_rng(0)
    draws = [draw_transform(rng, 100, 150, 129, 0.5, 2.0) for _ in range(500)]
    assert 0.5 <= min(d.scale for d in draws) < 0.55 and 1.95 < max(d.scale for d in draws) < 2.0
    assert 0.4 < np.mean([d.flip for d in draws]) < 0.6
    for draw in draws:
        rows, columns = scaled_size(100, 150, draw.scale)
        assert 0 <= draw.offset_h <= max(rows, 129) - 129 and 0 <= draw.offset_w <= max(columns, 129) - 129
    assert draw_transform(rng, 100, 150, 129, 1.0, 1.0).scale == 1.0
