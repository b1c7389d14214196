"""Policies that read sets of things: order, absence and number of things."""

import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.learning.native.networks import Critic
from mapush_stack.learning.native.policy import GaussianTeam, load_policy
from mapush_stack.learning.vec_env import AgentSpec, EnvSpec, Mirror, TokenSet
from tests.conftest import small_config
from tests.learning.teams import Team, native

OTHER = (1.0, -1.0, 1.0)
"""Signs of another robot's token: x, y, whether it is here."""
POINT = (1.0, -1.0)
OWN = (1.0, -1.0, 1.0)
"""Of the robot's own numbers: two, and whether it is here; one more, what it senses of itself, comes last."""


def spec(robots=3, points=4, agents=None, observed=False):
    others = TokenSet("robots", len(OWN), robots - 1, len(OTHER), 2)
    outline = TokenSet("outline", len(OWN) + (robots - 1) * len(OTHER), points, len(POINT))
    signs = (*OWN, *OTHER * (robots - 1), *POINT * points, -1.0)
    agent = AgentSpec(len(signs), 2, Mirror(signs, (1.0, -1.0)), sets=(others, outline), present=2)
    return EnvSpec((agent,) * robots, (robots, len(signs)) if observed else (1, 5), observed)


def config(encoder, **changes):
    learner = small_config().learner
    policy = learner.policy.model_copy(update={"encoder": encoder, "token_width": 8})
    return learner.model_copy(update={"policy": policy, **changes})


def observations(of, seed=3):
    seen = torch.randn(20, of.num_agents, of.observation_size, generator=torch.Generator().manual_seed(seed))
    seen[..., 2] = 1.0
    others = of.agents[0].sets[0]
    for other in range(others.count):
        seen[..., others.first + other * others.size + 2] = 1.0
    return seen


def made(encoder, of=None, **changes):
    """A team whose weights are all random, so that everything counts."""
    of = of or spec()
    team = GaussianTeam(config(encoder, **changes), of, torch.device("cpu"), torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    for actor in team.actors:
        for parameter in actor.parameters():
            parameter.data.normal_(std=0.5, generator=generator)
    return team


@pytest.fixture(params=["sets", "attention"])
def encoder(request):
    return request.param


def test_the_order_of_things_does_not_matter(encoder):
    team, seen = made(encoder), observations(spec())
    shuffled = seen.clone()
    for part, order in zip(spec().agents[0].sets, ([1, 0], [2, 0, 3, 1])):
        tokens = seen[..., part.first : part.first + part.count * part.size].unflatten(-1, (part.count, part.size))
        shuffled[..., part.first : part.first + part.count * part.size] = tokens[..., order, :].flatten(-2)
    assert torch.allclose(team.act(seen), team.act(shuffled), atol=1e-6)
    assert not torch.allclose(team.act(seen), made("none").act(shuffled), atol=1e-3)


def test_only_what_is_there_counts(encoder):
    team, seen = made(encoder), observations(spec())
    first = spec().agents[0].sets[0].first
    moved = seen.clone()
    moved[..., first] += 3.0
    assert not torch.allclose(team.act(seen), team.act(moved), atol=1e-3)
    for some in (seen, moved):
        some[..., first + 2] = 0.0
    assert torch.equal(team.act(seen), team.act(moved))


def test_the_mean_is_equivariant_under_reflection(encoder):
    team, seen = made(encoder), observations(spec())
    signs, action_signs = map(torch.tensor, spec().agents[0].mirror)
    assert torch.allclose(team.act(seen * signs), team.act(seen) * action_signs, atol=1e-5)


@pytest.mark.parametrize("robots, points", [(2, 4), (8, 4), (3, 9)])
def test_a_shared_actor_goes_into_a_team_of_another_size(encoder, robots, points):
    shared = config(encoder, algorithm="mappo", share_actor=True)
    saved = {f"actor0.{name}": value for name, value in made(encoder, share_actor=True).actors[0].state_dict().items()}
    other = spec(robots, points)
    team = load_policy(shared, other, torch.device("cpu"), saved)
    assert team.act(observations(other)).shape == (20, robots, 2)
    assert team.act(observations(other)).isfinite().all()
    critic = Critic(shared, spec(3, 4, observed=True), torch.Generator())
    Critic(shared, spec(robots, points, observed=True), torch.Generator()).load_state_dict(critic.state_dict())


def test_absent_robots_complete_a_team_without_changing_it(encoder):
    small, large = spec(2), spec(4)
    saved = {f"actor0.{name}": value for name, value in made(encoder, share_actor=True).actors[0].state_dict().items()}
    shared = config(encoder, algorithm="mappo", share_actor=True)
    seen = observations(small)
    padded = torch.zeros(20, 4, large.observation_size)
    padded[:, :2, : len(OWN) + len(OTHER)] = seen[..., : len(OWN) + len(OTHER)]
    padded[:, :2, large.agents[0].sets[1].first :] = seen[..., small.agents[0].sets[1].first :]
    actions = [
        load_policy(shared, of, torch.device("cpu"), saved).act(some) for of, some in ((small, seen), (large, padded))
    ]
    assert torch.allclose(actions[0], actions[1][:, :2], atol=1e-6)


def test_other_teams_are_refused(encoder):
    shared = config(encoder, algorithm="mappo", share_actor=True)
    saved = {f"actor0.{name}": value for name, value in made(encoder, share_actor=True).actors[0].state_dict().items()}
    unlike = spec()._replace(agents=(*spec().agents[:2], spec().agents[2]._replace(action_size=1)))
    with pytest.raises(RuntimeError, match="one actor for robots of one kind"):
        load_policy(shared, unlike, torch.device("cpu"), saved)
    own = {
        f"actor{index}.{name}": v for index, a in enumerate(made(encoder).actors) for name, v in a.state_dict().items()
    }
    with pytest.raises(RuntimeError, match="3 actors and the team needs 2"):
        load_policy(config(encoder), spec(2), torch.device("cpu"), own)
    with pytest.raises(UserError, match=r"policy\.encoder must be none"):
        made(encoder, EnvSpec((AgentSpec(5, 3),) * 2, (1, 10)))


class PartOfATeam(Team):
    """Robot 2 is not here, and rewarded otherwise."""

    def _draw(self):
        super()._draw()
        self._seen[..., 2] = 1.0
        self._seen[:, 2, 2] = 0.0

    def observe(self):
        return (self._seen, self._seen) if self.spec.state_is_observation else super().observe()

    def step(self, action):
        step = super().step(action)
        step.rewards[:, 2] = 100.0 * action[:, 2, 0]
        return step


@pytest.mark.parametrize(
    "algorithm, shared, observed", [("happo", 0, 0), ("mappo", 0, 0), ("mappo", 1, 0), ("mappo", 1, 1)]
)
def test_a_robot_that_is_not_here_teaches_nothing(encoder, algorithm, shared, observed):
    settings = config(encoder, algorithm=algorithm, share_actor=bool(shared))
    env = PartOfATeam(spec(observed=bool(observed)))
    env.reset()
    learner = native(settings, env)
    learner.collect()
    assert not learner.buffer.log_probs[..., 2].any() and learner.buffer.log_probs[..., :2].all()
    before = [{name: value.clone() for name, value in actor.state_dict().items()} for actor in learner.actors]
    metrics = learner.update(0, 0.0)
    assert all(value.isfinite() for value in metrics.values())
    changed = [
        any(not torch.equal(old[name], value) for name, value in actor.state_dict().items())
        for old, actor in zip(before, learner.actors)
    ]
    assert changed == ([True] if shared else [True, True, False])
    if not observed:
        assert learner._estimate()[2].abs().max() < 50, "the team's reward is that of the robots that are here"
