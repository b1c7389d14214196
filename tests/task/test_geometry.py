import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mapush_stack.task.geometry import measure, nearest_edge_normal, pair_distances, robot_pairs, rotate, wrap_to_pi
from tests.conftest import kinematic_env, small_config

SQUARE = [(-0.6, -0.6), (0.6, -0.6), (0.6, 0.6), (-0.6, 0.6)]
TBLOCK = [(-0.5, -0.25), (0.5, -0.25), (0.25, 0.75), (-0.25, 0.75)]


def slow_normal(vertices, point):
    """docs/task.md section 9, one edge after the other."""
    best, normal = math.inf, None
    for (x0, y0), (x1, y1) in zip(vertices, vertices[1:] + vertices[:1]):
        ex, ey = x1 - x0, y1 - y0
        length = math.hypot(ex, ey)
        along = ((point[0] - x0) * ex + (point[1] - y0) * ey) / length
        if 0 <= along <= length:
            distance = abs((point[0] - x0) * ey - (point[1] - y0) * ex) / length
        else:
            distance = min(math.dist(point, (x0, y0)), math.dist(point, (x1, y1)))
        if distance < best - 1e-9:
            best, normal = distance, (-ey / length, ex / length)
    return normal


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([SQUARE, TBLOCK]), st.floats(-3, 3), st.floats(-3, 3))
def test_nearest_edge_normal_is_that_of_the_description(vertices, x, y):
    found = nearest_edge_normal(torch.tensor(vertices, dtype=torch.float64), torch.tensor([x, y], dtype=torch.float64))
    expected = torch.tensor(slow_normal(vertices, (x, y)), dtype=torch.float64)
    edges = [slow_normal(vertices, (x + dx, y + dy)) for dx in (-1e-3, 1e-3) for dy in (-1e-3, 1e-3)]
    if len(set(edges)) == 1:  # not on the border between two edges
        assert torch.allclose(found, expected)


def test_the_first_edge_wins_ties():
    corner = torch.tensor([[0.8, -0.8]])
    assert nearest_edge_normal(torch.tensor(SQUARE), corner).tolist() == [[0.0, 1.0]]


def test_rotate_and_wrap():
    assert torch.allclose(
        rotate(torch.tensor([1.0, 0.0]), torch.tensor(math.pi / 2)), torch.tensor([0.0, 1.0]), atol=1e-6
    )
    angles = torch.tensor([math.pi, -math.pi, 3 * math.pi / 2, 0.1])
    assert torch.allclose(wrap_to_pi(angles), torch.tensor([-math.pi, -math.pi, -math.pi / 2, 0.1]), atol=1e-6)


@pytest.mark.parametrize("robots", [1, 2, 3, 5])
def test_pair_distances(robots):
    positions = torch.randn(4, robots, 3)
    found = pair_distances(positions)
    assert found.shape == (4, robots * (robots - 1) // 2)
    for column, (i, j) in enumerate(robot_pairs(robots)):
        assert torch.allclose(found[:, column], (positions[:, i] - positions[:, j]).norm(dim=-1))


@pytest.mark.parametrize("expanded", [False, True])
def test_measures_agree_with_a_direct_computation(expanded):
    config = small_config(f"task.ocb_expanded={expanded}")
    env = kinematic_env(config)
    env.reset()
    state, target = env.simulator.state(), env._target
    vertices = [tuple(vertex) for vertex in config.object.task.vertices]
    found = measure(config.task, torch.tensor(vertices), state, target)
    for n in range(env.num_envs):
        box, yaw = state.object_pos[n].tolist(), float(state.object_rpy[n, 2])
        gap = [float(target[n, axis]) - box[axis] for axis in (0, 1)]
        assert float(found.target_distance[n]) == pytest.approx(math.hypot(*gap), abs=1e-5)
        if expanded:
            norm = math.hypot(gap[0] + 0.01, gap[1] + 0.01)
            turn = -0.5 * math.remainder(-yaw, 2 * math.pi)
        else:
            norm, turn = math.hypot(*gap), 0.0
        direction = (
            (gap[0] * math.cos(turn) - gap[1] * math.sin(turn)) / norm,
            (gap[0] * math.sin(turn) + gap[1] * math.cos(turn)) / norm,
        )
        for a in range(2):
            offset = [state.robot_pos[n, a, axis].item() - box[axis] for axis in range(3)]
            assert float(found.robot_distance[n, a]) == pytest.approx(math.hypot(*offset), abs=1e-5)
            local = (
                offset[0] * math.cos(yaw) + offset[1] * math.sin(yaw),
                -offset[0] * math.sin(yaw) + offset[1] * math.cos(yaw),
            )
            nx, ny = slow_normal(vertices, local)
            world = (nx * math.cos(yaw) - ny * math.sin(yaw), nx * math.sin(yaw) + ny * math.cos(yaw))
            expected = world[0] * direction[0] + world[1] * direction[1]
            assert float(found.occlusion[n, a]) == pytest.approx(expected, abs=1e-4)


def test_a_robot_behind_the_object_has_occlusion_one():
    config = small_config()
    env = kinematic_env(config)
    env.reset()
    state = env.simulator.state()
    target = state.object_pos[:, :2] + torch.tensor([2.0, 0.0])
    state = state._replace(
        object_rpy=torch.zeros_like(state.object_rpy),
        robot_pos=state.object_pos.unsqueeze(1) + torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    )
    found = measure(config.task, torch.tensor(config.object.task.vertices), state, target)
    assert torch.allclose(found.occlusion, torch.tensor([1.0, -1.0]).expand_as(found.occlusion), atol=1e-6)


def test_the_nearest_edge_of_each_environments_own_outline():
    square = torch.tensor([[-0.6, -0.6], [0.6, -0.6], [0.6, 0.6], [-0.6, 0.6]])
    repeated = torch.cat((square, square[:1].expand(3, 2)))
    wide = repeated * torch.tensor([2.0, 1.0])
    point = torch.randn(5, 2, 40, 2, generator=torch.Generator().manual_seed(0)) * 2
    point[..., 0, :] = torch.tensor([-1.0, -1.2])  # the repeated corner is nearest
    found = nearest_edge_normal(torch.stack((repeated, wide)), point)
    assert torch.equal(found[:, 0], nearest_edge_normal(square, point[:, 0]))
    assert torch.equal(found[:, 1], nearest_edge_normal(square * torch.tensor([2.0, 1.0]), point[:, 1]))
