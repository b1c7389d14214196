"""OpenRL's contract of an environment; none of it needs OpenRL, and gymnasium only gives shapes."""

import sys
import types

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.learning.openrl.env import OpenRLVecEnv
from tests.conftest import kinematic_env, small_config


class Box:
    def __init__(self, low, high, shape, dtype):
        self.low, self.high, self.shape, self.dtype = low, high, shape, dtype


@pytest.fixture(autouse=True)
def gymnasium(monkeypatch):
    """gymnasium where it is installed, else as much of it as is used."""
    try:
        import gymnasium  # noqa: F401
    except ImportError:
        fake = types.ModuleType("gymnasium")
        fake.spaces = types.SimpleNamespace(Box=Box, Dict=lambda spaces: spaces)
        monkeypatch.setitem(sys.modules, "gymnasium", fake)


def both(*overrides, seed=0):
    """OpenRL's environment, and one of our own that must do the same."""
    config = small_config("task.observation=published", "learner.policy.mirror=false", *overrides)
    inner = kinematic_env(config, seed)
    inner.reset()
    return OpenRLVecEnv(inner), kinematic_env(config, seed)


def actions(steps=30):
    return np.random.default_rng(0).normal(size=(steps, 8, 2, 3)).astype(np.float32)


def test_it_is_the_environment_in_numpy():
    vec_env, env = both()
    assert (vec_env.parallel_env_num, vec_env.agent_num, vec_env.use_monitor) == (8, 2, False)
    observations, (ours, state) = vec_env.reset(seed=99), env.reset()
    for action in actions():
        assert observations["policy"].shape == (8, 2, *vec_env.observation_space["policy"].shape)
        assert observations["critic"].shape == (8, 2, *vec_env.observation_space["critic"].shape)
        assert np.array_equal(observations["policy"], ours.numpy()) and observations["policy"].dtype == np.float32
        for robot in range(2):  # each has the state of the team
            assert np.array_equal(observations["critic"][:, robot], state[:, 0].numpy())
        observations, rewards, dones, infos = vec_env.step(action, extra_data={})
        step = env.step(torch.from_numpy(action))
        ours, state = step.observations, step.state
        assert rewards.shape == (8, 2, 1) and np.array_equal(rewards[..., 0], step.rewards.numpy())
        assert dones.shape == (8, 2) and dones.dtype == bool and len(infos) == 8


def test_a_critic_sees_the_truth_where_robots_measure():
    fields = "task.sensing.object_position_noise=0.5", "task.global_state=observation", "learner.algorithm=mappo"
    vec_env, env = both(*fields)
    observations = vec_env.reset()
    assert not (abs(observations["policy"] - observations["critic"]) < 1e-3).all(-1).any()
    assert np.array_equal(observations["critic"], env.reset()[1].numpy())


def test_a_critic_that_sees_what_a_robot_sees_has_one_array_as_upstream():
    vec_env, env = both("task.global_state=observation", "learner.algorithm=mappo")
    observations = vec_env.reset()
    assert observations.shape == (8, 2, *vec_env.observation_space.shape)
    assert np.array_equal(observations, env.reset()[0].numpy())


def test_an_action_that_the_space_ends_at_is_the_fastest_command():
    vec_env, _ = both("task.action_gain=0.5", "task.action_repeat=1")
    assert vec_env.action_space.shape == (3,)
    seen = []
    for factor in (1.0, 10.0, 0.5):
        vec_env.env.reset()
        bound = np.broadcast_to(vec_env.action_space.high, (8, 2, 3))
        seen.append(vec_env.step(factor * bound)[0]["policy"])
    assert np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[0], seen[2])


@pytest.mark.parametrize("terminal", ["false", "true"])
def test_only_a_time_limit_is_a_bad_transition_and_the_next_episode_has_begun(terminal):
    limit = ["task.episode_seconds=0.2", "task.action_repeat=5", f"task.quirks.terminal_time_limit={terminal}"]
    vec_env, env = both(*limit)
    vec_env.reset()
    env.reset()
    for decision in (1, 2):
        observations, _, dones, infos = vec_env.step(np.zeros((8, 2, 3), np.float32))
        assert dones.all() == (decision == 2) == dones.any()
        marked = [info.get("bad_transition") == [True, True] for info in infos]
        assert all(marked) if decision == 2 and terminal == "false" else not any(marked)
    assert np.array_equal(observations["policy"], env.reset(episode=1)[0].numpy())


def test_an_episode_that_ends_otherwise_is_no_bad_transition():
    vec_env, env = both("task.target_distance=[1.5,1.51]", "task.success_distance=1.49", "task.episode_seconds=3")
    vec_env.reset()
    env.reset()
    successes = limits = 0
    for _ in range(60):
        _, _, dones, infos = vec_env.step(np.ones((8, 2, 3), np.float32))
        step = env.step(torch.ones(8, 2, 3))
        marked = np.array(["bad_transition" in info for info in infos])
        assert np.array_equal(marked, step.truncated.numpy()) and np.array_equal(dones[:, 0], step.episode.done.numpy())
        successes += int(step.episode.success.sum())
        limits += int(step.truncated.sum())
    assert successes and limits


def test_the_statistics_are_left_to_the_training_loop():
    vec_env, _ = both()
    vec_env.step(np.zeros((8, 2, 3), np.float32))
    assert vec_env.batch_rewards(None) == {}
    assert vec_env.env.statistics.pop_numbers()["control_steps"] == 8 * vec_env.env.config.action_repeat


def test_a_reset_shows_the_environment_as_it_stands():
    """The training loop has reset it, or restored it."""
    vec_env, env = both()
    action = actions(1)[0]
    vec_env.step(action)
    env.reset()
    env.step(torch.from_numpy(action))
    assert np.array_equal(vec_env.reset()["policy"], env.observe()[0].numpy())


def test_without_gymnasium_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UserError, match=r"pip install 'mapush_stack\[openrl\]'"):
        both()
