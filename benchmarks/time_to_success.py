"""Seconds of training to a success rate: `python benchmarks/time_to_success.py [--seeds 1,2,3] [OPTION ...]`.

Runs `mapush train --with gpu OPTION ...`, one seed after the other. Evaluates its checkpoints under the published
protocol, oldest first until 90 % is passed, and the last one. Seconds run from the moment when the run's folder
appears, before CUDA graphs are captured, to the checkpoint on the disk. The time of the whole command is shown too.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

MARKS = (0.6, 0.9)


def train(results, seed, options):
    """Train one run; returns its folder and the wall time of the command, s."""
    folder = results / str(seed)
    common = ["--results", folder, "--seed", seed, "--no-evaluation", "training.checkpoint_interval=2_000_000"]
    command = [sys.executable, "-m", "mapush_stack", "train", "--with", "gpu", *options, *common]
    begun = time.monotonic()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    (run,) = folder.glob("mapush/*/*/*/seed-*")
    return run, seconds


def evaluate(path, episodes):
    command = [sys.executable, "-m", "mapush_stack", "evaluate", str(path), "--episodes", str(episodes), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[0]


def crossings(run, episodes):
    """The first checkpoint at or above each mark as (steps, seconds, success), and the evaluation of the last one."""
    begun = (run / "config.json").stat().st_mtime
    saved = sorted((int(path.name.split("_")[2]), path) for path in (run / "models").iterdir())
    found = {}
    for steps, path in saved:
        success = evaluate(path, episodes)["success_rate"]
        for mark in MARKS:
            if success >= mark and mark not in found:
                found[mark] = (steps, (path / "progress.json").stat().st_mtime - begun, success)
        if len(found) == len(MARKS):
            break
    return found, evaluate(saved[-1][1], episodes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--results", type=Path, default=Path("results/time_to_success"))
    arguments, options = parser.parse_known_args()
    table = Table(title=f"mapush train --with gpu {' '.join(options)}; {arguments.episodes} episodes a checkpoint")
    headings = ["seed", "whole command", *(f"{mark:.0%} at" for mark in MARKS), "steps", "success", "of valid resets"]
    for heading in (*headings, "finish time"):
        table.add_column(heading, justify="right")
    for seed in map(int, arguments.seeds.split(",")):
        run, seconds = train(arguments.results, seed, options)
        found, last = crossings(run, arguments.episodes)
        cells = [f"{found[mark][1]:.1f} s, {found[mark][0] / 1e6:.1f} M" if mark in found else "-" for mark in MARKS]
        shares = [f"{last[name]:.1%}" for name in ("success_rate", "valid_success_rate")]
        row = [str(seed), f"{seconds:.1f} s", *cells, f"{last['steps']:,}", *shares, f"{last['finished_time']:.2f} s"]
        print(*row, sep=" | ", file=sys.stderr, flush=True)  # shown even if the benchmark is stopped
        table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
