"""Statistics of an environment as running sums on its device: constant size, fetched once per update."""

from __future__ import annotations

from typing import Dict, Sequence

import torch
from torch import Tensor

from ..task.config import CONTROL_DT
from ..task.metrics import EpisodeResult
from ..task.terminations import CAUSES


class EnvStatistics:
    """Sums since the last `pop`, over the episodes that ended and over every control step."""

    _NAMES = ("episodes", "successes", "valid", "valid_successes", "steps", "finish_time", "collaboration", "reward")

    def __init__(self, time_limit: float, device: torch.device) -> None:
        """`time_limit` (s) is what an unsuccessful episode counts as in the finish time."""
        self._limit = time_limit
        self._sums = torch.zeros(len(self._NAMES), dtype=torch.float64, device=device)
        self._causes = torch.zeros(len(CAUSES), dtype=torch.int64, device=device)
        self._control_steps = torch.zeros((), dtype=torch.int64, device=device)
        self._terms: Dict[str, Tensor] = {}

    def add(self, ended: EpisodeResult, names: Sequence[str], terms: Tensor, control_steps: Tensor) -> None:
        """Add one decision.

        Args:
            ended: the episodes that ended on it.
            names, terms: reward terms `[K]`, each summed over robots and environments.
            control_steps: how many control steps counted.

        """
        success, valid = ended.success, ended.valid
        seconds = torch.where(success, ended.steps * CONTROL_DT, torch.full_like(ended.reward, self._limit))
        share = success * ended.collaboration_steps / ended.steps.clamp_min(1)
        rows = (torch.ones_like(share), success, valid, success & valid, ended.steps, seconds, share, ended.reward)
        seen = ended.done & ended.counted
        self._sums += (torch.stack([row.to(torch.float64) for row in rows]) * seen).sum(1)
        # A value error is counted in every episode; the other causes only where the statistics look.
        counted = seen | (ended.cause == CAUSES.index("value_error"))
        self._causes += torch.bincount(ended.cause * counted, minlength=len(CAUSES))
        for name, value in zip(names, terms.unbind()):
            self._terms[name] = self._terms[name] + value if name in self._terms else value
        self._control_steps += control_steps

    def pop(self) -> Dict[str, float]:
        """The sums as plain numbers, which start again at zero.

        Keys: `episodes`, `successes`, `valid` (episodes whose reset broke no rule), `valid_successes`, `steps`,
        `finish_time` (s, failures as the time limit), `collaboration` (over successes), `reward` (of whole episodes,
        mean of the team), `control_steps`, `cause/<name>` and `term/<name>`.
        """
        result = dict(zip(self._NAMES, self._sums.tolist()))
        result.update({f"cause/{name}": count for name, count in zip(CAUSES[1:], self._causes.tolist()[1:])})
        result.update({f"term/{name}": float(value) for name, value in self._terms.items()})
        result["control_steps"] = int(self._control_steps)
        self._sums.zero_()
        self._causes.zero_()
        self._control_steps.zero_()
        self._terms = {}
        return result
