"""This project's own learners, as `learner.library=native`. Imports no torch until a learner is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Type

from ..contract import Learner, LearnerKind, TeamPolicy, TrainingPlan

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...device.process_group import World
    from ..config import LearnerConfig
    from ..vec_env import EnvSpec, TeamEnv
    from .ppo import MultiAgentPPO


class NativeKind(LearnerKind):
    """MAPPO and HAPPO; a plug-in's variant names its own `algorithms` and returns their classes in `algorithm`."""

    algorithms = ("happo", "mappo")
    several_processes = stages = imitates = unlike_robots = True

    def algorithm(self, name: str) -> Type[MultiAgentPPO]:
        """The class of an algorithm."""
        from .happo import HAPPO
        from .mappo import MAPPO

        return {"happo": HAPPO, "mappo": MAPPO}[name]

    def make(self, config: LearnerConfig, plan: TrainingPlan, env: TeamEnv, world: World) -> Learner:
        """See `LearnerKind.make`."""
        return self.algorithm(config.algorithm)(config, env, plan.rollout_length, plan.seed, world)

    def policy(
        self, config: LearnerConfig, spec: EnvSpec, device: torch.device, state: Dict[str, Tensor]
    ) -> TeamPolicy:
        """See `LearnerKind.policy`."""
        from .policy import load_policy

        return load_policy(config, spec, device, state)
