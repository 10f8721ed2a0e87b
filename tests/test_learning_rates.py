"""Learning rates against the published ones' values."""
import numpy as np
import pytest

from src.utils.learning_rates import cosine_lr, exponential_lr, poly_lr
from tests.golden import DATA

RATES = {"cos": lambda: cosine_lr(0.08, 100, 100), "poly": lambda: poly_lr(0.08, 100, 100),
         "exp": lambda: exponential_lr(0.08, 30, 0.1, 100)}


@pytest.mark.parametrize("name", RATES)
def test_published_values(name):
    golden = np.load(DATA / "learning_rates.npz")[name]
    assert golden.shape == (100,) and np.abs(RATES[name]() - golden).max() <= 1e-9
