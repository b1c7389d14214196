import math

import pytest
import torch

from mapush_stack.envs.spec import team_spec
from mapush_stack.task.geometry import rotate
from mapush_stack.task.global_state import global_state
from mapush_stack.task.observations import mirror_signs, observe, outline_of
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


def sets_of(config):
    """The token sets of a robot in the configuration's team, and where its own numbers are."""
    agent = team_spec(config.task, config.object.task, TEAM[: config.object.task.num_robots]).agents[0]
    inside = [number for one in agent.sets for number in range(one.first, one.first + one.count * one.size)]
    return agent, [number for number in range(agent.observation_size) if number not in inside]


@pytest.mark.parametrize("goal", ["position", "pose"])
def test_reflecting_world_and_outline_flips_the_signs_of_sets(goal):
    config = small_config("task.observation=sets", f"task.goal={goal}", object_name="tblock")
    facts = config.object.task
    state, target = random_state(config)
    outline = outline_of(config.task, torch.tensor(facts.vertices))
    mirror, mirrored_target = reflected(state, target[:, :2], 0.0)
    if goal == "pose":
        mirrored_target = torch.cat((mirrored_target, -target[:, 2:]), dim=-1)
    straight = observe(config.task, facts, state, target, None, outline)
    mirrored = observe(config.task, facts, mirror, mirrored_target, None, outline * torch.tensor([1.0, -1.0]))
    signs = torch.tensor(mirror_signs(config.task, facts, TEAM[:2])[0])
    assert signs.shape == straight.shape[-1:]
    assert torch.allclose(mirrored, straight * signs, atol=2e-4)


def test_sets_describe_robots_and_outline_by_tokens():
    config = small_config("task.observation=sets", object_name="cylinder")
    facts = config.object.task
    state, target = random_state(config)
    agent, own = sets_of(config)
    robots, outline = agent.sets
    assert [(one.name, one.count, one.size, one.present) for one in agent.sets] == [
        ("robots", 2, 7, 6),
        ("outline", 16, 4, None),
    ]
    here = torch.tensor([1.0, 1.0, 0.0]).expand(64, 3)
    seen = observe(config.task, facts, state, target, here=here)
    others = seen[..., robots.first : outline.first].unflatten(-1, (2, 7))
    # Robot 0 sees robots 2 and 1, robot 1 robots 0 and 2, robot 2 robots 1 and 0.
    assert torch.equal(others[..., 6], torch.tensor([[0.0, 1], [1, 0], [1, 1]]).expand(64, 3, 2))
    assert not others[:, 0, 0].any() and not others[:, 1, 1].any()
    assert torch.equal(seen[..., agent.present], here)
    place = others[:, 0, 1, :2].norm(dim=-1)
    assert torch.allclose(place, (state.robot_pos[:, 1] - state.robot_pos[:, 0])[:, :2].norm(dim=-1), atol=1e-4)
    # The first point of the outline is the first corner, and all are on the hexagon's edges of 1.5 m.
    points = seen[..., outline.first :].unflatten(-1, (16, 4))
    corner = state.object_pos[:, :2] + rotate(torch.tensor(facts.vertices[0]), state.object_rpy[:, 2])
    distance = (corner - state.robot_pos[:, 0, :2]).norm(dim=-1)
    assert torch.allclose(points[:, 0, 0, :2].norm(dim=-1), distance, atol=1e-4)
    radius = points[..., 2:].norm(dim=-1)
    assert radius.min() > 1.29 and radius.max() < 1.51
    assert len(own) == 11


def test_own_numbers_and_outline_do_not_depend_on_the_others():
    few, many = (small_config("task.observation=sets", f"team=[{','.join(['planar'] * n)}]") for n in (1, 3))
    state, target = random_state(many)
    (one, own), (three, of_three) = sets_of(few), sets_of(many)
    alone = state._replace(
        robot_pos=state.robot_pos[:, :1], robot_rpy=state.robot_rpy[:, :1], senses=state.senses[:, :1]
    )
    a, b = (observe(c.task, c.object.task, s, target)[:, 0] for c, s in ((few, alone), (many, state)))
    assert own == of_three and torch.equal(a[:, own], b[:, own])
    assert torch.equal(a[:, one.sets[1].first :], b[:, three.sets[1].first :])
    assert not a[:, one.sets[0].first : one.sets[1].first].any(), "the token of nobody"


@pytest.mark.parametrize("layout", ["published", "cos_sin", "features", "sets"])
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
