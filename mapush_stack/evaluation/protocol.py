"""The published evaluation protocol (docs/task.md section 11)."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..envs.decision import Step
from ..envs.push_env import PushEnv
from ..task import metrics
from ..task.config import CONTROL_DT
from ..task.terminations import CAUSES

Act = Callable[[Tensor], Tensor]
"""Deterministic actions `[N, A, K]` for observations `[N, A, D]`, such as `TeamPolicy.act`."""


class Episodes(NamedTuple):
    """The first episode of each of N environments."""

    success: Tensor
    """`[N]` bool"""
    valid: Tensor
    """`[N]` bool: the reset broke no rule by itself."""
    seconds: Tensor
    """`[N]` length, s."""
    collaboration: Tensor
    """`[N]` share of the episode's steps in which every robot was near the object."""
    cause: Tensor
    """`[N]` int64 index into `terminations.CAUSES`."""
    here: Tensor
    """`[N, A]` bool: the robots that took part."""
    work: Tensor
    """`[N, A]` work of each robot on the object, J; `[N, 0]` where the simulator does not measure it."""
    angle_error: Tensor
    """`[N]` angle error at the end, rad; 0 if the goal is a position."""
    touched: Tensor
    """See `EpisodeResult.touched`."""
    travelled: Tensor
    """See `EpisodeResult.travelled`."""


class Evaluation(NamedTuple):
    """What the protocol reports."""

    episodes: int
    successes: int
    success_rate: float
    """Share of all first episodes."""
    success_interval: Tuple[float, float]
    """95 % interval of the success rate (Wilson's score interval)."""
    valid_episodes: int
    """Episodes whose reset did not break the robot-robot rule by itself."""
    valid_success_rate: float
    """Share of those."""
    finished_time: float
    """Mean over all episodes, s; an unsuccessful one counts as the time limit."""
    collision_degree: float
    """Always 0: the mid-level task has no obstacles."""
    collaboration_degree: float
    """Mean over the successful episodes."""
    work_share: Optional[List[float]]
    """Mean of `metrics.work_share` by robot, over the successful episodes in which it took part; None where the work
    was not measured."""
    work_evenness: Optional[float]
    """Likewise of `metrics.work_evenness`."""
    angle_error: Optional[float]
    """Mean at the end of all episodes, degrees; None if the goal is a position."""
    contact_free: Optional[float]
    """Share of all episodes that succeed without touching an obstacle; None without obstacles."""
    causes: Dict[str, int]
    """How many episodes ended in which way."""


@torch.no_grad()
def run_episodes(act: Act, env: PushEnv, on_step: Optional[Callable[[Step], None]] = None) -> Episodes:
    """Run every environment until its first episode has ended; `on_step` is given every decision's result."""
    pending = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    kept: Optional[Episodes] = None
    observations, _ = env.reset()
    while bool(pending.any()):
        step = env.step(act(observations))
        if on_step is not None:
            on_step(step)
        observations, ended = step.observations, step.episode
        first = ended.done & pending
        seen = Episodes(
            success=ended.success,
            valid=ended.valid,
            seconds=ended.steps * CONTROL_DT,
            collaboration=ended.collaboration_steps / ended.steps,
            cause=ended.cause,
            here=ended.here,
            work=ended.work,
            angle_error=ended.angle_error,
            touched=ended.touched,
            travelled=ended.travelled,
        )
        # An environment whose first episode goes on is written again when that has ended.
        kept = Episodes(*(_where(first, new, old) for new, old in zip(seen, kept or seen)))
        pending = pending & ~first
    assert kept is not None, "there is at least one environment"
    return Episodes(*(tensor.cpu() for tensor in kept))


def without(act: Act, robots: Sequence[int]) -> Act:
    """`act` with the command to stand still for these robots."""

    def others(observations: Tensor) -> Tensor:
        action = act(observations).clone()
        action[:, list(robots)] = 0.0
        return action

    return others if robots else act


def _where(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` in these `rows` `[N]` bool, else `old`."""
    return torch.where(rows.view(-1, *[1] * (new.dim() - 1)), new, old)


def summarize(episodes: Episodes, time_limit: float, posed: bool = False) -> Evaluation:
    """The protocol's figures, with an unsuccessful episode counted as `time_limit` seconds.

    `posed`: the goal is a pose.
    """
    total, successes = len(episodes.success), int(episodes.success.sum())
    valid = int(episodes.valid.sum())
    seconds = torch.where(episodes.success, episodes.seconds, torch.full_like(episodes.seconds, time_limit))
    measured = successes > 0 and episodes.work.shape[-1] > 0
    work, here = episodes.work[episodes.success].double(), episodes.here[episodes.success]
    shares = episodes.collaboration[episodes.success]
    counts = torch.bincount(episodes.cause, minlength=len(CAUSES)).tolist()
    return Evaluation(
        episodes=total,
        successes=successes,
        success_rate=successes / total,
        success_interval=wilson_interval(successes, total),
        valid_episodes=valid,
        valid_success_rate=int((episodes.success & episodes.valid).sum()) / valid if valid else 0.0,
        finished_time=float(seconds.double().mean()),
        collision_degree=0.0,
        collaboration_degree=float(shares.double().mean()) if successes else 0.0,
        work_share=(metrics.work_share(work).sum(0) / here.sum(0).clamp_min(1)).tolist() if measured else None,
        work_evenness=float(metrics.work_evenness(work, here.sum(-1)).mean()) if measured else None,
        angle_error=math.degrees(episodes.angle_error.double().mean()) if posed else None,
        contact_free=contact_free(episodes) if episodes.touched.shape[-1] else None,
        causes={name: count for name, count in zip(CAUSES, counts) if count},
    )


def contact_free(episodes: Episodes) -> float:
    """Share of the episodes that succeed without touching an obstacle."""
    return float((episodes.success & ~(episodes.touched > 0).any(-1)).double().mean())


def wilson_interval(successes: int, total: int, z: float = 1.959964) -> Tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson, 1927), 95 % by default."""
    share, square = successes / total, z * z
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total)) / (1 + square / total)
    # By rounding 1.0 would be 0.9999999999999999.
    return 0.0 if successes == 0 else centre - half, 1.0 if successes == total else centre + half
