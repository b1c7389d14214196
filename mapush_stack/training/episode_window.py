"""Statistics of the episodes that ended lately."""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict


class EpisodeWindow:
    """Means over the episodes that ended in the last `window` updates."""

    def __init__(self, window: int = 10) -> None:
        self._updates: Deque[Dict[str, float]] = deque(maxlen=window)
        self.value_errors = 0
        """Episodes of the whole run that ended because the physics produced numbers that are not finite."""

    def add(self, statistics: Dict[str, float]) -> None:
        """Add one update's sums, as `EnvStatistics.pop` returns them."""
        unused = ("control_steps", "term/")
        self._updates.append({name: value for name, value in statistics.items() if not name.startswith(unused)})
        self.value_errors += int(statistics["cause/value_error"])

    def metrics(self) -> Dict[str, float]:
        """TensorBoard values; empty until an episode has ended."""
        total: Dict[str, float] = {}
        for update in self._updates:
            for name, value in update.items():
                total[name] = total.get(name, 0.0) + value
        episodes = total.get("episodes", 0.0)
        metrics = {"mapush/value_errors": float(self.value_errors)}
        if not episodes:
            return metrics
        metrics["train_episode_rewards"] = total["reward"] / episodes
        metrics["mapush/success_rate"] = total["successes"] / episodes
        metrics["mapush/finish_time"] = total["finish_time"] / episodes
        metrics["mapush/episode_steps"] = total["steps"] / episodes
        metrics.update({f"mapush/{name}": total[name] / episodes for name in total if name.startswith("cause/")})
        if total["valid"]:
            metrics["mapush/success_rate_valid"] = total["valid_successes"] / total["valid"]
        if total["successes"]:
            metrics["mapush/collaboration_degree"] = total["collaboration"] / total["successes"]
        return metrics

    def to_json(self) -> Dict[str, Any]:
        """Plain data for a checkpoint."""
        return {"updates": list(self._updates), "value_errors": self.value_errors}

    def load_json(self, plain: Dict[str, Any]) -> None:
        """Restore what `to_json` returned."""
        self._updates.clear()
        self._updates.extend(plain["updates"])
        self.value_errors = plain["value_errors"]


def reward_terms(statistics: Dict[str, float], num_agents: int) -> Dict[str, float]:
    """Each reward term as its mean per control step and robot."""
    samples = max(statistics["control_steps"] * num_agents, 1)
    prefix = "term/"
    return {
        f"rewards/{name[len(prefix) :]}": value / samples
        for name, value in statistics.items()
        if name.startswith(prefix)
    }
