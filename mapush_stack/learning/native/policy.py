"""The actors of a team."""

from __future__ import annotations

from typing import Dict, List, Optional

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...device.state import unflatten
from ...errors import UserError
from ..config import LearnerConfig
from ..contract import TeamPolicy
from ..vec_env import EnvSpec
from .networks import GaussianActor


class GaussianTeam(TeamPolicy):
    """One Gaussian actor for each robot, or one for all of them (`share_actor`).

    Each sees and gives only its own numbers, D_i of D and K_i of K; where all robots are alike these are the same.
    """

    def __init__(self, config: LearnerConfig, spec: EnvSpec, device: torch.device, generator: torch.Generator) -> None:
        """Draw the weights from `generator`."""
        self._shared, self._width = config.share_actor, spec.action_size
        self._agents = spec.agents[:1] if config.share_actor else spec.agents
        kind = config.policy.encoder
        if kind != "none" and not all(agent.sets for agent in spec.agents):
            raise UserError(
                f"learner.policy.encoder must be none, not {kind}, for an observation without sets of things; "
                "task.observation=sets has them"
            )
        self.actors: List[GaussianActor] = [
            GaussianActor(
                config.policy,
                agent.observation_size,
                agent.action_size,
                agent.mirror if config.policy.mirror else None,
                generator,
                agent.sets,
            ).to(device)
            for agent in self._agents
        ]
        self._copies = spec.num_agents if config.share_actor else 1
        self.own: Optional[Tensor] = None
        """`[A, K]`, 1 for the numbers of its action that a robot has; None where all have all of them."""
        if any(agent.action_size < self._width for agent in spec.agents):
            rows = [self._widened(torch.ones(agent.action_size, device=device)) for agent in spec.agents]
            self.own = torch.stack(rows)

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """The means `[N, A, K]` for observations `[N, A, D]`."""
        if self._shared:
            mean: Tensor = self.actors[0](observations.flatten(0, 1))
            return mean.view(*observations.shape[:2], -1)
        means = [
            self._widened(actor(seen[:, : agent.observation_size]))
            for actor, agent, seen in zip(self.actors, self._agents, observations.unbind(1))
        ]
        return torch.stack(means, dim=1)

    def network(self, robot: int) -> nn.Module:
        """See `TeamPolicy.network`."""
        return self.actors[0 if self._shared else robot]

    def log_deviations(self) -> Tensor:
        """Logarithms of the standard deviations, `[A, K]`."""
        return torch.stack([self._widened(actor.log_deviation()) for actor in self.actors * self._copies])

    def _widened(self, numbers: Tensor) -> Tensor:
        """Numbers `[..., K_i]` with zeros up to K."""
        missing = self._width - numbers.shape[-1]
        return pad(numbers, (0, missing)) if missing else numbers


def load_policy(config: LearnerConfig, spec: EnvSpec, device: torch.device, state: Dict[str, Tensor]) -> GaussianTeam:
    """The actors in a learner's `model_state`.

    Raises:
        RuntimeError, KeyError: the tensors are those of other networks.

    """
    if config.share_actor and not spec.alike:
        raise RuntimeError("they hold one actor for robots of one kind, and the team has several kinds")
    team = GaussianTeam(config, spec, device, torch.Generator())
    check_actors(state, len(team.actors))
    unflatten({f"actor{index}": actor for index, actor in enumerate(team.actors)}, state)
    return team


def check_actors(state: Dict[str, Tensor], wanted: int) -> None:
    """Raise `RuntimeError` if a learner's `model_state` has another number of actors than `wanted`."""
    given = len({name.partition(".")[0] for name in state if name.startswith("actor")})
    if given != wanted:
        raise RuntimeError(
            f"they hold {given} actors and the team needs {wanted}: one for each robot, or one with learner.share_actor"
        )
