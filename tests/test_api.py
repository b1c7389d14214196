from pathlib import Path

import pytest
import torch

import mapush_stack
from mapush_stack import UserError
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def env(mujoco):
    env = mapush_stack.make_env(mapush_stack.load_config(overrides=SMALL))
    env.reset()
    yield env
    env.close()


@pytest.fixture(scope="module")
def policy(env):
    return mapush_stack.load_policy("cuboid-planar", env)


def test_a_policy_acts_for_any_number_of_environments(env, policy):
    observations, _ = env.observe()
    assert policy.act(observations).shape == (8, 2, 3)
    assert torch.equal(policy.act(observations[:3]), policy.act(observations)[:3])


@pytest.mark.parametrize(
    "change, words",
    [
        (
            lambda seen: seen[:, :1],
            r"have the shape \[8, 2, 22\], not \[8, 1, 22\]: \[num_envs, num_robots, observation_size\]",
        ),
        (lambda seen: seen[0], r"the shape \[2, 2, 22\], not \[2, 22\]"),
        (lambda seen: seen[..., :20], r"not \[8, 2, 20\]"),
        (lambda seen: seen.double(), "not float64 on cpu"),
        (lambda seen: seen.numpy(), r"not ndarray of shape \[8, 2, 22\]"),
        (lambda seen: seen.tolist(), "not list"),
        (lambda seen: None, "not NoneType"),
        (lambda seen: torch.tensor(0.0), r"not \[\]"),
        (lambda seen: seen * float("nan"), r"observations\[0, 0\]=\[nan, .* finite"),
    ],
)
def test_a_policy_refuses_what_is_no_observation(env, policy, change, words):
    with pytest.raises(UserError, match=words):
        policy.act(change(env.observe()[0]))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda config: mapush_stack.make_env("default"), "config must be what load_config returns, not 'default'"),
        (lambda config: mapush_stack.make_env(config.task), "config must be what load_config returns, not TaskConfig"),
        (lambda config: mapush_stack.make_env(config, seed="a"), "seed='a' is not allowed: it must be a whole number"),
        (lambda config: mapush_stack.make_env(config, seed=1.5), r"seed=1\.5 is not allowed"),
        (lambda config: mapush_stack.load_config(None), "preset must be a string, not None"),
        (lambda config: mapush_stack.load_config(object=3), "object must be a string, not 3"),
        (lambda config: mapush_stack.load_config(overrides=[4]), "an override must be a string, not 4"),
        (lambda config: mapush_stack.load_config(overrides=None), "an override must be a string, not None"),
        (lambda config: mapush_stack.load_config(overrides={"a": 1}), "an override must be a string, not {'a': 1}"),
        (lambda config: mapush_stack.load_policy("cuboid-planar", None), "env must be what make_env returns, not None"),
        (lambda config: mapush_stack.load_policy(None, None), "path must be a string, not None"),
        (lambda config: mapush_stack.load_config(Path("nowhere.yaml")), "there is no preset called nowhere.yaml"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call, words):
    with pytest.raises(UserError, match=words):
        call(mapush_stack.load_config(overrides=SMALL))
