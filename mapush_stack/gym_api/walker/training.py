"""Training the estimators, so that the project's walking policy walks without being told its velocity.

DAgger: Ross et al., "A reduction of imitation learning and structured prediction to no-regret online learning",
AISTATS 2011. The robots walk by the estimates; the networks learn what was true, and what the
policy would then have done.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Callable, Dict, List

import torch
from torch import Tensor, nn

from ...locomotion import gait
from . import networks
from .world import World

ROBOTS, STEPS, KEPT = 512, 24, 40
"""Robots, steps of a round, and the number of the newest rounds that are learnt from."""
TAUGHT_ROUNDS = 10
"""The share of robots that are told their velocity falls from 1 to 0 in so many rounds."""
BATCH, BATCHES, RATE, LAST_RATE = 512, 200, 1e-3, 3e-5
LOAD, WEIGHT, PUSH = 0.35, 110.0, 60.0
"""Largest steady load as a share of what the feet hold, weight, N, and largest push, N, of 0.2 s on average."""
SPEEDS = torch.tensor([[0.55, 0.55, 0.55], [0.9, 0.7, 1.1]])
"""Largest commands, m/s, m/s, rad/s, of three quarters of the robots and of the others."""


class Disturbances:
    """Commands and pushes that change at random."""

    def __init__(self, friction: Tensor, random: torch.Generator) -> None:
        """`friction` `[num]` of the robots bounds the steady loads that they feel, so that they can stand."""
        self._random, num = random, len(friction)
        self._largest, self._most = LOAD * WEIGHT * friction, torch.full((num,), PUSH)
        self._base, self._load, self._push = (torch.zeros(num, 3) for _ in range(3))
        self._left, self._restless = torch.zeros(num), torch.rand(num, 1, generator=random) < 0.3
        self._limits = SPEEDS[(torch.arange(num) % 4 == 3).long()]

    def apply(self, world: World) -> None:
        """Set the world's commands and pushes of the next step."""
        num, zero = len(self._left), torch.zeros(1)
        new = self._left.unsqueeze(1) <= 0
        self._left = torch.where(new[:, 0], 50 + 150 * self._rand(num), self._left) - 1
        signs = 2 * self._rand(num, 3) - 1
        axis = nn.functional.one_hot(torch.randint(3, (num,), generator=self._random), 3)
        kind = self._rand(num, 1)  # a fifth stand, a fifth move along one axis
        mask = torch.where(kind < 0.2, zero, torch.where(kind < 0.4, axis.float(), torch.ones(1)))
        self._base = torch.where(new, signs * mask * self._limits, self._base)
        load = self._sideways(self._largest) * (self._rand(num, 1) < 0.33)
        self._load = torch.where(new, load, self._load)
        begins, ends = self._rand(num, 1) < 0.005, self._rand(num, 1) < 0.1
        self._push = torch.where(begins, self._sideways(self._most), torch.where(ends, zero, self._push))
        jitter = 0.3 * self._limits * (2 * self._rand(num, 3) - 1) * self._restless
        world.command, world.push = self._base + jitter * (self._base != 0), self._load + self._push

    def _rand(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._random)

    def _sideways(self, largest: Tensor) -> Tensor:
        angle, size = 2 * math.pi * self._rand(len(largest)), largest * self._rand(len(largest))
        return torch.stack((size * torch.cos(angle), size * torch.sin(angle), torch.zeros_like(size)), dim=-1)


class Course:
    """Rounds of walking and learning."""

    def __init__(self, upstream: Path, seed: int) -> None:
        """`upstream` is MAPush's source tree."""
        torch.manual_seed(seed)
        self._random = torch.Generator().manual_seed(seed)
        usual, any_friction = 0.4 + 0.3 * self._rand(ROBOTS), 0.05 + 0.95 * self._rand(ROBOTS)
        friction = torch.where(self._rand(ROBOTS) < 0.7, usual, any_friction)
        self._world = World(upstream, friction, 3.0 * self._rand(ROBOTS) - 1.0)
        self._around = Disturbances(friction, self._random)
        self.walker = networks.Walker()
        self._optimizer = torch.optim.Adam([p for p in self.walker.parameters() if p.requires_grad], lr=RATE)
        self._rounds: List[List[Tensor]] = []
        self._weights = torch.tensor(networks.SCALE) / gait.ACTION_SCALE

    def _rand(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._random)

    @torch.no_grad()
    def walk(self, taught: float) -> Dict[str, float]:
        """Walk for a round in which a share `taught` of the robots are told their velocity."""
        world, found, falls, errors = self._world, [], 0, []
        for _ in range(STEPS):
            self._around.apply(world)
            sensed = world.body()
            history, true = world.observe(sensed), networks.truth(sensed)
            told = self._rand(ROBOTS, 1) < taught
            action = torch.where(told, self.walker.body.act(networks.newest(history), true), self.walker(history))
            found.append((networks.newest(history), true))
            errors.append((sensed.linear_velocity[:, :2] - world.command[:, :2]).norm(dim=-1).mean())
            world.step(action)
            down = world.fallen()
            falls += int(down.sum())
            again = (down | (self._rand(ROBOTS) < 0.002)).nonzero().flatten()
            if len(again):
                world.restart(again, self._random)
        self._rounds = [*self._rounds[1 - KEPT :], [torch.cat(part) for part in zip(*found)]]
        hours = ROBOTS * STEPS * gait.CONTROL_DT / 3600
        return {"falls_per_hour": falls / hours, "velocity_error": float(torch.stack(errors).mean())}

    def learn(self, rate: float) -> Dict[str, float]:
        """Learn from the rounds that are kept."""
        sums, size = torch.zeros(3), ROBOTS * STEPS
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        body = self.walker.body
        for _ in range(BATCHES):
            kept = self._rounds[int(self._rand(1) * len(self._rounds))]
            chosen = torch.randint(size, (BATCH,), generator=self._random)
            frames, true = (part[chosen] for part in kept)
            features = body.estimator.features(frames)
            guess = torch.cat((self.walker.adaptation.net(features), body.estimator.net(features)), dim=-1)
            off = (body.act(frames, guess) - body.act(frames, true)) * self._weights
            # who slides or is being pushed cannot know it: large errors count less than squared
            errors = nn.functional.smooth_l1_loss(guess, true, beta=0.2, reduction="none")
            losses = torch.stack((errors[:, :2].mean(), 0.1 * errors[:, 2:].mean(), 0.2 * off.square().mean()))
            self._optimizer.zero_grad()
            torch.autograd.backward(losses.sum())
            self._optimizer.step()
            sums += losses.detach() / BATCHES
        return {"velocity_loss": float(sums[0]), "spin_loss": float(sums[1]), "action_loss": float(sums[2])}


def train(upstream: Path, rounds: int, seed: int, report: Callable[[int, Dict[str, float]], None]) -> networks.Walker:
    """Train for so many rounds; `report` gets the number of each and its means."""
    course = Course(upstream, seed)
    for number in range(rounds):
        means = course.walk(max(0.0, 1.0 - number / TAUGHT_ROUNDS))
        rate = RATE * 0.5 * (1 + math.cos(math.pi * number / rounds)) + LAST_RATE
        report(number + 1, {**means, **course.learn(rate)})
    return course.walker
