"""Training rate on several GPUs: `python benchmarks/scaling.py [--gpus 1,2,4] [--updates 16] [OPTION ...]`.

Runs `mapush train --with gpu --gpus N OPTION ...` for the same number of updates; every GPU has `sim.num_envs`
environments. The rate is the median of the logged `perf/fps` over the second half of the updates: whole updates on the
first GPU, including the time in which it waits for the others.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mapush_stack.training import config as configuration


def train(gpus, steps, options):
    """Train once; returns environment steps a second and the wall time of the command, s."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mapush_stack", "train", "--with", "gpu", "--gpus", str(gpus), *options]
        command += ["--steps", str(steps), "--results", folder, "--no-evaluation"]
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.monotonic() - begun
        if done.returncode:
            sys.exit(f"{gpus} GPUs: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        (logs,) = Path(folder).glob("mapush/*/*/*/seed-*/logs")
        events = EventAccumulator(str(logs))
        events.Reload()
        rates = [point.value for point in events.Scalars("perf/fps")]
    return statistics.median(rates[len(rates) // 2 :]), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", default="1,2,4")
    parser.add_argument("--updates", type=int, default=16)
    arguments, options = parser.parse_known_args()
    overrides = [option for option in options if "=" in option and not option.startswith("-")]
    each = configuration.load("default", "", overrides, ["gpu"])
    table = Table(title=f"mapush train --with gpu {' '.join(options)}, {each.sim.num_envs:,} environments a GPU")
    for heading in ("GPUs", "env-steps/s", "speed-up", "whole command"):
        table.add_column(heading, justify="right")
    first = None
    for gpus in map(int, arguments.gpus.split(",")):
        rate, seconds = train(gpus, gpus * arguments.updates * each.steps_per_update, options)
        first = first or rate
        row = [str(gpus), f"{rate:,.0f}", f"{rate / first:.2f}", f"{seconds:.1f} s"]
        print(*row, sep=" | ", file=sys.stderr, flush=True)
        table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
