"""One trial, in the process that Ray gives it: `mapush train` and `mapush evaluate` as processes of their own."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Dict, List, Optional

from ..errors import UserError
from ..system.signals import StopRequest
from .folder import TrialFolder

_POLL_SECONDS = 0.1
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
"""Linux's prctl(2): the signal that a process gets when its parent dies."""


def run(path: str, cwd: str, gpus: float) -> None:
    """Train and evaluate the trial at `path`, from wherever it stands; how it ended is in its `state.json`.

    Runs in the main thread of a Ray worker. `ray.cancel` arrives as SIGINT: the training is asked to write a checkpoint
    and to stop, and the trial ends as interrupted.

    Args:
        path: the trial's folder.
        cwd: where paths within its configuration begin, if that folder is there.
        gpus: what Ray was asked for; with 0 no GPU is visible.

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
        try:
            result = _train_and_evaluate(trial, _Processes(trial, cwd, environment, stop))
        except (UserError, OSError, ValueError) as error:
            result = {"state": "failed", "message": " ".join(str(error).split())}
    trial.update(seconds=time.monotonic() - begun, **result)


class _Processes:
    """`mapush` as child processes whose output is the trial's log."""

    def __init__(self, trial: TrialFolder, cwd: str, environment: Dict[str, str], stop: StopRequest) -> None:
        self.stop = stop
        self._trial, self._environment = trial, environment
        self._cwd = cwd if Path(cwd).is_dir() else str(trial.path)

    def mapush(self, *arguments: str, output: Optional[IO[bytes]] = None) -> int:
        """Run `mapush ARGUMENTS` to its end; returns its exit code, negative for a signal.

        Where a stop is requested it gets SIGTERM, upon which a training writes a checkpoint. It does not outlive this
        process.
        """
        with self._trial.log.open("ab") as log:
            log.write(f"$ {' '.join(['mapush', *arguments])}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", "mapush_stack", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output or log,
                stderr=log,
                cwd=self._cwd,
                env=self._environment,
                start_new_session=True,  # a terminal's Ctrl-C is for the sweep, which hands it on once
                preexec_fn=_follow_parent,
            )
        told = False
        while process.poll() is None:
            if self.stop.signal_number and not told:
                process.terminate()
                told = True
            time.sleep(_POLL_SECONDS)
        return process.returncode


def _follow_parent() -> None:
    """In a new child: SIGTERM when the parent dies, and no signal blocked (Ray's workers block SIGINT).

    The kernel may send that SIGTERM more than once, for threads of the parent that die one after the other; a training
    that gets a second one ends without a checkpoint, and its last one counts.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _train_and_evaluate(trial: TrialFolder, processes: _Processes) -> Dict[str, Any]:
    """Do what is left to do; returns the fields of the state that say how it ended."""
    # Imported here because it imports torch, which the sweep itself does without.
    from ..training.run_directory import RunDirectory

    run = RunDirectory(_run_directory(trial))
    trial.update(run=str(run.path.relative_to(trial.path)))
    total_steps = run.config().total_steps
    if _steps(run) < total_steps:
        code = processes.mapush("train", "--resume", str(run.path), "--no-evaluation")
        trial.update(steps=_steps(run), fps=trial.rate(), train_exit_code=code)
        if _steps(run) < total_steps or code:
            return _ended(trial, "train", code, processes.stop)
    if processes.stop.signal_number:
        return {"state": "interrupted"}
    with tempfile.TemporaryFile() as output:
        code = processes.mapush("evaluate", str(run.checkpoints()[-1][1]), "--json", output=output)
        output.seek(0)
        rows = output.read()
    trial.update(evaluate_exit_code=code)
    if code:
        return _ended(trial, "evaluate", code, processes.stop)
    return {"state": "finished", "evaluation": json.loads(rows)[0]}


def _run_directory(trial: TrialFolder) -> Path:
    """The trial's run; made of the checked configuration where there is none, so that `--resume` starts it."""
    from ..training.run_directory import RunDirectory
    from ..training.session import set_torch_threads

    found: List[Path] = sorted(trial.path.glob("mapush/*/*/*/seed-*"))
    if found:
        return found[-1]
    request = trial.request()
    set_torch_threads(request.config.training.torch_threads)  # the manifest records it
    return RunDirectory.create(trial.path, request.config, request.train).path


def _steps(run: Any) -> int:
    saved = run.checkpoints()
    return saved[-1][0] if saved else 0


def _ended(trial: TrialFolder, verb: str, code: int, stop: StopRequest) -> Dict[str, Any]:
    """How a trial ended whose `mapush VERB` did not do its work."""
    stopped_itself = verb == "train" and code in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    if stop.signal_number or stopped_itself:
        return {"state": "interrupted"}
    if code < 0:
        return {"state": "failed", "message": f"mapush {verb} was killed by {signal.Signals(-code).name}"}
    return {"state": "failed", "message": f"mapush {verb} ended with exit code {code}: {trial.last_line()}"}
