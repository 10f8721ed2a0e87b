"""Learning rate of every step, computed as in the zoo; arrays of float64."""
import numpy as np

from src.console import InputError


def cosine_lr(base_lr: float, decay_steps: int, total_steps: int) -> np.ndarray:
    """base_lr / 2 * (1 + cos(pi * step / decay_steps)): from base_lr to 0 in half a cosine."""
    step = np.minimum(np.arange(total_steps), decay_steps)
    return base_lr * 0.5 * (1 + np.cos(np.pi * step / decay_steps))


def poly_lr(base_lr: float, decay_steps: int, total_steps: int) -> np.ndarray:
    """base_lr * (1 - step / decay_steps) ** 0.9 (the paper's "poly" policy, section 4.1)."""
    step = np.minimum(np.arange(total_steps), decay_steps)
    return base_lr * (1 - step / decay_steps) ** 0.9


def exponential_lr(base_lr: float, decay_steps: int, decay_rate: float, total_steps: int) -> np.ndarray:
    """base_lr * decay_rate ** (step // decay_steps): a factor of decay_rate every decay_steps."""
    return base_lr * decay_rate ** (np.arange(total_steps) // decay_steps)


def warm_up(rates: np.ndarray, steps: int) -> np.ndarray:
    """Rates whose first `steps` rise linearly, rate * (step + 1) / steps (Goyal et al. 2017, section 2.2)."""
    return rates * np.minimum(1, np.arange(1, len(rates) + 1) / steps)


def learning_rates(config, total_steps: int) -> np.ndarray:
    """The rates of a run of `total_steps` by its options lr_type, base_lr, lr_decay_step, lr_decay_rate, warmup_steps.

    Raises InputError for a warm-up that is longer than the run.
    """
    table = {"cos": lambda: cosine_lr(config.base_lr, total_steps, total_steps),
             "poly": lambda: poly_lr(config.base_lr, total_steps, total_steps),
             "exp": lambda: exponential_lr(config.base_lr, config.lr_decay_step, config.lr_decay_rate, total_steps)}
    rates = table[config.lr_type]()
    if config.warmup_steps > total_steps:
        raise InputError(f"--warmup_steps {config.warmup_steps}: longer than the run of {total_steps} steps; "
                         "a tenth of it is much")
    return warm_up(rates, config.warmup_steps) if config.warmup_steps else rates
