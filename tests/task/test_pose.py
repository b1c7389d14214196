"""Goals that are poses: the target's yaw counts, up to the symmetry of the object."""

import math

import pytest
import torch

from mapush_stack.envs.spec import team_spec
from mapush_stack.errors import UserError
from mapush_stack.task import terminations
from mapush_stack.task.geometry import measure
from mapush_stack.task.global_state import global_state
from mapush_stack.task.observations import mirror_signs, observe
from mapush_stack.task.resets import draw_start
from mapush_stack.task.robot import RobotTask
from tests.conftest import kinematic_env, small_config
from tests.task.test_observations import random_state, reflected

OBJECTS = ["cuboid", "tblock", "cylinder"]
LAYOUTS = ["published", "cos_sin", "features"]


def pose_config(*overrides, object_name="cuboid"):
    return small_config("task.goal=pose", *overrides, object_name=object_name)


def posed(config, turn):
    """A state with a target 5 cm away whose yaw is the object's plus `turn` degrees, and its measures."""
    state, target = random_state(config, 4)
    target = torch.cat((state.object_pos[:, :2] + torch.tensor([0.05, 0.0]), target[:, 2:]), dim=-1)
    target[:, 2] = state.object_rpy[:, 2] + math.radians(turn)
    facts = config.object.task
    return state, target, measure(config.task, torch.tensor(facts.vertices), state, target, facts.symmetry_fold)


@pytest.mark.parametrize(
    "object_name, turn, error",
    [
        ("cuboid", 10, 10),
        ("cuboid", 80, 10),
        ("cuboid", -100, 10),
        ("cuboid", 455, 5),
        ("tblock", 80, 80),
        ("tblock", 181, 179),
        ("tblock", -350, 10),
        ("cylinder", 123, 0),
    ],
)
def test_the_angle_error_knows_the_objects_symmetry(object_name, turn, error):
    _, _, found = posed(pose_config(object_name=object_name), turn)
    assert torch.rad2deg(found.angle_error).tolist() == pytest.approx([error] * 4, abs=1e-3)


@pytest.mark.parametrize("turn, away, success", [(4, 0.05, True), (6, 0.05, False), (4, 0.12, False), (91, 0.05, True)])
def test_success_needs_place_and_angle(turn, away, success):
    config = pose_config()
    state, target, _ = posed(config, turn)
    target[:, :2] = state.object_pos[:, :2] + torch.tensor([away, 0.0])
    now = measure(config.task, torch.tensor(config.object.task.vertices), state, target, 4)
    false = torch.zeros(4, dtype=torch.bool)
    heights = torch.full((2,), 0.45)
    found = terminations.evaluate(config.task, config.object.task, heights, state, now, torch.ones(4), false)
    assert found.finished.tolist() == [success] * 4


def test_targets_are_where_they_are_without_a_yaw_which_is_uniform():
    ids, zero = torch.arange(4000), torch.zeros(4000, dtype=torch.int64)
    plain, pose = (
        draw_start(config.task, config.object.task, 3, ids, zero) for config in (small_config(), pose_config())
    )
    assert all(torch.equal(a, b) for a, b in zip((*plain.state, plain.target), (*pose.state, pose.target[:, :2])))
    yaw = pose.target[:, 2]
    counts = torch.histc(yaw, 8, 0, 2 * math.pi)
    assert (counts - 500).abs().max() < 100
    for other in (pose.state.object_rpy[:, 2], plain.target.norm(dim=-1), torch.atan2(*plain.target.T)):
        assert abs(float(torch.corrcoef(torch.stack((yaw, other)))[0, 1])) < 0.05


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("object_name", OBJECTS)
def test_reflecting_the_world_flips_what_the_robots_see_of_the_turn(object_name, layout):
    config = pose_config(f"task.observation={layout}", object_name=object_name)
    facts = config.object.task
    axis = math.radians(facts.mirror_axis)
    state, target = random_state(config)
    mirror, mirrored_target = reflected(state, target[:, :2], axis)
    mirrored_target = torch.cat((mirrored_target, -target[:, 2:] - 2 * axis), dim=-1)
    signs = torch.tensor(mirror_signs(config.task, facts, [RobotTask()] * facts.num_robots)[0])
    straight, mirrored = (observe(config.task, facts, *both) for both in ((state, target), (mirror, mirrored_target)))
    assert torch.allclose(mirrored, straight * signs, atol=5e-4)


@pytest.mark.parametrize("object_name", OBJECTS)
def test_what_is_seen_of_the_turn_does_not_change_when_the_world_turns(object_name):
    config = pose_config(object_name=object_name)
    facts = config.object.task
    state, target = random_state(config)
    turned = state._replace(
        object_rpy=state.object_rpy + torch.tensor([0.0, 0.0, 0.7]),
        robot_rpy=state.robot_rpy + torch.tensor([0.0, 0.0, 0.7]),
    )
    after = target + torch.tensor([0.0, 0.0, 0.7])
    for see in (observe, global_state):
        before_turn, after_turn = (see(config.task, facts, *both) for both in ((state, target), (turned, after)))
        assert torch.allclose(before_turn[..., -2:], after_turn[..., -2:], atol=1e-4)
    fold = facts.symmetry_fold
    same = target + torch.tensor([0.0, 0.0, 2 * math.pi / fold if fold else 1.0])
    assert torch.allclose(
        observe(config.task, facts, state, same), observe(config.task, facts, state, target), atol=1e-4
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("states", ["published", "target_frame", "observation"])
def test_every_layout_grows_by_two_numbers(layout, states):
    options = [f"task.observation={layout}", f"task.global_state={states}", "learner.policy.mirror=false"]
    options.append("learner.algorithm=mappo")
    plain, pose = (
        team_spec(config.task, config.object.task, [RobotTask()] * 2)
        for config in (small_config(*options), pose_config(*options))
    )
    assert pose.observation_size == plain.observation_size + 2
    assert pose.state_shape == (plain.state_shape[0], plain.state_shape[1] + 2)


def test_an_environment_reports_the_angle_at_the_end():
    env = kinematic_env(pose_config("task.episode_seconds=0.2", "task.target_distance=[2.9,3.0]"))
    env.reset()
    yaw = env._state.object_rpy[:, 2].clone()
    target = env.target.clone()
    env.step(torch.zeros(8, 2, 3))
    step = env.step(torch.zeros(8, 2, 3))
    turn = target[:, 2] - yaw
    expected = torch.atan2(torch.sin(4 * turn), torch.cos(4 * turn)).abs() / 4
    assert step.truncated.sum() >= 6
    assert torch.allclose(step.episode.angle_error[step.truncated], expected[step.truncated], atol=1e-5)
    sums = env.statistics.pop_numbers()
    done = step.episode.done
    assert sums["angle_error"] == pytest.approx(float(expected[done].sum()), abs=1e-4)


@pytest.mark.parametrize(
    "override, words",
    [
        ("task.goal=poses", "task.goal"),
        ("task.pose_angle=0", "task.pose_angle"),
        ("task.pose_angle=181", "task.pose_angle"),
        ("task.pose_distance=-1", "task.pose_distance"),
        ("task.ocb_expanded=true", "ocb_expanded must be false with goal=pose"),
    ],
)
def test_wrong_values_are_one_sentence(override, words):
    with pytest.raises(UserError, match=words):
        pose_config(override)


def test_a_stage_cannot_change_the_goal():
    stage = "training.stages=[{name: a, steps: 480, changes: {task: {goal: pose}}}]"
    with pytest.raises(UserError, match=r"cannot change task.goal: the networks are kept"):
        small_config(stage, "training.total_steps=null")
