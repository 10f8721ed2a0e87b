"""Train DeepLabV3 on a MindRecord of VOC-like data."""
import os
import re
import sys
import time
from pathlib import Path

from src.config import parse_args, to_yaml
from src.console import InputError, progress, run_program, warn
from src.device import open_device
from src.modelarts import storage

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4


def check_options(config) -> None:
    """Raises InputError for options that fit alone but not together; notes what is unusual."""
    if config.max_scale < config.min_scale:
        raise InputError(f"--max_scale {config.max_scale}: smaller than --min_scale {config.min_scale}")
    pixels = config.batch_size * config.crop_size ** 2
    if config.ohem and config.ohem_min_kept >= pixels:
        warn(f"--ohem_min_kept {config.ohem_min_kept}: a step has {pixels} pixels, so all are trained and --ohem does "
             "nothing; a sixteenth of them is usual")
    stride = int(config.model.rsplit("_s", 1)[1])
    if (config.crop_size - 1) % stride:
        nearest = round((config.crop_size - 1) / stride) * stride + 1
        warn(f"--crop_size {config.crop_size}: feature map and picture do not share their corners; "
             f"a multiple of {stride} plus 1 does, such as {nearest}")


def read_evaluation_pairs(config) -> list:
    """The pairs of --eval_data_lst. Raises InputError where a file is missing."""
    from src.data.lists import check_files, read_list
    pairs = read_list(config.eval_data_lst)
    check_files(pairs, config.data_root, config.eval_data_lst)
    return pairs


def prepare_folder(train_dir: Path, config, keep: bool) -> None:
    """Make train_dir, save the resolved options; an earlier run's files, if not to `keep`, go to a folder there."""
    try:
        train_dir.mkdir(parents=True, exist_ok=True)
        earlier = [path for path in train_dir.iterdir()
                   if path.suffix == ".ckpt" or path.name in ("metrics.jsonl", "config.yaml", "checkpoints.json",
                                                            "curves.png")
                   or re.fullmatch(r"batch_\d+\.png", path.name)]
        if earlier and not keep:
            folder = next(path for number in range(1, 10**6)
                          if not (path := train_dir / f"earlier_{number}").exists())
            folder.mkdir()
            for path in earlier:
                os.replace(path, folder / path.name)
            print(f"the earlier run in {train_dir} was moved to {folder}")
        for pattern in (".*.ckpt", ".checkpoints.json.*", ".metrics.*"):    # what a killed run was writing
            for path in train_dir.glob(pattern):
                path.unlink()
        (train_dir / "config.yaml").write_text(to_yaml(config))
    except OSError as error:
        raise InputError(f"--train_dir {train_dir}: cannot be written ({error.strerror})") from None


def make_loss(config):
    """The loss of the options: plain cross entropy, or the balanced one; says the weights."""
    from src.data.class_weights import class_weights
    from src.loss.loss import BalancedCrossEntropyLoss, SoftmaxCrossEntropyLoss
    weights = class_weights(config.class_weights, config.data_file, labels_of(config))
    if weights is None and not config.ohem:
        return SoftmaxCrossEntropyLoss(config.ignore_label)
    if weights is not None:
        print("class weights: " + " ".join(f"{weight:.4g}" for weight in weights))
    return BalancedCrossEntropyLoss(config.ignore_label, weights, config.ohem, config.ohem_min_kept)


def build_model(config, device, rates):
    """The Model that trains: network, loss, momentum, fixed loss scale; float16 (O3) but for the loss off the CPU."""
    import mindspore as ms
    from mindspore import nn

    from src.nets.net_factory import TrainingNetwork, create_network, zero_init_residual
    from src.weights.checkpoint import load_pretrained

    network = create_network(config.model, config.num_classes, config.atrous_rates, config.freeze_bn)
    if config.zero_init_residual:
        zero_init_residual(network)
    loss = make_loss(config)
    training = TrainingNetwork(network, loss, config.image_mean, config.image_std)
    if config.ckpt_pre_trained:
        print(load_pretrained(training, config.ckpt_pre_trained, config.filter_weight))
    # Momentum leaves names with beta or gamma out of weight decay: BatchNorm's parameters, as published.
    optimizer = nn.Momentum(training.trainable_params(), rates.tolist(), MOMENTUM, weight_decay=WEIGHT_DECAY,
                            loss_scale=config.loss_scale)
    # The manager does not unscale when drop_overflow_update is off, so the optimizer has the same loss_scale.
    manager = ms.FixedLossScaleManager(config.loss_scale, drop_overflow_update=False)
    model = ms.Model(training, optimizer=optimizer, loss_scale_manager=manager,
                     amp_level="O0" if device.target == "CPU" else "O3")
    loss.to_float(ms.float32)    # after Model, whose amp_level would undo it
    return model


def make_dataset(config, device, first_epoch, first_step):
    from src.data.dataset import Augmentation, create_dataset
    augmentation = Augmentation(config.crop_size, config.min_scale, config.max_scale, config.image_mean)
    return create_dataset(config.data_file, labels_of(config), augmentation, config.batch_size, seed=config.seed,
                          shard=(device.rank, device.size), start=(first_epoch, first_step), workers=config.workers)


def labels_of(config):
    from src.data.labels import make_labels
    return make_labels(config.num_classes, config.ignore_label, config.class_names)


def dump_batches(config, device, position) -> None:
    """The first --dump_batches batches of this run, at most to the end of its epoch, as pages in train_dir."""
    from src.data.labels import class_names
    from src.drawing.sheets import batch_page, save_sheet
    names = class_names(config.num_classes, config.class_names)
    dataset, transform = make_dataset(config, device, *divmod(position.start, position.steps_per_epoch))
    batches = dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)
    try:
        for number, (images, masks, _) in zip(range(1, config.dump_batches + 1), batches):
            path = Path(config.train_dir, f"batch_{number}.png")
            save_sheet(batch_page(images, masks, config.ignore_label, names), path)
            print(f"batch {number} as the network gets it: {path}")
    except RuntimeError as error:
        raise transform.cause(error) from None


def make_evaluation(config, device, network):
    """() -> mean IoU of the network on --eval_data_lst, at one scale, each device its share of the list."""
    from functools import partial

    from src.data.pictures import read_pair
    from src.device import sum_over_ranks, take_statistics_of_rank_0
    from src.evaluation.inference import Settings, evaluate
    from src.models.mindspore_engine import make_predict
    from src.nets.net_factory import InferenceNetwork
    pairs = read_evaluation_pairs(config)
    share = pairs[device.rank::device.size]
    settings = Settings(config.crop_size, (1.0,), False, min(config.batch_size, -(-len(pairs) // device.size)),
                        config.num_classes, config.ignore_label, tuple(config.image_mean), tuple(config.image_std))
    inference = InferenceNetwork(network, auto_prefix=False)
    predict = make_predict(inference, settings.batch_size)
    load = partial(read_pair, config.data_root, labels=labels_of(config))

    def mean_iou():
        take_statistics_of_rank_0(network, device)
        inference.set_train(False)
        with progress(len(share), "evaluate", "image") as bar:
            matrix = evaluate(predict, share, load, settings, lambda *_: bar.update())
        matrix.counts = sum_over_ranks(matrix.counts, device)
        return matrix.mean_iou
    return mean_iou


def make_callbacks(config, device, model, rates, position):
    """(callbacks, metrics): all of them on rank 0; elsewhere those that every device must take part in."""
    from src.training.callbacks import CheckpointSaver, EvaluationInTraining, Metrics, PreemptionGuard, TrainingLog
    train_dir, metrics, saver, callbacks = Path(config.train_dir), None, None, []
    if device.rank == 0:
        metrics = Metrics(train_dir, config.summary_dir, position.start)
        saver = CheckpointSaver(train_dir, config.model, config.save_steps, config.keep_checkpoint_max, len(rates),
                                position)
        callbacks = [TrainingLog(metrics, rates, config.batch_size * device.size, position), saver]
    if config.eval_data_lst:
        evaluation = make_evaluation(config, device, model.train_network.network.network)
        callbacks.append(EvaluationInTraining(evaluation, config.eval_epochs, config.train_epochs, position, metrics,
                                              train_dir / f"{config.model}-best.ckpt"))
    return [*callbacks, PreemptionGuard(saver, position)], metrics


def draw_curves(train_dir: Path) -> None:
    """curves.png of metrics.jsonl; what goes wrong there is said and harms nothing, for the run is done."""
    try:
        from src.tools.plot import plot
        plot(train_dir / "metrics.jsonl")
    except Exception as error:    # a matplotlib that is missing or broken, a full disk
        warn(f"{train_dir / 'curves.png'} was not drawn: {type(error).__name__}: {error}")


def run_phases(config, device, model, callbacks, position) -> None:
    """Train what is left of the run."""
    from src.training import state as run_state
    for first_epoch, end_epoch, first_step in run_state.phases(position.start, position.steps_per_epoch,
                                                               config.train_epochs):
        dataset, transform = make_dataset(config, device, first_epoch, first_step)
        position.start = first_epoch * position.steps_per_epoch + first_step
        try:
            model.train(end_epoch, dataset, callbacks=callbacks, dataset_sink_mode=device.target != "CPU",
                        initial_epoch=first_epoch)
        except RuntimeError as error:
            raise transform.cause(error) from None


def train(config) -> None:
    """One run from the first step, or the one after a checkpoint, to the last."""
    check_options(config)
    if config.eval_data_lst:    # before anything of an earlier run is moved
        read_evaluation_pairs(config)
    device = open_device(config.device_target, config.device_id, config.is_distributed)
    import mindspore as ms

    from src.data.dataset import steps_in_epoch
    from src.training import state as run_state
    from src.utils.learning_rates import learning_rates

    ms.set_seed(config.seed)
    position = run_state.Position(steps_in_epoch(config.data_file, config.batch_size, device.size))
    rates = learning_rates(config, position.steps_per_epoch * config.train_epochs)
    checkpoint, position.start = run_state.find(config.resume, config.train_dir)
    model = build_model(config, device, rates)
    if checkpoint:
        run_state.load(model.train_network, checkpoint, position.start)
        print(f"resumed from {checkpoint}: {position.start} of {len(rates)} steps are done")
    if device.rank == 0:
        prepare_folder(Path(config.train_dir), config, keep=checkpoint is not None)
        print(f"{config.model}: {config.train_epochs} epochs of {position.steps_per_epoch} steps, "
              f"{config.batch_size * device.size} pictures a step on {device.size} x {device.target}; "
              f"files go to {config.train_dir}")
        if config.dump_batches:
            dump_batches(config, device, position)
    callbacks, metrics = make_callbacks(config, device, model, rates, position)
    start = time.perf_counter()
    run_phases(config, device, model, callbacks, position)
    if device.rank == 0:
        metrics.close()
        draw_curves(Path(config.train_dir))
        print(f"trained to step {len(rates)} in {time.perf_counter() - start:.1f} s; files are in {config.train_dir}")


def main(argv=None):
    with storage(parse_args("train", __doc__, argv)) as config:
        train(config)


if __name__ == "__main__":
    sys.exit(run_program(main))
