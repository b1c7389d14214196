"""Learning to walk from a policy that is told more.

DAgger: Ross et al., "A reduction of imitation learning and structured prediction to no-regret online learning",
AISTATS 2011. The robots walk by what the student sees; it learns what the teacher, who is told the velocity, would have
done there.
"""

from __future__ import annotations

import contextlib
import copy
import math
from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn

from ..locomotion.policy import WalkingPolicy
from .env import WalkingEnv
from .training import BLIND_HIDDEN, STEPS_PER_ITERATION, Progress, StopTrainingError

LONGEST_DELAY = 0.02
"""Of the motors, s: teachers that were trained without delay fall at more."""
KEPT = 40
"""So many of the newest iterations are learnt from."""
TAUGHT_ITERATIONS = 10
"""The share of robots that walk by the teacher falls from 1 to 0 in so many iterations."""
BATCH, BATCHES, RATE, LAST_RATE = 512, 150, 1e-3, 2e-5


class Imitation:
    """A student that learns what its teacher does."""

    def __init__(
        self, env: WalkingEnv, teacher: WalkingPolicy, start: Optional[WalkingPolicy], sums: Dict[str, str]
    ) -> None:
        """`teacher` sees `SIGHTED`; the student begins as `start`, and learns to stand as that does.

        `sums` are for the record.
        """
        self._env, self._teacher, self._start = env, teacher.to(env.device), start and start.to(env.device)
        taught = {"longest_delay": LONGEST_DELAY, "kept": KEPT, "batch": BATCH, "batches": BATCHES, "rate": RATE}
        self.settings = {"imitation": {**sums, **taught}}

    def learn(self, iterations: int, progress: Progress) -> WalkingPolicy:
        """See `training.Learner`."""
        env = self._env
        student = copy.deepcopy(self._start) if self._start else WalkingPolicy(BLIND_HIDDEN, env.view).to(env.device)
        optimizer = torch.optim.Adam(student.parameters(), lr=RATE)
        kept: List[Tuple[Tensor, Tensor]] = []
        with contextlib.suppress(StopTrainingError):
            for number in range(iterations):
                found = self._walk(student, 1.0 - number / TAUGHT_ITERATIONS, progress)
                kept = [*kept[1 - KEPT :], found]
                rate = LAST_RATE + RATE * 0.5 * (1.0 + math.cos(math.pi * number / iterations))
                _fit(student, optimizer, kept, rate)
        return student

    def _walk(self, student: WalkingPolicy, taught: float, progress: Progress) -> Tuple[Tensor, Tensor]:
        """What the student saw in an iteration, and what it should have done."""
        env, seen, right = self._env, [], []
        observations = env.observe()
        for _ in range(STEPS_PER_ITERATION):
            action = self._teacher(env.told())
            if self._start:
                action = torch.where(env.standing().unsqueeze(-1), self._start(observations), action)
            seen.append(observations)
            right.append(action)
            told = torch.rand(env.num_walkers, 1, device=env.device) < taught
            result = env.step(torch.where(told, action, student(observations)))
            observations = result.observations
            progress.add(env, result)
        return torch.cat(seen), torch.cat(right)


def _fit(
    student: WalkingPolicy, optimizer: torch.optim.Optimizer, kept: List[Tuple[Tensor, Tensor]], rate: float
) -> None:
    """Learn what was right."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    for _ in range(BATCHES):
        seen, right = kept[int(torch.randint(len(kept), ()))]
        rows = torch.randint(len(seen), (BATCH,), device=seen.device)
        loss = nn.functional.mse_loss(student.net(seen[rows]), right[rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
