"""Statistics of an environment: running sums on its device, fetched once per update."""

from __future__ import annotations

from typing import Dict, Sequence, Tuple

import torch
from torch import Tensor

from ..task.config import CONTROL_DT
from ..task.metrics import EpisodeResult
from ..task.terminations import CAUSES


class EnvStatistics:
    """Sums since the last `pop`, over the episodes that ended and over every control step."""

    _NAMES = ("episodes", "successes", "valid", "valid_successes", "steps", "finish_time", "collaboration", "reward")

    def __init__(self, device: torch.device) -> None:
        """Call `configure` before anything else."""
        self._device = device
        self._codes = torch.arange(len(CAUSES), device=device).unsqueeze(-1)
        self._terms: Tuple[str, ...] = ()
        self._sums = torch.zeros(0, device=device)

    def configure(self, terms: Sequence[str], time_limit: float, posed: bool = False, around: bool = False) -> None:
        """Start anew, for these reward terms.

        The finish time of an unsuccessful episode counts as `time_limit`, s. `posed`: the goal is a pose;
        `around`: there are obstacles.
        """
        self._terms, self._limit, self._posed, self._around = tuple(terms), time_limit, posed, around
        self._sums = torch.zeros(len(self.names), dtype=torch.float64, device=self._device)

    @property
    def names(self) -> Tuple[str, ...]:
        """What `pop` returns, in order.

        `episodes`, `successes`, `valid` (episodes whose reset broke no rule), `valid_successes`, `steps`,
        `finish_time` (s, failures as the time limit), `collaboration` (over successes), `reward` (of whole episodes,
        mean of the team), `angle_error` (at the end, rad; if the goal is a pose), `contacts` (episodes in which an
        obstacle was touched; if there are any), `control_steps`, `cause/<name>` and `term/<name>`.
        """
        own = (*self._NAMES, *["angle_error"] * self._posed, *["contacts"] * self._around)
        causes, terms = (f"cause/{name}" for name in CAUSES[1:]), (f"term/{name}" for name in self._terms)
        return (*own, "control_steps", *causes, *terms)

    def add(self, ended: EpisodeResult, terms: Tensor, control_steps: Tensor) -> None:
        """Add one decision.

        Args:
            ended: the episodes that ended on it.
            terms: reward terms `[K]`, each summed over robots and environments.
            control_steps: how many control steps counted.

        """
        success, valid = ended.success, ended.valid
        seconds = torch.where(success, ended.steps * CONTROL_DT, torch.full_like(ended.reward, self._limit))
        share = success * ended.collaboration_steps / ended.steps.clamp_min(1)
        rows = [torch.ones_like(share), success, valid, success & valid, ended.steps, seconds, share, ended.reward]
        if self._posed:
            rows.append(ended.angle_error)
        if self._around:
            rows.append((ended.touched > 0).any(-1))
        seen = ended.done & ended.counted
        sums = (torch.stack([row.to(torch.float64) for row in rows]) * seen).sum(1)
        # A value error is counted in every episode; the other causes only where the statistics look.
        counted = seen | (ended.cause == CAUSES.index("value_error"))
        causes = ((ended.cause == self._codes) & counted).sum(1)[1:]
        self._sums += torch.cat((sums, control_steps.unsqueeze(0), causes, terms))

    def pop(self) -> Tensor:
        """The sums so far, float64 in the order of `names`; they start again at zero."""
        taken = self._sums.clone()
        self._sums.zero_()
        return taken

    def pop_numbers(self) -> Dict[str, float]:
        """`pop` as plain numbers by name."""
        return dict(zip(self.names, self.pop().tolist()))
