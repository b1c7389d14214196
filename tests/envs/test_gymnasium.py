import copy
import importlib
import pickle
import sys

import numpy as np
import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.task.robot import RobotTask
from tests.conftest import kinematic_env, small_config
from tests.kinematic import KinematicSimulator

MODULE = "mapush_stack.envs.gymnasium"
SHORT = "task.episode_seconds=0.5"


@pytest.fixture(autouse=True)
def gymnasium():
    return pytest.importorskip("gymnasium", "1.1")


def make(*overrides, per_robot=False, **options):
    from mapush_stack.envs.gymnasium import PushVectorEnv

    return PushVectorEnv(kinematic_env(small_config(*overrides), **options), per_robot)


@pytest.mark.parametrize("per_robot, goal, size", [(False, "position", 22), (True, "position", 22), (True, "pose", 24)])
def test_rows_are_what_the_environment_gives(per_robot, goal, size):
    options = [SHORT, f"task.goal={goal}"]
    ours, env = kinematic_env(small_config(*options)), make(*options, per_robot=per_robot)
    seen, infos = env.reset(seed=0)
    observations, _ = ours.reset()
    rows = (16, size) if per_robot else (8, 2 * size)
    assert env.num_envs == len(seen) == rows[0] and infos == {}
    dice = np.random.default_rng(0)
    ends = 0
    for _ in range(12):
        assert np.array_equal(seen, observations.reshape(rows))
        assert env.observation_space.contains(seen) and env.single_observation_space.contains(seen[3])
        actions = dice.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        seen, rewards, terminated, truncated, infos = env.step(actions)
        step = ours.step(torch.from_numpy(actions).view(8, 2, 3))
        observations = step.observations
        expected = step.rewards.flatten() if per_robot else step.rewards.mean(-1)
        assert np.allclose(rewards, expected)
        each = rows[0] // 8
        assert np.array_equal(terminated, np.repeat(step.terminated.numpy(), each))
        assert np.array_equal(truncated, np.repeat(step.truncated.numpy(), each))
        ended, last = terminated | truncated, ours.final_observations(step).reshape(rows)
        assert bool(infos) == ended.any()
        if infos:
            ends += 1
            assert np.array_equal(infos["_final_obs"], ended) and np.array_equal(infos["_final_info"], ended)
            for row in ended.nonzero()[0]:
                assert np.array_equal(infos["final_obs"][row], last[row])
                assert not np.array_equal(infos["final_obs"][row], seen[row])
            assert all(infos["final_obs"][row] is None for row in (~ended).nonzero()[0])
            assert np.array_equal(
                infos["final_info"]["is_success"][ended], np.repeat(step.episode.success.numpy(), each)[ended]
            )
    assert ends >= 2


def test_it_says_that_it_resets_in_the_same_step_and_wrappers_understand_it(gymnasium):
    from gymnasium.wrappers.vector import DictInfoToList, NormalizeReward, RecordEpisodeStatistics

    env = make(SHORT)
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    wrapped = DictInfoToList(RecordEpisodeStatistics(NormalizeReward(env)))
    wrapped.reset(seed=1)
    wrapped.action_space.seed(1)
    for _ in range(5):
        *_, truncated, infos = wrapped.step(wrapped.action_space.sample())
    assert truncated.any()
    for row in truncated.nonzero()[0]:
        assert infos[row]["final_info"]["is_success"] in (True, False) and infos[row]["episode"]["l"] == 5
        assert env.single_observation_space.contains(infos[row]["final_obs"])


def test_a_seed_gives_its_episodes_and_no_seed_new_ones():
    env, other = make(SHORT), make(SHORT, seed=5)
    first = env.reset(seed=7)[0]
    assert np.array_equal(other.reset(seed=7)[0], first)
    seen = [first]
    for _ in range(7):
        step = env.step(np.zeros(env.action_space.shape))
        seen += [step[0]] if (step[2] | step[3]).all() else []
    seen.append(env.reset()[0])
    assert len({row.tobytes() for rows in seen for row in rows}) == 8 * len(seen)


def test_robots_of_several_kinds_act_in_one_row_of_their_own_numbers():
    from mapush_stack.envs.gymnasium import PushVectorEnv
    from mapush_stack.envs.push_env import PushEnv

    config, simulator = small_config(), KinematicSimulator(8, 2)
    simulator.robots = (RobotTask(command_axes=(0, 2)), RobotTask())  # the first one cannot slide sideways
    inner = PushEnv(config.task, config.object.task, simulator, 0)
    env, commands = PushVectorEnv(inner), []
    simulator.step = lambda command, repeat: (
        commands.append(command) or KinematicSimulator.step(simulator, command, repeat)
    )
    assert env.action_space.shape == (8, 5)
    env.reset()
    env.step(np.tile(np.array([0.5, -0.5, 0.25, 0.5, 0.75], np.float32), (8, 1)))
    limit = torch.tensor(config.task.command_limit) * config.task.action_gain
    assert torch.allclose(commands[0][3], limit * torch.tensor([[0.5, 0.0, -0.5], [0.25, 0.5, 0.75]]))
    with pytest.raises(UserError, match="per_robot=True needs a team of robots of one kind"):
        PushVectorEnv(inner, per_robot=True)


def test_actions_that_cannot_be_taken_are_refused():
    env = make()
    good = np.zeros((8, 6), np.float32)
    with pytest.raises(UserError, match="call reset first"):
        env.step(good)
    env.reset()
    broken = good.copy()
    broken[5, 2] = np.nan
    for actions, words in [
        (good[:4], r"actions of shape \[4, 6\] must be \[8, 6\] finite numbers"),
        (good.reshape(8, 2, 3), r"actions of shape \[8, 2, 3\] must be \[8, 6\]"),
        (broken, r"row 5 is not"),
        (None, r"must be \[8, 6\] finite numbers"),
        ("left", r"actions must be \[8, 6\] finite numbers, not str"),
        ({"robot_0": 1}, r"not dict"),
        (good.astype(float) + 1e300, r"row 0 is not"),
    ]:
        with pytest.raises(UserError, match=words):
            env.step(actions)
    with pytest.raises(UserError, match=r"seed='x' is not allowed: it must be a whole number"):
        env.reset(seed="x")
    env.step(good.tolist())
    env.close(), env.close()
    for call in (lambda: env.step(good), env.reset):
        with pytest.raises(UserError, match="the environment is closed"):
            call()


def test_what_cannot_be_wrapped_is_refused():
    with pytest.raises(UserError, match="leave auto_reset=False out"):
        make(auto_reset=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_on_as_the_original(copied):
    env = make(SHORT)
    env.reset()
    env.step(np.ones((8, 6)))
    other = copied(env)
    for _ in range(8):
        for one, two in zip(env.step(np.ones((8, 6)))[:4], other.step(np.ones((8, 6)))[:4]):
            assert np.array_equal(one, two)
    assert np.array_equal(env.reset()[0], other.reset()[0])


def test_without_gymnasium_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium.vector", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(UserError, match=r"pip install 'gymnasium>=1.1'"):
        importlib.import_module(MODULE)
