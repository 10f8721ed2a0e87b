"""The evaluator: the published four modes' probabilities and class maps, sizes, and its bounded memory."""
import cv2
import numpy as np
import pytest

from src.console import RunError
from src.data.labels import make_labels
from src.evaluation.inference import Segmenter, evaluate
from src.evaluation.letterbox import FIVE_SCALES, Settings, letterbox, letterbox_size
from src.evaluation.planes import add_resized, argmax_map, summed_planes
from src.models.model import open_model
from src.nets.architecture import architecture
from src.weights import checkpoint
from tests.conftest import fake_predict
from tests.golden import DATA, STEP, golden_weights

MODES = {"single": ((1.0,), False), "ms": (FIVE_SCALES, False), "ms_flip": (FIVE_SCALES, True)}
LABELS = make_labels(3, 255)


@pytest.mark.parametrize("engine, stride", [("mindspore", 16), ("mindspore", 8), ("onnxruntime", 16),
                                            ("onnxruntime", 8)])
def test_published_modes(engine, stride, pynative, tmp_path):
    golden, name = np.load(DATA / "eval_modes.npz"), f"deeplab_v3_s{stride}"
    weights = golden_weights(architecture(name)) | {"network.aspp.conv2.bias": golden[f"s{stride}_conv2_bias"]}
    checkpoint.write(weights, tmp_path / f"{name}.ckpt")
    model = open_model(tmp_path / f"{name}.ckpt", engine, "CPU")
    images = [golden["image0"], golden["image1"]]
    for mode, (scales, flip) in MODES.items():
        settings = Settings(crop_size=65, scales=scales, flip=flip, batch_size=2)
        (batch,) = Segmenter(model.predict, settings).run(images, lambda image: (image, None))
        for number, item in enumerate(batch):
            key = f"s{stride}_{mode}_{number}"
            probs = item.total.transpose(1, 2, 0)[::STEP, ::STEP]
            assert np.abs(probs - golden[key]).max() <= 1e-4, key
            assert (item.class_map == golden[key + "_map"]).mean() >= 0.999, key


def fake_samples(count, sides=(5, 60)):
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 255, (*rng.integers(*sides, 2), 3), dtype=np.uint8),) for _ in range(count)]


def load_fake(sample):
    image = sample[0]
    return image, (image[:, :, 0] % 3).astype(np.uint8)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_result_does_not_depend_on_the_batch(batch_size):
    settings = Settings(33, (0.5, 1.0, 1.5), True, 1)
    samples = fake_samples(7)
    single = evaluate(fake_predict, samples, load_fake, settings, LABELS).counts
    batched = Settings(33, (0.5, 1.0, 1.5), True, batch_size)
    seen, shapes = [], []
    observers = [lambda sample, *rest: seen.append(sample), lambda sample, *rest: shapes.append(
        [array.shape[:2] == sample[0].shape[:2] for array in rest[:3]])]
    counts = evaluate(fake_predict, samples, load_fake, batched, LABELS, observers).counts
    assert np.array_equal(counts, single) and counts.sum() == sum(s[0].shape[0] * s[0].shape[1] for s in samples)
    assert [id(sample) for sample in seen] == [id(sample) for sample in samples]
    assert shapes == [[True] * 3] * 7, "picture, mask and class map of each"


def test_against_the_plain_arithmetic():
    settings = Settings(33, (0.5, 1.0), True, 4)
    ((image,),) = fake_samples(1)
    ((item,),) = Segmenter(fake_predict, settings).run([(image,)], load_fake)
    total = 0
    for scale in settings.scales:
        side = int(32 * scale) + 1
        height, width = image.shape[:2]
        rows, columns = (side, int(side * width / height)) if height > width else (int(side * height / width), side)
        assert letterbox_size(height, width, side) == (rows, columns)
        small = cv2.resize(image, (columns, rows))
        padded = np.zeros((side, side, 3))
        padded[:rows, :columns] = (small - np.array(settings.mean)) / np.array(settings.std)
        inputs = padded.transpose(2, 0, 1)[None].astype(np.float32)
        probs = fake_predict(inputs) + fake_predict(inputs[..., ::-1])[..., ::-1]
        cut = np.ascontiguousarray(probs[0, :, :rows, :columns].transpose(1, 2, 0))
        total = total + cv2.resize(cut, (width, height))
    assert np.abs(item.total.transpose(1, 2, 0) - total).max() < 1e-5
    assert np.array_equal(item.class_map, item.total.argmax(0))


def test_input_sizes_are_the_published_truncation():
    settings = Settings(513)
    assert [settings.input_size(scale) for scale in FIVE_SCALES] == [257, 385, 513, 641, 897]


def test_letterbox_size_equals_the_published_float_arithmetic_for_every_size():
    sides = np.arange(1, 402)
    for side in (65, 257, 513):
        for height in sides:
            published = [(side, int(1.0 * side * w / height)) if height > w else (int(1.0 * side * height / w), side)
                         for w in sides]
            ours = [letterbox_size(int(height), int(w), side) for w in sides]
            assert ours == [(max(1, a), max(1, b)) for a, b in published]


def test_letterbox_normalises_exactly_and_pads_with_zero():
    settings = Settings()
    image = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    out = np.zeros((3, 40, 40), np.float32)
    assert letterbox(image, 40, settings.normalisation(), out) == (30, 40)
    expected = ((image - np.array(settings.mean)) / np.array(settings.std)).transpose(2, 0, 1).astype(np.float32)
    assert np.array_equal(out[:, :30], expected) and not out[:, 30:].any()


def test_argmax_takes_the_first_of_equal_scores():
    scores = np.random.default_rng(0).integers(0, 4, (21, 50, 60)).astype(np.float32)
    assert np.array_equal(argmax_map(scores), scores.argmax(0))


def test_one_pixel_high_pictures():
    settings = Settings(33, (0.5, 1.0), False, 2)
    for shape in ((1, 1, 3), (1, 400, 3), (400, 1, 3)):
        ((item,),) = Segmenter(fake_predict, settings).run([(np.full(shape, 7, np.uint8),)], load_fake)
        assert item.class_map.shape == shape[:2]


def test_at_most_three_batches_are_loaded_ahead():
    """Memory must not grow with the list: a fixed number of samples is loaded ahead."""
    loaded, lead = [], []

    def load(sample):
        loaded.append(sample)
        return load_fake(sample)

    samples = fake_samples(40)
    evaluate(fake_predict, samples, load, Settings(33, (1.0,), False, 2), LABELS,
             [lambda *_: lead.append(len(loaded) - len(lead))])
    assert len(lead) == 40 and max(lead) <= 3 * 2 + 2


def test_errors_of_reading_reach_the_caller():
    def load(sample):
        raise ValueError("picture 3 is broken")
    with pytest.raises(ValueError, match="picture 3 is broken"):
        evaluate(fake_predict, fake_samples(3), load, Settings(33), LABELS)


def test_add_resized_begins_and_adds():
    probs = np.random.default_rng(0).random((2, 9, 9), np.float32)
    first = add_resized(None, probs, (9, 9), (9, 9))
    assert np.array_equal(first, probs)
    assert np.allclose(add_resized(first.copy(), probs, (9, 9), (9, 9)), 2 * probs)


def test_large_pictures_give_what_small_memory_gives(monkeypatch):
    """The class maps do not depend on keeping sums or on batch sizes."""
    settings, samples = Settings(33, (0.5, 1.0, 1.5), True, 4), fake_samples(9, sides=(70, 200))

    def maps_and_counts():
        batches = list(Segmenter(fake_predict, settings).run(samples, load_fake))
        return batches, evaluate(fake_predict, samples, load_fake, settings, LABELS).counts
    plain, counts = maps_and_counts()
    monkeypatch.setattr("src.evaluation.inference.LARGE", 1)
    monkeypatch.setattr("src.evaluation.inference.BATCH_PIXELS", 50_000)
    batches, same_counts = maps_and_counts()
    assert all(item.total is None for batch in batches for item in batch) and len(batches) > len(plain)
    one, other = ([item.class_map for batch in some for item in batch] for some in (plain, batches))
    assert all(map(np.array_equal, one, other)) and np.array_equal(same_counts, counts)


def test_a_picture_beyond_the_budget_goes_alone(monkeypatch):
    monkeypatch.setattr("src.evaluation.inference.BATCH_PIXELS", 10)
    batches = Segmenter(fake_predict, Settings(33)).run(fake_samples(3), load_fake)
    assert [len(batch) for batch in batches] == [1, 1, 1]


def test_sums_plane_by_plane():
    rng = np.random.default_rng(0)
    parts = [rng.random((4, 9, 7), np.float32), rng.random((4, 5, 4), np.float32)]
    total = sum(np.stack([cv2.resize(plane, (30, 20)) for plane in part]) for part in parts)
    assert np.array_equal(argmax_map(summed_planes(parts, (20, 30))), total.argmax(0))


def test_too_little_memory_is_a_line():
    def fails(inputs):
        raise MemoryError
    with pytest.raises(RunError, match="not enough memory for batches of 2 pictures; a smaller --batch_size"):
        evaluate(fails, fake_samples(1), load_fake, Settings(33, batch_size=2), LABELS)
