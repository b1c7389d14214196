"""Time of the physics of a decision under a trained policy, for planar robots.

    python benchmarks/physics.py [--object NAME] [--policy NAME] [--envs 4096,65536] [FIELD=VALUE ...]

The policy plays for 40 decisions, with noise. Then the physics of each eighth decision is done three times more, and
timed: the median, the least and the most of 30 times. On a CPU `sim.backend=warp sim.device=cpu` is the GPU's kernel,
`sim.backend=mujoco` is MuJoCo, and `sim.threads=1` takes one core.
"""

import argparse
import statistics

import torch
from rich.console import Console
from rich.table import Table

import mapush_stack
from mapush_stack.device.fetch import Stopwatch

PLAYED, EACH, TIMED = 40, 8, 30
NOISE = 0.3


def milliseconds(env, policy):
    """Times of a decision's physics, ms."""
    engine, calls, times = env.simulator.engine, [], []
    advance = engine.advance

    def noted(*arguments):
        calls.append(arguments)
        return advance(*arguments)

    engine.advance = noted
    observations, _ = env.reset()
    for decision in range(PLAYED + EACH * TIMED // 3):
        action = policy.act(observations)
        action = (action + NOISE * torch.randn_like(action)).clamp(-1, 1)
        observations = env.step(action).observations
        if decision >= PLAYED and decision % EACH == 0:
            # On a GPU a replayed graph calls nothing; the kernel's own copy of the commands is up to date.
            control, *steps = calls[-1]
            control = getattr(engine, "_control", control).clone()
            watch = Stopwatch(env.device)
            watch.mark()
            for _ in range(3):
                advance(control, *steps)
                watch.mark()
            times += [1e3 * seconds for seconds in watch.seconds()]
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--object", default="cuboid")
    parser.add_argument("--policy", help="of `mapush pretrained`, or a run; OBJECT-planar if not given")
    parser.add_argument("--envs", default="4096,65536")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_intermixed_args()
    table = Table(title=f"physics of a decision, {arguments.object} {' '.join(arguments.overrides)}")
    for heading in ("environments", "median ms", "least", "most"):
        table.add_column(heading, justify="right")
    for envs in map(int, arguments.envs.split(",")):
        overrides = [f"sim.num_envs={envs}", *arguments.overrides]
        env = mapush_stack.make_env(mapush_stack.load_config("default", arguments.object, overrides))
        times = milliseconds(env, mapush_stack.load_policy(arguments.policy or f"{arguments.object}-planar", env))
        env.close()
        figures = (statistics.median(times), min(times), max(times))
        table.add_row(f"{envs:,}", *(f"{figure:.2f}" for figure in figures))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
