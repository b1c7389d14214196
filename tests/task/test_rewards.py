import math

import pytest
import torch

from mapush_stack.task import rewards
from mapush_stack.task.geometry import Measures
from tests.conftest import small_config


def measures(target_distance, robot_distance, planar, pairs, occlusion, speed, angle=0.0):
    def row(value):
        return torch.tensor(value, dtype=torch.float64).unsqueeze(0)

    return Measures(*map(row, (target_distance, robot_distance, planar, pairs, occlusion, speed, angle)))


NOW = measures(1.8, [1.3, 0.9], [1.2, 0.85], [0.4], [0.6, -0.2], 0.2, 0.5)
BEFORE = measures(1.9, [1.5, 0.8], [1.4, 0.75], [0.5], [0.5, -0.1], 0.0, 0.75)


def transition(preset="default", finished=False, exceptional=0, now=NOW, before=BEFORE):
    config = small_config(preset=preset).task
    ends = torch.tensor([finished]), torch.tensor([exceptional])
    return rewards.Transition(config, now, before, *ends, None, None, torch.tensor([[0.15, 0.19, 0.04]]))


def test_each_term_is_its_formula():
    step = transition(finished=True, exceptional=2)
    both = {
        "success": [1, 1],
        "exception": [2, 2],
        "target": [2 * 0.1 - 0.01 * 1.8] * 2,
        "progress": [0.1, 0.1],
        "angle_progress": [0.25, 0.25],
        "approach": [-((1.2 + 0.5) ** 2), -((0.85 + 0.5) ** 2)],
        "approach_progress": [0.2, -0.1],
        "collision": [1 / (0.02 + 0.4 / 3)] * 2,
        "separation": [0.1, 0.1],
        "obstacle": [0.3, 1.05],  # the object 0.25, the robots 0.05 and 0.8
        "contact": [0.0, 0.2],
        "push": [1, 1],
        "ocb": [0.6, -0.2],
        "ocb_progress": [0.1, -0.1],
    }
    assert set(both) == set(rewards.TERMS)
    for name, expected in both.items():
        assert rewards.TERMS[name](step)[0].tolist() == pytest.approx(expected), name


def test_a_slow_object_is_not_pushed():
    still = NOW._replace(object_speed=torch.tensor([0.1], dtype=torch.float64))
    assert rewards.push(transition(now=still)).tolist() == [[0.0, 0.0]]


def test_the_paper_preset_adds_up_to_upstreams_reward():
    step = transition("paper")
    found = rewards.weighted_terms(step).sum(0)[0].tolist()
    expected = []
    for distance, faced in ((1.3, 0.6), (0.9, -0.2)):
        value = 100 * 0.00325 * (2 * (1.9 - 1.8) - 0.01 * 1.8)
        value += -0.00075 * (distance + 0.5) ** 2
        value += -0.0025 / (0.02 + 0.4 / 3)
        value += 0.0015
        value += 0.004 * faced
        expected.append(value)
    assert found == pytest.approx(expected)


def test_the_rebalanced_rewards_lose_the_hidden_factor():
    step = transition("balanced")
    assert rewards.target(step)[0].tolist() == pytest.approx([2 * 0.1 - 0.01 * 1.8] * 2)


def test_three_robots_pay_for_every_pair():
    distances = torch.tensor([[0.4, 0.6, 1.2]], dtype=torch.float64)
    zero = torch.zeros(1, 3, dtype=torch.float64)
    now = NOW._replace(pair_distance=distances, robot_distance=zero, planar_robot_distance=zero, occlusion=zero)
    found = rewards.separation(transition(now=now, before=now))[0].tolist()
    assert found == pytest.approx([0.1, 0.1, 0.0])


def test_only_terms_with_a_weight_are_computed(monkeypatch):
    monkeypatch.setitem(rewards.TERMS._things, "collision", lambda step: pytest.fail("collision has weight 0"))
    step = transition()
    names = rewards.active_terms(step.config)
    assert "collision" not in names and "progress" in names
    assert rewards.weighted_terms(step).shape == (len(names), 1, 2)


def test_rewards_are_finite_where_robots_coincide():
    now = NOW._replace(pair_distance=torch.zeros(1, 1, dtype=torch.float64))
    assert math.isfinite(float(rewards.collision(transition(now=now)).sum()))
