"""Learning from demonstrations before learning from rewards."""

import pytest
import torch

from mapush_stack.learning.contract import Examples
from tests.learning.native.test_encoder import config, observations, spec
from tests.learning.teams import Team, native


def examples(of, count=40):
    """Robots do what they see in their own first numbers; returns are twice the first number of the state."""
    seen = torch.cat([observations(of, seed) for seed in range(count)])
    seen[:, 2, 2] = 0.0  # robot 2 is not here
    actions = 0.5 * torch.tanh(seen[..., :2])
    actions[:, 2] = 1.0
    states = torch.randn(len(seen), *of.state_shape, generator=torch.Generator().manual_seed(1))
    return Examples(seen, actions, states, 2 * states[..., 0])


@pytest.mark.parametrize("shared", [False, True])
def test_actors_do_what_they_saw_and_the_critic_expects_what_followed(shared):
    settings = config("sets", algorithm="mappo" if shared else "happo", share_actor=shared)
    changes = {"epochs": 30, "critic_epochs": 30, "batch": 64}
    settings = settings.model_copy(update={"demonstrations": settings.demonstrations.model_copy(update=changes)})
    learner = native(settings, Team(spec()))
    shown = examples(spec(), 20)
    generators = {name: value for name, value in learner.training_state().items() if name.startswith("generator")}
    robot_2 = {} if shared else {name: value.clone() for name, value in learner.actors[2].state_dict().items()}
    learner.imitate(shown)
    here = [0, 1]
    assert (learner.team.act(shown.observations)[:, here] - shown.actions[:, here]).abs().mean() < 0.1
    assert all(torch.equal(learner.actors[2].state_dict()[name], value) for name, value in robot_2.items())
    lowest, highest = settings.policy.log_std_min, settings.policy.log_std_max
    deviation = learner.actors[0].log_deviation()
    assert (deviation < settings.policy.log_std_init - 0.1).all()
    assert (deviation >= lowest).all() and (deviation <= highest).all()
    values = learner.value_norm.denormalize(learner.critic(shown.states))
    assert (values - shown.returns).abs().mean() < 0.4
    for name, value in learner.training_state().items():
        if name.startswith("generator"):
            assert torch.equal(value, generators[name])
        else:
            assert not value.any(), name


def test_a_demonstrator_who_changes_its_mind_is_not_averaged():
    settings = config("none", algorithm="mappo", share_actor=True)
    changes = {"epochs": 40, "critic_epochs": 0, "batch": 64}
    settings = settings.model_copy(update={"demonstrations": settings.demonstrations.model_copy(update=changes)})
    learner, shown = native(settings, Team(spec())), examples(spec(), 20)
    often = torch.rand(shown.actions.shape, generator=torch.Generator().manual_seed(2)) < 0.75
    learner.imitate(shown._replace(actions=torch.where(often, 0.8, -0.8)))
    assert (learner.team.act(shown.observations)[:, 0, 0].mean() - 0.8).abs() < 0.1


def test_it_repeats_itself_and_zero_epochs_leave_the_weights():
    runs = []
    for epochs in (2, 2, 0):
        settings = config("sets")
        changes = {"epochs": epochs, "critic_epochs": epochs}
        settings = settings.model_copy(update={"demonstrations": settings.demonstrations.model_copy(update=changes)})
        learner = native(settings, Team(spec()))
        before = {name: value.clone() for name, value in learner.model_state().items()}
        error = learner.imitate(examples(spec(), 4))
        assert error > 0
        runs.append(learner.model_state())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert all(torch.equal(before[name], value) for name, value in runs[2].items())
