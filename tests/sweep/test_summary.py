import pytest

from mapush_stack.sweep.summary import mean, mean_interval, student_quantile


@pytest.mark.parametrize(
    "freedom, quantile",
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_students_quantiles_are_those_of_the_tables(freedom, quantile):
    assert student_quantile(freedom) == pytest.approx(quantile, abs=5e-4)


def test_the_interval_of_a_mean_over_seeds():
    low, high = mean_interval([0.90, 0.92, 0.94])
    half = 4.303 * 0.02 / 3**0.5
    assert (low, high) == (pytest.approx(0.92 - half, abs=1e-5), pytest.approx(0.92 + half, abs=1e-5))
    assert mean_interval([0.1, 0.9]) == (0.0, 1.0)  # a rate stays one
    assert mean_interval([0.5]) is None and mean_interval([]) is None and mean([]) is None
