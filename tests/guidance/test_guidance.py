"""Ways around obstacles: arrival times against their equation and scikit-fmm, and planners that lead to the goal."""

import math
import time

import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.guidance import courses, grid, upstream
from mapush_stack.guidance.planners import PLANNERS
from mapush_stack.task.obstacles import distances, present
from mapush_stack.training.config import load
from tests.conftest import small_config

ARENA = ["task.obstacles.arena=[14,14]", "task.target_distance=[8,12]", "task.placement=apart"]


def drawn(*changes, layouts=24):
    config = small_config(*ARENA, f"task.obstacles.layouts={layouts}", *(f"task.obstacles.{one}" for one in changes))
    return config.task, courses.solvable_courses(config.task, config.object.task, 1)


def fields(task, course):
    cells = grid.shape(task.obstacles.arena)
    room = grid.clearance(course, cells)
    pace = grid.speed(room, task.obstacles.slow)
    return room, pace, grid.arrival_time(pace, course.goal - course.corner)


def test_at_one_speed_the_arrival_time_is_the_distance():
    goal = torch.tensor([[3.1, 4.3], [0.1, 9.9]])
    time = grid.arrival_time(torch.ones(2, 56, 40), goal)
    middles = [grid.CELL * (torch.arange(count) + 0.5) for count in (56, 40)]
    points = torch.stack(torch.meshgrid(*middles, indexing="ij"), dim=-1)
    exact = (points - goal.view(2, 1, 1, 2)).norm(dim=-1)
    assert (time - exact).abs().max() < 0.35  # the scheme is of first order
    assert ((time - exact).abs() / exact.clamp_min(1.0)).max() < 0.06
    x, y = grid.cell_of(goal, torch.zeros_like(goal), (56, 40))
    assert torch.allclose(time[range(2), x, y], exact[range(2), x, y], atol=1e-5)


def test_arrival_times_solve_the_eikonal_equation():
    task, course = drawn("boxes=5", "cylinders=3")
    _, pace, time = fields(task, course)
    padded = torch.nn.functional.pad(time, (1, 1, 1, 1), value=grid.NEVER)
    a = torch.minimum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    b = torch.minimum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    slope = ((time - a).clamp_min(0) ** 2 + (time - b).clamp_min(0) ** 2).sqrt() / grid.CELL
    middles = grid.CELL * (torch.stack(torch.meshgrid(torch.arange(56), torch.arange(56), indexing="ij"), -1) + 0.5)
    far = (middles - (course.goal - course.corner).view(-1, 1, 1, 2)).norm(dim=-1) > 1.0
    assert ((slope * pace)[far] - 1).abs().max() < 0.1


def test_arrival_times_are_those_of_scikit_fmm():
    skfmm = pytest.importorskip("skfmm")
    task, course = drawn("boxes=5", "cylinders=3", "slow=[0.3, 2.5]", layouts=6)
    _, _, time = fields(task, course)
    fine = 6  # of its cells in a cell
    side = grid.CELL / fine
    middles = side * (torch.arange(56 * fine) + 0.5)
    points = torch.stack(torch.meshgrid(middles, middles, indexing="ij"), dim=-1)
    for number in range(6):
        goal = (course.goal - course.corner)[number]
        one = course.layout.at(slice(number, number + 1))
        room = distances(one, (points + course.corner[number]).view(1, -1, 2)).amin(-1).view(len(middles), -1)
        pace = grid.speed(room, task.obstacles.slow).double()
        inner = 0.06
        nearest = pace[int(goal[0] / side), int(goal[1] / side)]
        phi = (points - goal).norm(dim=-1).double().numpy() - inner
        exact = torch.tensor(skfmm.travel_time(phi, pace.numpy(), dx=side, order=2)) + inner / nearest
        exact = exact.view(56, fine, 56, fine)[:, 2:4, :, 2:4].mean((1, 3))
        start = grid.cell_of(torch.zeros(2), course.corner[number], (56, 56))
        assert abs(float(time[number][start] / exact[start]) - 1) < 0.2  # on a coarse grid
        # What counts is the direction of the way.
        ours, theirs = (torch.stack(torch.gradient(field.double()), dim=-1) for field in (time[number], exact))
        cosine = torch.nn.functional.cosine_similarity(ours, theirs, dim=-1)
        open_cells = grid.clearance(course, (56, 56))[number] > 0.6
        assert math.degrees(math.acos(float(cosine[open_cells].median()))) < 6


@pytest.mark.parametrize("changes", [("boxes=5", "cylinders=3"), ("gates=1", "gap=[1.5,1.5]")])
def test_the_fastest_way_leads_to_the_goal_and_keeps_clear(changes):
    task, course = drawn(*changes, "planner=fast_marching")
    planner = PLANNERS["fast_marching"](task, course, 1)
    numbers, place = torch.arange(24), torch.zeros(24, 2)
    narrowest = torch.full((24,), 9.0)
    for _ in range(160):
        narrowest = torch.minimum(narrowest, distances(course.layout, place[:, None])[:, 0].amin(-1))
        target, _ = planner.target(numbers, place, numbers)
        assert ((target - place).norm(dim=-1) < task.obstacles.look_ahead + 0.02).all()
        place = place + 0.25 * (target - place)
    assert (place - course.goal).norm(dim=-1).max() < 0.05
    assert narrowest.min() > (0.55 if "gates=1" in changes else 0.75)


def test_every_course_has_a_way_of_the_clearance_that_was_asked_for():
    task, course = drawn("boxes=10", "cylinders=6", "clearance=1.2")
    cells = grid.shape(task.obstacles.arena)
    room = grid.clearance(course, cells)
    start, goal = (grid.cell_of(point, course.corner, cells) for point in (torch.zeros_like(course.goal), course.goal))
    assert grid.widest_way(room, start, goal).min() >= 1.2


@pytest.mark.parametrize("layouts", [1, 1024])
def test_a_clearance_that_cannot_be_met_is_refused_soon(layouts):
    began = time.process_time()
    with pytest.raises(UserError, match=r"of (301|512) layouts that were drawn, 0 have room .* clearance 3 m; ask for"):
        drawn("boxes=9", "clearance=3", layouts=layouts)
    assert time.process_time() - began < 20


def test_a_gap_that_the_object_does_not_fit_through_is_refused():
    says = r"task.obstacles.gap=\[1.1, 2\] is not allowed: the object is 1.2 m wide; give gaps that are wider"
    with pytest.raises(UserError, match=says):
        drawn("gates=1", "gap=[1.1,2]")
    drawn("gap=[1.1,2]", layouts=2)


def test_a_gate_that_a_layout_does_not_have_asks_for_no_less_clearance():
    changes = ["boxes=7", "cylinders=5", "gates=1", "gate_share=0.5", "gap=[1.3, 1.5]"]
    task, course = drawn(*changes, "clearance=1.1", layouts=40)
    gates = present(course.layout)[:, 4]
    assert 8 < gates.sum() < 32
    assert courses._spare(task, course).min() >= 0
    # Beside the gates too there is as much clearance as was asked for.
    cells = grid.shape(task.obstacles.arena)
    start, goal = (grid.cell_of(point, course.corner, cells) for point in (torch.zeros_like(course.goal), course.goal))
    others = course.layout.at((slice(None), [0, 1, 2, 3, *range(6, 18)]))
    widest = [
        grid.widest_way(grid.clearance(one, cells), start, goal) for one in (course, course._replace(layout=others))
    ]
    assert 0.5 < widest[0][gates].min() < 0.75 and widest[1].min() >= 1.1


def test_the_other_planners():
    task, course = drawn("boxes=5", "cylinders=3", "planner=straight")
    numbers, place, none = torch.arange(24), torch.zeros(24, 2), torch.zeros(24, dtype=torch.int64)
    straight, _ = PLANNERS["straight"](task, course, 1).target(numbers, place, none)
    assert torch.allclose(straight, course.goal / course.goal.norm(dim=-1, keepdim=True), atol=1e-5)
    assert torch.equal(PLANNERS["direct"](task, course, 1).target(numbers, place, none)[0], course.goal)
    tree = PLANNERS["rrt"](task, course, 1)
    passed = none
    for _ in range(40):
        target, passed = tree.target(numbers, place, passed)
        place = target
    assert torch.allclose(place, course.goal, atol=1e-4) and (passed == 12).all()


def test_ompl_finds_a_way_that_keeps_clear_and_the_team_follows_it():
    pytest.importorskip("ompl")
    task, course = drawn("boxes=5", "cylinders=3", "planner=rrt_star", layouts=6)
    planner = PLANNERS["rrt_star"](task, course, 1)
    numbers, place, none = torch.arange(6), torch.zeros(6, 2), torch.zeros(6, dtype=torch.int64)
    narrowest, length = torch.full((6,), 9.0), torch.zeros(6)
    for _ in range(150):
        target, _ = planner.target(numbers, place, none)
        step = 0.1 * (target - place)
        place, length = place + step, length + step.norm(dim=-1)
        narrowest = torch.minimum(narrowest, distances(course.layout, place[:, None])[:, 0].amin(-1))
    assert (place - course.goal).norm(dim=-1).max() < 0.05
    assert narrowest.min() > 0.7 and (length / course.goal.norm(dim=-1)).max() < 1.5
    again = PLANNERS["rrt_star"](task, course, 1)
    assert torch.equal(planner.follow(numbers, place, 1.0), again.follow(numbers, place, 1.0))


def test_the_fastest_way_is_as_short_as_the_exact_one_around_polygons():
    """With one speed where the clearance suffices, against a visibility graph of the obstacles made larger by it."""
    shapely = pytest.importorskip("shapely")
    from tests.guidance.visibility import shortest_way

    room = 0.9
    task, course = drawn("boxes=5", "cylinders=3", f"slow=[{room}, {room}]", "planner=fast_marching", layouts=12)
    planner = PLANNERS["fast_marching"](task, course, 1)
    numbers, place, length = torch.arange(12), torch.zeros(12, 2), torch.zeros(12)
    for _ in range(900):
        step = planner.follow(numbers, place, 0.125) - place
        place, length = place + 0.2 * step, length + 0.2 * step.norm(dim=-1)
    assert (place - course.goal).norm(dim=-1).max() < 0.05
    # The grid sees a gap up to half a cell wider or narrower.
    wide, narrow = (
        torch.tensor([shortest_way(shapely, course, number, room + by) for number in range(12)])
        for by in (-0.5 * grid.CELL, 0.5 * grid.CELL)
    )
    assert narrow.isfinite().all() and (length > 0.99 * wide).all() and (length < 1.09 * narrow).all()
    assert (length / (0.5 * (wide + narrow))).median() < 1.02


def upstream_courses(layouts):
    changes = ["arena=[14,15]", "boxes=2", "size=[1,1]", "drawing=upstream", f"layouts={layouts}"]
    config = small_config("task.placement=behind", *(f"task.obstacles.{one}" for one in changes))
    course = courses.solvable_courses(config.task, config.object.task, 1)
    return course, upstream.kinds(config.task, config.object.task, 2, course, 1.2)


@pytest.mark.slow
def test_courses_as_upstream_draws_them():
    """Shares by Monte Carlo of upstream's own ranges: 7 % overlap at the start, 26 % block the straight line."""
    course, kinds = upstream_courses(3000)
    assert torch.equal(course.corner, torch.tensor([[-1.6, -7.5]]).expand(3000, 2))
    assert course.goal[:, 0].min() >= 7.9 and course.goal[:, 1].abs().min() >= 2.0
    assert 0.4 < (course.goal[:, 1] > 0).float().mean() < 0.6
    assert torch.stack(list(kinds.values())).sum(0).eq(1).all()
    shares = {name: float(mask.float().mean()) for name, mask in kinds.items()}
    assert 0.07 < shares["impossible"] < 0.13 and 0.14 < shares["blocked"] < 0.22
    # The first box in the place of a robot, then the second on the line to the goal, then both at the sides.
    course.layout.centre[:3, 4:] = torch.tensor([0.0, 7.0])
    course.layout.centre[0, 4] = torch.tensor([-1.3, 0.6])
    course.layout.centre[1, 5] = 0.5 * course.goal[1]
    config = small_config("task.placement=behind", "task.obstacles.arena=[14,15]")
    three = type(course)(course.layout.at(slice(3)), course.goal[:3], course.corner[:3])
    found = upstream.kinds(config.task, config.object.task, 2, three, 1.2)
    assert [[name for name in found if found[name][row]] for row in range(3)] == [
        ["impossible"],
        ["blocked"],
        ["clear"],
    ]


def test_what_upstream_does_not_draw_is_refused():
    for changes, says in {
        ("drawing=upstream", "cylinders=1"): "drawing=upstream has boxes only: leave gates, cylinders and fewer out",
        (
            "drawing=upstream",
            "boxes=2",
            "arena=[9,9]",
        ): r"arena=\[9.0, 9.0\] is too small for drawing=upstream; upstream's",
        ("planner=network",): "network and planner=network must be given together",
        ("network=some.pt",): "network and planner=network must be given together",
    }.items():
        with pytest.raises(UserError, match=says):
            drawn(*changes, layouts=2)


def test_a_round_object_is_as_wide_as_its_circle():
    """The vertices of upstream's cylinder are a hexagon in it, 2.6 m wide."""
    cylinder = load("long-way", "cylinder").object.task
    assert courses.least_width(cylinder, torch.tensor(cylinder.vertices)) == pytest.approx(3.0, abs=0.01)
    with pytest.raises(UserError, match=r"the object is 3.002 m wide; .* such as task.obstacles.gap=\[3.3,4.5\]"):
        config = load("long-way", "cylinder")
        courses.solvable_courses(config.task, config.object.task, 1)
