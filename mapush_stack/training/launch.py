"""One training process for each GPU, started and watched by torch's own launcher (what `torchrun` is)."""

from __future__ import annotations

import logging
import signal
import sys
import uuid
from typing import Any, Dict, List

import torch

from ..errors import UserError
from ..system.signals import heeded, is_stop


def launch(processes: int, arguments: List[str]) -> int:
    """Run `mapush ARGUMENTS` in so many processes that train together; returns the exit code.

    If one of them fails, the others are stopped and one sentence says what happened. SIGINT, SIGTERM and SIGHUP reach
    all of them: they write a checkpoint and stop.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if signal.SIGHUP not in heeded():  # the launcher would catch it also where it is ignored
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    # A container without a network cannot resolve its own name. torch 1.13 has no choice.
    where: Dict[str, Any] = {"local_addr": "localhost"} if hasattr(LaunchConfig, "local_addr") else {}
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.5,
        **where,
    )
    try:
        elastic_launch(settings, sys.executable)("-m", "mapush_stack", *arguments)
    except SignalException as stop:
        return 128 + int(stop.sigval)
    except ChildFailedError as error:
        return _tell(processes, error.get_first_failure()[1])
    return 0


def torchrun(processes: int, command: str) -> str:
    """`mapush COMMAND` in so many processes on the CPUs of one computer, as a command of torch's launcher."""
    # torch 1.13 does not know the name with hyphens.
    return f"torchrun --nproc_per_node {processes} -m mapush_stack {command}"


def check(gpus: int) -> None:
    """Raise `UserError` if there are not so many GPUs for a process each."""
    have = torch.cuda.device_count()
    if gpus > have:
        raise UserError(f"--gpus {gpus} is not possible here: torch sees {have} NVIDIA GPUs; leave it out or lower it")


def _tell(processes: int, failure: Any) -> int:
    """Print which process failed and how; returns 2 or a signal's code if it has said why itself, else 1."""
    code = int(failure.exitcode)
    if code == 2 or is_stop(code):
        return code  # a request that cannot be met, or a stop: the process has said it itself
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    print(
        f"mapush: process {failure.local_rank} of {processes} ended with {how}, and the others were stopped; its "
        f"message is above. Go on from the last checkpoint with: mapush train --gpus {processes} --resume RUN",
        file=sys.stderr,
    )
    return 1
