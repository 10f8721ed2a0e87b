"""Learning rates against the published ones' values."""
import numpy as np
import pytest

from src.console import InputError
from src.utils.learning_rates import cosine_lr, exponential_lr, learning_rates, poly_lr
from tests.golden import DATA

RATES = {"cos": lambda: cosine_lr(0.08, 100, 100), "poly": lambda: poly_lr(0.08, 100, 100),
         "exp": lambda: exponential_lr(0.08, 30, 0.1, 100)}


@pytest.mark.parametrize("name", RATES)
def test_published_values(name):
    golden = np.load(DATA / "learning_rates.npz")[name]
    assert golden.shape == (100,) and np.abs(RATES[name]() - golden).max() <= 1e-9


def test_warm_up_is_linear_and_then_the_schedule():
    from src.config import parse_args
    config = parse_args("train", "", ["--base_lr", "0.08", "--warmup_steps", "4"])
    rates, plain = learning_rates(config, 100), cosine_lr(0.08, 100, 100)
    assert rates[:4] == pytest.approx(plain[:4] * [0.25, 0.5, 0.75, 1.0], rel=1e-12)
    assert np.array_equal(rates[3:], plain[3:])
    assert len(learning_rates(config, 4)) == 4, "a warm-up may last to the end"
    with pytest.raises(InputError, match="--warmup_steps 4: longer than the run of 3 steps"):
        learning_rates(config, 3)
    assert np.array_equal(learning_rates(parse_args("train", "", ["--base_lr", "0.08"]), 100), plain)
