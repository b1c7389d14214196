"""HARL's learners, as `learner.library=harl`. Imports neither torch nor HARL until a learner is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict

from ..contract import Learner, LearnerKind, TeamPolicy, TrainingPlan

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...device.process_group import World
    from ..config import LearnerConfig
    from ..vec_env import EnvSpec, TeamEnv


class HarlKind(LearnerKind):
    """HARL's on-policy algorithms."""

    algorithms = ("happo", "mappo", "hatrpo", "haa2c")
    introduction = "HARL's "
    preset_part = "harl"
    unlike_robots = True

    def check(self, config: LearnerConfig, plan: TrainingPlan) -> None:
        """See `LearnerKind.check`; HARL has to be there too."""
        from . import arguments, library

        super().check(config, plan)
        library.find()
        arguments.check(config)

    def remark(self, config: LearnerConfig) -> str:
        """See `LearnerKind.remark`."""
        from . import arguments

        return arguments.unused(config)

    def make(self, config: LearnerConfig, plan: TrainingPlan, env: TeamEnv, world: World) -> Learner:
        """See `LearnerKind.make`."""
        from .learner import HarlLearner

        return HarlLearner(config, plan, env)

    def policy(
        self, config: LearnerConfig, spec: EnvSpec, device: torch.device, state: Dict[str, Tensor]
    ) -> TeamPolicy:
        """See `LearnerKind.policy`; HARL's networks are the native ones under other names."""
        from ..native.policy import load_policy

        return load_policy(config, spec, device, state)
