"""Learners by name: what the configuration refuses, and learners of a plug-in."""

import subprocess
import sys
from typing import Any, Dict, Tuple

import pytest
import torch

from mapush_stack.device.process_group import ALONE, World
from mapush_stack.errors import UserError
from mapush_stack.learning.contract import Learner, LearnerKind, TeamPolicy
from mapush_stack.learning.native.kind import NativeKind
from mapush_stack.learning.native.mappo import MAPPO
from mapush_stack.learning.registry import LEARNERS
from mapush_stack.settings import Settings
from mapush_stack.training import session
from mapush_stack.training.run_directory import RunDirectory
from mapush_stack.training.trainer import Trainer
from tests.conftest import kinematic_env, small_config
from tests.learning.teams import UNLIKE, native, plan_of
from tests.training.test_trainer import bytes_of, iterate, run_training


@pytest.fixture
def registered(monkeypatch):
    """Registers learners for one test."""
    monkeypatch.setattr(LEARNERS, "_things", dict(LEARNERS._things))
    return LEARNERS.register


class Reverse(MAPPO):
    """Does the opposite of what MAPPO learns."""

    def _update_actors(self, advantages):
        return super()._update_actors(-advantages)


class ReverseKind(NativeKind):
    algorithms = ("reverse",)

    def algorithm(self, name):
        return Reverse


class SearchOptions(Settings):
    spread: float = 0.1


class LinearTeam(TeamPolicy):
    """One linear map from observation to action for all robots."""

    def __init__(self, weights):
        self.weights = weights

    def act(self, observations):
        return observations @ self.weights


class RandomSearch(Learner):
    """Keeps the better of two linear policies: the best so far and a random neighbour of it (Mania et al., 2018)."""

    def __init__(self, spread, plan, env):
        self.env, self.plan, self.spread = env, plan, spread
        self.random = torch.Generator().manual_seed(plan.seed)
        self.best = torch.zeros(env.spec.observation_size, env.spec.action_size)
        self.best_reward = torch.tensor(-torch.inf)

    def collect(self):
        self.tried = self.best + self.spread * torch.randn(self.best.shape, generator=self.random)
        observations, total = self.env.observe()[0], 0.0
        for _ in range(self.plan.rollout_length):
            step = self.env.step(LinearTeam(self.tried).act(observations))
            observations, total = step.observations, total + step.rewards.mean()
        self.reward = total / self.plan.rollout_length

    def update(self, steps, progress):
        if self.reward > self.best_reward:
            self.best, self.best_reward = self.tried, self.reward
        return {"search/best_reward": self.best_reward}

    def model_state(self):
        return {"weights": self.best}

    def load_model_state(self, state):
        self.best = state["weights"]

    def training_state(self):
        return {"best_reward": self.best_reward, "generator.search": self.random.get_state()}

    def load_training_state(self, state):
        self.best_reward = state["best_reward"]
        self.random.set_state(state["generator.search"])


class SearchKind(LearnerKind):
    algorithms = ("random",)
    options = SearchOptions
    introduction = "The lab's "

    def make(self, config, plan, env, world):
        return RandomSearch(SearchOptions(**config.options).spread, plan, env)

    def policy(self, config, spec, device, state):
        return LinearTeam(state["weights"])


def test_a_variant_of_ppo_is_one_method(registered, tmp_path):
    registered("lab", ReverseKind())
    config = small_config("learner.library=lab", "learner.algorithm=reverse")
    env = kinematic_env(config)
    trainer = Trainer(
        config,
        RunDirectory.create(tmp_path, config, []),
        env,
        ReverseKind().make(config.learner, plan_of(config), env, ALONE),
    )
    assert "agent0/policy_loss" in iterate(trainer)
    plain = native(small_config("learner.algorithm=mappo").learner, kinematic_env(config))
    for learner in (plain, trainer.learner):
        assert learner.model_state().keys() == plain.model_state().keys()


def search_config(*overrides):
    return small_config("learner.library=search", "learner.algorithm=random", *overrides)


def search(config, tmp_path, stop=None):
    make = lambda env: LEARNERS["search"].make(config.learner, plan_of(config), env, ALONE)  # noqa: E731
    return run_training(config, tmp_path, stop, make)


def test_a_learner_of_a_plug_in_trains_is_saved_resumed_and_acts(registered, tmp_path):
    from mapush_stack.evaluation import policies
    from tests.training.test_trainer import StopAfter

    registered("search", SearchKind())
    config = search_config("training.total_steps=960", "training.checkpoint_interval=100000")
    whole, parts = search(config, tmp_path), search(config, tmp_path, StopAfter(2))
    assert parts.checkpoints()[-1][0] == 320
    search(config, parts)
    assert bytes_of(whole.checkpoints()[-1][1]) == bytes_of(parts.checkpoints()[-1][1])
    (candidate,) = policies.find(whole.path, "", [])
    policy = policies.policy(candidate, kinematic_env(config))
    assert isinstance(policy, LinearTeam) and policy.weights.abs().max() > 0


def test_its_options_are_checked(registered):
    registered("search", SearchKind())
    assert search_config("learner.options={spread: 0.5}").learner.options == {"spread": 0.5}
    for options, words in (("{spraed: 1}", "learner.options.spraed"), ("{spread: wide}", "learner.options.spread")):
        with pytest.raises(UserError, match=rf"^{words} is not allowed with library=search") as caught:
            search_config(f"learner.options={options}")
        assert "\n" not in str(caught.value)


class Two(World):
    size = 2


@pytest.mark.parametrize(
    "overrides, world, words",
    [
        (
            ["training.total_steps=null", "training.stages=[{name: a, steps: 9, changes: {}}]"],
            ALONE,
            "training.stages must be empty with learner.library=search",
        ),
        ([], Two(), "learner.library=search trains in one process, not in 2; leave --gpus out"),
    ],
)
def test_what_its_kind_cannot_do_is_refused_before_anything_is_made(registered, tmp_path, overrides, world, words):
    registered("search", SearchKind())
    with pytest.raises(UserError) as caught:
        session.start(search_config(*overrides), tmp_path / "results", [], None, world=world)
    assert str(caught.value).startswith(words) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("library, algorithm", [("openrl", "mappo"), ("search", "random")])
def test_a_team_of_several_kinds_is_refused_by_learners_that_cannot_train_it(registered, library, algorithm):
    registered("search", SearchKind())
    config = small_config().learner.model_copy(update={"library": library, "algorithm": algorithm})
    with pytest.raises(UserError, match=f"learner.library={library} needs a team of robots of one kind"):
        LEARNERS[library].check(config, plan_of(small_config())._replace(spec=UNLIKE))


def test_a_team_of_several_kinds_shares_no_actor():
    config = small_config("learner.algorithm=mappo", "learner.share_actor=true").learner
    with pytest.raises(UserError, match=r"learner\.share_actor must be false for a team of several kinds of robots"):
        LEARNERS["native"].check(config, plan_of(small_config())._replace(spec=UNLIKE))
    LEARNERS["native"].check(
        config.model_copy(update={"share_actor": False}), plan_of(small_config())._replace(spec=UNLIKE)
    )


def test_a_configuration_is_checked_without_torch():
    """Isaac Gym has to be imported before torch, and which simulator is needed is in the configuration."""
    code = "import sys; import mapush_stack.learning.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_neutral_learner_is_the_plainest():
    from mapush_stack.learning.config import LearnerConfig

    plain: Dict[str, Any] = LearnerConfig().model_dump()
    assert not plain["policy"]["mirror"] and not plain["policy"]["squash"] and not plain["share_actor"]
    assert plain["lr_schedule"] == "constant" and plain["target_kl"] is None and plain["value_clip"] is None
    rest: Tuple[str, ...] = ("gamma", "gae_lambda", "clip", "epochs", "critic", "actor_lr", "value_norm_beta")
    changes = ("learner.critic.hidden=[128,128]", "learner.critic.fast_tanh=false")
    default = small_config(*changes, object_name="cuboid-12kg").learner.model_dump()  # lighter ones have other rates
    assert [plain[name] for name in rest] == [default[name] for name in rest]
