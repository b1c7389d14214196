"""Statistics of an environment as running sums on its device: constant size, fetched once per update."""

from __future__ import annotations

from typing import Dict

import torch
from torch import Tensor

from ..task.config import CONTROL_DT, TaskConfig
from ..task.metrics import EpisodeResult
from ..task.terminations import CAUSES


class EnvStatistics:
    """Sums since the last `pop`, over the episodes that ended and over every control step."""

    def __init__(self, config: TaskConfig, device: torch.device) -> None:
        self._limit = config.episode_seconds
        self._names = ("episodes", "successes", "valid", "valid_successes", "steps", "finish_time", "collaboration", "reward")
        self._sums = torch.zeros(len(self._names), dtype=torch.float64, device=device)
        self._causes = torch.zeros(len(CAUSES), dtype=torch.int64, device=device)
        self._terms: Dict[str, Tensor] = {}
        self._control_steps = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, result: EpisodeResult, terms: Dict[str, Tensor], control_steps: Tensor) -> None:
        """Add one decision: what ended, each reward term summed over robots and environments, steps that counted."""
        seen = result.done & result.counted
        success = seen & result.success
        limit = torch.full_like(result.reward, self._limit)
        seconds = torch.where(result.success, result.steps * CONTROL_DT, limit)
        share = result.collaboration_steps / result.steps.clamp_min(1)
        columns = (
            seen,
            success,
            seen & result.valid,
            success & result.valid,
            result.steps * seen,
            seconds * seen,
            share * success,
            result.reward * seen,
        )
        self._sums += torch.stack([column.sum(dtype=torch.float64) for column in columns])
        # NaN resets are counted in every episode; the other causes only where the statistics look.
        counted = seen | (result.cause == CAUSES.index("value_error"))
        codes = torch.where(counted, result.cause, torch.zeros_like(result.cause))
        self._causes += torch.bincount(codes, minlength=len(CAUSES))
        for name, value in terms.items():
            self._terms[name] = self._terms[name] + value if name in self._terms else value
        self._control_steps += control_steps

    def pop(self) -> Dict[str, float]:
        """The sums as plain numbers, which start again at zero.

        Keys: `episodes`, `successes`, `valid` (episodes whose reset broke no rule), `valid_successes`, `steps`,
        `finish_time` (s, failures as the time limit), `collaboration` (over successes), `reward` (of whole episodes,
        mean of the team), `control_steps`, `cause/<name>` and `term/<name>`.
        """
        sums = dict(zip(self._names, self._sums.tolist()))
        causes = {f"cause/{name}": count for name, count in zip(CAUSES[1:], self._causes.tolist()[1:])}
        terms = {f"term/{name}": float(value) for name, value in self._terms.items()}
        result = {**sums, **causes, **terms, "control_steps": int(self._control_steps)}
        self._sums.zero_()
        self._causes.zero_()
        self._control_steps.zero_()
        self._terms = {}
        return result
