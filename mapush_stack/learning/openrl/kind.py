"""OpenRL's MAPPO, as `learner.library=openrl`. Imports neither torch nor OpenRL until a learner is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict

from ..contract import Learner, LearnerKind, TeamPolicy, TrainingPlan

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...device.process_group import World
    from ..config import LearnerConfig
    from ..vec_env import EnvSpec, TeamEnv


class OpenRLKind(LearnerKind):
    """OpenRL's MAPPO, with one actor for all robots."""

    algorithms = ("mappo",)
    introduction = "OpenRL's "
    preset_part = "openrl"

    def check(self, config: LearnerConfig, plan: TrainingPlan) -> None:
        """See `LearnerKind.check`; OpenRL has to be there too."""
        from . import arguments, library

        super().check(config, plan)
        arguments.check(config)
        library.import_openrl()

    def buffer_size(self, config: LearnerConfig, spec: EnvSpec) -> int:
        """See `LearnerKind.buffer_size`.

        Every robot has a state of its own in OpenRL's buffer, and two recurrent ones that nothing uses.
        """
        recurrent = 2 * config.policy.network.hidden[0]
        own = spec.observation_size + recurrent + 2 * spec.action_size + 2 * spec.state_shape[1]
        return spec.num_agents * own + 2

    def make(self, config: LearnerConfig, plan: TrainingPlan, env: TeamEnv, world: World) -> Learner:
        """See `LearnerKind.make`."""
        from . import arguments
        from .learner import OpenRLLearner

        return OpenRLLearner(arguments.settings(config, plan), plan, env)

    def policy(
        self, config: LearnerConfig, spec: EnvSpec, device: torch.device, state: Dict[str, Tensor]
    ) -> TeamPolicy:
        """See `LearnerKind.policy`."""
        from .actor import OpenRLActor

        prefix, activations = "policy.", {"tanh": "Tanh", "relu": "ReLU", "elu": "ELU"}
        arrays = {name[len(prefix) :]: array for name, array in state.items() if name.startswith(prefix)}
        actor = OpenRLActor(arrays, activations[config.policy.network.activation])
        if actor.observation_size != spec.observation_size:
            raise RuntimeError(f"they take {actor.observation_size} numbers a robot, not {spec.observation_size}")
        return actor.to(device)
