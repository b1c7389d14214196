"""MAPPO: every agent's PPO on the team's advantage.

Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", NeurIPS 2022.
"""

from __future__ import annotations

from torch import Tensor

from ..contract import Metrics
from .ppo import MultiAgentPPO


class MAPPO(MultiAgentPPO):
    """One actor for all robots, or one each; agents update independently of each other."""

    def _update_actors(self, advantages: Tensor) -> Metrics:
        """See `MultiAgentPPO`."""
        # One value for the team serves every agent; with one value an agent each has its own advantage.
        own = advantages.expand_as(self.buffer.log_probs)
        if self.config.share_actor:
            return self.update_actor(0, own.flatten())
        metrics: Metrics = {}
        for agent in range(self.spec.num_agents):
            metrics.update(self.update_actor(agent, own[:, :, agent].flatten()))
        return metrics
