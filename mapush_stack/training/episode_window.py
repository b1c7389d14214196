"""Statistics of the episodes that ended lately."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Deque, Dict, List, Optional

from pydantic import Field, field_validator

from ..settings import Settings
from ..system.stored_file import StoredFile

_SUMS = ("episodes", "successes", "valid", "valid_successes", "steps", "finish_time", "collaboration", "reward")
"""What `EpisodeWindow.metrics` needs of an update."""
_MOST_UPDATES = 1000


class StoredWindow(Settings):
    """An `EpisodeWindow` in a checkpoint."""

    updates: List[Dict[str, float]] = Field(max_length=_MOST_UPDATES)
    """Sums over the episodes that ended in an update, oldest first."""
    value_errors: int = Field(ge=0)

    @field_validator("updates")
    @classmethod
    def _whole(cls, updates: List[Dict[str, float]]) -> List[Dict[str, float]]:
        missing = [name for update in updates for name in _SUMS if name not in update]
        if missing:
            raise ValueError(f"an update has no {missing[0]}")
        return updates


class CheckpointProgress(Settings):
    """`progress.json` of a checkpoint."""

    steps: int = Field(ge=0, le=10**15)
    """Environment steps (0.02 s) of the run so far."""
    recent: Optional[StoredWindow] = None
    """None in a policy that comes with the project."""
    processes: int = Field(1, ge=1, le=2**16)
    """How many trained together."""


PROGRESS = StoredFile(CheckpointProgress, [lambda old: old])

TERM_PREFIX = "rewards/"
"""Of the metric of a reward term."""


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
        if "angle_error" in total:
            metrics["mapush/angle_error"] = math.degrees(total["angle_error"] / episodes)
        if "contacts" in total:
            metrics["mapush/obstacle_contact"] = total["contacts"] / episodes
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
        f"{TERM_PREFIX}{name[len(prefix) :]}": value / samples
        for name, value in statistics.items()
        if name.startswith(prefix)
    }
