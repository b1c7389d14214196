"""The contract of HARL's vector environments, without HARL (harl/envs/env_wrappers.py, on_policy_base_runner.py)."""

import numpy as np
import pytest
import torch

from mapush_stack.learning.harl.env import HarlEnv
from tests.conftest import kinematic_env, small_config


def make(*overrides, random_ages=False):
    config = small_config("task.episode_seconds=0.2", "task.target_distance=[2.9,3.0]", *overrides)
    inner = kinematic_env(config)
    inner.reset(random_ages)
    return HarlEnv(inner), kinematic_env(config)


def actions(generator):
    return (2 * torch.rand(8, 2, 3, generator=generator) - 1).numpy()


@pytest.mark.parametrize(
    "layout, states, goal",
    [("target_frame", 1, "position"), ("observation", 2, "position"), ("target_frame", 1, "pose")],
)
def test_shapes_and_types(layout, states, goal):
    options = [f"task.global_state={layout}", f"task.goal={goal}"] + (
        ["learner.algorithm=mappo"] if states == 2 else []
    )
    env, plain = make(*options)
    values, numbers = plain.spec.state_shape
    assert values == states and env.state_type == {1: "EP", 2: "FP"}[states] and env.n_agents == 2
    for spaces, size in (
        (env.observation_space, plain.spec.observation_size),
        (env.share_observation_space, numbers),
        (env.action_space, 3),
    ):
        # HARL looks at the name of the class and at the shape.
        assert [(type(space).__name__, space.shape) for space in spaces] == [("Box", (size,))] * 2
    seen, states, masks = env.reset()
    assert seen.shape == (8, 2, plain.spec.observation_size) and states.shape == (8, 2, numbers) and masks == [None] * 8
    seen, states, rewards, dones, infos, masks = env.step(np.zeros((8, 2, 3), np.float32))
    assert seen.shape == (8, 2, plain.spec.observation_size) and states.shape == (8, 2, numbers) and masks == [None] * 8
    assert rewards.shape == (8, 2, 1) and dones.shape == (8, 2) and dones.dtype == bool
    assert all(array.dtype == np.float32 for array in (seen, states, rewards))
    assert [len(info) for info in infos] == [2] * 8 and all(isinstance(d, dict) for info in infos for d in info)


@pytest.mark.parametrize("quirk", [False, True])
def test_what_the_environment_says_arrives(quirk):
    """Beside the plain environment, over ends of both kinds; actions go in as they are."""
    options = ["learner.algorithm=mappo", "task.global_state=observation"]
    env, plain = make(f"task.quirks.terminal_time_limit={quirk}".lower(), *options)
    assert np.array_equal(env.reset()[0], plain.reset()[0].numpy())
    generator, late = torch.Generator().manual_seed(1), 0
    for _ in range(12):
        action = actions(generator)
        step = plain.step(torch.from_numpy(action))
        seen, states, rewards, dones, infos, _ = env.step(action)
        assert np.array_equal(seen, step.observations.numpy()) and np.array_equal(states, step.state.numpy())
        assert np.array_equal(rewards[..., 0], step.rewards.numpy())
        assert np.array_equal(dones, np.repeat((step.terminated | step.truncated).numpy()[:, None], 2, axis=1))
        assert [[d["bad_transition"] for d in info] for info in infos] == [[t, t] for t in step.truncated.tolist()]
        late += int(step.truncated.sum())
    assert (late > 0) is not quirk and dones.shape == (8, 2)


def test_a_team_with_one_value_shares_its_mean_reward():
    env, plain = make()
    env.reset(), plain.reset()
    generator = torch.Generator().manual_seed(2)
    action = actions(generator)
    own, team = plain.step(torch.from_numpy(action)).rewards, env.step(action)[2][..., 0]
    assert not torch.equal(own[:, 0], own[:, 1])
    assert np.allclose(team, own.mean(-1, keepdim=True).numpy(), atol=1e-6) and np.array_equal(team[:, 0], team[:, 1])


def test_a_team_with_one_value_has_the_same_state_for_each_robot():
    env, plain = make()
    assert np.array_equal(env.reset()[1], plain.reset()[1].expand(-1, 2, -1).numpy())


def test_what_was_returned_is_not_changed_by_the_next_step():
    env, _ = make()
    env.reset()
    first = env.step(np.ones((8, 2, 3), np.float32))[:4]
    kept = [array.copy() for array in first]
    env.step(-np.ones((8, 2, 3), np.float32))
    assert all(np.array_equal(a, b) for a, b in zip(first, kept))


def test_a_reset_leaves_the_environment_as_the_training_loop_has_reset_it():
    ends = []
    for random_ages in (False, True):
        env, _ = make(random_ages=random_ages)
        env.reset()
        dones = [env.step(np.zeros((8, 2, 3), np.float32))[3].any() for _ in range(1)]
        ends.append(dones[0])
    assert ends == [False, True]


def test_unlike_robots_have_spaces_and_numbers_of_their_own(mujoco):
    from mapush_stack.envs.factory import make_env

    config = small_config("team=[planar, rover]")
    inner = make_env(config.task, config.object, config.sim, 0, team=config.team_kinds)
    inner.reset()
    env = HarlEnv(inner)
    assert [space.shape for space in env.observation_space] == [(22,), (24,)]
    assert [space.shape for space in env.action_space] == [(3,), (2,)]
    numbers = [env.reset()[0], env.step(np.zeros((inner.num_envs, 2, 3), np.float32))[0]]
    assert [[seen[:, robot].shape[1] for robot in range(2)] for seen in numbers] == [[22, 24]] * 2
