"""Learners on tasks that need a team, with statistics over seeds: `python benchmarks/teams.py [--set heavy]`.

The set `five` compares learners: HAPPO, MAPPO with one actor and with an actor a robot at a GPU's sizes, then HARL's
HAPPO and HATRPO beside HAPPO, also with HARL's settings, in as many environments for as many steps as HARL has.
`heavy` asks what is reached on the hardest tasks, by the command that does best. A task is a line of `TASKS`, a learner
one of `LEARNERS`.

Every run is a `mapush train`, which evaluates its last checkpoint under the published protocol. `--jobs` of them run at
a time on each of `--devices`. What is finished is kept and what was interrupted goes on, also after `--minutes`, so the
same command can be given again. Statistics are those of `mapush compare`. HARL is found by `HARL_SRC`, as always.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mapush_stack.analysis.comparison import statistics

FULL = 100_000_000


class Task(NamedTuple):
    """A line of the table."""

    label: str
    options: list
    """Of `mapush train`."""
    steps: int = FULL
    goal: str = ""
    """What we want it to reach."""
    alike: bool = True
    """Whether the robots can share an actor."""


class Learner(NamedTuple):
    """Options of `mapush train`; `small` ones have `--small-envs` environments and `--small-steps` steps."""

    label: str
    options: list
    small: bool = False
    shares: bool = False


APART = "task.placement=apart"
"""Every reset is a valid one. Robots of unlike heights cannot start on each other then, and larger teams have room."""
STRONG_WEAK = ["--object", "cuboid-24kg", "--team", "planar-strong,planar-weak", APART]
HEAVIEST = ["--object", "cuboid-48kg", APART, "task.episode_seconds=40", "task.command_limit=[0.8,0.8,0.5]"]
HEAVIEST += ["task.separation_distance=0.3", "--team"]
"""With commands of 0.5 m/s four planar robots push with 170 N, and the floor resists with 142 to 164 N. At the usual
distance of 0.5 m the reward keeps four robots from pushing side by side."""
HEAVY = ["--preset", "heavy"]
HEAVY_GPU = [*HEAVY, "--with", "heavy-gpu", "sim.num_envs=2048"]
LONG = ["learner.gamma=0.995", "learner.epochs=5", "learner.critic_epochs=5"]
FROM_4 = ["--preset", "default", "--pretrained", "cuboid-go1", "--robot", "go1", *LONG]
LEGS_32 = [*FROM_4, "--object", "cuboid-32kg", "task.episode_seconds=40"]
SETS = ["--preset", "generalist"]
TWO = ["--object", "cuboid-24kg", "task.team_size=null", "task.placement=published", "task.episode_seconds=20", *LONG]
LEGS_24 = [*SETS, "--pretrained", "generalist-planar", "--robot", "go1", *TWO]
MANY = [*SETS, "task.team_size=null", *HEAVIEST]
LEGS_STEPS = 120_000_000
TASKS = {
    "five": {
        "easy": Task("cuboid, 2 planar", ["--object", "cuboid"], 40_000_000),
        "heavy": Task("24 kg, 2 planar", ["--object", "cuboid-24kg"]),
        "pose": Task("cuboid to a pose, 2 planar", ["--preset", "pose", "--object", "cuboid"]),
        "rover": Task("cuboid, planar + rover", ["--object", "cuboid", "--team", "planar,rover", APART], alike=False),
        "unlike": Task("24 kg, strong + weak", STRONG_WEAK, alike=False),
    },
    "heavy": {
        "planar-24": Task("24 kg, 2 planar", HEAVY_GPU, 190_000_000, ">= 97 %"),
        "go1-24": Task("24 kg, 2 Go1", LEGS_24, LEGS_STEPS, ">= 99 %"),
        "go1-32": Task("32 kg, 2 Go1, 40 s", LEGS_32, LEGS_STEPS, ">= 95 %"),
        "three": Task(
            "48 kg, 3 planar, 40 s", [*HEAVY, "sim.num_envs=4096", *HEAVIEST, "planar,planar,planar"], 60_000_000
        ),
        "four": Task("48 kg, 4 planar, 40 s", [*MANY, "planar,planar,planar,planar"], 60_000_000),
        "go1-rover": Task("cuboid, Go1 + rover", ["--team", "go1,rover", APART], 80_000_000, ">= 97 %", alike=False),
        "go1-go2": Task("24 kg, Go1 + Go2", ["--object", "cuboid-24kg", "--team", "go1,go2"], 80_000_000, alike=False),
        "unlike": Task("24 kg, strong + weak", STRONG_WEAK, 2 * FULL, ">= 97 %", alike=False),
        "pose-tblock": Task("T-block to a pose", ["--preset", "pose", "--object", "tblock"], 60_000_000, ">= 98 %"),
        "pose-go1": Task("cuboid to a pose, 2 Go1", ["--preset", "pose", "--robot", "go1"], 50_000_000, ">= 95 %"),
    },
}
HARL = ["--with", "harl"]
LEARNERS = {
    "own": Learner("its command's", []),
    "happo": Learner("HAPPO", ["--algo", "happo"]),
    "shared": Learner("MAPPO, one actor", ["--algo", "mappo", "learner.share_actor=true"], shares=True),
    "mappo": Learner("MAPPO, an actor each", ["--algo", "mappo"]),
    "small": Learner("HAPPO beside HARL", ["--algo", "happo"], small=True),
    "native-harl": Learner("HAPPO, HARL's settings", [*HARL, "--algo", "happo", "learner.library=native"], small=True),
    "harl-happo": Learner("HARL's HAPPO", [*HARL, "--algo", "happo"], small=True),
    "harl-hatrpo": Learner("HARL's HATRPO", [*HARL, "--algo", "hatrpo"], small=True),
}
COMPARED = {"five": list(LEARNERS)[1:], "heavy": ["own"]}


class Run(NamedTuple):
    """One training: where it is, and the command that makes it."""

    task: str
    learner: str
    seed: int
    steps: int
    folder: Path
    command: list

    def evaluation(self):
        """What its last checkpoint reached; None before it is finished."""
        for file in self.folder.glob("mapush/*/*/*/seed-*/evaluations.json"):
            rows = json.loads(file.read_text())["rows"]
            if rows and rows[-1]["steps"] >= self.steps:
                return rows[-1]
        return None


def plan(arguments):
    """All runs, those of a seed together."""
    on_gpu = arguments.devices != ["cpu"]
    for seed in range(1, arguments.seeds + 1):
        for name in arguments.tasks:
            task = TASKS[arguments.set][name]
            for key in arguments.learners:
                learner = LEARNERS[key]
                if learner.shares and not task.alike:
                    continue
                steps = arguments.small_steps if learner.small else arguments.steps or task.steps
                envs = arguments.small_envs if learner.small else arguments.envs
                folder = arguments.results / arguments.set / name / f"{key}-{steps}" / str(seed)
                large = ["--with", "gpu"] if on_gpu and not learner.small else []
                threads = [f"sim.threads={arguments.threads}", f"training.torch_threads={arguments.threads}"]
                sizes = [f"sim.num_envs={envs}", f"evaluation.episodes={arguments.episodes}"]
                sizes += [f"training.checkpoint_interval={max(steps // 4, 1)}"]  # what an interruption loses
                command = ["train", *large, *learner.options, *sizes, *task.options, "--seed", seed, "--steps", steps]
                command += ["--results", folder, "--continue", *threads, *arguments.overrides]
                yield Run(name, key, seed, steps, folder, [str(word) for word in command])


def train(run, device, deadline, threads):
    """Train and evaluate a run on a device, an index of a GPU or `cpu`, until the deadline; returns what went wrong."""
    run.folder.mkdir(parents=True, exist_ok=True)
    visible = "" if device == "cpu" else device
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": visible, "OMP_NUM_THREADS": str(threads)}
    with (run.folder / "log.txt").open("a") as log:
        words = [sys.executable, "-m", "mapush_stack", *run.command]
        process = subprocess.Popen(words, env=variables, stdout=log, stderr=log)
        try:
            code = process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.terminate()  # it writes a checkpoint first
            process.wait()
            return ""
    last = (run.folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
    return f"exit code {code}: {' '.join(last)}" if code or run.evaluation() is None else ""


def train_all(runs, arguments, deadline):
    """Train what is not finished, `--jobs` at a time on each device; returns the number of runs that failed."""
    devices = queue.Queue()
    for device in arguments.devices * arguments.jobs:
        devices.put(device)
    said = threading.Lock()
    left = [run for run in runs if run.evaluation() is None]
    left.sort(key=lambda run: not LEARNERS[run.learner].small)  # the slow ones first

    def one(run):
        if time.monotonic() >= deadline:
            return False
        device, begun = devices.get(), time.monotonic()
        try:
            wrong = train(run, device, deadline, arguments.threads)
        finally:
            devices.put(device)
        found = run.evaluation()
        outcome = wrong or ("stopped" if found is None else f"{100 * found['valid_success_rate']:.1f} %")
        with said:
            words = f"{run.task} {run.learner} seed {run.seed} on {device}: {time.monotonic() - begun:.0f} s, {outcome}"
            print(words, file=sys.stderr, flush=True)
        return bool(wrong)

    with ThreadPoolExecutor(len(arguments.devices) * arguments.jobs) as pool:
        return sum(pool.map(one, left))


def interval(ends, form, scale=1.0):
    """The interval of an estimate in brackets; a dash for a single seed."""
    return "-" if ends is None else "[" + ", ".join(format(scale * end, form) for end in ends) + "]"


def cell(values, scale=1.0):
    """The interquartile mean over seeds with its interval."""
    estimate = statistics.iqm_estimate([np.array(values)])
    return f"{scale * estimate.value:.1f} {interval(estimate.interval, '.1f', scale)}"


def against(scores, reference):
    """The probability of beating the reference, and what it shows."""
    found = statistics.improvement([scores], [reference])
    shown = statistics.significant(found, (len(scores), len(reference)))
    word = {"nothing": "too few seeds", "alike": "no difference shown"}.get(
        shown, "better" if found.probability > 0.5 else "worse"
    )
    return f"{found.probability:.2f} {interval(found.interval, '.2f')}, {word}"


def lines(runs, arguments):
    """The table in Markdown; success is that of valid resets, its interquartile mean over seeds with its interval."""
    heads = [
        "task",
        "learner",
        "M steps",
        "seeds",
        "success, %",
        "goal",
        "finish time, s",
        "beats the first of its size",
    ]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for name in arguments.tasks:
        task, first = TASKS[arguments.set][name], {}
        for key in arguments.learners:
            own = [run for run in runs if (run.task, run.learner) == (name, key)]
            found = [row for row in (run.evaluation() for run in own) if row]
            if not found:
                continue
            learner = LEARNERS[key]
            scores = np.array([row["valid_success_rate"] for row in found])
            base = first.setdefault(learner.small, scores)
            beats = "" if base is scores else against(scores, base)
            numbers = [f"{own[0].steps / 1e6:g}", str(len(found)), cell(scores, 100.0), task.goal]
            numbers += [cell([row["finished_time"] for row in found]), beats]
            yield "| " + " | ".join([task.label, learner.label, *numbers]) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=list(TASKS), default="five")
    parser.add_argument("--tasks", nargs="+", help="names of tasks of the set; all of them by default")
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--devices", default="cpu", help="cpu, or indices of GPUs such as 0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time on each device")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each run")
    parser.add_argument("--steps", type=int, help="environment steps; by default those of the task")
    parser.add_argument("--envs", type=int, help="environments; by default 8192 on a GPU, 512 on a CPU")
    parser.add_argument("--small-steps", type=int, default=2_000_000, help="of HARL and of HAPPO beside it")
    parser.add_argument("--small-envs", type=int, default=128)
    parser.add_argument("--episodes", type=int, default=1000, help="first episodes of an evaluation")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop then; the same command goes on")
    parser.add_argument("--results", type=Path, default=Path("results/teams"))
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE", help="for every run, after --")
    arguments = parser.parse_args()
    arguments.devices = arguments.devices.split(",")
    arguments.envs = arguments.envs or (512 if arguments.devices == ["cpu"] else 8192)
    arguments.learners = arguments.learners or COMPARED[arguments.set]
    arguments.tasks = arguments.tasks or list(TASKS[arguments.set])
    unknown = [name for name in arguments.tasks if name not in TASKS[arguments.set]]
    if unknown:
        parser.error(f"--tasks {unknown[0]}: the set {arguments.set} has {', '.join(TASKS[arguments.set])}")
    begun, runs = time.monotonic(), list(plan(arguments))
    failed = train_all(runs, arguments, begun + 60 * arguments.minutes)
    print("\n".join(lines(runs, arguments)))
    done = sum(run.evaluation() is not None for run in runs)
    minutes = (time.monotonic() - begun) / 60
    print(f"\n{done} of {len(runs)} runs finished; this command took {minutes:.1f} minutes, {failed} runs failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
