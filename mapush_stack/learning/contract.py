"""What a learner is: to the training loop, to evaluation, and to the configuration.

This module imports no torch: a configuration is checked before torch may be imported (Isaac Gym has to come first).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Tuple, Type

from ..errors import UserError
from ..settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..device.process_group import World
    from .config import LearnerConfig
    from .vec_env import EnvSpec, TeamEnv

Metrics = Dict[str, "Tensor"]
"""Scalars by name on the environment's device: `agent0/policy_loss`, `critic/value_loss`. Reading one waits for it."""


class TrainingPlan(NamedTuple):
    """What a learner has to know of the training."""

    spec: EnvSpec
    """Of the environment."""
    num_envs: int
    """Environments of each process."""
    rollout_length: int
    """Decisions of each environment between two updates."""
    steps_per_update: int
    """Environment steps of all processes between two updates."""
    total_steps: int
    """Environment steps of the whole training."""
    seed: int
    """Of everything that the learner draws."""
    stages: int = 0
    """Stages of the curriculum; 0 without one."""
    processes: int = 1
    """Processes that train together."""
    task: str = ""
    """Name of the task, for logs."""
    experiment: str = ""
    """Name of the experiment, for logs."""

    @property
    def updates(self) -> int:
        """Updates of the whole training."""
        return -(-self.total_steps // self.steps_per_update)


class Examples(NamedTuple):
    """Decisions of others to learn from, B of them."""

    observations: Tensor
    """`[B, A, D]`"""
    actions: Tensor
    """`[B, A, K]` what was done."""
    states: Tensor
    """`[B, V, S]` for the critic."""
    returns: Tensor
    """`[B, V]` discounted sums of the rewards that followed."""


class Learner(ABC):
    """Collects rollouts from its environment and learns from them.

    The training loop resets the environment, calls `begin`, then `collect` and `update` in turn. Everything that the
    learner needs to go on is in `model_state` and `training_state`.
    """

    def begin(self) -> None:  # noqa: B027 - most learners have nothing to do
        """Look at the environment after its reset, before the first rollout or `load_training_state`."""

    def imitate(self, examples: Examples) -> float:
        """Learn from examples before the first rollout; returns how far actions are from theirs, on average."""
        raise NotImplementedError("a learner whose kind imitates must have this method")

    @abstractmethod
    def collect(self) -> None:
        """Collect one rollout."""

    @abstractmethod
    def update(self, steps: int, progress: float) -> Metrics:
        """Learn from the last rollout.

        Args:
            steps: environment steps of the training before this rollout.
            progress: share of the training, or of its present stage, that was done by then.

        """

    def after_update(self, run: Path, steps: int, metrics: Dict[str, float]) -> List[str]:
        """Lines to print after an update; the learner may also write to files of its own in the folder `run`.

        Args:
            run: the run's folder.
            steps: environment steps of the training after the update.
            metrics: everything that is logged of the update.

        """
        return []

    def configure(self, config: LearnerConfig) -> None:
        """Go on with the settings of the next stage of a curriculum; the networks stay as they are."""
        raise NotImplementedError("a learner whose kind has stages must have this method")

    @abstractmethod
    def model_state(self) -> Dict[str, Tensor]:
        """What acting needs: weights and normalisers, by name."""

    @abstractmethod
    def load_model_state(self, state: Dict[str, Tensor]) -> None:
        """Restore `model_state`.

        Raises:
            RuntimeError, KeyError: the tensors are those of other networks.

        """

    @abstractmethod
    def training_state(self) -> Dict[str, Tensor]:
        """What only training needs: optimisers, random generators (`generator.<name>`, one a process)."""

    @abstractmethod
    def load_training_state(self, state: Dict[str, Tensor]) -> None:
        """Restore `training_state`."""

    def add_files(self, folder: Path) -> None:  # noqa: B027 - most learners have none
        """Write files of the learner's own format into a checkpoint's folder."""

    def release(self) -> None:  # noqa: B027 - most learners hold nothing
        """Give up what the learner holds on the device; called at the end of a training."""


class TeamPolicy(ABC):
    """A trained team that acts: no optimiser, no critic, no environment."""

    @abstractmethod
    def act(self, observations: Tensor) -> Tensor:
        """The deterministic actions `[N, A, K]` for observations `[N, A, D]`."""

    def network(self, robot: int) -> nn.Module:
        """What maps a robot's observations `[N, D_i]` to its actions `[N, K_i]`, to be exported.

        Raises:
            UserError: this policy cannot be taken apart.

        """
        raise UserError(f"a policy of the class {type(self).__name__} cannot be exported: it has no method `network`")


class LearnerKind(ABC):
    """A family of learners, as `learner.library` names it: what it can do, and how it is made."""

    algorithms: Tuple[str, ...] = ()
    """What `learner.algorithm` can be."""
    can_share_actor: Tuple[str, ...] = ("mappo",)
    """The algorithms with which `learner.share_actor` can be true."""
    options: Type[Settings] = Settings
    """What `learner.options` can hold; nothing unless a kind has a model of its own."""
    introduction: str = ""
    """What the console says before the algorithm's name, such as "HARL's "."""
    preset_part: Optional[str] = None
    """The part that `mapush train --learner` lays over the default preset."""
    several_processes: bool = False
    """Whether several processes can train together."""
    stages: bool = False
    """Whether it can train a curriculum; its learner then has `configure`."""
    imitates: bool = False
    """Whether it can start from demonstrations; its learner then has `imitate`."""
    unlike_robots: bool = False
    """Whether the robots of a team may observe and do different things."""

    def check(self, config: LearnerConfig, plan: TrainingPlan) -> None:
        """Refuse what this kind cannot do, before anything is on the disk. A kind that extends this calls it first.

        Raises:
            UserError: what it is, and what to change.

        """
        name = f"learner.library={config.library}"
        if plan.processes > 1 and not self.several_processes:
            raise UserError(f"{name} trains in one process, not in {plan.processes}; leave --gpus out")
        if plan.stages and not self.stages:
            raise UserError(f"training.stages must be empty with {name}, which trains a single stage")
        if not plan.spec.alike and not self.unlike_robots:
            raise UserError(f"{name} needs a team of robots of one kind; this team has several")
        if not plan.spec.alike and config.share_actor:
            raise UserError("learner.share_actor must be false for a team of several kinds of robots")

    def buffer_size(self, config: LearnerConfig, spec: EnvSpec) -> int:
        """Numbers that a rollout holds of one decision of one environment; an estimate of the memory that is needed."""
        values, numbers = spec.state_shape
        return spec.num_agents * (spec.observation_size + 2 * spec.action_size) + 2 * values * numbers + 2

    def remark(self, config: LearnerConfig) -> str:
        """A line about the configuration for the start of a training; empty for none."""
        return ""

    @abstractmethod
    def make(self, config: LearnerConfig, plan: TrainingPlan, env: TeamEnv, world: World) -> Learner:
        """A learner over `env`, one of the processes of `world`."""

    @abstractmethod
    def policy(
        self, config: LearnerConfig, spec: EnvSpec, device: torch.device, state: Dict[str, Tensor]
    ) -> TeamPolicy:
        """The policy of a learner's `model_state`, made without a learner.

        Raises:
            RuntimeError, KeyError: the tensors are those of other networks.

        """
