"""What this machine does, in one table: `python benchmarks/machine.py [--against COMMIT] [--pairs 3] [--rows TEXT]`.

Training rates of HAPPO (`benchmarks/training.py`, env-steps/s) for planar robots and for legs, with each object. How
often a minute a `mapush train` of one update and a `mapush smoke` could be run. On an NVIDIA GPU with the part `gpu`.

With `--against` every row is also measured with the package of that commit, in turns, with this folder's benchmarks, so
that the machine's noise meets both. The last column is the mean ratio of the pairs with its 95 % interval. Exit code 1
if a row is slower by more than 3 % with certainty: its whole interval is below 0.97. `nox -s benchmark` compares with
the commit in `benchmarks/baseline`.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import scipy.stats
import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
TRAINING = str(ROOT / "benchmarks" / "training.py")
ALLOWED = 0.97


def run(tree, words, folder):
    """Run Python with the package of a tree; returns (seconds, what it printed)."""
    variables = {**os.environ, "PYTHONPATH": str(tree)}
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, *words], env=variables, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SystemExit(f"{' '.join(words)} with {tree} ended with exit code {done.returncode}: {' '.join(last)}")
    return seconds, done.stdout


def rate(tree, options, folder):
    """Environment steps a second."""
    _, printed = run(tree, [TRAINING, "--json", "--algorithms", "happo", *options], folder)
    return json.loads(printed.splitlines()[-1])["rate"]


def speed(tree, command, folder):
    """How often a minute a command could be run."""
    with tempfile.TemporaryDirectory() as results:
        return 60 / run(tree, ["-m", "mapush_stack", *command, "--results", results], folder)[0]


def rows(on_gpu):
    """(label, what measures it, its arguments) of each row; all are better the higher they are."""
    sizes = ("8192", "65536") if on_gpu else ("",)  # the preset's
    large = ["--with", "gpu", "--updates", "3"] if on_gpu else ["--updates", "6"]
    for robot in ("planar", "go1"):
        for thing in ("cuboid", "tblock", "cylinder"):
            for size in sizes:
                options = [*large, "--envs", size, "--object", thing, f"sim.robot={robot}"]
                many = f"{int(size):,} environments, " if size else ""
                yield f"{robot}, {thing}, {many}env-steps/s", rate, options
    short = ["train", "--steps", "1", "--no-evaluation"]
    yield "trainings of one update a minute", speed, short
    yield "smoke tests a minute", speed, ["smoke", "--backend", "warp" if on_gpu else "mujoco"]


def ratio(pairs):
    """Mean of new over old, and the half width of its 95 % interval."""
    ratios = [new / old for new, old in pairs]
    if len(ratios) < 2:
        return ratios[0], math.inf
    spread = statistics.stdev(ratios) / math.sqrt(len(ratios))
    return statistics.fmean(ratios), float(scipy.stats.t.ppf(0.975, len(ratios) - 1)) * spread


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="COMMIT", default="")
    parser.add_argument("--pairs", type=int, default=3, help="measurements of each row (default 3)")
    parser.add_argument("--rows", default="", help="only rows whose label contains this")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    wanted = [row for row in rows(on_gpu) if arguments.rows in row[0]]
    if arguments.pairs < 1:
        parser.error(f"--pairs {arguments.pairs} is not allowed: at least 1")
    if not wanted:
        labels = "; ".join(label for label, *_ in rows(on_gpu))
        parser.error(f"--rows {arguments.rows}: no row contains this; there are: {labels}")
    table = Table(title=torch.cuda.get_device_name() if on_gpu else f"{os.cpu_count()} CPUs")
    for heading in ("", "now", *([arguments.against[:9], "now / then"] if arguments.against else [])):
        table.add_column(heading, justify="right" if heading else "left")
    slower = False
    with tempfile.TemporaryDirectory() as folder:
        trees = [ROOT]
        if arguments.against:
            trees.append(Path(folder) / "then")
            git = ["git", "-C", str(ROOT), "worktree"]
            made = subprocess.run(
                [*git, "add", "--quiet", "--detach", str(trees[1]), arguments.against], capture_output=True, text=True
            )
            if made.returncode:
                parser.error(f"--against {arguments.against}: {made.stderr.strip()}; name a commit of this repository")
        try:
            for label, measure, options in wanted:
                pairs = [[measure(tree, options, folder) for tree in trees] for _ in range(arguments.pairs)]
                cells = [f"{statistics.median(values):,.{0 if values[0] > 100 else 2}f}" for values in zip(*pairs)]
                if arguments.against:
                    mean, half = ratio(pairs)
                    cells.append(f"{mean:.3f} ± {half:.3f}")
                    slower |= mean + half < ALLOWED
                table.add_row(label, *cells)
                print(label, *cells, sep="  ", file=sys.stderr, flush=True)
        finally:
            if arguments.against:
                subprocess.run([*git, "remove", "--force", str(trees[1])], check=True)
    Console(width=140).print(table)
    sys.exit(int(slower))


if __name__ == "__main__":
    main()
