"""The steps of the smoke test: look over the machine, train, load, evaluate, stop."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from ...errors import UserError
from ...training import progress_file
from .runner import SMOKE_FILE, SmokeResult, StepError, StepRunner, from_json, make_folder, mapush
from .series import follow

BACKENDS = ("isaacgym", "warp", "mujoco")
"""Simulators, in the order of preference."""
ALGORITHMS = ("happo", "mappo")
LEARNING = [f"{algorithm.upper()} {what}" for algorithm in ALGORITHMS for what in ("train", "load", "evaluate")]
"""Names of the steps that `learn` takes."""
STEPS = 10_000
"""Environment steps of a training."""
_UPDATE = ["sim.num_envs=50", "training.rollout_length=10"]
"""Updates of 2,500 environment steps: four to the training."""
_UPDATE_STEPS = 2_500
_ENDLESS_STEPS = 1_000_000_000
_EPISODES = 32


def run(folder: Path, backend: Optional[str], robot: Optional[str], announce: Callable[[str], None]) -> SmokeResult:
    """Run all steps.

    Args:
        folder: for logs, runs and `smoke.json`; must not exist.
        backend: mujoco, warp or isaacgym; None for the first of `BACKENDS` that the machine has.
        robot: the kind of robot; None for Go1 in Isaac Gym and planar robots elsewhere.
        announce: called with the name of each step that begins.

    Raises:
        UserError: the machine has no simulator, or nothing can be written to the folder.

    """
    make_folder(folder)
    begun = time.monotonic()
    runner = StepRunner(folder, announce)
    machine = _doctor(runner, backend)
    chosen, reason = (backend, "asked for") if backend else choose_backend(machine)
    options = ["--backend", chosen, "--robot", robot or ("go1" if chosen == "isaacgym" else "planar"), "--seed", "1"]
    if chosen == "isaacgym":  # it makes one simulation a process
        learn(runner, options, mapush)
    else:
        follow(runner, LEARNING, options)
    runner.step("clean exit", lambda log: _stop(folder / "stopped", log, options))
    result = SmokeResult(
        passed=all(one.passed for one in runner.results),
        backend=chosen,
        reason=reason,
        seconds=time.monotonic() - begun,
        steps=runner.results,
    )
    SMOKE_FILE.write(folder / "smoke.json", result)
    return result


def choose_backend(machine: Dict[str, Any]) -> Tuple[str, str]:
    """The simulator that the machine has and why, from the facts of `mapush doctor --json`.

    Raises:
        UserError: it has none.

    """
    packages = machine.get("packages", {})
    if machine.get("isaacgym") == "" and machine["nvidia"]["gpus"]:
        return "isaacgym", "Isaac Gym is installed"
    if "mujoco-warp" in packages and machine["torch"]["sees_gpu"]:
        gpus = machine["nvidia"]["gpus"]
        return "warp", gpus[0]["name"] if gpus else "torch sees a GPU"
    if "mujoco" in packages:
        return "mujoco", "the CPU"
    raise UserError(
        "no simulator was found on this machine: pip install 'mapush_stack[mujoco]', or see `mapush doctor`"
    )


def _doctor(runner: StepRunner, backend: Optional[str]) -> Dict[str, Any]:
    """Check the machine; returns the information about it, empty if there was no answer."""
    machine: Dict[str, Any] = {}

    def examine(log: Path) -> str:
        needed = () if backend is None else ("--backend", backend)
        answer = from_json(mapush(log, "doctor", "--json", *needed, codes=(0, 1, 2)), log)
        machine.update(answer["facts"])
        checks = answer["findings"]
        broken = [f"{one['check']}: {one['found']}. {one['remedy']}" for one in checks if one["status"] == "broken"]
        if broken:
            raise StepError("; ".join(broken))
        warnings = [f"; warning: {one['check']}: {one['found']}" for one in checks if one["status"] == "warning"]
        return f"{len(checks)} checks{''.join(warnings)}"

    runner.step("doctor", examine)
    return machine


def learn(runner: StepRunner, options: List[str], mapush: Callable[..., str]) -> None:
    """The steps `LEARNING`: `mapush` runs a command, see `runner.mapush`; `options` are those of each training."""
    for algorithm in ALGORITHMS:
        _learn(runner, algorithm, options, mapush)


def _learn(runner: StepRunner, algorithm: str, options: List[str], mapush: Callable[..., str]) -> None:
    """Train; load the checkpoint into another training; evaluate it."""
    name, runs, again = algorithm.upper(), runner.folder / algorithm, runner.folder / f"{algorithm}-loaded"

    def train(log: Path) -> str:
        given = ["--algo", algorithm, "--steps", str(STEPS), "--results", str(runs), "--no-evaluation", *_UPDATE]
        mapush(log, "train", *options, *given)
        progress = progress_file.read(_checkpoint(runs, STEPS).parents[1])
        if progress is None:
            raise StepError(f"no {progress_file.NAME} was written to {runs}")
        return f"{progress.steps:,} steps, {progress.fps:,.0f} steps/s"

    def load(log: Path) -> str:
        given = ["--steps", str(_UPDATE_STEPS), "--results", str(again), "--no-evaluation"]
        mapush(log, "train", "--from", str(_checkpoint(runs, STEPS)), *given)
        _checkpoint(again, _UPDATE_STEPS)
        return f"{_UPDATE_STEPS:,} steps more, from the checkpoint's weights"

    def evaluate(log: Path) -> str:
        checkpoint = str(_checkpoint(runs, STEPS))
        (row,) = from_json(mapush(log, "evaluate", checkpoint, f"--episodes={_EPISODES}", "--json"), log)
        if row["episodes"] != _EPISODES or not math.isfinite(row["finished_time"]):
            raise StepError(f"the evaluation gave {row['episodes']} episodes, finish time {row['finished_time']}")
        return f"{_EPISODES} episodes, success {row['success_rate']:.1%}"

    if runner.step(f"{name} train", train):
        runner.step(f"{name} load", load)
        runner.step(f"{name} evaluate", evaluate)
    else:
        runner.leave_out(f"{name} load", f"{name} evaluate")


def _stop(runs: Path, log: Path, options: List[str]) -> str:
    """Stop a training with SIGTERM."""
    given = ["--steps", str(_ENDLESS_STEPS), "--results", str(runs), *_UPDATE]

    def training() -> bool:
        return any(runs.glob("mapush/*/*/*/seed-*/logs/events.*"))

    mapush(log, "train", *options, *given, codes=(128 + signal.SIGTERM,), stop=training)
    _checkpoint(runs, 1)
    return f"SIGTERM: exit code {128 + signal.SIGTERM}, a checkpoint, no process left"


def _checkpoint(runs: Path, steps: int) -> Path:
    """The last checkpoint of the only run in a folder.

    Raises:
        StepError: there is none, or its training had done fewer environment steps.

    """
    found = {int(path.name.split("_")[2]): path for path in runs.glob("mapush/*/*/*/seed-*/models/rl_model_*_steps")}
    if not found or max(found) < steps or not (found[max(found)] / "model.safetensors").is_file():
        raise StepError(f"no checkpoint of {steps:,} steps was written to {runs}")
    return found[max(found)]
