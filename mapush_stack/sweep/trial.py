"""One trial in the process that Ray gives it: `mapush train` and `mapush evaluate` as child processes."""

from __future__ import annotations

import functools
import json
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, Optional

from ..errors import UserError
from ..system.signals import StopRequest, is_stop
from ..system.supervisor import ChildProcess
from .folder import TrialFolder

if TYPE_CHECKING:
    from ..training.run_directory import RunDirectory

_POLL_SECONDS = 0.1


def run(path: str, cwd: str, gpus: float) -> None:
    """Train and evaluate the trial at `path`, from wherever it stands; `state.json` then says how it ended.

    Runs in the main thread of a Ray worker. `ray.cancel` arrives as SIGINT: the training then writes a checkpoint and
    stops, and the trial is interrupted.

    Args:
        path: the trial's folder.
        cwd: the folder that paths in its configuration are relative to; ignored if it is not there.
        gpus: GPUs that Ray was asked for; with 0 no GPU is visible.

    """
    trial = TrialFolder(Path(path))
    environment = dict(os.environ, **({} if gpus else {"CUDA_VISIBLE_DEVICES": ""}))
    state = trial.state()
    begun = time.monotonic() - state.seconds
    trial.update(
        state="running",
        attempts=state.attempts + 1,
        host=platform.node(),
        gpu=environment.get("CUDA_VISIBLE_DEVICES", ""),
        message="",
    )
    with StopRequest() as stop:
        folder = cwd if Path(cwd).is_dir() else path
        mapush = functools.partial(_mapush, trial.log, stop, environment=environment, cwd=folder)
        try:
            result = _train_and_evaluate(trial, mapush, stop)
        except (UserError, OSError, ValueError) as error:
            result = {"state": "failed", "message": " ".join(str(error).split())}
    trial.update(seconds=time.monotonic() - begun, **result)


def _mapush(
    log: Path,
    stop: StopRequest,
    *arguments: str,
    environment: Dict[str, str],
    cwd: str,
    output: Optional[IO[bytes]] = None,
) -> int:
    """Run `mapush ARGUMENTS`, whose output goes to `log`; returns its exit code, negative for a signal.

    When a stop is requested, or this process dies, it gets SIGTERM, upon which a training writes a checkpoint. The
    kernel may send that more than once, for threads of this process that die one after the other; a training ends at
    once upon the second, and its last checkpoint counts.
    """
    command = [sys.executable, "-m", "mapush_stack", *arguments]
    terminated = False
    with log.open("ab", buffering=0) as kept:
        kept.write(f"$ {' '.join(['mapush', *arguments])}\n".encode())
        with ChildProcess(
            command, output or kept, kept, environment=environment, cwd=cwd, death_signal=signal.SIGTERM
        ) as process:
            while process.running(_POLL_SECONDS):
                if stop.signal_number and not terminated:
                    process.terminate()
                    terminated = True
            return process.exit_code


def _train_and_evaluate(trial: TrialFolder, mapush: Callable[..., int], stop: StopRequest) -> Dict[str, Any]:
    """Do what is left to do; returns the fields of the state that say how it ended."""
    run = _run_directory(trial)
    trial.update(run=str(run.path.relative_to(trial.path)))
    total_steps = run.config().total_steps
    if _steps(run) < total_steps:
        code = mapush("train", "--resume", str(run.path), "--no-evaluation")
        progress = trial.progress()
        trial.update(steps=_steps(run), fps=(progress and progress.fps) or None, train_exit_code=code)
        if _steps(run) < total_steps or code:
            return _failed_or_interrupted(trial, "train", code, stop)
    if stop.signal_number:
        return {"state": "interrupted"}
    with tempfile.TemporaryFile() as output:
        code = mapush("evaluate", str(run.checkpoints()[-1][1]), "--json", output=output)
        output.seek(0)
        rows = output.read()
    trial.update(evaluate_exit_code=code)
    if code:
        return _failed_or_interrupted(trial, "evaluate", code, stop)
    return {"state": "finished", "evaluation": json.loads(rows)[0]}


def _run_directory(trial: TrialFolder) -> RunDirectory:
    """The trial's run; a new one without checkpoints if there is none, which `mapush train --resume` then starts."""
    # Imported here because it imports torch, which the sweep itself does not need.
    from ..training.run_directory import RunDirectory
    from ..training.session import set_torch_threads

    found = trial.run()
    if found is not None:
        return RunDirectory(found)
    request = trial.request()
    set_torch_threads(request.config.training.torch_threads)  # the manifest records it
    return RunDirectory.create(trial.path, request.config, request.train)


def _steps(run: RunDirectory) -> int:
    """Environment steps of the last checkpoint, 0 without one."""
    saved = run.checkpoints()
    return saved[-1][0] if saved else 0


def _failed_or_interrupted(trial: TrialFolder, verb: str, code: int, stop: StopRequest) -> Dict[str, Any]:
    """The state of a trial whose `mapush VERB` did not finish."""
    if stop.signal_number or (verb == "train" and is_stop(code)):
        return {"state": "interrupted"}
    if code < 0:
        return {"state": "failed", "message": f"mapush {verb} was killed by {signal.Signals(-code).name}"}
    return {"state": "failed", "message": f"mapush {verb} ended with exit code {code}: {trial.last_line()}"}
