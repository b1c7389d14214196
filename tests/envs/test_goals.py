"""Goals that come one after the other, and goals that move."""

import json

import pytest
import torch

from mapush_stack.errors import UserError
from tests.cli.runner import mapush
from tests.conftest import kinematic_env, small_config

STILL = torch.zeros(4, 2, 3)
FIELDS = ["sim.num_envs=4", "task.success_distance=0.5", "task.rewards.progress=1"]
TWO = "task.goals=[[[2, 0], [2, 2]], [[0, -3]]]"


def put(env, *places):
    """The objects stand here, m, one for each environment; returns the decision that saw it."""
    env.simulator._tensors["object"][:, :2] = torch.tensor(places, dtype=torch.float32)
    return env.step(STILL)


def test_an_episode_ends_at_the_last_goal_of_its_sequence():
    env = kinematic_env(small_config(*FIELDS, TWO))
    env.reset()
    assert env.goal.tolist() == [[2, 0], [0, -3], [2, 0], [0, -3]]
    step = put(env, (2, 0.1), (0, 0), (2, 2), (0, -3))
    # The first goal is reached, and the next one is seen; the last goal before its turn is nothing.
    assert step.episode.success.tolist() == [False, False, False, True] == step.terminated.tolist()
    assert env.goal.tolist() == [[2, 2], [0, -3], [2, 0], [2, 0]]  # the next episode has the next sequence
    step = put(env, (2, 1.9), (0, 0), (0, 0), (0, 0))
    assert step.episode.success.tolist() == [True, False, False, False] and step.episode.cause[0] == 1
    # The distances of a decision's rewards are all to the goal that it had.
    assert step.rewards[0].mean() > 1.5 and step.rewards[1].mean() < 0


def test_poses_have_a_yaw_to_reach():
    env = kinematic_env(small_config(*FIELDS, "task.goal=pose", "task.goals=[[[2, 0, 0.5], [2, 2, 0]]]"))
    env.reset()
    assert env.goal[0].tolist() == [2, 0, 0.5]
    for yaw, then in ((0.2, [2, 0, 0.5]), (0.45, [2, 2, 0])):
        env.simulator._tensors["object"][:, 2] = yaw
        put(env, *[(2, 0)] * 4)
        assert env.goal[0].tolist() == then


def test_a_goal_moves_and_can_be_met_on_its_way():
    env = kinematic_env(small_config(*FIELDS, "task.goal_speed=0.2", "task.action_repeat=5"), seed=2)
    env.reset()
    first = env.goal.clone()
    for _ in range(10):
        env.step(STILL)
    moved = env.goal - first
    assert torch.allclose(moved.norm(dim=-1), torch.full((4,), 0.2), atol=1e-3)
    assert moved.unique(dim=0).shape[0] == 4  # each in its own direction
    assert put(env, *env.goal.tolist()).episode.success.all()
    env.step(STILL)
    # What a stopped run keeps.
    again = kinematic_env(small_config(*FIELDS, "task.goal_speed=0.2", "task.action_repeat=5"), seed=2)
    again.reset()
    again.load_state_dict(env.state_dict())
    env.step(STILL), again.step(STILL)
    assert torch.equal(env.goal, again.goal)


def test_the_front_door(mujoco, tmp_path):
    file, words = tmp_path / "goals.json", ["--pretrained", "cuboid-planar", "--episodes", 4, "--json"]
    file.write_text("[[1.5, 0], [1.5, 1.5]]")
    near = json.loads(mapush("evaluate", *words, "--goals", file, "--set", "task.episode_seconds=40")[0])[0]
    file.write_text("[[[1.5, 0]]]")
    one = json.loads(mapush("evaluate", *words, "--goals", file)[0])[0]
    assert near["successes"] == one["successes"] == 4 and near["finished_time"] > one["finished_time"] > 0

    for text, says in {
        "[]": "goals.json holds no goals; give a list of them, such as [[2, 0], [2, 2]]",
        '[["a", 1]]': "goals.json holds no goals",
        "[[1, 2], 3]": "goals.json holds no goals",
        "[[1e999, 2]]": "goals.json holds no goals",
        "[[1, 2, 3]]": "sequence 0 has the goal [1.0, 2.0, 3.0]; with goal=position each must be [x, y] in m",
        "[[2000, 0]]": "goals.json holds no goals; give a list of them",
        "[[true, 0]]": "goals.json holds no goals",
        json.dumps([[1, 0]] * 2001): "goals.json holds 2,001 goals; at most 2,000 are allowed",
        "{": "goals.json cannot be read as JSON",
    }.items():
        file.write_text(text)
        _, err = mapush("evaluate", *words, "--goals", file, code=2)
        assert says in err and err.count("\n") == 1, err
    file.write_text("[[1, 2]]")
    _, err = mapush("evaluate", "--pretrained", "long-way-planar", "--goals", file, code=2)
    assert "obstacles.arena must be null with goals or goal_speed" in err
    _, err = mapush("evaluate", *words, "--goals", file, "--set", "task.goals=[[[3, 0]]]", code=2)
    assert "contradict each other" in err


def test_goals_that_are_none():
    with pytest.raises(
        UserError, match=r"goals: sequence 1 has the goal \[\]; with goal=position each must be \[x, y\]"
    ):
        small_config("task.goals=[[[1, 2]], []]")
    with pytest.raises(UserError, match=r"each must be \[x, y, yaw\] in m and rad, at most 1000 m away"):
        small_config("task.goals=[[[1, 2]]]", "task.goal=pose")
