"""Rate of training end to end and where its time goes: `python benchmarks/training.py [FIELD=VALUE ...]`.

Counts environment steps of 0.02 s. Shares are wall time: physics (MuJoCo), task (observations, rewards, resets),
walking (the policy that moves the legs, with `sim.robot=go1`), inference (the actors in the rollout), update (critic
and actors).
"""

import os
import statistics
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mapush_stack.learning.factory import make_learner
from mapush_stack.training import config as configuration
from mapush_stack.training import session
from mapush_stack.training.trainer import Trainer

UPDATES = 8


class Stopwatch:
    """Adds up the wall time that calls of a method take."""

    def __init__(self, owner, name):
        self.seconds, self._call = 0.0, getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *arguments, **named):
        begun = time.perf_counter()
        result = self._call(*arguments, **named)
        self.seconds += time.perf_counter() - begun
        return result


class NoRun:
    models = Path(os.devnull)


def measure(overrides):
    """Median env-steps/s over the updates, and the share of each part."""
    settings = configuration.load("default", "", overrides)
    session.set_torch_threads(settings.training.torch_threads)
    env = session._make_env(settings)
    learner = make_learner(settings.learner, session.spec_of(env), env.device, 1)
    trainer = Trainer(settings, NoRun(), env, learner)
    trainer._iterate()
    physics = Stopwatch(env.simulator.engine, "advance")
    walking = Stopwatch(env.simulator.team, "walk") if settings.sim.robot == "go1" else None
    parts = {"physics": physics, "environment": Stopwatch(env, "step")}
    parts.update(inference=Stopwatch(learner, "act"), update=Stopwatch(learner, "update"))
    rates = []
    begun = time.perf_counter()
    for _ in range(UPDATES):
        start = time.perf_counter()
        trainer._iterate()
        rates.append(settings.steps_per_update / (time.perf_counter() - start))
    total = time.perf_counter() - begun
    seconds = {name: watch.seconds for name, watch in parts.items()}
    seconds["walking"] = walking.seconds if walking else 0.0
    seconds["task"] = seconds.pop("environment") - seconds["physics"] - seconds["walking"]
    return statistics.median(rates), {name: value / total for name, value in seconds.items()}


def main():
    overrides = sys.argv[1:]
    table = Table(title=f"{os.cpu_count()} CPUs, preset default {' '.join(overrides)}")
    for heading in ("algorithm", "env-steps/s", "physics", "walking", "task", "inference", "update"):
        table.add_column(heading, justify="left" if heading == "algorithm" else "right")
    for algorithm in ("happo", "mappo"):
        rate, shares = measure([f"learner.algorithm={algorithm}", *overrides])
        columns = [f"{shares[name]:.0%}" for name in ("physics", "walking", "task", "inference", "update")]
        table.add_row(algorithm, f"{rate:,.0f}", *columns)
    Console().print(table)


if __name__ == "__main__":
    main()
