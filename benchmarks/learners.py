"""Learners side by side: `python benchmarks/learners.py native harl [--steps 2_000_000] [--seeds 1,2]`.

Every library trains the same team on the same simulator for the same steps with one thread, one run after the other.
All checkpoints are evaluated under the published protocol from the same starts. Prints the table in Markdown and draws
success over steps. Runs and evaluations that exist already are kept. Libraries: `native`, `harl`, `openrl`, and
`native-harl`, this project's learner with the settings of `--with harl`.

Speed is environment steps per second of processor time of the whole command, start included: with one thread, the rate
on an idle machine, which other programs hardly change.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

LIBRARIES = {
    "native": ["--learner", "native"],
    "native-harl": ["--with", "harl", "--learner", "native"],
    "harl": ["--with", "harl", "--learner", "harl"],
    "openrl": ["--with", "openrl", "--learner", "openrl", "--algo", "mappo"],
}
"""Options of `mapush train`."""
ONE_THREAD = ["sim.threads=1", "training.torch_threads=1"]
CHECKPOINTS = 10


def mapush(*arguments):
    command = [sys.executable, "-m", "mapush_stack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def train(folder, library, seed, steps, overrides):
    """Train one run if it is missing; returns its folder and the seconds of processor time that the command took."""
    took = folder / "seconds.txt"
    if not took.exists():
        common = ["--results", folder, "--seed", seed, "--steps", steps, "--no-evaluation"]
        interval = f"training.checkpoint_interval={max(steps // CHECKPOINTS, 1)}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        mapush("train", *LIBRARIES[library], *common, *ONE_THREAD, interval, *overrides)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.write_text(str(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    (run,) = folder.glob("mapush/*/*/*/seed-*")
    return run, float(took.read_text())


def evaluate(run, episodes):
    """Evaluations of a run's checkpoints, oldest first: `[(steps, evaluation)]`."""
    found = run / f"evaluation-{episodes}.json"
    if not found.exists():
        found.write_text(mapush("evaluate", run, "--episodes", episodes, "--json"))
    return [(row["steps"], row) for row in json.loads(found.read_text())]


def row(library, runs):
    """One line of the table; `runs` are (folder, environment steps per second of processor time, curve)."""
    algorithm = json.loads((runs[0][0] / "config.json").read_text())["learner"]["algorithm"].upper()
    last = [curve[-1][1] for _, _, curve in runs]
    rates = [rate for _, rate, _ in runs]

    def spread(name, digits, scale=1.0):
        values = [scale * found[name] for found in last]
        return f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"

    speed = f"{statistics.mean(rates):,.0f} ({min(rates):,.0f} .. {max(rates):,.0f})"
    cells = [library, algorithm, f"{runs[0][2][-1][0]:,}", str(len(runs)), speed]
    cells += [spread("success_rate", 1, 100.0), spread("valid_success_rate", 1, 100.0), spread("finished_time", 2)]
    return "| " + " | ".join(cells) + " |"


def draw(path, curves):
    """Draw success over steps: each library's mean, and its seeds as thin lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="environment steps of 0.02 s", ylabel="success of all first episodes")
    for colour, (library, runs) in enumerate(curves.items()):
        steps = [count for count, _ in runs[0]]
        heights = [[found["success_rate"] for _, found in curve] for curve in runs]
        for height in heights:
            axes.plot(steps, height, color=f"C{colour}", linewidth=0.6, alpha=0.6)
        axes.plot(steps, [statistics.mean(at) for at in zip(*heights)], color=f"C{colour}", label=library)
    axes.set_ylim(0, 1)
    axes.legend()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="+", choices=list(LIBRARIES))
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--results", type=Path, default=Path("results/learners"))
    parser.add_argument("--draw", type=Path, help="picture of the learning curves")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="FIELD=VALUE for every library")
    arguments = parser.parse_args()
    found = {library: [] for library in arguments.libraries}
    for seed in arguments.seeds.split(","):
        for library in arguments.libraries:  # in turn, so that other programs slow all of them alike
            folder = arguments.results / library / seed
            folder.mkdir(parents=True, exist_ok=True)
            run, seconds = train(folder, library, seed, arguments.steps, arguments.overrides)
            curve = evaluate(run, arguments.episodes)
            found[library].append((run, curve[-1][0] / seconds, curve))
            print(library, seed, f"{seconds:.0f} s", curve[-1][1]["success_rate"], file=sys.stderr, flush=True)
    print(
        "| library | algorithm | steps | seeds | steps / CPU second | success % | of valid resets % | finish time s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for library, runs in found.items():
        print(row(library, runs))
    if arguments.draw:
        draw(arguments.draw, {library: [curve for _, _, curve in runs] for library, runs in found.items()})


if __name__ == "__main__":
    main()
