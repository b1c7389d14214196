import pytest
import torch

from mapush_stack.learning.native.gae import advantages


def slow_advantage(rewards, values, next_values, terminated, truncated, gamma, lam, t, n, v):
    """Schulman et al., equation (16), as a sum over the rest of the episode."""
    total, weight = 0.0, 1.0
    for step in range(t, len(rewards)):
        follows = 0.0 if terminated[step, n] else gamma * float(next_values[step, n, v])
        total += weight * (float(rewards[step, n, v]) + follows - float(values[step, n, v]))
        if terminated[step, n] or truncated[step, n]:
            break
        weight *= gamma * lam
    return total


@pytest.mark.parametrize("heads", [1, 3])
def test_advantages_are_the_discounted_sums_of_deltas(heads):
    generator = torch.Generator().manual_seed(0)
    shape = (12, 5, heads)
    rewards, values, next_values = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    terminated = torch.rand(shape[:2], generator=generator) < 0.15
    truncated = (torch.rand(shape[:2], generator=generator) < 0.15) & ~terminated
    found = advantages(rewards, values, next_values, terminated, truncated, 0.97, 0.9)
    for t in range(12):
        for n in range(5):
            for v in range(heads):
                expected = slow_advantage(rewards, values, next_values, terminated, truncated, 0.97, 0.9, t, n, v)
                assert float(found[t, n, v]) == pytest.approx(expected, abs=1e-10)


def test_a_time_limit_bootstraps_and_a_termination_does_not():
    one = torch.ones(1, 1, 1)
    no, yes = torch.zeros(1, 1, dtype=torch.bool), torch.ones(1, 1, dtype=torch.bool)
    assert float(advantages(one, one, 10 * one, no, yes, 0.9, 0.95)) == pytest.approx(1 + 9 - 1)
    assert float(advantages(one, one, 10 * one, yes, no, 0.9, 0.95)) == pytest.approx(1 - 1)
