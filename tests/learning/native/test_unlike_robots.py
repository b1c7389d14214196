"""A team whose robots see and do different things."""

import math

import pytest
import torch

from mapush_stack.learning.native.policy import load_policy
from mapush_stack.learning.vec_env import AgentSpec, EnvSpec, Mirror
from tests.conftest import small_config
from tests.learning.teams import UNLIKE, Team, native

LEARN = [
    "learner.policy.squash=false",
    "learner.policy.mirror=false",
    "learner.actor_lr=0.01",
    "learner.critic_lr=0.01",
    "learner.lr_schedule=constant",
    "learner.gamma=0",
]


def make(algorithm, *overrides, spec=UNLIKE, num_envs=64):
    config = small_config(f"learner.algorithm={algorithm}", *LEARN, *overrides).learner
    env = Team(spec, num_envs)
    env.reset()
    return native(config, env, 8), env


def error(learner, env):
    """Mean squared distance of each robot's deterministic action from what it should do."""
    observations, _ = env.reset()
    return -env.step(learner.team.act(observations)).rewards.mean(0)


@pytest.mark.parametrize("algorithm", ["happo", "mappo"])
def test_each_robot_learns_from_its_own_numbers(algorithm):
    learner, env = make(algorithm)
    before = error(learner, env)
    for _ in range(40):
        learner.collect()
        metrics = learner.update(0, 0.0)
    assert (error(learner, env) < 0.25 * before).all(), (before, error(learner, env))
    assert all(value.isfinite() for value in metrics.values())
    assert [actor.log_std.shape for actor in learner.actors] == [(3,), (1,)]


def test_log_probabilities_count_only_a_robots_own_numbers():
    learner, env = make("mappo")
    observations, _ = env.observe()
    actions, log_probs = learner.act(observations)
    assert not actions[:, 1, 1:].any() and actions[:, 1, 0].any()
    for index, agent in enumerate(UNLIKE.agents):
        actor, seen = learner.actors[index], observations[:, index, : agent.observation_size]
        own = actor.log_prob(actor(seen), actions[:, index, : agent.action_size])
        assert torch.allclose(log_probs[:, index], own, atol=1e-5)
    # Before any update every probability is as it was.
    learner.collect()
    for index in range(2):
        assert torch.allclose(learner.probability_ratio(index), torch.ones(()), atol=1e-4)


def test_a_policy_of_unlike_robots_comes_back_from_its_weights():
    learner, env = make("happo")
    policy = load_policy(learner.config, UNLIKE, env.device, learner.model_state())
    observations, _ = env.observe()
    assert torch.equal(policy.act(observations), learner.team.act(observations))
    assert policy.act(observations).shape == (64, 2, 3)


def test_mirror_signs_are_each_robots_own():
    spec = EnvSpec(
        (AgentSpec(3, 2, Mirror((1.0, -1.0, 1.0), (1.0, -1.0))), AgentSpec(2, 1, Mirror((-1.0, 1.0), (-1.0,)))), (1, 5)
    )
    learner, env = make("happo", "learner.policy.mirror=true", spec=spec)
    for parameter in (p for actor in learner.actors for p in actor.net.parameters()):
        parameter.data.normal_(generator=torch.Generator().manual_seed(2))
    observations, _ = env.observe()
    reflected = observations * torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    mirrored = learner.team.act(observations) * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert torch.allclose(learner.team.act(reflected), mirrored, atol=1e-5)


def test_robots_that_are_alike_have_no_zeros_to_leave_out():
    learner, _ = make("happo", spec=EnvSpec((AgentSpec(4, 2),) * 3, (1, 12)))
    assert learner.team.own is None and learner.spec.alike and not UNLIKE.alike
    assert (UNLIKE.num_agents, UNLIKE.observation_size, UNLIKE.action_size) == (2, 5, 3)
    assert UNLIKE.agents[0].action_bound == math.inf
