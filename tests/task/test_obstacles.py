"""Layouts of obstacles: distances and gaps against brute force, and what every drawn course keeps."""

import math

import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.task.geometry import rotate
from mapush_stack.task.obstacle_config import ObstacleConfig
from mapush_stack.task.obstacles import Layout, Rooms, away, distances, draw_course, gaps

ROOMS = Rooms(start=2.0, goal=1.2)
SQUARE = torch.tensor([[-0.6, -0.6], [0.6, -0.6], [0.6, 0.6], [-0.6, 0.6]])


def random_layout(count=3, envs=200, spread=3.0):
    torch.manual_seed(0)
    is_round = torch.arange(count).expand(envs, count) % 2 == 1
    half = 0.2 + 0.8 * torch.rand(envs, count, 2)
    half[..., 1] = torch.where(is_round, half[..., 0], half[..., 1])
    centre = spread * (2 * torch.rand(envs, count, 2) - 1)
    return Layout(centre, math.pi * torch.rand(envs, count) * ~is_round, half, is_round)


def boundary(layout, env, obstacle, count=4000):
    """Points on the edge of an obstacle."""
    angle = torch.linspace(0, 2 * math.pi, count)
    circle = torch.stack((angle.cos(), angle.sin()), dim=-1)
    half = layout.half[env, obstacle]
    if not layout.round[env, obstacle]:
        circle = circle / circle.abs().amax(-1, keepdim=True)
    return layout.centre[env, obstacle] + rotate(circle * half, layout.yaw[env, obstacle].expand(count))


def test_distances_and_away_are_those_of_the_nearest_edge_points():
    layout = random_layout(envs=20)
    points = 3 * (2 * torch.rand(20, 5, 2) - 1)
    found, pushed = distances(layout, points), away(layout, points, 4.0)
    for env in range(20):
        edges = [boundary(layout, env, obstacle) for obstacle in range(3)]
        for number, point in enumerate(points[env]):
            to_edges = torch.stack([(edge - point).norm(dim=-1).min() for edge in edges])
            assert torch.allclose(found[env, number].abs(), to_edges, atol=5e-3)
            nearest = int(found[env, number].argmin())
            if found[env, number, nearest] > 0.05:
                edge = edges[nearest]
                direction = point - edge[(edge - point).norm(dim=-1).argmin()]
                expected = direction / direction.norm() * (1 - direction.norm() / 4.0).clamp_min(0.0)
                assert torch.allclose(pushed[env, number], expected, atol=0.02)


@pytest.mark.parametrize("outline", [SQUARE, torch.tensor([[-0.13, 0.0], [0.16, 0.0]])])
def test_gaps_are_exact_where_things_are_apart(outline):
    layout = random_layout()
    yaw = math.pi * torch.rand(200)
    placed = rotate(outline, yaw[:, None])
    found = gaps(layout, placed)
    share = torch.linspace(0, 1, 200)[:, None]
    apart = 0
    for env in range(200):
        ends = placed[env].roll(-1, 0)
        edge = torch.cat([one + share * (other - one) for one, other in zip(placed[env], ends)])
        inside = distances(layout.at(slice(env, env + 1)), edge[None])[0].amin()
        if inside > 0.02:
            apart += 1
            assert abs(float(inside - found[env])) < 5e-3
        elif inside < -0.02:
            assert found[env] < 0.62  # an outline may hold an obstacle's corner or cross it
    assert apart > 50


def test_every_course_keeps_start_and_goal_free_and_obstacles_apart():
    config = ObstacleConfig(arena=(14, 12), boxes=5, cylinders=3)
    numbers = torch.arange(300)
    course, placed = draw_course(config, (8.0, 12.0), ROOMS, 3, numbers, 0)
    assert placed.float().mean() > 0.9
    ends = torch.stack((torch.zeros_like(course.goal), course.goal), dim=1)
    room = distances(course.layout, ends).amin(-1)[placed]
    assert room[:, 0].min() >= ROOMS.start - 1e-4 and room[:, 1].min() >= ROOMS.goal - 1e-4
    length = course.goal.norm(dim=-1)
    assert 8.0 <= length.min() < 8.2 and 11.8 < length.max() <= 12.0
    # A course depends on its number, not on those drawn with it.
    alone, _ = draw_course(config, (8.0, 12.0), ROOMS, 3, numbers[7:8], 0)
    assert all(torch.equal(one, many[7:8]) for one, many in zip(alone.layout, course.layout))
    between = (course.layout.centre[:, 4:, None] - course.layout.centre[:, None, 4:]).norm(dim=-1)
    assert between[placed][between[placed] > 0].min() > 0.3


def test_a_gate_has_the_gap_that_was_asked_for():
    config = ObstacleConfig(arena=(14, 14), gates=2, gap=(1.4, 1.6), gate_share=0.5)
    course, _ = draw_course(config, (10.0, 12.0), ROOMS, 3, torch.arange(400), 0)
    low, high = course.layout.at((slice(None), slice(4, None, 2))), course.layout.at((slice(None), slice(5, None, 2)))
    gap = (high.centre - high.half)[..., 1] - (low.centre + low.half)[..., 1]
    assert gap.min() >= 1.4 - 1e-4 and gap.max() <= 1.6 + 1e-4
    there = low.centre[:, 0, 0].abs() < 100
    assert 0.4 < there.float().mean() < 0.6
    between = low.centre[there, :, 0] / course.goal[there, :1]
    assert between.min() > 0 and between.max() < 1


def test_fewer_obstacles():
    config = ObstacleConfig(arena=(14, 14), boxes=4, cylinders=4, fewer=True)
    course, _ = draw_course(config, (8.0, 12.0), ROOMS, 3, torch.arange(900), 0)
    counts = (course.layout.centre[:, 4:, 0] < 100).sum(-1)
    assert all(60 < int((counts == count).sum()) < 140 for count in range(9))


def test_an_arena_that_is_too_small_is_refused():
    with pytest.raises(UserError, match=r"arena=\[8.0, 8.0\] is too small for targets up to 12 m"):
        draw_course(ObstacleConfig(arena=(8, 8)), (8.0, 12.0), ROOMS, 0, torch.arange(1), 0)
