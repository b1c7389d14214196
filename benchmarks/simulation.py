"""Rate of `sim/mujoco`, and of a bare loop of the same physics: `python benchmarks/simulation.py`.

The bare loop steps the same model with the same controls on the same threads (`mujoco.batch.Batch.step`) and reads
nothing back. On legs it replays the joint targets, so the ratio contains the cost of the walking policy. The two
alternate in one process, so that other programs slow both alike. Shows medians of the rounds.
"""

import argparse
import os
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from mapush_stack.envs.factory import make_simulator
from mapush_stack.task.resets import draw_start
from mapush_stack.training import config as configuration

REPEAT = 5


def rate(steps, run):
    begun = time.perf_counter()
    run()
    return steps / (time.perf_counter() - begun)


def measure(overrides, object_name, rounds, decisions):
    """Median env-steps/s of the simulator and of the bare loop, and the median of their ratios."""
    settings = configuration.load("default", object_name, overrides)
    robots, size = settings.object.task.num_robots, settings.sim.num_envs
    team, friction = [settings.sim.robot] * robots, torch.full((size,), 0.55)
    simulator = make_simulator(settings.sim, settings.object.body, team, friction, 0)
    ids, zero = torch.arange(size), torch.zeros(size, dtype=torch.int64)
    start = draw_start(settings.task, settings.object.task, 0, ids, zero).state
    generator = torch.Generator().manual_seed(0)
    commands = torch.rand(decisions, size, robots, 3, generator=generator) - 0.5
    batch, advance, controls = simulator.engine.batch, simulator.engine.advance, []

    def recorded(control, steps, substeps):
        controls.append((control.numpy(), steps * substeps))
        return advance(control, steps, substeps)

    def ours():
        controls.clear()
        for command in commands:
            simulator.step(command, REPEAT)

    def bare():
        for control, steps in controls:
            batch.ctrl = control
            batch.step(nstep=steps)

    simulator.engine.advance = recorded

    results = []
    for _ in range(rounds + 1):
        pair = []
        for run in (ours, bare):
            simulator.reset(ids, start)
            pair.append(rate(size * decisions * REPEAT, run))
        results.append(pair)
    ours_rates, bare_rates = zip(*results[1:])  # the first round warms up
    ratio = statistics.median(a / b for a, b in results[1:])
    return statistics.median(ours_rates), statistics.median(bare_rates), ratio


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decisions", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(title=f"{os.cpu_count()} CPUs, env-steps (0.02 s) per second")
    for heading in ("robots", "object", "environments", "physics step", "sim/mujoco", "bare loop", "ratio"):
        table.add_column(heading, justify="left" if heading in ("robots", "object") else "right")
    cases = [("planar", "cuboid", size, dt) for dt in (0.02, 0.01) for size in (256, 512, 2048)]
    cases += [("planar", name, 512, 0.02) for name in ("tblock", "cylinder")]
    cases += [("go1", "cuboid", 512, dt) for dt in (0.01, 0.005)]
    cases += [("go1", name, 512, 0.01) for name in ("tblock", "cylinder")]
    for robot, name, size, dt in cases:
        changes = [f"sim.num_envs={size}", f"sim.robot={robot}", f"sim.{robot}.physics_dt={dt}", "sim.backend=mujoco"]
        ours, bare, ratio = measure(changes, name, arguments.rounds, arguments.decisions)
        table.add_row(robot, name, f"{size}", f"{dt:g} s", f"{ours:,.0f}", f"{bare:,.0f}", f"{ratio:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
