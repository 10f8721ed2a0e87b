"""MindRecord -> batches: order and draws depend only on seed, epoch, sample and rank."""
import threading

import numpy as np
import pytest

from src.console import InputError
from src.data.dataset import Augmentation, Batches, SampleOrder, TrainingTransform, create_dataset
from src.data.labels import Labels

LABELS, AUGMENTATION = Labels(6, 255, ()), Augmentation(65, 0.5, 2.0, (103.53, 116.28, 123.675))
OPTIONS = {"labels": LABELS, "augmentation": AUGMENTATION, "seed": 3, "batch_size": 4}


def batches(data_file, epochs=1, **changes):
    """[epoch][batch] -> (image, label) as numpy arrays."""
    dataset, _ = create_dataset(data_file, **{**OPTIONS, **changes})
    rows = dataset.create_tuple_iterator(num_epochs=epochs, output_numpy=True)
    return [[tuple(np.copy(column) for column in row) for row in rows] for _ in range(epochs)]


def equal(first, second):
    return all(np.array_equal(a, b) for left, right in zip(first, second) for a, b in zip(left, right))


@pytest.fixture(scope="module")
def data_file(drawn):
    return drawn / "train.mindrecord0"


def test_shapes_and_types(data_file):
    (epoch,) = batches(data_file)
    assert len(epoch) == 6
    for image, label, key in epoch:
        assert key.shape == (4,) and key.dtype == np.int32
        assert image.shape == (4, 3, 65, 65) and image.dtype == np.uint8
        assert label.shape == (4, 65, 65) and label.dtype == np.uint8
        assert set(np.unique(label)) <= {0, 1, 2, 3, 4, 5, 255}


def test_same_seed_same_batches_whatever_the_workers(data_file):
    first, second = batches(data_file, workers=1)[0], batches(data_file, workers=2)[0]
    assert equal(first, second)
    assert equal(first, batches(data_file, workers=1000)[0]), "clamped to the cores"
    assert not equal(first, batches(data_file, seed=4)[0])


def test_threads_make_what_one_sample_after_the_other_makes(data_file):
    transform, images, labels, keys = TrainingTransform(3, LABELS, AUGMENTATION), [], [], []
    for record in SampleOrder(data_file, 3):
        place = np.empty((3, 65, 65), np.uint8), np.empty((65, 65), np.uint8), np.empty(1, np.int32)
        transform(record, place)
        for column, value in zip((images, labels, keys), place):
            column.append(value)
    (epoch,) = batches(data_file)
    for number, column in enumerate((images, labels)):
        assert np.array_equal(np.concatenate([batch[number] for batch in epoch]), np.stack(column))
    assert np.array_equal(np.concatenate([batch[2] for batch in epoch]), np.concatenate(keys))


def test_an_epoch_left_early_ends_its_threads(data_file):
    before = set(threading.enumerate())
    samples = SampleOrder(data_file, 3)
    made = iter(Batches(samples, TrainingTransform(3, LABELS, AUGMENTATION), 4, 2))
    next(made)
    assert set(threading.enumerate()) - before
    made.close()
    assert not set(threading.enumerate()) - before


def test_epochs_differ_and_can_be_begun_anywhere(data_file):
    run = batches(data_file, epochs=3)
    assert not equal(run[0], run[1]) and not equal(run[1], run[2])
    assert equal(run[2], batches(data_file, start=(2, 0))[0])
    assert equal(run[2][2:], batches(data_file, start=(2, 2))[0])


def test_shards_are_disjoint_and_complete(data_file):
    for epoch in range(2):
        ranks = [SampleOrder(data_file, 1, (rank, 3)).indices(epoch).tolist() for rank in range(3)]
        assert [len(rank) for rank in ranks] == [8, 8, 8]
        assert sorted(sum(ranks, [])) == list(range(24))
    assert {len(SampleOrder(data_file, 1, (rank, 7)).indices(0)) for rank in range(7)} == {3}


def test_ranks_draw_differently(data_file):
    first = batches(data_file, shard=(0, 2))[0]
    assert len(first) == 3
    assert not equal(first, batches(data_file, shard=(1, 2))[0])


def test_model_train_sees_the_epochs_in_order(data_file):
    """Model.train runs the pipeline in its own way; it must get the batches of epochs 0, 1, ..."""
    import mindspore as ms
    from mindspore import nn, ops
    seen = []

    class Sum(nn.Cell):
        def __init__(self):
            super().__init__()
            self.weight = ms.Parameter(ms.Tensor(1.0), name="weight")

        def construct(self, image, label, key):
            return ops.cast(image, ms.float32).mean() * self.weight

    class Record(ms.Callback):
        def on_train_step_end(self, run_context):
            output = run_context.original_args().net_outputs
            seen.append(float(output.asnumpy()))

    ms.set_context(mode=ms.GRAPH_MODE)
    dataset, _ = create_dataset(data_file, **OPTIONS)
    network = Sum()
    model = ms.Model(network, optimizer=nn.SGD(network.trainable_params(), 1e-12))
    model.train(2, dataset, callbacks=[Record()], dataset_sink_mode=False)
    expected = [image.astype(np.float64).mean() for epoch in batches(data_file, epochs=2) for image, *_ in epoch]
    assert np.allclose(seen, expected, rtol=1e-4)
    assert len(set(np.round(expected, 3))) > 6, "epochs and batches must differ for this test to tell them apart"


def test_the_last_partial_batch_waits(data_file):
    assert len(batches(data_file, batch_size=5)[0]) == 4


def test_errors(data_file, tmp_path):
    for path, part in ((tmp_path / "no.mindrecord", "no such file"), (tmp_path, "is a folder"),
                       ("", "--data_file is not given"),
                       (data_file.with_name("train.mindrecord"), "its first shard is")):
        with pytest.raises(InputError, match=part):
            create_dataset(path, **OPTIONS)
    with pytest.raises(InputError, match="--batch_size 25: larger than the 24 samples"):
        create_dataset(data_file, **{**OPTIONS, "batch_size": 25})
    (tmp_path / "text.mindrecord0").write_text("not a MindRecord")
    with pytest.raises(InputError, match="text.mindrecord0: not a complete MindRecord"):
        create_dataset(tmp_path / "text.mindrecord0", **OPTIONS)


def test_a_wrong_label_names_its_picture(data_file):
    with pytest.raises(InputError, match="mask of sample_.*--num_classes"):
        create_dataset(data_file, **{**OPTIONS, "labels": Labels(2, 255, ())})
