"""Rate of a whole training, and the share of each part.

    python benchmarks/training.py [--envs 512,2048,...] [--algorithms happo,mappo] [--with PART ...] [--object NAME]
        [--json] [FIELD=VALUE ...]

Counts environment steps of 0.02 s. Shares are of the wall time of whole updates: physics (MuJoCo), walking (the policy
that moves the legs, with `sim.robot=go1`), task (observations, rewards, resets), inference (the actors in the rollout),
update (critic and actors). On a GPU times come from CUDA events in the stream of work. Memory is what the process has
taken on the device for this row; a line through several rows gives the cost of an environment.
"""

import argparse
import gc
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mapush_stack.device.fetch import Stopwatch
from mapush_stack.sim import simulators
from mapush_stack.system.signals import StopRequest
from mapush_stack.training import config as configuration
from mapush_stack.training import session
from mapush_stack.training.trainer import Trainer

PARTS = ("physics", "walking", "task", "inference", "update")


class Timed:
    """Sums the time that calls of a method take on the device."""

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
    """MiB in use on a GPU after releasing what earlier rows left; 0 on a CPU."""
    if device.type != "cuda":
        return 0.0
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    return (total - free) / 2**20


def measure(settings, updates):
    """Median env-steps/s over the updates, the share of each part, and GPU memory (MiB)."""
    device = simulators.choose(settings.sim).device
    before = held(device)
    with session.prepared(settings, settings.training.torch_threads) as (env, learner):
        trainer, stop = Trainer(settings, NoRun(), env, learner), StopRequest()
        for _ in range(3):  # the first ones load kernels and capture CUDA graphs
            trainer._finish(trainer._launch(stop))
        wait(device)
        memory = held(device) - before
        # Two passes: the marks in the stream that give the shares would lower the rate.
        rates = [trainer._finish(trainer._launch(stop))[0]["perf/fps"] for _ in range(updates)]
        timed = {"physics": Timed(env.simulator.engine, "advance", device), "environment": Timed(env, "step", device)}
        timed.update(inference=Timed(learner, "act", device), update=Timed(learner, "update", device))
        if settings.sim.robot == "go1":
            timed["walking"] = Timed(env.simulator.team, "_control", device)
        begun = time.perf_counter()
        for _ in range(updates):
            trainer._finish(trainer._launch(stop))
        wait(device)
        total = time.perf_counter() - begun
        seconds = {name: part.seconds() for name, part in timed.items()}
    seconds.setdefault("walking", 0.0)
    seconds["task"] = seconds.pop("environment") - seconds["physics"] - seconds["walking"]
    return statistics.median(rates), {name: value / total for name, value in seconds.items()}, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", default="")
    parser.add_argument("--algorithms", default="happo,mappo")
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--object", dest="body", default="")
    parser.add_argument("--with", dest="parts", action="append", default=[])
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each row instead of the table")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_intermixed_args()
    plain = configuration.load("default", arguments.body, arguments.overrides, arguments.parts)
    sizes = [int(size) for size in arguments.envs.split(",") if size] or [plain.sim.num_envs]
    simulation = getattr(session, "simulation", lambda config: config.sim)  # earlier commits have none
    chosen = simulators.choose(simulation(plain))
    where = chosen.reason if chosen.device.type == "cuda" else f"{os.cpu_count()} CPUs"
    settled = [*(f"--with {part}" for part in arguments.parts), *arguments.overrides]
    table = Table(title=" ".join([f"{where}, {chosen.name}, preset default", *settled]))
    for heading in ("algorithm", "environments", "env-steps/s", *PARTS, "GPU memory"):
        table.add_column(heading, justify="left" if heading == "algorithm" else "right")
    memories = []
    for algorithm in arguments.algorithms.split(","):
        for size in sizes:
            changes = [f"learner.algorithm={algorithm}", f"sim.num_envs={size}", *arguments.overrides]
            settings = configuration.load("default", arguments.body, changes, arguments.parts)
            rate, shares, memory = measure(settings, arguments.updates)
            memories.append(memory)
            if arguments.json:
                row = {"algorithm": algorithm, "envs": size, "rate": rate, "shares": shares, "memory_mib": memory}
                print(json.dumps(row), flush=True)
            columns = [f"{shares[name]:.0%}" for name in PARTS]
            table.add_row(algorithm, f"{size:,}", f"{rate:,.0f}", *columns, f"{memory:,.0f} MiB" if memory else "-")
    if arguments.json:
        return
    console = Console(width=140)
    console.print(table)
    if memories[0] and len(sizes) > 2:
        each, fixed = np.polyfit(sizes, memories[: len(sizes)], 1)
        console.print(f"GPU memory: {fixed:,.0f} MiB + {each * 1024:,.1f} KiB an environment (least squares)")


if __name__ == "__main__":
    main()
