"""One training run, from its options to its files."""
import time
from pathlib import Path

import mindspore as ms

from src.claims import claim_folder
from src.console import InputError, number_of, warn
from src.data.dataset import Augmentation, create_dataset, steps_in_epoch
from src.data.labels import Labels
from src.data.lists import check_files, read_list
from src.data.pictures import limit_pixels
from src.device import open_device
from src.drawing.sheets import batch_page, save_sheet
from src.training import state
from src.training.amp import OverflowWatch, nan_hint
from src.training.callbacks import CheckpointSaver, StopOnSignal, TrainingLog
from src.training.data_check import check_data
from src.training.folder import prepare_folder
from src.training.memory import check_memory
from src.training.metrics import Metrics
from src.training.model import build_model
from src.training.run_facts import believe_data, facts_of_run
from src.training.validation import EvaluationInTraining, make_evaluation
from src.utils.learning_rates import learning_rates


def train(config) -> None:
    """One run from the first step, or the one after a checkpoint, to the last."""
    config, labels, pairs, device, steps_per_epoch = open_run(config)
    checkpoint, done = state.find_checkpoint(config.resume, config.train_dir)
    if config.freeze_backbone and not (config.ckpt_pre_trained or checkpoint):
        raise InputError(f"--freeze_backbone {config.freeze_backbone}: the layers would keep random weights; "
                         "--ckpt_pre_trained gives them trained ones")
    schedule = state.Schedule(steps_per_epoch, config.train_epochs, done)
    rates = learning_rates(config, schedule.total)
    model, network = build_model(config, labels, device, rates)
    note_unaligned_crop(config.crop_size, network.architecture.output_stride)
    if checkpoint:
        state.restore(model.train_network, checkpoint, done, labels.names)
        print(f"resumed from {checkpoint}: {done} of {schedule.total} steps are done")
    if device.rank == 0:
        prepare_folder(Path(config.train_dir), config, keep=checkpoint is not None)
        say_what_begins(config, device, schedule)
        dump_batches(config, labels, device, schedule)
    facts = facts_of_run(config, network.architecture, labels, device)
    evaluate = make_evaluation(config, labels, device, network, pairs) if pairs else None
    callbacks, metrics, evaluation = make_callbacks(config, device, schedule, rates, facts, evaluate)
    start = time.perf_counter()
    if evaluation:
        evaluation.make_up(model.train_network)
    run_phases(config, labels, device, schedule, model, callbacks, evaluation)
    if device.rank == 0:
        metrics.close()
        draw_curves(Path(config.train_dir))
        reached = evaluation and evaluation.ended_at or schedule.total
        print(f"trained to step {reached} in {time.perf_counter() - start:.1f} s; "
              f"files are in {config.train_dir}")
    if evaluation:
        evaluation.check()


def open_run(config) -> tuple:
    """(config with the facts of the data, Labels, evaluation pairs, Device, steps per epoch).

    What can be wrong with options and data is found here, before anything of an earlier run is moved.
    """
    check_options(config)
    limit_pixels(config.max_pixels)
    pairs = read_list(config.eval_data_lst, config.data_root) if config.eval_data_lst else []
    check_files(pairs, config.data_root, config.eval_data_lst)
    device = open_device(config.device_target, config.device_id, config.is_distributed)
    ms.set_seed(config.seed)
    steps_per_epoch = steps_in_epoch(config.data_file, config.batch_size, device.size)
    config, labels = believe_data(config)
    if device.target == "CPU":
        check_memory(config, labels.num_classes)
    if device.rank == 0:
        check_data(config, labels, pairs)
        claim_folder(config.train_dir, "--train_dir")
    return config, labels, pairs, device, steps_per_epoch


def check_options(config) -> None:
    """Raises InputError for options that fit alone but not together; notes what is unusual."""
    if config.max_scale < config.min_scale:
        raise InputError(f"--max_scale {config.max_scale}: smaller than --min_scale {config.min_scale}")
    if config.photometric[3] > 0.5:
        raise InputError(f"--photometric: a hue of {config.photometric[3]} turns is more than half a turn; "
                         "0.1 is usual")
    if config.patience and not config.eval_data_lst:
        raise InputError(f"--patience {config.patience}: needs --eval_data_lst, whose mean IoU it watches")
    pixels = config.batch_size * config.crop_size ** 2
    if config.ohem and config.ohem_min_kept >= pixels:
        warn(f"--ohem_min_kept {config.ohem_min_kept}: a step has {pixels} pixels, so all are trained and --ohem does "
             "nothing; a sixteenth of them is usual")


def note_unaligned_crop(crop_size: int, output_stride: int) -> None:
    """Warn of a crop whose feature map does not share its corners."""
    if (crop_size - 1) % output_stride:
        nearest = round((crop_size - 1) / output_stride) * output_stride + 1
        warn(f"--crop_size {crop_size}: feature map and picture do not share their corners; "
             f"a multiple of {output_stride} plus 1 does, such as {nearest}")


def say_what_begins(config, device, schedule: state.Schedule) -> None:
    print(f"{config.model}: {number_of(schedule.epochs, 'epoch')} of {number_of(schedule.steps_per_epoch, 'step')}, "
          f"{config.batch_size * device.size} pictures a step on {device.size} x {device.target}; "
          f"files go to {config.train_dir}")


def make_dataset(config, labels: Labels, device, start: tuple) -> tuple:
    """(dataset, transform) of this device, as src.data.dataset.create_dataset returns them.

    Args:
        start: (epoch, steps of it to leave out).
    """
    augmentation = Augmentation(config.crop_size, config.min_scale, config.max_scale, config.image_mean,
                                config.photometric, config.rotate)
    return create_dataset(config.data_file, labels, augmentation, config.batch_size, seed=config.seed,
                          shard=(device.rank, device.size), start=start, workers=config.workers)


def dump_batches(config, labels: Labels, device, schedule: state.Schedule) -> None:
    """The first --dump_batches batches of this run, at most to the end of its epoch, as pages in train_dir."""
    if not config.dump_batches:
        return
    dataset, transform = make_dataset(config, labels, device, divmod(schedule.done, schedule.steps_per_epoch))
    batches = dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)
    try:
        for number, (images, masks, _) in zip(range(1, config.dump_batches + 1), batches):
            path = Path(config.train_dir, f"batch_{number}.png")
            save_sheet(batch_page(images, masks, labels.ignore_label, labels.names), path)
            print(f"batch {number} as the network gets it: {path}")
    except RuntimeError as error:
        raise transform.cause(error) from None


def make_callbacks(config, device, schedule: state.Schedule, rates, facts: dict, evaluate) -> tuple:
    """(callbacks, metrics, evaluation or None): all callbacks on rank 0; elsewhere those that every device must take
    part in, and no metrics."""
    train_dir, metrics, saver, evaluation, callbacks = Path(config.train_dir), None, None, None, []
    if device.rank == 0:
        metrics = Metrics(train_dir, config.summary_dir, schedule.done)
        saver = CheckpointSaver(train_dir, config.model, config.save_steps, config.keep_checkpoint_max, schedule, facts)
        watch = OverflowWatch(nan_hint(device.target))
        callbacks = [TrainingLog(metrics, rates, config.batch_size * device.size, schedule, watch), saver]
    stop = StopOnSignal(saver, schedule)
    if evaluate:
        best_path = train_dir / f"{config.model}-best.ckpt"
        evaluation = EvaluationInTraining(evaluate, config.eval_epochs, config.patience, schedule, metrics, best_path,
                                          facts, stop, device)
        callbacks.append(evaluation)
    return [*callbacks, stop], metrics, evaluation


def run_phases(config, labels: Labels, device, schedule: state.Schedule, model, callbacks: list, evaluation) -> None:
    """Train what is left of the run, or until its evaluation ends it."""
    for phase in schedule.phases():
        if evaluation and evaluation.ended_at:
            break
        dataset, transform = make_dataset(config, labels, device, (phase.first_epoch, phase.first_step))
        try:
            model.train(phase.end_epoch, dataset, callbacks=callbacks, dataset_sink_mode=device.target != "CPU",
                        initial_epoch=phase.first_epoch)
        except RuntimeError as error:
            raise transform.cause(error) from None


def draw_curves(train_dir: Path) -> None:
    """curves.png of metrics.jsonl; what goes wrong there is said and harms nothing, for the run is done."""
    try:
        from src.drawing.curves import plot  # a run does not depend on matplotlib
        plot(train_dir / "metrics.jsonl")
    except Exception as error:    # a matplotlib that is missing or broken, a full disk
        warn(f"{train_dir / 'curves.png'} was not drawn: {type(error).__name__}: {error}")
