"""The training loop, the same for every learner."""

from __future__ import annotations

import re
import time
from bisect import bisect
from collections import deque
from itertools import accumulate
from math import isfinite
from typing import Deque, Dict, NamedTuple, Tuple

import torch
from torch import Tensor

from ..device.fetch import Fetch, Stopwatch
from ..device.process_group import ALONE, World
from ..device.state import flatten, unflatten
from ..envs.push_env import PushEnv
from ..errors import FaultError, UserError
from ..learning.contract import Learner
from ..system.signals import StopRequest
from ..system.tensor_file import check_state
from . import checkpoint, launch, memory
from .config import ExperimentConfig
from .episode_window import TERM_PREFIX, EpisodeWindow, reward_terms
from .log import MetricsLog
from .progress import ProgressDisplay, ProgressFile
from .run_directory import RunDirectory


class Outcome(NamedTuple):
    """How a training ended."""

    steps: int
    """Environment steps of the run so far."""
    seconds: float
    """Wall time of this process's part."""
    fps: float
    """Environment steps per second of this process's part."""
    stopped: bool
    """Whether a signal ended it before its time."""


_STOP = "stop"
_OVERFLOWS = "mapush/buffer_overflows"
_GENERATOR, _ENV = checkpoint.GENERATOR, checkpoint.ENV
_DECISIVE = re.compile("loss|reward")
"""In the names of metrics that must be finite."""


class _Update(NamedTuple):
    """An update whose numbers are being copied to the host."""

    steps: int
    """Environment steps of the run after it."""
    metrics: Fetch
    statistics: Fetch
    watch: Stopwatch


class Trainer:
    """Collects rollouts and learns from them until the run's steps are done.

    Everything that the rest of the run depends on is in a checkpoint, taken between two updates, so that a run
    that was stopped and resumed ends, on a CPU, with the same bytes as one that was not.
    """

    def __init__(
        self, config: ExperimentConfig, run: RunDirectory, env: PushEnv, learner: Learner, world: World = ALONE
    ) -> None:
        """Start at step 0; `restore` goes on from a checkpoint."""
        self.config, self.run, self.env, self.learner, self.world = config, run, env, learner, world
        self.steps, self._warned = 0, False
        self.steps_per_update = config.steps_per_update * world.size
        """Environment steps (0.02 s) of all processes between two updates."""
        self._ahead = 1 if env.device.type == "cuda" else 0
        self.window = EpisodeWindow()
        self._stage = -1
        self._enter_stage()
        env.reset(random_ages=config.training.random_initial_ages)
        learner.begin()

    def train(self, display: ProgressDisplay, log: MetricsLog, stop: StopRequest) -> Outcome:
        """Train until the steps are done or a stop is requested; a checkpoint is written in either case."""
        started, first, total = time.monotonic(), self.steps, self.config.total_steps
        interval = self.config.training.checkpoint_interval
        progress = ProgressFile(self.run.path if self.world.leads else None, self.steps, total)
        queue: Deque[_Update] = deque()
        stopping = False
        while self.steps < total and not stopping:
            self._enter_stage()
            queue.append(self._launch(stop))
            due = self.steps // interval > (self.steps - self.steps_per_update) // interval
            done = self.steps >= total
            # A GPU works on one update while the numbers of the one before are logged.
            while len(queue) > (0 if due or done else self._ahead):
                wanted = self._conclude(queue.popleft(), display, log, progress)
                stopping = stopping or wanted
            if due:
                self.save()
        for update in queue:
            self._conclude(update, display, log, progress)
        self.save()
        stopped = self.steps < total
        progress.end("stopped" if stopped else "finished")
        seconds = time.monotonic() - started
        return Outcome(self.steps, seconds, (self.steps - first) / max(seconds, 1e-9), stopped)

    def _conclude(self, update: _Update, display: ProgressDisplay, log: MetricsLog, progress: ProgressFile) -> bool:
        """Wait for an update, log it, and print what there is to say of it; whether to stop after it."""
        steps, (metrics, wanted) = update.steps, self._finish(update)
        log.write(metrics, steps)
        self._check_finite(metrics, steps)
        if self.world.leads:
            for line in self.learner.after_update(self.run.path, steps, metrics):
                display.line(line)
        if metrics[_OVERFLOWS] and not self._warned:
            self._warned = True
            display.line(
                "warning: a physics step found no room for all contacts of an environment, whose episode was ended as "
                f"a value error; {_OVERFLOWS} in the logs counts such steps. Please report the object and the robots"
            )
        display.update(progress.update(steps, metrics), metrics)
        return wanted

    def _check_finite(self, metrics: Dict[str, float], steps: int) -> None:
        """Raise an error if a loss or a reward is not finite: the weights are then lost.

        Raises:
            FaultError: which one; empty where another process says it.

        """
        wrong = [name for name, value in metrics.items() if _DECISIVE.search(name) and not isfinite(value)]
        if not wrong:
            return
        if not self.world.leads:
            self.world.say("")  # all processes stop here; this one waits until the first has said why
        # A reward term is the cause of everything else.
        name = next((name for name in wrong if name.startswith(TERM_PREFIX)), wrong[0])
        what = f"the reward term {name[len(TERM_PREFIX) :]}" if name.startswith(TERM_PREFIX) else name
        raise FaultError(f"{what} is {metrics[name]} at {steps:,} steps, and nothing was saved since")

    # Checkpoints

    def save(self) -> None:
        """Write a checkpoint of this moment.

        Raises:
            FaultError: it holds weights that are not finite.
            OSError: it cannot be written.

        """
        saved = self.snapshot()
        if self.world.leads:
            checkpoint.save(self.run.models, saved, self.learner.add_files)

    def snapshot(self) -> checkpoint.Checkpoint:
        """This moment, complete: the environments and random generators of all processes one after the other."""
        gather = self.world.gather
        env = {name: gather(value) for name, value in flatten({"env": self.env}).items()}
        training = self.learner.training_state()
        training.update({name: gather(value) for name, value in training.items() if name.startswith(_GENERATOR)})
        progress = {"recent": self.window.to_json(), "processes": self.world.size}
        return checkpoint.Checkpoint(self.steps, self.learner.model_state(), {**training, **env}, progress)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint of this run.

        Raises:
            UserError: it was made by another number of processes, or another configuration.

        """
        wanted, have = saved.progress.get("processes", 1), self.world.size
        if wanted != have:
            raise UserError(
                f"the run was trained by {wanted} processes, not {have}; resume it with --gpus {wanted}, or on CPUs "
                f"with {launch.torchrun(wanted, 'train --resume RUN')}"
            )
        try:
            self._load(saved)
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            folder = self.run.models / f"rl_model_{saved.steps}_steps"
            reason = checkpoint.does_not_fit(folder, error)
            raise UserError(f"{reason}; to go on from the checkpoint before it, move {folder} away") from None

    def _load(self, saved: checkpoint.Checkpoint) -> None:
        """Take over everything that a checkpoint holds; an error says what does not fit."""
        known = {name.partition(".")[0] for name in self.learner.training_state()} | {_ENV[:-1], "optimizer"}
        others = {name: value for name, value in saved.training.items() if name.partition(".")[0] not in known}
        check_state("", {}, others)
        self.steps = saved.steps
        self.learner.load_model_state(saved.model)
        check_state("", self.learner.model_state(), saved.model)
        own = {
            name: self._own(value) if name.startswith((_GENERATOR, _ENV)) else value
            for name, value in saved.training.items()
        }
        for name, value in self.learner.training_state().items():
            if name.startswith(_GENERATOR):
                check_state("", {name: value}, {name: own[name]})
        self.learner.load_training_state({name: own[name] for name in own if not name.startswith(_ENV)})
        unflatten({"env": self.env}, own)
        self.window.load_json(saved.progress["recent"])
        self._enter_stage()

    def _own(self, gathered: Tensor) -> Tensor:
        """This process's part of what `World.gather` put together."""
        # A generator takes its state only from the start of a tensor's memory.
        return gathered.chunk(self.world.size)[self.world.rank].clone()

    # One update

    def _launch(self, stop: StopRequest) -> _Update:
        """One rollout and one update; on a GPU they are queued, and nobody waits for them."""
        watch = Stopwatch(self.env.device)
        watch.mark()
        self.learner.collect()
        watch.mark()
        metrics = self.learner.update(self.steps, self._stage_progress())
        watch.mark()
        self.steps += self.steps_per_update
        statistics = self.world.sum(self.env.statistics.pop())
        # All processes stop after the same update, whichever of them was asked to.
        wanted = torch.full_like(statistics[0], float(stop.signal_number is not None))
        overflows = self.world.sum(self.env.simulator.overflows())
        return _Update(
            self.steps,
            Fetch({**metrics, _OVERFLOWS: overflows, _STOP: self.world.sum(wanted)}),
            Fetch(dict(zip(self.env.statistics.names, statistics.unbind()))),
            watch,
        )

    def _finish(self, update: _Update) -> Tuple[Dict[str, float], bool]:
        """Wait for an update; everything that there is to log, and whether to stop after it."""
        metrics, statistics = update.metrics.result(), update.statistics.result()
        wanted = metrics.pop(_STOP) > 0
        self.window.add(statistics)
        metrics.update(self.window.metrics())
        metrics.update(reward_terms(statistics, self.env.simulator.num_robots))
        rollout, learning = update.watch.seconds()
        metrics["perf/fps"] = self.steps_per_update / (rollout + learning)
        metrics["perf/rollout_seconds"] = rollout
        metrics["perf/update_seconds"] = learning
        metrics["perf/rss_mib"] = memory.resident_mib()
        if self.env.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.env.device)
            metrics["perf/vram_mib"] = (total - free) / 2**20
        return metrics, wanted

    # Stages of a curriculum

    def _stage_bounds(self) -> Tuple[int, int, int]:
        """Index of the present stage and the steps where it begins and ends."""
        lengths = [stage.steps for stage in self.config.training.stages] or [self.config.total_steps]
        ends = list(accumulate(lengths))
        index = min(bisect(ends, self.steps), len(ends) - 1)
        return index, ends[index] - lengths[index], ends[index]

    def _stage_progress(self) -> float:
        _, begin, end = self._stage_bounds()
        return (self.steps - begin) / (end - begin)

    def _enter_stage(self) -> None:
        """Take on the present stage's rewards and rates, if they are not taken on yet."""
        index, _, _ = self._stage_bounds()
        if self.config.training.stages and index != self._stage:
            self._stage = index
            changed = self.config.stage(index)
            self.env.configure(changed.task)
            self.learner.configure(changed.learner)
