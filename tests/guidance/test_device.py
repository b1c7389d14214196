"""What runs on a GPU makes no tensor on the host: with torch's device `meta`, which mixes with no other either."""

import pytest
import torch

from mapush_stack.envs import goals, leader, obstacles, upper_network
from mapush_stack.envs.episodes import Beginning
from mapush_stack.guidance import grid
from mapush_stack.task.geometry import Measures
from mapush_stack.task.obstacles import Course, Layout
from mapush_stack.task.state import SimState
from tests.conftest import small_config
from tests.guidance.test_guidance import ARENA
from tests.kinematic import KinematicSimulator
from tests.learning.openrl.test_restricted_pickle import write_module

META = torch.device("meta")


def zeros(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype, device=META)


@pytest.mark.parametrize("planner, aligned", [("fast_marching", False), ("fast_marching", True), ("straight", True)])
def test_a_decision_stays_on_its_device(planner, aligned, monkeypatch):
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.minimum(zeros(2), torch.zeros(2))
    changes = [f"planner={planner}", "boxes=3", "gates=1", "cylinders=2", "observed=true", "patience=1", "layouts=6"]
    goal = f"task.goal={'pose' if aligned else 'position'}"
    changes.append(f"aligned={str(aligned).lower()}")
    config = small_config(*ARENA, goal, *(f"task.obstacles.{one}" for one in changes))
    slots = len(config.task.obstacles.slots)
    monkeypatch.setattr(grid, "settled", lambda before, time: True)
    pair = (6, slots, 2)
    layout = Layout(*(torch.zeros(shape) for shape in (pair, pair[:2], pair)), torch.zeros(pair[:2]).bool())
    course = Course(layout, torch.zeros(6, 2), torch.zeros(6, 2))
    monkeypatch.setattr(obstacles, "solvable_courses", lambda *_: course)
    simulator = KinematicSimulator(4, 2)
    simulator.device, simulator.place_obstacles = META, lambda *_: None
    around = obstacles.Obstacles(config.task, config.object.task, simulator, 1)
    shapes = [(6, 4, 2, 3) if name.startswith("robot") else (6, 4, 3) for name in SimState._fields[:8]]
    path = SimState(*(zeros(*shape) for shape in shapes), zeros(6, 4, 2, 0), zeros(6, 4, dtype=torch.bool))
    rows, mask = zeros(4, dtype=torch.int64), zeros(4, dtype=torch.bool)
    around.start(rows, rows, rows, mask)
    passage = around.follow(path, zeros(5, 4, dtype=torch.bool), path.at(-1))
    now = Measures(*(zeros(6, 4) for _ in Measures._fields))
    target, here = around.target(path.at(-1)), zeros(4, 2)
    seen = path.at(-1), target, None, here, around.goal, around.layout, leader.ring_points().to(META)
    led = leader.observed(config.task, config.object.task, *seen)
    found = (*passage, target, around.reached(path, now).angle_error, around.goal, led)
    assert all(tensor.device == META for tensor in found)


def test_goals_stay_on_their_device(monkeypatch):
    # torch 1.13 has no meta kernel for what draws numbers.
    monkeypatch.setattr(goals, "uniform", lambda *_: zeros(4, 1))
    config = small_config("task.goals=[[[1, 2], [3, 4]], [[5, 6]]]", "task.goal_speed=0.1")
    present = goals.Goals(config.task, config.object.task, 4, META)
    rows, state = zeros(4, dtype=torch.int64), SimState(*(zeros(4, 3) for _ in SimState._fields))
    present.start(rows, Beginning(1, rows, rows, state, zeros(4, 2)), zeros(4, dtype=torch.bool))
    present.follow(state)
    reached = present.reached(Measures(*(zeros(5, 4) for _ in Measures._fields)))
    assert present.target().device == reached.target_distance.device == META


def test_upstreams_policy_stays_on_its_device(tmp_path, monkeypatch):
    write_module(tmp_path / "goals.pt", monkeypatch, sizes=(26, 2))
    network = [f"task.obstacles.{one}" for one in ("boxes=3", "planner=network", f"network={tmp_path / 'goals.pt'}")]
    config = small_config(*ARENA, *network)
    slots = len(config.task.obstacles.slots)
    monkeypatch.setattr(upper_network, "waypoints", lambda *_: torch.zeros(6, 13, 2))
    layout = Layout(zeros(6, slots, 2), zeros(6, slots), zeros(6, slots, 2), zeros(6, slots, dtype=torch.bool))
    planner = upper_network.UpperNetwork(config.task, Course(layout, zeros(6, 2), zeros(6, 2)), 1)
    numbers, vectors = zeros(4, dtype=torch.int64), [zeros(4, 2, 3)] * 4 + [zeros(4, 3)] * 4
    planner.see(SimState(*vectors, zeros(4, 2, 0), zeros(4, dtype=torch.bool)))
    target, passed = planner.target(numbers, zeros(4, 2), numbers)
    assert target.device == passed.device == META and target.shape == (4, 2)
