"""A look at whether everything works on this machine: every step is a `mapush` command in a process of its own."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import psutil
from pydantic import BaseModel, ConfigDict

from ..errors import UserError

BACKENDS = ("isaacgym", "warp", "mujoco")
"""In the order in which a machine's own is looked for."""
ALGORITHMS = ("happo", "mappo")
STEPS = 10_000
_UPDATE = ["sim.num_envs=50", "training.rollout_length=10"]
"""Updates of 2,500 environment steps: four to the training."""
_UPDATE_STEPS = 2_500
_ENDLESS_STEPS = 1_000_000_000
_EPISODES = 32
_STEP_SECONDS = 600.0
"""A step that takes longer has failed; the first one on a GPU compiles kernels for about a minute."""
_STOP_SECONDS = 60.0
_TOKEN = "MAPUSH_SMOKE"
"""Variable in the environment of all that a step starts, by which what it leaves behind is found."""


class Row(BaseModel):
    """What became of a step."""

    model_config = ConfigDict(extra="forbid")

    step: str
    passed: Optional[bool] = None
    """None: left out, because it needs a step that failed."""
    seconds: float = 0.0
    """With the start and the end of its process."""
    told: str = ""
    """What was measured, or why it failed."""
    log: str = ""


class Report(BaseModel):
    """What became of all of them."""

    model_config = ConfigDict(extra="forbid")

    passed: bool
    backend: str
    reason: str
    seconds: float
    steps: List[Row]


class _StepError(Exception):
    """Why a step failed."""


class _Ended(NamedTuple):
    """A command that has ended."""

    code: int
    output: str
    why: str
    """What `mapush triage` says of it."""


def run(folder: Path, backend: Optional[str], robot: Optional[str], announce: Callable[[str], None]) -> Report:
    """Look over the machine, train with HAPPO and MAPPO, load, evaluate, and stop a training.

    Args:
        folder: for logs and runs; must not exist.
        backend: mujoco, warp or isaacgym; None for the first of `BACKENDS` that the machine has.
        robot: planar or go1; None for what suits the backend.
        announce: called with the name of every step that begins.

    Raises:
        UserError: the machine has no simulator, or nothing can be written to the folder.

    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"nothing can be written to {folder}: {error.strerror or error}") from None
    begun = time.monotonic()
    bench = _Bench(folder, announce)
    facts = bench.doctor(backend)
    chosen, reason = (backend, "asked for") if backend else _choose(facts)
    options = ["--backend", chosen, "--robot", robot or ("go1" if chosen == "isaacgym" else "planar"), "--seed", "1"]
    for algorithm in ALGORITHMS:
        _learn(bench, algorithm, options)
    bench.step("clean exit", lambda log: _stop(bench, log, options))
    seconds = time.monotonic() - begun
    passed = all(row.passed for row in bench.rows)
    report = Report(passed=passed, backend=chosen, reason=reason, seconds=seconds, steps=bench.rows)
    (folder / "smoke.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return report


def _choose(facts: Dict[str, Any]) -> Tuple[str, str]:
    """The simulator that the machine has, and why it is this one, from what `mapush doctor` found.

    Raises:
        UserError: it has none.

    """
    packages = facts.get("packages", {})
    if facts.get("isaacgym") == "" and facts["nvidia"]["gpus"]:
        return "isaacgym", "Isaac Gym is installed"
    if "mujoco-warp" in packages and facts["torch"]["sees_gpu"]:
        return "warp", facts["nvidia"]["gpus"][0]["name"] if facts["nvidia"]["gpus"] else "torch sees a GPU"
    if "mujoco" in packages:
        return "mujoco", "the CPU"
    raise UserError(
        "no simulator was found on this machine: pip install 'mapush_stack[mujoco]', or see `mapush doctor`"
    )


class _Bench:
    """Runs steps and keeps their rows."""

    def __init__(self, folder: Path, announce: Callable[[str], None]) -> None:
        self.folder, self._announce = folder, announce
        self.rows: List[Row] = []

    def step(self, name: str, work: Optional[Callable[[Path], str]]) -> bool:
        """Do a step, which is given its log and returns what to tell; without work it is left out."""
        row = Row(step=name)
        self.rows.append(row)
        if work is None:
            return False
        self._announce(name)
        log = self.folder / f"{len(self.rows)}-{name.replace(' ', '-').lower()}.log"
        begun = time.monotonic()
        try:
            row.told, row.passed = work(log), True
        except _StepError as failure:
            row.told, row.passed = str(failure), False
        row.seconds, row.log = round(time.monotonic() - begun, 2), str(log)
        return row.passed

    def doctor(self, backend: Optional[str]) -> Dict[str, Any]:
        """The first step, with what `backend` needs if one is named.

        Returns what is to be known of the machine, as far as that was found out.
        """
        facts: Dict[str, Any] = {}

        def examine(log: Path) -> str:
            named = () if backend is None else ("--backend", backend)
            ended = self.mapush(log, "doctor", "--json", *named, codes=(0, 1, 2))
            answer = _json(ended)
            facts.update(answer["facts"])
            by_status: Dict[str, List[Dict[str, str]]] = {}
            for finding in answer["findings"]:
                by_status.setdefault(finding["status"], []).append(finding)
            broken = by_status.get("broken", [])
            if broken or ended.code == 2:
                raise _StepError("; ".join(f"{one['check']}: {one['found']}. {one['remedy']}" for one in broken))
            warnings = [f"{one['check']}: {one['found']}" for one in by_status.get("warning", [])]
            return f"{len(answer['findings'])} checks" + "".join(f"; warning: {text}" for text in warnings)

        self.step("doctor", examine)
        return facts

    def mapush(
        self, log: Path, *arguments: str, codes: Sequence[int] = (0,), stop: Optional[Callable[[], bool]] = None
    ) -> _Ended:
        """Run `mapush ARGUMENTS` under `mapush triage` to its end.

        Args:
            log: where all that it prints is kept.
            arguments: of the command line.
            codes: exit codes that are as they should be.
            stop: whether it is time to send it SIGTERM.

        Raises:
            _StepError: it ended otherwise, took too long, or left processes behind; the text says why.

        """
        token = uuid.uuid4().hex
        itself = [sys.executable, "-m", "mapush_stack"]
        command = shlex.join([*itself, *arguments])
        environment = {**os.environ, _TOKEN: token}
        options: Dict[str, Any] = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        watched = [*itself, "triage", "--run", command, "--keep", str(log), "--json"]
        process = subprocess.Popen(watched, text=True, stdin=subprocess.DEVNULL, **options)
        try:
            if stop is not None:
                _wait_for(stop, process)
                process.send_signal(signal.SIGTERM)
            answer, _ = process.communicate(timeout=_STEP_SECONDS if stop is None else _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise _StepError(f"mapush {arguments[0]} did not end in time; it was killed") from None
        finally:
            left = _end(token, process)
        ended = _Ended(process.returncode, _read(log), _why(answer))
        if ended.code not in codes:
            raise _StepError(f"mapush {arguments[0]} ended with exit code {ended.code}. {ended.why}")
        if left:
            raise _StepError(f"mapush {arguments[0]} left processes behind: {', '.join(left)}")
        return ended


def _learn(bench: _Bench, algorithm: str, options: List[str]) -> None:
    """Train; load what was trained into another training; evaluate it."""
    name, runs, again = algorithm.upper(), bench.folder / algorithm, bench.folder / f"{algorithm}-loaded"

    def train(log: Path) -> str:
        given = ["--algo", algorithm, "--steps", str(STEPS), "--results", str(runs), "--no-evaluation", *_UPDATE]
        ended = bench.mapush(log, "train", *options, *given)
        _checkpoint(runs, STEPS)
        return f"{STEPS:,} steps, {_fps(ended.output)} steps/s"

    def load(log: Path) -> str:
        given = ["--steps", str(_UPDATE_STEPS), "--results", str(again), "--no-evaluation"]
        bench.mapush(log, "train", "--from", str(_checkpoint(runs, STEPS)), *given)
        _checkpoint(again, _UPDATE_STEPS)
        return f"{_UPDATE_STEPS:,} steps more, from the checkpoint's weights"

    def evaluate(log: Path) -> str:
        ended = bench.mapush(log, "evaluate", str(_checkpoint(runs, STEPS)), f"--episodes={_EPISODES}", "--json")
        (row,) = _json(ended)
        if row["episodes"] != _EPISODES or not math.isfinite(row["finished_time"]):
            raise _StepError(f"the evaluation gave {row['episodes']} episodes, finish time {row['finished_time']}")
        return f"{_EPISODES} episodes, success {row['success_rate']:.1%}"

    trained = bench.step(f"{name} train", train)
    bench.step(f"{name} load", load if trained else None)
    bench.step(f"{name} evaluate", evaluate if trained else None)


def _stop(bench: _Bench, log: Path, options: List[str]) -> str:
    """Stop a training by SIGTERM."""
    runs = bench.folder / "stopped"
    given = ["--steps", str(_ENDLESS_STEPS), "--results", str(runs), *_UPDATE]

    def training() -> bool:
        return any(runs.glob("mapush/*/*/*/seed-*/logs/events.*"))

    bench.mapush(log, "train", *options, *given, codes=(128 + signal.SIGTERM,), stop=training)
    _checkpoint(runs, 1)
    return f"SIGTERM: exit code {128 + signal.SIGTERM}, a checkpoint, no process left"


def _checkpoint(runs: Path, steps: int) -> Path:
    """The last checkpoint of the only run in a folder.

    Raises:
        _StepError: it is not there, or holds fewer environment steps.

    """
    found = {int(path.name.split("_")[2]): path for path in runs.glob("mapush/*/*/*/seed-*/models/rl_model_*_steps")}
    if not found or max(found) < steps or not (found[max(found)] / "model.safetensors").is_file():
        raise _StepError(f"no checkpoint of {steps:,} steps was written to {runs}")
    return found[max(found)]


def _fps(output: str) -> str:
    """The rate that `mapush train` ends with."""
    found = re.search(r"\(([\d,]+) FPS\)", output)
    return found[1] if found else "?"


def _json(ended: _Ended) -> Any:
    """The JSON in what a command printed, among lines for people."""
    start = re.search(r"^[\[{]$", ended.output, re.MULTILINE)
    if not start:
        raise _StepError(f"no JSON was printed, but: {' '.join(ended.output.split())[:200]}")
    return json.JSONDecoder().raw_decode(ended.output[start.start() :])[0]


def _why(answer: str) -> str:
    """What `mapush triage --json` says, in a sentence or two."""
    try:
        told = json.loads(answer)
    except ValueError:
        return "`mapush triage` could not say why"
    if told["findings"]:
        first = told["findings"][0]
        return f"{first['cause']} {first['remedy']}"
    return "The cause is unknown; last lines: " + " | ".join(line["text"] for line in told["last_lines"])


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until a condition holds, or for the process's end.

    Raises:
        TimeoutExpired: it took too long.

    """
    due = time.monotonic() + _STEP_SECONDS
    while not condition() and process.poll() is None:
        if time.monotonic() > due:
            raise subprocess.TimeoutExpired(process.args, _STEP_SECONDS)
        time.sleep(0.2)


def _end(token: str, process: subprocess.Popen) -> List[str]:
    """End all processes that a step has left behind; returns their numbers and names."""
    ours = []
    for one in psutil.process_iter(["pid", "name"]):
        try:
            if one.environ().get(_TOKEN) == token and one.status() != psutil.STATUS_ZOMBIE:
                ours.append(one)
        except (psutil.Error, OSError):  # another user's, or gone
            continue
    for one in ours:
        try:
            one.kill()
        except psutil.Error:
            continue
    process.wait()
    psutil.wait_procs(ours, timeout=5)
    return [f"{one.info['pid']} ({one.info['name']})" for one in ours if one.pid != process.pid]
