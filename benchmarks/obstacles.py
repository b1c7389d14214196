"""What obstacles and guidance cost: rates of a whole training with and without them, in turns.

    python benchmarks/obstacles.py [--pairs 3] [--updates 4] [--with PART ...] [FIELD=VALUE ...]

The preset is `long-way`. Without: the same with nothing in the way, no arena and no planner. Environment steps of
0.02 s for a second of wall time and, on a CPU, for a second of this process's CPU time, which others disturb less.
"""

import argparse
import statistics
import time

from training import NoRun, wait

from mapush_stack.sim import simulators
from mapush_stack.system.signals import StopRequest
from mapush_stack.training import config as configuration
from mapush_stack.training import session
from mapush_stack.training.trainer import Trainer

NOTHING = "arena=null boxes=0 cylinders=0 gates=0 planner=direct observed=false patience=0 aligned=false"


def rates(settings, updates):
    """Environment steps for a second of wall time and of CPU time, over whole updates."""
    device = simulators.choose(settings.sim).device
    with session.prepared(settings, settings.training.torch_threads) as (env, learner):
        trainer, stop = Trainer(settings, NoRun(), env, learner), StopRequest()
        for _ in range(3):  # the first ones load kernels and capture CUDA graphs
            trainer._finish(trainer._launch(stop))
        wait(device)
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(updates):
            trainer._finish(trainer._launch(stop))
        wait(device)
        steps = updates * trainer.steps_per_update
        return steps / (time.perf_counter() - begun), steps / (time.process_time() - cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--with", dest="parts", action="append", default=[])
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_intermixed_args()
    around = configuration.load("long-way", "", arguments.overrides, arguments.parts)
    free = configuration.overridden(around, [f"task.obstacles.{change}" for change in NOTHING.split()])
    chosen, shares = simulators.choose(session.simulation(around)), ([], [])
    print(f"{chosen.name} on {chosen.device} ({chosen.reason}), {around.sim.num_envs} environments")
    for _ in range(arguments.pairs):
        with_them, without = rates(around, arguments.updates), rates(free, arguments.updates)
        for share, one, other in zip(shares, with_them, without):
            share.append(one / other)
        print(f"with {with_them[0]:,.0f}, without {without[0]:,.0f} env-steps/s: {shares[0][-1]:.0%}; "
              f"a CPU second {with_them[1]:,.0f} and {without[1]:,.0f}: {shares[1][-1]:.0%}", flush=True)  # fmt: skip
    print(
        f"median: {statistics.median(shares[0]):.0%} of wall time's rate, {statistics.median(shares[1]):.0%} of CPU's"
    )


if __name__ == "__main__":
    main()
