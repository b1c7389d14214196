"""Narrow gaps: where they are, and how objects go through them."""

import math

import pytest
import torch

from mapush_stack.guidance.gaps import Fit, Gap, narrowest_gap
from mapush_stack.guidance.planners import FastMarching
from mapush_stack.task.obstacles import Layout, nearest
from mapush_stack.task.outline import narrowest
from tests.guidance.test_guidance import drawn

SQUARE = torch.tensor([[-0.6, -0.6], [0.6, -0.6], [0.6, 0.6], [-0.6, 0.6]])


def turned(points, angle):
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ torch.tensor([[cos, sin], [-sin, cos]])


def pair(centres, half, is_round, yaw=0.0):
    """A layout of two like obstacles and one far away."""
    centre = torch.cat((centres, torch.tensor([[900.0, 900.0]])))
    halves = torch.tensor(half).expand(3, 2)
    return Layout(centre, torch.full((3,), yaw), halves, torch.full((3,), is_round)).at((None,))


@pytest.mark.parametrize("angle", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("is_round", [False, True])
def test_the_gap_between_two_obstacles(is_round, angle):
    half = (0.5, 0.5) if is_round else (0.1, 0.5)
    middle = torch.tensor([3.0, 1.0])
    layout = pair(middle + turned(torch.tensor([[0.0, 1.25], [0.0, -1.25]]), angle), half, is_round, angle)
    way = middle + turned(torch.tensor([[-1.2, 0.3], [-0.4, 0.3], [0.3, 0.25], [1.2, 0.2]]), angle)
    gap = narrowest_gap(layout, way.unsqueeze(0))
    aside, across = turned(gap.middle - middle, -angle)[0], turned(gap.across, -angle)[0]
    assert gap.width.item() == pytest.approx(1.5, abs=0.01)
    assert across.abs().tolist() == pytest.approx([0.0, 1.0], abs=0.05)
    assert aside.abs().tolist() == pytest.approx([0.0, 0.0], abs=0.11)  # along a wall's thickness
    assert aside[1].abs() < 0.02
    assert narrowest_gap(layout, way.unsqueeze(0) + 3.0).width.item() > 100


def test_a_target_near_a_gap_is_on_its_axis():
    gap = Gap(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([1.5]))
    care = torch.ones(1)
    for point, expected in (((1.5, 0.2), 0.0), ((1.5, -0.4), -0.1), ((0.5, 0.2), 0.1), ((-0.5, 0.2), 0.2)):
        x, y = gap.centred(torch.tensor([point]), care, 0 * care)[0].tolist()
        assert (x, y) == pytest.approx((point[0], expected), abs=1e-6)
    assert gap.centred(torch.tensor([[1.5, 0.2]]), care, 0.1 * care)[0].tolist() == pytest.approx([1.5, -0.1])
    assert torch.equal(gap.centred(torch.tensor([[1.5, 0.2]]), 0 * care, care), torch.tensor([[1.5, 0.2]]))


@pytest.mark.parametrize("now", [0.0, 1.0, 2.0, 3.0])
def test_an_object_whose_origin_is_not_in_its_middle_goes_through_the_middle(now):
    outline = torch.tensor([[-0.5, -0.25], [0.5, -0.25], [0.25, 0.75], [-0.25, 0.75]])  # the T-block
    gap = Gap(torch.tensor([[2.0, 1.0]]), torch.tensor([[math.sin(0.4), math.cos(0.4)]]), torch.tensor([1.1]))
    fit, care = Fit(outline, 1), torch.ones(1)
    yaw = fit.yaw(gap, torch.tensor([now]))
    assert (yaw - now).abs() <= math.pi / 2 + 1e-5
    origin = gap.centred(gap.middle, care, fit.lean(gap, yaw))
    placed = origin + turned(outline, yaw.item()) - gap.middle
    sides = (placed * gap.across).sum(-1)
    assert sides.max() == pytest.approx(-sides.min().item(), abs=1e-5) and sides.max() < 0.49


def test_where_an_object_is_narrowest():
    triangle, slanted = [(0, 0), (2, 0), (1, 3**0.5)], [(0, 0), (2, 2), (1, 3), (-1, 1)]
    for outline, width in (([(0, 0), (3, 0), (3, 1), (0, 1)], 1.0), (triangle, 3**0.5), (slanted, 2**0.5)):
        found, *_ = narrowest(torch.tensor(outline, dtype=torch.float32))
        assert found.item() == pytest.approx(width)
    _, edge, _ = narrowest(torch.tensor(slanted, dtype=torch.float32))
    assert math.tan(edge.item()) == pytest.approx(1.0)
    # One for each, with a vertex that is repeated.
    both = torch.stack((SQUARE, turned(SQUARE, 0.3)))
    widths, edges, _ = narrowest(torch.cat((both, both[:, :1]), dim=1))
    assert widths.tolist() == pytest.approx([1.2, 1.2])
    assert math.sin(4 * (edges[1] - edges[0] - 0.3)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("fold, now, expected", [(4, 1.2, 0.3 + math.pi / 2), (2, 1.2, 0.3), (1, 3.3, 0.3 + math.pi)])
def test_the_nearest_yaw_at_which_an_object_fits(fold, now, expected):
    """Through a gap whose axis is at 0.3 rad."""
    across = torch.tensor([[-math.sin(0.3), math.cos(0.3)]])
    gap = Gap(torch.zeros(1, 2), across, torch.tensor([1.5]))
    fit = Fit(SQUARE * torch.tensor([1.0, 1.0 if fold == 4 else 0.8]), fold)
    assert fit.yaw(gap, torch.tensor([now])).item() == pytest.approx(expected, abs=1e-5)
    assert fit.care(gap).item() == 1.0
    assert fit.care(gap._replace(width=torch.tensor([2.3]))).item() == 0.0


def test_the_way_through_a_gate_is_in_its_middle():
    task, course = drawn("gates=1", "gap=[1.3,1.8]", "planner=fast_marching")
    planner, fit = FastMarching(task, course, 1), Fit(SQUARE, 4)
    low, high = (course.layout.at((slice(None), number)) for number in (4, 5))
    gate_x, gate_y = low.centre[:, 0], 0.5 * ((low.centre + low.half)[:, 1] + (high.centre - high.half)[:, 1])
    numbers, place, off, met = torch.arange(24), torch.zeros(24, 2), torch.full((24,), 9.0), torch.zeros(24)
    for _ in range(160):
        way = [place]
        for _ in range(5):
            way.append(planner.follow(numbers, way[-1], 0.5))
        around = nearest(course.layout, way[2].unsqueeze(1), 6).at((slice(None), 0))
        gap = narrowest_gap(around, torch.stack(way, dim=1))
        target = gap.centred(way[2], fit.care(gap), torch.zeros(24))
        step = 0.1 * (target - place) / (target - place).norm(dim=-1, keepdim=True).clamp_min(1e-6)
        crosses = (place[:, 0] - gate_x) * (place[:, 0] + step[:, 0] - gate_x) <= 0
        off = torch.where(crosses, (place[:, 1] - gate_y).abs(), off)
        at_gate = (gap.middle[:, 1] - gate_y).abs() < 1e-3
        met += at_gate & (fit.care(gap) == 1.0) & (gap.across[:, 0].abs() < 1e-3)
        place = place + step
    assert off.median() < 0.01 and off.max() < 0.06 and (met > 15).all()
