"""One update of the real HARL and one of this project's learners, on the same rollout and in the same order."""

from collections import deque

import pytest
import torch

from mapush_stack.learning.harl import arguments, library, weights
from mapush_stack.learning.harl.env import HarlEnv
from mapush_stack.learning.native.rollout_buffer import RolloutBuffer
from mapush_stack.training import config as configuration
from tests.conftest import SMALL, kinematic_env
from tests.learning.teams import native, plan_of

LENGTH, ENVS = 24, 16
SETTINGS = [
    *SMALL,
    f"training.rollout_length={LENGTH}",
    f"sim.num_envs={ENVS}",
    "learner.policy.network.hidden=[16, 12]",
    "learner.critic.hidden=[16, 12]",
    "learner.actor_minibatches=3",
    "learner.critic_minibatches=4",
]
VARIANTS = {
    "published": [],
    "tanh, no normalisers, tight bounds": [
        "learner.policy.network.activation=tanh",
        "learner.critic.activation=tanh",
        "learner.policy.network.input_norm=false",
        "learner.critic.input_norm=false",
        "learner.value_norm=false",
        "learner.actor_max_grad_norm=0.1",
        "learner.critic_max_grad_norm=0.1",
        "learner.value_loss_coef=0.5",
    ],
    "squared errors, unclipped values": [
        "learner.value_loss=mse",
        "learner.value_clip=null",
        "learner.huber_delta=0.1",
    ],
    "small bounds": [
        "learner.huber_delta=0.05",
        "learner.entropy_coef=0.1",
        "learner.clip=0.05",
        "learner.value_clip=0.05",
    ],
}


class Both:
    """HARL's runner and our learner with the same weights."""

    def __init__(self, harl, algorithm, *overrides):
        options = [*SETTINGS, *overrides, f"learner.algorithm={algorithm}"]
        self.config = configuration.load("default", "", options, ["harl"])
        arguments.check(self.config.learner)
        self.env = kinematic_env(self.config)
        self.env.reset()
        self.vector = HarlEnv(self.env)
        plan = plan_of(self.config)
        given = arguments.algo_args(self.config.learner, plan, threads=1, cuda=False)
        self.runner = library.make_runner(harl, algorithm, given, self.vector)
        spread(self.runner)
        self.learner = native(self.config.learner, self.env, LENGTH)
        self.learner.load_model_state(self.harls())
        self.runner.warmup()

    def harls(self):
        return weights.model_state(self.runner, self.config.learner)

    def collect(self):
        """A rollout of HARL's, and the same in our buffer."""
        runner, env = self.runner, self.env
        runner.prep_rollout()
        for step in range(LENGTH):
            values, actions, log_probs, states, critic_states = runner.collect(step)
            runner.insert((*self.vector.step(actions), values, actions, log_probs, states, critic_states))
        runner.compute()
        buffer = RolloutBuffer(LENGTH, ENVS, env.spec, torch.device("cpu"))
        for agent, own in enumerate(runner.actor_buffer):
            buffer.observations[:, :, agent] = torch.from_numpy(own.obs[:-1])
            buffer.actions[:, :, agent] = torch.from_numpy(own.actions)
            buffer.log_probs[:, :, agent] = torch.from_numpy(own.action_log_probs).sum(-1)
        critic = runner.critic_buffer
        shape = (LENGTH, ENVS, *env.spec.state_shape)
        buffer.states[:] = torch.from_numpy(critic.share_obs[:-1]).view(shape)
        buffer.next_states[:] = torch.from_numpy(critic.share_obs[1:]).view(shape)
        buffer.rewards[:] = torch.from_numpy(critic.rewards).reshape(LENGTH, ENVS, -1)
        masks, bad_masks = (part[1:].reshape(LENGTH, ENVS, -1)[..., 0] for part in (critic.masks, critic.bad_masks))
        buffer.truncated[:] = torch.from_numpy(bad_masks == 0)
        buffer.terminated[:] = torch.from_numpy((masks == 0) & (bad_masks == 1))
        return buffer

    @torch.no_grad()
    def without_last_surprise(self, buffer):
        """HARL learns nothing from the decision that a time limit follows: its advantage is zero. So for ours."""
        values, after = (
            self.learner.value_norm.denormalize(self.learner.critic(states))
            for states in (buffer.states, buffer.next_states)
        )
        unsurprising = values - self.config.learner.gamma * after
        buffer.rewards[:] = torch.where(buffer.truncated.unsqueeze(-1), unsurprising, buffer.rewards)

    def update(self, buffer, monkeypatch):
        """HARL's update, then ours with the orders that HARL drew."""
        drawn, randperm = [], torch.randperm

        def record(size, **options):
            drawn.append(randperm(size, **options))
            return drawn[-1]

        self.runner.prep_training()
        with monkeypatch.context() as patched:
            patched.setattr(torch, "randperm", record)
            self.runner.train()
        self.runner.after_update()
        # HARL updates the critic last, we do it first.
        epochs = self.config.learner.critic_epochs
        orders = deque(drawn[-epochs:] + drawn[:-epochs])
        with monkeypatch.context() as patched:
            patched.setattr(torch, "randperm", lambda size, **options: checked(orders.popleft(), size))
            self.learner.buffer = buffer
            self.learner.update(0, progress=0.0)
        assert not orders


def checked(order, size):
    assert len(order) == size
    return order


def spread(runner):
    """Weights far from where they start, so that every term of the losses matters."""
    generator = torch.Generator().manual_seed(5)
    for network in (*(actor.actor for actor in runner.actor), runner.critic.critic):
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)


def difference(a, b):
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("algorithm", ["happo", "mappo"])
def test_ours_reproduces_harls_update(harl, monkeypatch, algorithm, variant):
    # Episodes that end, all of them for good.
    both = Both(harl, algorithm, "task.episode_seconds=0.6", "task.quirks.terminal_time_limit=true", *VARIANTS[variant])
    for _ in range(2):  # the second time with moments and statistics of the first
        before = both.harls()
        buffer = both.collect()
        assert not buffer.truncated.any() and buffer.terminated.any()
        both.update(buffer, monkeypatch)
        assert difference(both.harls(), before) > 1e-3
        assert difference(both.harls(), both.learner.model_state()) < 1e-5


def test_all_that_differs_at_a_time_limit_is_the_last_decision(harl, monkeypatch):
    both = Both(harl, "happo", "task.episode_seconds=0.6")
    buffer = both.collect()
    assert 0 < buffer.truncated.float().mean() < 0.5
    both.without_last_surprise(buffer)
    both.update(buffer, monkeypatch)
    assert difference(both.harls(), both.learner.model_state()) < 1e-5


def test_ours_reproduces_harls_update_with_a_value_for_each_robot(harl, monkeypatch):
    both = Both(harl, "mappo", "task.global_state=observation")
    before, buffer = both.harls(), both.collect()
    assert both.vector.state_type == "FP"
    both.update(buffer, monkeypatch)
    assert difference(both.harls(), before) > 1e-3
    assert difference(both.harls(), both.learner.model_state()) < 1e-5


def test_ours_acts_as_harls_actors_do(harl):
    both = Both(harl, "happo")
    seen = torch.randn(ENVS, 2, both.env.spec.observation_size)
    states, masks = torch.zeros(ENVS, 1, 12), torch.ones(ENVS, 1)
    theirs = [actor.act(seen[:, k], states, masks, deterministic=True)[0] for k, actor in enumerate(both.runner.actor)]
    assert torch.allclose(both.learner.team.act(seen), torch.stack(theirs, dim=1), atol=1e-6)
