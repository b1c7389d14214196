import math

import pytest
import torch

from mapush_stack.task.global_state import global_state
from mapush_stack.task.observations import mirror_signs, observe
from mapush_stack.task.resets import draw_start
from mapush_stack.task.robot import RobotTask
from tests.conftest import small_config

TEAM = (RobotTask(),) * 3


def random_state(config, size=64):
    start = draw_start(config.task, config.object.task, 3, torch.arange(size), torch.zeros(size, dtype=torch.int64))
    offset = torch.randn(size, 2, generator=torch.Generator().manual_seed(1))
    state = start.state
    moved = state.object_pos.clone()
    moved[:, :2] += offset
    return state._replace(object_pos=moved), start.target


@pytest.mark.parametrize("name, size", [("cuboid", 8), ("tblock", 8), ("cylinder", 11)])
def test_published_layout_is_that_of_the_description(name, size):
    config = small_config("task.observation=published", "learner.policy.mirror=false", object_name=name)
    state, target = random_state(config)
    found = observe(config.task, config.object.task, state, target)
    robots = config.object.task.num_robots
    assert found.shape == (64, robots, size)
    for n in range(64):
        for j in range(robots):
            seen = [(target[n], None), (state.object_pos[n], state.object_rpy[n, 2])]
            for back in range(1, robots):
                other = (j - back) % robots
                seen.append((state.robot_pos[n, other], state.robot_rpy[n, other, 2]))
            expected = slow_relative(state.robot_pos[n, j].tolist(), float(state.robot_rpy[n, j, 2]), seen)
            assert found[n, j].tolist() == pytest.approx(expected, abs=1e-4)


def slow_relative(own, heading, seen):
    """Positions in the frame at `own` with that heading, each with its relative yaw in [0, 2 pi) if it has one."""
    numbers = []
    for point, yaw in seen:
        dx, dy = float(point[0]) - own[0], float(point[1]) - own[1]
        cos, sin = math.cos(-heading), math.sin(-heading)
        numbers += [cos * dx - sin * dy, sin * dx + cos * dy]
        if yaw is not None:
            numbers.append((float(yaw) - heading) % (2 * math.pi))
    return numbers


def reflected(state, target, axis_offset):
    """The world reflected about its x axis, for an object whose mirror axis is at `axis_offset`."""

    def flip(vector, rotational=False):
        signs = torch.tensor([-1.0, 1.0, -1.0] if rotational else [1.0, -1.0, 1.0])
        return vector * signs

    rpy = state.object_rpy.clone()
    rpy[:, 2] = -rpy[:, 2] - 2 * axis_offset
    state = state._replace(
        robot_pos=flip(state.robot_pos),
        robot_rpy=flip(state.robot_rpy, rotational=True),
        robot_lin_vel=flip(state.robot_lin_vel),
        robot_ang_vel=flip(state.robot_ang_vel, rotational=True),
        object_pos=flip(state.object_pos),
        object_rpy=rpy,
        object_lin_vel=flip(state.object_lin_vel),
        object_ang_vel=flip(state.object_ang_vel, rotational=True),
    )
    return state, target * torch.tensor([1.0, -1.0])


@pytest.mark.parametrize("layout", ["cos_sin", "features"])
@pytest.mark.parametrize("name", ["cuboid", "tblock", "cylinder"])
def test_reflecting_the_world_flips_the_signs_that_the_layout_says(name, layout):
    config = small_config(f"task.observation={layout}", object_name=name)
    facts = config.object.task
    state, target = random_state(config)
    signs = torch.tensor(mirror_signs(config.task, facts, TEAM[: facts.num_robots])[0])
    straight = observe(config.task, facts, state, target)
    mirrored = observe(config.task, facts, *reflected(state, target, math.radians(facts.mirror_axis)))
    assert signs.shape == straight.shape[-1:]
    assert torch.allclose(mirrored, straight * signs, atol=2e-4)


def test_the_published_layout_has_no_linear_mirror():
    config = small_config("task.observation=published", "learner.policy.mirror=false")
    assert mirror_signs(config.task, config.object.task, TEAM) is None


@pytest.mark.parametrize("layout", ["published", "cos_sin", "features"])
def test_observations_do_not_depend_on_where_the_world_lies(layout):
    config = small_config(f"task.observation={layout}", "learner.policy.mirror=false")
    facts = config.object.task
    state, target = random_state(config)
    before = observe(config.task, facts, state, target)
    shift = torch.tensor([3.0, -7.0, 0.0])
    moved = state._replace(robot_pos=state.robot_pos + shift, object_pos=state.object_pos + shift)
    assert torch.allclose(observe(config.task, facts, moved, target + shift[:2]), before, atol=1e-3)


@pytest.mark.parametrize("fold, name", [(4, "cuboid"), (0, "cylinder")])
def test_features_hide_what_the_objects_symmetry_hides(fold, name):
    config = small_config(object_name=name)
    facts = config.object.task
    assert facts.symmetry_fold == fold
    state, target = random_state(config)
    turned = state._replace(object_rpy=state.object_rpy + torch.tensor([0.0, 0.0, math.pi / 2]))
    before, after = (observe(config.task, facts, s, target) for s in (state, turned))
    same = (before - after).abs().amax((0, 1)) < 1e-4
    # Only the robot's position in the object's own frame (two numbers) tells the quarter turn.
    assert int((~same).sum()) == 2


def test_global_states_have_their_documented_sizes():
    sizes = {}
    for name in ("cuboid", "cylinder"):
        for layout in ("published", "target_frame"):
            config = small_config(f"task.global_state={layout}", object_name=name)
            state, target = random_state(config)
            sizes[name, layout] = tuple(global_state(config.task, config.object.task, state, target).shape[1:])
    assert sizes == {
        ("cuboid", "published"): (1, 17),
        ("cuboid", "target_frame"): (1, 22),
        ("cylinder", "published"): (1, 22),
        ("cylinder", "target_frame"): (1, 29),
    }


def test_the_target_frame_state_does_not_change_when_the_world_turns():
    config = small_config()
    state, target = random_state(config)
    before = global_state(config.task, config.object.task, state, target)
    angle = torch.tensor(0.7)
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    add = torch.tensor([0.0, 0.0, 0.7])
    turned = state._replace(
        robot_pos=state.robot_pos @ turn.T,
        robot_rpy=state.robot_rpy + add,
        robot_lin_vel=state.robot_lin_vel @ turn.T,
        object_pos=state.object_pos @ turn.T,
        object_rpy=state.object_rpy + add,
        object_lin_vel=state.object_lin_vel @ turn.T,
    )
    after = global_state(config.task, config.object.task, turned, target @ turn[:2, :2].T)
    assert torch.allclose(after, before, atol=1e-4)
