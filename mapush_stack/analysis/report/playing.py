"""Plays the checkpoints of runs for the report, within a time limit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ...errors import UserError
from ..run import Evaluation, LoggedRun
from .pictures import Picture, pictures

# Playing needs torch. Its import takes seconds, which a report without playing should not take.
if TYPE_CHECKING:
    from ...evaluation.policies import Candidate
    from ...evaluation.trajectories import Played

_ON_THE_CPU = ["sim.backend=mujoco", "sim.device=cpu"]
_SHOWN = 4
"""Most successes, and most failures, that are drawn."""
_PROGRAMS = {"harl": "HARL's", "openrl": "OpenRL's", "tensorboard": "plain TensorBoard"}


class PlayedRun(NamedTuple):
    """The result of playing a run's checkpoints."""

    evaluations: List[Evaluation]
    """Evaluations of its checkpoints, in the order of their steps."""
    successes: List[Picture]
    failures: List[Picture]
    note: str
    """What was played, or why nothing was."""


def play_all(runs: Sequence[LoggedRun], episodes: int, seconds: float) -> List[PlayedRun]:
    """Play `episodes` episodes of the checkpoints of each run.

    The last checkpoints come first, then the first ones, then those in the middle of the largest gaps. A checkpoint
    that would begin after `seconds` is left out, and the note says so.
    """
    until = time.monotonic() + seconds
    players = [_Player(run, episodes) for run in runs]
    while any(player.waiting for player in players):
        for player in players:
            if player.waiting:
                player.play_next(until)
    return [player.result() for player in players]


class _Player:
    """Plays one run, checkpoint by checkpoint."""

    def __init__(self, run: LoggedRun, episodes: int) -> None:
        self._run, self._episodes = run, episodes
        self._candidates, self._reason = _candidates(run, episodes)
        self._queue = _order(len(self._candidates))
        if run.evaluations:
            self._queue = self._queue[:1]  # only the pictures are missing
        self._found: Dict[int, Evaluation] = {}
        self._last: Optional[Played] = None
        self._skipped = 0

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    def play_next(self, until: float) -> None:
        """Play the next checkpoint, or drop all that are left if it is later than `until`."""
        from ...evaluation.protocol import summarize
        from ...evaluation.trajectories import play
        from ...training.session import set_torch_threads

        if time.monotonic() > until:
            self._skipped, self._queue = len(self._queue), []
            return
        index = self._queue.pop(0)
        candidate = self._candidates[index]
        settings = candidate.config
        set_torch_threads(settings.training.torch_threads)
        try:
            played = play(candidate, self._episodes, settings.evaluation.seed)
        except UserError as error:
            self._reason, self._queue = str(error), []
            return
        if self._last is None:
            self._last = played
        summary = summarize(played.episodes, settings.task.episode_seconds, settings.task.goal == "pose")
        self._found[index] = Evaluation.model_validate({"steps": candidate.steps, **summary._asdict()})

    def result(self) -> PlayedRun:
        """The evaluations, the pictures and a note."""
        evaluations = self._run.evaluations or [self._found[index] for index in sorted(self._found)]
        if self._last is None:
            late = "there was no time left" if self._skipped else ""
            return PlayedRun(evaluations, [], [], f"No episodes were played: {self._reason or late}.")
        settings, steps = self._candidates[-1].config, self._candidates[-1].steps
        trajectories = self._last.trajectories
        successes = [one for one in trajectories if one.success]
        # Failures after an invalid start come last, because they say little about the policy.
        order = sorted(zip(self._last.episodes.valid.tolist(), trajectories), key=lambda pair: not pair[0])
        failures = [one for _, one in order if not one.success]
        note = (
            f"{self._episodes} first episodes of the checkpoint at {steps:,} steps, deterministic, seed "
            f"{settings.evaluation.seed}: {len(successes)} successes. The pictures are turned so that the target is on "
            "the right. The first of each kind are shown; failures after an invalid start come last."
        )
        if self._skipped:
            note += f" {self._skipped} earlier checkpoints were left out for lack of time."
        good, bad = (pictures(some[:_SHOWN], settings) for some in (successes, failures))
        return PlayedRun(evaluations, good, bad, note)


def _candidates(run: LoggedRun, episodes: int) -> Tuple[List[Candidate], str]:
    """The run's checkpoints, oldest first, or none and the reason."""
    if not episodes:
        return [], "--episodes 0 asks for none"
    if run.library != "mapush":
        program = _PROGRAMS.get(run.library, run.library)
        return [], f"only runs of this project can be played, and this one is {program}"
    if not run.checkpoints:
        return [], "it has no checkpoint"
    from ...evaluation import policies

    try:
        return policies.find(Path(run.path), "", list(_ON_THE_CPU)), ""
    except UserError as error:
        return [], str(error)


def _order(count: int) -> List[int]:
    """Indices: the last checkpoint, the first, then the middle of the largest gap."""
    order = [count - 1, 0][: min(count, 2)] if count > 1 else list(range(count))
    while len(order) < count:
        known = sorted(order)
        begin, end = max(zip(known, known[1:]), key=lambda pair: pair[1] - pair[0])
        order.append((begin + end) // 2)
    return order
