"""Rate of training end to end and where its time goes.

    python benchmarks/training.py [--envs 512 2048 ...] [--algorithms happo mappo] [FIELD=VALUE ...]

Counts environment steps of 0.02 s. Shares are of the wall time of whole updates: physics (MuJoCo), walking (the policy
that moves the legs, with `sim.robot=go1`), task (observations, rewards, resets), inference (the actors in the
rollout), update (critic and actors). On a GPU times are those of CUDA events in the stream of work, and memory is
what the whole process holds on the device.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from mapush_stack.learning.factory import make_learner
from mapush_stack.sim import backend
from mapush_stack.training import config as configuration
from mapush_stack.training import session
from mapush_stack.training.numbers import Stopwatch
from mapush_stack.training.signals import StopRequest
from mapush_stack.training.trainer import Trainer

PARTS = ("physics", "walking", "task", "inference", "update")


class Timed:
    """Adds up the time that calls of a method take on the device."""

    def __init__(self, owner, name, device):
        self._call, self._device, self._watches = getattr(owner, name), device, []
        setattr(owner, name, self)

    def __call__(self, *arguments, **named):
        watch = Stopwatch(self._device)
        watch.mark()
        result = self._call(*arguments, **named)
        watch.mark()
        self._watches.append(watch)
        return result

    def seconds(self):
        return sum(watch.seconds()[0] for watch in self._watches)


class NoRun:
    models = Path(os.devnull)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def held(device):
    """MiB in use on a GPU; 0 on a CPU."""
    if device.type != "cuda":
        return 0.0
    free, total = torch.cuda.mem_get_info(device)
    return (total - free) / 2**20


def measure(settings, updates):
    """Median env-steps/s over the updates, the share of each part, and GPU memory (MiB)."""
    session.set_torch_threads(settings.training.torch_threads)
    env = session._make_env(settings)
    device = env.device
    learner = make_learner(settings.learner, session.spec_of(env), device, 1)
    trainer, stop = Trainer(settings, NoRun(), env, learner), StopRequest()
    for _ in range(3):  # the first ones load and capture
        trainer._finish(trainer._launch(stop))
    wait(device)
    memory = held(device)
    # Twice: undisturbed for the rate, then with marks in the stream for the shares.
    rates = [trainer._finish(trainer._launch(stop))[1]["perf/fps"] for _ in range(updates)]
    timed = {"physics": Timed(env.simulator.engine, "advance", device), "environment": Timed(env, "step", device)}
    timed.update(inference=Timed(learner, "act", device), update=Timed(learner, "update", device))
    if settings.sim.robot == "go1":
        timed["walking"] = Timed(env.simulator.team, "walk", device)
    begun = time.perf_counter()
    for _ in range(updates):
        trainer._finish(trainer._launch(stop))
    wait(device)
    total = time.perf_counter() - begun
    seconds = {name: part.seconds() for name, part in timed.items()}
    seconds.setdefault("walking", 0.0)
    seconds["task"] = seconds.pop("environment") - seconds["physics"] - seconds["walking"]
    env.close()
    return statistics.median(rates), {name: value / total for name, value in seconds.items()}, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=int, nargs="*", default=[])
    parser.add_argument("--algorithms", nargs="*", default=["happo", "mappo"])
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_intermixed_args()
    sizes = arguments.envs or [configuration.load("default", "", arguments.overrides).sim.num_envs]
    table = None
    for algorithm in arguments.algorithms:
        for size in sizes:
            changes = [f"learner.algorithm={algorithm}", f"sim.num_envs={size}", *arguments.overrides]
            settings = configuration.load("default", "", changes)
            if table is None:
                chosen = backend.choose(settings.sim)
                where = chosen.reason if chosen.device.type == "cuda" else f"{os.cpu_count()} CPUs"
                title = " ".join([f"{where}, {chosen.name}, preset default", *arguments.overrides])
                table = Table(title=title)
                for heading in ("algorithm", "environments", "env-steps/s", *PARTS, "GPU memory"):
                    table.add_column(heading, justify="left" if heading == "algorithm" else "right")
            rate, shares, memory = measure(settings, arguments.updates)
            columns = [f"{shares[name]:.0%}" for name in PARTS]
            table.add_row(algorithm, f"{size:,}", f"{rate:,.0f}", *columns, f"{memory:,.0f} MiB" if memory else "-")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
