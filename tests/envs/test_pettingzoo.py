import copy
import importlib
import pickle
import sys
import warnings

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from tests.conftest import kinematic_env, small_config

MODULE = "mapush_stack.envs.pettingzoo"


def make(*overrides, seed=0):
    from mapush_stack.envs.pettingzoo import PushParallelEnv

    config = small_config("sim.num_envs=1", "learner.actor_minibatches=1", "learner.critic_minibatches=1", *overrides)
    return PushParallelEnv(kinematic_env(config, seed, auto_reset=False))


@pytest.fixture
def pettingzoo():
    """PettingZoo where it is installed (`nox -s openrl` has it)."""
    return pytest.importorskip("pettingzoo")


@pytest.mark.parametrize(
    "layout, goal", [("target_frame", "position"), ("observation", "position"), ("target_frame", "pose")]
)
def test_it_passes_pettingzoos_own_tests(pettingzoo, layout, goal):
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    def new():
        options = [f"task.global_state={layout}", f"task.goal={goal}", "learner.algorithm=mappo"]
        return make("task.episode_seconds=2", *options)

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it only warns of some mistakes
        parallel_api_test(new(), num_cycles=300)
    parallel_seed_test(new)


def test_spaces_agents_and_state(pettingzoo):
    env = make()
    assert env.possible_agents == ["robot_0", "robot_1"] and env.render_mode is None
    observations, _ = env.reset(seed=1)
    for agent in env.agents:
        assert env.observation_space(agent).contains(observations[agent])
        assert env.action_space(agent).shape == (3,)
    assert env.state_space.contains(env.state())


def play(env, seed):
    """Everything of one episode with the same actions."""
    dice = np.random.default_rng(0)
    seen = [env.reset(seed=seed)[0]]
    while env.agents:
        seen += env.step({agent: dice.normal(size=3) for agent in env.agents})
    return seen


def test_a_seed_gives_an_episode_and_no_seed_the_next_one(pettingzoo):
    one, other = make("task.episode_seconds=1"), make("task.episode_seconds=1", seed=5)
    first, again = play(one, 7), play(other, 7)
    assert len(first) > 5 and str(first) == str(again)
    following, same = one.reset()[0], other.reset()[0]
    assert str(following) == str(same) != str(first[0])
    assert str(one.reset()[0]) != str(following)
    assert str(play(one, 8)[0]) != str(first[0])


def test_an_episode_ends_for_all_robots_and_is_seen_where_it_ended(pettingzoo):
    env = make("task.episode_seconds=0.2", "task.action_repeat=5")
    env.reset(seed=0)
    still = {agent: np.zeros(3) for agent in env.agents}
    before, _, _, _, infos = env.step(still)
    assert infos == {"robot_0": {}, "robot_1": {}}
    state = env.state()
    observations, rewards, terminated, truncated, infos = env.step(still)
    assert not env.agents and set(observations) == set(rewards) == {"robot_0", "robot_1"}
    assert truncated == {"robot_0": True, "robot_1": True} and not any(terminated.values())
    assert infos["robot_0"] == {"cause": "time_limit"}
    # Nobody has moved: a new episode would be seen from elsewhere.
    assert np.allclose(observations["robot_1"], before["robot_1"]) and np.allclose(env.state(), state)


def test_a_team_that_always_acts_alike_earns_what_our_environment_gives(pettingzoo):
    env, ours = make(), kinematic_env(small_config())
    env.reset(seed=0)
    ours.reset()
    for _ in range(20):
        _, rewards, _, _, _ = env.step({agent: np.ones(3) for agent in env.agents})
        expected = ours.step(torch.ones(8, 2, 3)).rewards[0]
        assert list(rewards.values()) == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    "actions, words",
    [
        ({"robot_0": [0.0, 0.0, 0.0]}, "actions has none for robot_1"),
        ({"robot_0": [0.0, 0.0, 0.0], "robot_1": [0.0, float("nan"), 0.0]}, "must be 3 finite numbers"),
        ({"robot_0": [0.0, 0.0], "robot_1": [0.0, 0.0, 0.0]}, r"actions\[robot_0\]=\[0.0, 0.0\] must be 3 finite"),
        ({"robot_0": None, "robot_1": [0.0, 0.0, 0.0]}, r"actions\[robot_0\]=nan must be 3 finite"),
        (
            {"robot_0": ["left"] * 3, "robot_1": [0.0, 0.0, 0.0]},
            r"actions\[robot_0\] must be 3 finite numbers, not ndarray",
        ),
        (
            {f"robot_{index}": [0.0, 0.0, 0.0] for index in range(3)},
            "actions has robot_2, but env.agents are robot_0, r",
        ),
    ],
)
def test_actions_that_cannot_be_taken_are_refused(pettingzoo, actions, words):
    env = make()
    with pytest.raises(UserError, match="call reset first"):
        env.step({})
    env.reset(seed=1)
    with pytest.raises(UserError, match=words):
        env.step({agent: np.array(action) for agent, action in actions.items()})


def test_calls_that_cannot_be_met_are_refused(pettingzoo):
    from mapush_stack.envs.pettingzoo import PushParallelEnv

    env = make()
    with pytest.raises(UserError, match="actions must be a dictionary"):
        env.reset()
        env.step([[0.0] * 3] * 2)
    for call in (env.observation_space, env.action_space):
        with pytest.raises(UserError, match="there is no agent 'robot_9'; there are robot_0, robot_1"):
            call("robot_9")
    with pytest.raises(UserError, match=r"seed=1.5 is not allowed: it must be a whole number"):
        env.reset(seed=1.5)
    env.close(), env.close()
    for call in (env.reset, lambda: env.step(dict.fromkeys(env.agents, np.zeros(3)))):
        with pytest.raises(UserError, match="the environment is closed"):
            call()
    for wrong in (kinematic_env(small_config(), auto_reset=False), kinematic_env(small_config())):
        with pytest.raises(UserError, match=r"needs one task without automatic resets .*, not 8 with"):
            PushParallelEnv(wrong)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_as_the_original(pettingzoo, mujoco, copied):
    from mapush_stack.envs.pettingzoo import parallel_env

    config = small_config("task.episode_seconds=0.5")
    env = parallel_env(config.task, config.object, config.sim, seed=3)
    fresh = copied(env)
    assert str(play(fresh, None)) == str(play(env, None))
    env.reset()
    env.step(dict.fromkeys(env.agents, np.ones(3)))
    other = copied(env)
    assert np.array_equal(other.state(), env.state())
    while env.agents:
        still = dict.fromkeys(env.agents, np.zeros(3))
        assert str(env.step(still)) == str(other.step(still))
    assert not other.agents and str(play(env, None)) == str(play(other, None))


def test_on_mujoco(pettingzoo, mujoco):
    from mapush_stack.envs.pettingzoo import parallel_env

    config = small_config(object_name="cylinder")
    env = parallel_env(config.task, config.object, config.sim, seed=3)
    assert len(play(env, None)[0]) == 3
    env.close()


def test_without_pettingzoo_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(UserError, match=r"pip install 'mapush_stack\[pettingzoo\]'"):
        importlib.import_module(MODULE)
