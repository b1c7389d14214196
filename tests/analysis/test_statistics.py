"""Figures over seeds, against what one can compute by hand."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra report is not installed")
from mapush_stack.analysis.comparison import statistics


def scores(*tasks):
    return [np.array(task, dtype=np.float64) for task in tasks]


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end_of_all_scores_together():
    # Of five scores one at each end; of eight over two tasks (0 1 2 3 5 6 7 10) two.
    assert statistics.iqm(scores([10, 0, 1, 2, 3])) == 2.0
    assert statistics.iqm(scores([0, 1, 2, 3, 10], [5, 6, 7])) == 4.0
    assert statistics.iqm(scores([1, 2, 6])) == 3.0


def test_intervals_are_percentiles_of_means_of_seeds_drawn_with_replacement():
    # All 27 draws of three seeds 0, 0, 1 leave a mean of 0 in 8 and of 1 in 1 of 27: both tails are over 2.5 %.
    assert statistics.iqm_estimate(scores([0, 0, 1])).interval == (0.0, 1.0)
    # Of ten seeds, one of which is a success, no draw of 2.5 % has four successes: the trimmed mean stays low.
    low, high = statistics.iqm_estimate(scores([0] * 9 + [1])).interval
    assert low == 0.0 and 0 < high <= 1 / 6 + 1e-9
    assert statistics.iqm_estimate(scores([1])).interval is None


def test_a_bootstrap_draws_within_each_task():
    # Were seeds drawn over tasks, a draw could hold the easy task alone, and the interval would reach 0 and 1.
    found = statistics.iqm_estimate(scores([0, 0, 0, 0], [1, 1, 1, 1]))
    assert found.value == 0.5 and found.interval == (0.5, 0.5) and found.seeds == 4


def test_the_probability_of_improvement_counts_pairs_and_half_of_ties():
    # Of 3 x 2 pairs 2 > 1 and 3 > 1 win, 1 and 1 tie, 4 beats all: 2.5 of 6.
    found = statistics.improvement(scores([1, 2, 3]), scores([1, 4]))
    assert found.probability == pytest.approx(2.5 / 6)
    # Averaged over tasks: 1 in the first, 0 in the second.
    assert statistics.improvement(scores([2, 2], [0, 0]), scores([1, 1], [1, 1])).probability == 0.5


def test_few_seeds_allow_no_conclusion_however_far_apart():
    far = [scores([0.1, 0.11, 0.12, 0.13]), scores([0.9, 0.91, 0.92, 0.93])]

    def conclusion(size):
        one, other = (scores(side[0][:size]) for side in far)
        return statistics.significant(statistics.improvement(other, one), (size, size))

    # Three against three cannot be told apart at 5 %: two of the 20 orders are as extreme, p = 0.1.
    assert [conclusion(size) for size in (1, 2, 3, 4)] == ["nothing", "nothing", "alike", "apart"]
    same = statistics.improvement(scores([0.5] * 5), scores([0.5] * 5))
    assert same.probability == 0.5 and statistics.significant(same, (5, 5)) == "alike"


def test_the_optimality_gap_counts_what_is_missing_and_nothing_beyond():
    gap = statistics.optimality_gap([np.array([0.2, 0.8, 1.3])])
    assert gap.value == pytest.approx(1 - (0.2 + 0.8 + 1.0) / 3)
    low, high = gap.interval
    assert 0.0 <= low < gap.value < high <= 0.8
    assert statistics.optimality_gap([np.array([0.5])]).interval is None


def test_a_performance_profile_is_the_share_of_runs_above_each_level():
    levels = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    share, low, high = statistics.performance_profile([np.array([0.2, 0.5, 0.6, 0.9])], levels)
    assert share.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]  # 0.5 is not above 0.5
    assert (low <= share).all() and (share <= high).all() and low[2] < high[2]
    alone = statistics.performance_profile([np.array([0.6])], levels)
    assert [one.tolist() for one in alone] == 3 * [[1.0, 1.0, 1.0, 0.0, 0.0]]
