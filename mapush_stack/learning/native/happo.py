"""HAPPO: heterogeneous-agent proximal policy optimisation.

Zhong et al., "Heterogeneous-Agent Reinforcement Learning", JMLR 25 (2024), Algorithm 4 and equations (29)-(31).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..contract import Metrics
from .ppo import MultiAgentPPO


class HAPPO(MultiAgentPPO):
    """Agents update one after the other in random order; each sees what those before it have changed.

    With A(s, a) the team's advantage and i_1, ..., i_n the order, agent i_m maximises
    E[min(r M, clip(r, 1 - eps, 1 + eps) M)] where r is its own probability ratio and M = M^{i_1:m}(s, a) is A times
    the ratios of the agents updated before it: M^{i_1} = A and M^{i_1:m+1} = r^{i_m} M^{i_1:m}.
    """

    def _update_actors(self, advantages: Tensor) -> Metrics:
        """See `MultiAgentPPO`."""
        metrics: Metrics = {}
        compound = advantages[..., 0].flatten()  # M^{i_1} = A
        order = torch.randperm(self.spec.num_agents, generator=self._order).tolist()  # i_1, ..., i_n
        for agent in order:
            metrics.update(self.update_actor(agent, compound))  # i_m maximises the clipped objective with M^{i_1:m}
            if agent != order[-1]:
                compound = compound * self.probability_ratio(agent)  # M^{i_1:m+1} = r^{i_m} M^{i_1:m}
        return metrics
