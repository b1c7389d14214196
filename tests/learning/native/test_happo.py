"""HAPPO's and MAPPO's updates against slow transcriptions of the papers' equations, sample by sample."""

import math

import pytest
import torch

from mapush_stack.learning.native.rollout_buffer import RolloutBuffer
from mapush_stack.learning.vec_env import AgentSpec, EnvSpec, Mirror
from tests.conftest import small_config
from tests.learning.teams import Team, native

LENGTH, ENVS, OBSERVED, STATE, ACTIONS = 3, 4, 6, 5, 3


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make(algorithm, agents, *overrides, values=1, mirror=True):
    layout = "published" if values == 1 else "observation"
    config = small_config(
        f"learner.algorithm={algorithm}",
        f"task.global_state={layout}",
        "learner.policy.network.hidden=[7]",
        "learner.critic.hidden=[5]",
        "learner.target_kl=null",
        "learner.epochs=2",
        "learner.actor_minibatches=2",
        "learner.actor_lr=0.05",
        *overrides,
    ).learner
    signs = Mirror((1.0, -1.0) * (OBSERVED // 2), (1.0, -1.0, -1.0)) if mirror else None
    spec = EnvSpec((AgentSpec(OBSERVED, ACTIONS, signs),) * agents, (values, STATE))
    learner = native(config, Team(spec), LENGTH, 3)
    # As on a GPU or among several processes: the orders of samples and of agents are drawn apart.
    learner._shuffle = torch.Generator().manual_seed(9)
    return learner


def rollout(learner, seed=0):
    """A random rollout with actions of the learner's own policy, its networks far from their initial zeros."""
    generator = torch.Generator().manual_seed(seed)
    for actor in learner.actors:
        with torch.no_grad():
            for parameter in actor.net.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    agents, shape = learner.spec.num_agents, learner.spec.state_shape
    learner.buffer = buffer = RolloutBuffer(LENGTH, ENVS, learner.spec, torch.device("cpu"))
    for name, tensor in vars(buffer).items():
        if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32:
            setattr(buffer, name, tensor.double())
    for _ in range(LENGTH):
        observations = torch.randn(ENVS, agents, OBSERVED, generator=generator)
        actions, log_probs = learner.act(observations)
        ends = torch.rand(ENVS, 2, generator=generator) < 0.2
        states = torch.randn(ENVS, *shape, generator=generator)
        buffer.add_decision(observations, states, actions, log_probs)
        buffer.add_outcome(
            next_states=torch.randn(ENVS, *shape, generator=generator),
            rewards=torch.randn(ENVS, agents, generator=generator),
            terminated=ends[:, 0],
            truncated=ends[:, 1] & ~ends[:, 0],
        )
    return buffer


class SlowActor:
    """One agent's network, density and optimiser, written out."""

    def __init__(self, actor, config, mirror):
        self.parameters = {name: value.detach().clone().requires_grad_() for name, value in actor.named_parameters()}
        self.config, self.mirror = config, mirror
        self.first = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.steps = 0

    def network(self, x):
        p = self.parameters
        hidden = torch.tanh(p["net.0.weight"] @ x + p["net.0.bias"])
        return p["net.2.weight"] @ hidden + p["net.2.bias"]

    def mean(self, x):
        if self.mirror is None:
            return torch.tanh(self.network(x))
        seen, acted = (torch.tensor(signs) for signs in self.mirror)
        return torch.tanh((self.network(x) + acted * self.network(seen * x)) / 2)

    def probability(self, x, action):
        """pi(a | o), a product of normal densities."""
        mean, density = self.mean(x), 1.0
        for k in range(ACTIONS):
            sigma = torch.exp(self.parameters["log_std"][k])
            z = (action[k] - mean[k]) / sigma
            density = density * torch.exp(-0.5 * z * z) / (sigma * math.sqrt(2 * math.pi))
        return density

    def entropy(self):
        return sum(0.5 * math.log(2 * math.pi * math.e) + s for s in self.parameters["log_std"])

    def ascend(self, objective):
        """One step of Adam on the objective, its gradient scaled down to the bound of its norm."""
        gradients = torch.autograd.grad(objective, list(self.parameters.values()))
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
        scale = min(1.0, self.config.actor_max_grad_norm / max(norm, 1e-12))
        self.steps += 1
        with torch.no_grad():
            for (name, value), gradient in zip(self.parameters.items(), gradients):
                g = -scale * gradient
                self.first[name] = 0.9 * self.first[name] + 0.1 * g
                self.second[name] = 0.999 * self.second[name] + 0.001 * g * g
                m = self.first[name] / (1 - 0.9**self.steps)
                v = self.second[name] / (1 - 0.999**self.steps)
                value -= self.config.actor_lr * m / (torch.sqrt(v) + self.config.adam_eps)
            low, high = self.config.policy.log_std_min, self.config.policy.log_std_max
            self.parameters["log_std"].clamp_(low, high)


def slow_advantages(learner, buffer):
    """A_t of every sample, normalised as configured: [T][N][V]."""
    config = learner.config
    heads = learner.spec.state_shape[0]
    result = torch.zeros(LENGTH, ENVS, heads)

    def value(state):
        return float(learner.value_norm.denormalize(learner.critic(state)))

    with torch.no_grad():
        for n in range(ENVS):
            for h in range(heads):
                carried = 0.0
                for t in reversed(range(LENGTH)):
                    reward = float(buffer.rewards[t, n].mean() if heads == 1 else buffer.rewards[t, n, h])
                    follows = 0.0 if buffer.terminated[t, n] else config.gamma * value(buffer.next_states[t, n, h])
                    delta = reward + follows - value(buffer.states[t, n, h])
                    ended = bool(buffer.terminated[t, n] or buffer.truncated[t, n])
                    carried = delta + (0.0 if ended else config.gamma * config.gae_lambda * carried)
                    result[t, n, h] = carried
    if config.advantage_norm:
        result = (result - result.mean()) / (result.var(unbiased=False).sqrt() + 1e-5)
    return result


def slow_update(actor, samples, config, order):
    """Epochs over minibatches of mean over samples of min(r M, clip(r) M) plus the entropy bonus."""
    for _ in range(config.epochs):
        permutation = torch.randperm(len(samples), generator=order).tolist()
        size = len(samples) // config.actor_minibatches
        for part in range(config.actor_minibatches):
            total = 0.0
            for row in permutation[part * size : (part + 1) * size]:
                x, action, old, advantage = samples[row]
                ratio = actor.probability(x, action) / old
                clipped = torch.clamp(ratio, 1 - config.clip, 1 + config.clip)
                total = total + torch.minimum(ratio * advantage, clipped * advantage)
            actor.ascend(total / size + config.entropy_coef * actor.entropy())


def order_after_the_critic(learner):
    """The generator of orders as the actors will find it, behind the critic's epochs."""
    order = torch.Generator()
    order.set_state(learner._shuffle.get_state())
    samples = LENGTH * ENVS * learner.spec.state_shape[0]
    for _ in range(learner.config.critic_epochs):
        torch.randperm(samples, generator=order)
    return order


def samples_of(buffer, agent, weights):
    """(o, a, pi_old(a | o), weight) of every sample of an agent, in the order of the buffer."""
    return [
        (
            buffer.observations[t, n, agent],
            buffer.actions[t, n, agent],
            torch.exp(buffer.log_probs[t, n, agent]),
            float(weights[t * ENVS + n]),
        )
        for t in range(LENGTH)
        for n in range(ENVS)
    ]


def assert_same(learner, slow):
    for index, actor in enumerate(learner.actors):
        for name, value in actor.named_parameters():
            assert torch.allclose(value, slow[index].parameters[name], rtol=0, atol=1e-6), (index, name)


@pytest.mark.parametrize("agents", [2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("overrides", [(), ("learner.advantage_norm=false", "learner.entropy_coef=0.02")])
def test_happo_is_the_papers_sequential_update(agents, seed, overrides):
    learner = make("happo", agents, *overrides)
    config, buffer = learner.config, rollout(learner, seed)
    advantages = slow_advantages(learner, buffer)[..., 0].flatten().tolist()
    order, agents_order = order_after_the_critic(learner), torch.Generator()
    agents_order.set_state(learner._order.get_state())
    slow = [SlowActor(actor, config, learner.spec.agents[0].mirror) for actor in learner.actors]
    learner.update(0, progress=0.0)

    # Zhong et al., Algorithm HAPPO: M^{i_1} = A; then agent after agent in random order.
    compound = list(advantages)
    for agent in torch.randperm(agents, generator=agents_order).tolist():
        samples = samples_of(buffer, agent, compound)
        slow_update(slow[agent], samples, config, order)
        with torch.no_grad():
            for row, (x, action, old, _) in enumerate(samples):
                compound[row] *= float(slow[agent].probability(x, action) / old)
    assert_same(learner, slow)
    # The order and the factors matter: the last agent's samples were reweighted.
    assert max(abs(a - b) for a, b in zip(compound, advantages)) > 1e-2


@pytest.mark.parametrize("values", [1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_mappo_updates_every_agent_on_its_own_advantage(values, seed):
    learner = make("mappo", 2, values=values, mirror=False)
    config, buffer = learner.config, rollout(learner, seed)
    advantages = slow_advantages(learner, buffer)
    order = order_after_the_critic(learner)
    slow = [SlowActor(actor, config, None) for actor in learner.actors]
    learner.update(0, progress=0.0)
    for agent in range(2):
        own = advantages[..., agent if values == 2 else 0].flatten().tolist()
        slow_update(slow[agent], samples_of(buffer, agent, own), config, order)
    assert_same(learner, slow)


def test_a_shared_actor_learns_from_everyone():
    learner = make("mappo", 2, "learner.share_actor=true")
    config, buffer = learner.config, rollout(learner)
    advantages = slow_advantages(learner, buffer)[..., 0]
    order = order_after_the_critic(learner)
    slow = [SlowActor(learner.actors[0], config, learner.spec.agents[0].mirror)]
    learner.update(0, progress=0.0)
    samples = [
        (
            buffer.observations[t, n, agent],
            buffer.actions[t, n, agent],
            torch.exp(buffer.log_probs[t, n, agent]),
            float(advantages[t, n]),
        )
        for t in range(LENGTH)
        for n in range(ENVS)
        for agent in range(2)
    ]
    slow_update(slow[0], samples, config, order)
    assert len(learner.actors) == 1
    assert_same(learner, slow)


def test_the_critic_is_regressed_on_normalised_returns():
    learner = make("happo", 2, "learner.critic_epochs=1", "learner.critic_minibatches=1", "learner.critic_lr=0.01")
    buffer = rollout(learner)
    config = learner.config.model_copy(update={"advantage_norm": False})
    learner.config = config
    advantages = slow_advantages(learner, buffer)
    with torch.no_grad():
        values = learner.value_norm.denormalize(learner.critic(buffer.states))
    returns = (advantages + values).flatten()
    mean, deviation = returns.mean(), ((returns**2).mean() - returns.mean() ** 2).sqrt()
    target = (returns - mean) / deviation
    parameters = {name: value.detach().clone().requires_grad_() for name, value in learner.critic.named_parameters()}
    outputs = (
        torch.func.functional_call(learner.critic, parameters, (buffer.states.flatten(0, 2),))
        if hasattr(torch, "func")
        else None
    )
    if outputs is None:
        pytest.skip("torch 1.13 has no functional_call")
    loss = 0.5 * ((outputs - target) ** 2).mean()
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
    metrics = learner.update(0, progress=0.0)
    assert metrics["critic/value_loss"] == pytest.approx(float(loss), rel=1e-6)
    assert metrics["critic/critic_grad_norm"] == pytest.approx(norm, rel=1e-6)
    scale = min(1.0, config.critic_max_grad_norm / norm)
    for (name, value), old, gradient in zip(learner.critic.named_parameters(), parameters.values(), gradients):
        g = scale * gradient
        assert torch.allclose(value, old - 0.01 * g / (g.abs() + config.adam_eps), atol=1e-9), name
