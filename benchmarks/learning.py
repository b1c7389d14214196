"""The learning table of docs/benchmarks.md: `python benchmarks/learning.py [--rows cuboid-happo]`, hours or minutes.

Trains every row's seeds with `mapush train`, by default two at a time on one thread each, and keeps runs that exist
already. Evaluates each last checkpoint over 1000 first episodes and prints the table in Markdown. The episodes start
differently from those of the training and from those on which settings were chosen (seed 777).
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

EPISODES = 1000
ROWS = {
    "cuboid-happo": (["--algo", "happo"], 8_000_000, 5),
    "cuboid-mappo": (["--algo", "mappo"], 8_000_000, 5),
    "tblock-happo": (["--object", "tblock"], 10_000_000, 5),
    "cylinder-happo": (["--object", "cylinder"], 15_000_000, 5),
    "paper-mappo": (["--preset", "paper"], 6_000_000, 2),
    "basic-happo": (["--preset", "basic"], 6_000_000, 3),
    "safe-happo": (["--preset", "safe"], 6_000_000, 2),
    "balanced-happo": (["--preset", "balanced"], 2_000_000, 1),
}
"""Options of `mapush train`, environment steps, seeds."""


def mapush(*arguments):
    command = [sys.executable, "-m", "mapush_stack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def train(results, threads, row, seed):
    """Train or resume one run of a row; returns its folder."""
    options, steps, _ = ROWS[row]
    threads = [f"sim.threads={threads}", f"training.torch_threads={threads}"]
    folder = results / row / str(seed)
    runs = list(folder.glob("mapush/*/*/*/seed-*"))
    if not runs:
        common = ["--results", folder, "--seed", seed, "--steps", steps, "--no-evaluation"]
        mapush("train", *options, *common, *threads, "training.checkpoint_interval=1000000")
    elif max(int(path.name.split("_")[2]) for path in (runs[0] / "models").iterdir()) < steps:
        mapush("train", "--resume", runs[0], "--no-evaluation")
    (run,) = folder.glob("mapush/*/*/*/seed-*")
    return run


def evaluate(run):
    """Evaluate a run's last checkpoint, unless that was done before."""
    last = max((run / "models").iterdir(), key=lambda path: int(path.name.split("_")[2]))
    found = run / f"evaluation-{last.name}.json"
    if not found.exists():
        found.write_text(mapush("evaluate", last, "--episodes", EPISODES, "--json"))
    return json.loads(found.read_text())[0]


def line(row, evaluations):
    """One line of the table."""
    _, steps, _ = ROWS[row]

    def spread(name, digits, scale=1.0):
        values = [scale * found[name] for found in evaluations]
        mean = sum(values) / len(values)
        return f"{mean:.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"

    preset, algorithm = row.split("-")
    cells = [
        preset,
        algorithm.upper(),
        f"{steps // 1_000_000} M",
        str(len(evaluations)),
        spread("success_rate", 1, 100.0),
        spread("valid_success_rate", 1, 100.0),
        spread("finished_time", 2),
        spread("collaboration_degree", 2),
    ]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--results", type=Path, default=Path("results/table"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    arguments = parser.parse_args()
    jobs = [(row, seed) for row in arguments.rows for seed in range(1, ROWS[row][2] + 1)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(lambda job: evaluate(train(arguments.results, arguments.threads, *job)), jobs))
    print("| row | algorithm | steps | seeds | success % | of valid resets % | finish time s | collaboration |")
    print("|---|---|---|---|---|---|---|---|")
    for row in arguments.rows:
        print(line(row, [evaluation for (name, _), evaluation in zip(jobs, found) if name == row]))


if __name__ == "__main__":
    main()
