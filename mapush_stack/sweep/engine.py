"""Runs trials as Ray tasks, on this machine or on a cluster; Ray decides where and when."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections import deque
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Tuple

from filelock import FileLock, Timeout

from .. import __version__
from ..errors import FaultError, UserError
from ..system import streams
from ..system.machine import usable_cpus
from ..system.signals import StopRequest
from . import folder
from .folder import SweepFolder, TrialFolder
from .trial import run as run_trial

LOCAL = "local"
"""The address that means: start Ray on this machine for as long as the sweep runs."""
_QUIET: Dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
_POLL_SECONDS = 1.0
_PROBE_SECONDS = 60.0
"""How long a node of a cluster may take to answer."""
_OBJECT_STORE_BYTES = 80 * 2**20
"""About the smallest that Ray accepts; results go through the sweep's folder."""
_TEMPORARY_PREFIX = "mapush-ray-"
_LONGEST_TEMPORARY = 20
"""Longest path for temporary files: Ray's sockets add up to 85 characters, and their paths may have 107."""


class Resources(NamedTuple):
    """CPUs and GPUs of a trial."""

    cpus: int
    gpus: float


def check_installed() -> None:
    """Raise `UserError` if Ray is not installed."""
    if find_spec("ray") is None:
        raise UserError("Ray is not installed; sweeps need it: pip install 'mapush_stack[sweep]'")


@contextmanager
def connected(address: str, resources: Resources, trials: int) -> Iterator[None]:
    """Within the block, be connected to Ray: to the cluster at `address`, or to one started here and removed after.

    Args:
        address: `local`, `auto` for the cluster that this machine belongs to, or HOST:PORT of a cluster's head.
        resources: of a trial.
        trials: how many may run at a time.

    Raises:
        UserError: there is no such cluster, or this machine is too small for a trial.

    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no usage statistics unless asked to
    # No warning of older versions; trials hide GPUs themselves.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address == LOCAL:
        # Ray listens on the network and accepts who has its token. Without this one it would write a token to the home
        # folder, which other clusters would then use too.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    with _temporary_folder() if address == LOCAL else nullcontext() as ray_folder:
        try:
            if ray_folder is None:
                _join(address)
            else:
                _start(ray_folder, resources, trials)
            yield
        finally:
            ray.shutdown()


def _join(address: str) -> None:
    import ray

    _check_address(address)
    try:
        with streams.nothing_on_stderr():
            ray.init(address=address, **_QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        if "AuthenticationError" in str(error.__cause__):
            reason = "it wants a token; set RAY_AUTH_MODE=token where its token is in ~/.ray/auth_token"
        raise UserError(f"no Ray cluster can be joined at {address}: {reason}") from None


def _check_address(address: str) -> None:
    """Raise `UserError` for an address where nobody listens; Ray would try it for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not re.fullmatch(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", host) or not re.fullmatch(r"\d{1,5}", port):
        raise UserError(f"--address {address} is not auto or the HOST:PORT of a cluster's head")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"no Ray cluster can be joined at {address}: {reason}") from None


def _start(ray_folder: str, resources: Resources, trials: int) -> None:
    import ray

    cpus = usable_cpus()
    if resources.cpus > cpus:
        raise UserError(f"--cpus-per-trial {resources.cpus} is more than the {cpus} CPUs of this machine")
    try:
        ray.init(
            address=LOCAL,
            num_cpus=min(cpus, resources.cpus * trials),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=ray_folder,
            **_QUIET,
        )
    except Exception as error:  # Ray has no class of its own for this
        raise FaultError(f"Ray did not start ({error}); end other programs of this machine, and try again") from error
    if not nodes(resources):
        raise UserError(f"--gpus-per-trial {resources.gpus:g} is not possible here: Ray finds {gpus()} GPUs")


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder for Ray's logs and sockets, removed after the block; those of killed sweeps are removed before."""
    usual = tempfile.gettempdir()
    place = Path(usual if len(usual) <= _LONGEST_TEMPORARY else "/tmp")
    for other in place.glob(_TEMPORARY_PREFIX + "*"):
        _remove_if_abandoned(other)
    path = tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=str(place))
    try:
        with FileLock(str(Path(path) / ".lock")):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a folder made by `_temporary_folder` unless a running sweep has locked it."""
    lock = path / ".lock"
    try:
        if lock.is_file() and lock.stat().st_uid == os.getuid():
            with FileLock(str(lock)).acquire(timeout=0):
                shutil.rmtree(str(path), ignore_errors=True)
    except (OSError, Timeout):  # it is in use
        pass


def gpus() -> int:
    """The number of GPUs that Ray has."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def nodes(resources: Resources) -> List[Dict[str, Any]]:
    """Ray's descriptions of the living nodes that have enough CPUs and GPUs for a trial."""
    import ray

    alive = [(node, node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return [node for node, has in alive if has.get("CPU", 0) >= resources.cpus and has.get("GPU", 0) >= resources.gpus]


def check_nodes(sweep: SweepFolder, resources: Resources) -> None:
    """Raise `UserError` unless every node that can run trials has this version and can write the sweep's folder."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    path, expected = sweep.path.resolve(), folder.settings_text(sweep.path)
    probe = ray.remote(num_cpus=0, max_retries=0)(_probe)
    asked = nodes(resources)
    there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in asked]
    answers = [probe.options(scheduling_strategy=where).remote(str(path)) for where in there]
    for host, answer in zip((node["NodeManagerHostname"] for node in asked), answers):
        try:
            version, seen = ray.get(answer, timeout=_PROBE_SECONDS)
        except ray.exceptions.RayError as error:
            raise UserError(f"the node {host} cannot run trials: {_reason(error)}") from None
        if version != __version__:
            raise UserError(f"the node {host} has mapush_stack {version}, not {__version__}; install the same there")
        if seen != expected:
            raise UserError(
                f"the node {host} does not see {path}, or cannot write there; "
                "choose --results on a file system that all nodes of the cluster share"
            )


def run(
    sweep: SweepFolder,
    trials: List[TrialFolder],
    resources: Resources,
    most: Optional[int],
    stop: StopRequest,
    show: Callable[[List[TrialFolder], List[TrialFolder], int], None],
) -> None:
    """Run trials to their ends; `state.json` of each says how it ended.

    A failed trial does not stop the others. When a stop is requested, the running trials write checkpoints and end.

    Args:
        sweep: their sweep.
        trials: those to run, in order.
        resources: of each trial.
        most: how many Ray may have at a time; None for all.
        stop: a request to end early.
        show: called about once a second with the trials that Ray has, those that have just ended, and the number of
            those that it does not have yet.

    """
    import ray

    remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)(run_trial)
    waiting: Deque[TrialFolder] = deque(trials)
    given: Dict[Any, TrialFolder] = {}
    cancelled = False
    while waiting or given:
        while waiting and len(given) < (most or len(trials)):
            trial = waiting.popleft()
            given[remote.remote(str(trial.path.resolve()), sweep.file.cwd, resources.gpus)] = trial
        done, _ = ray.wait(list(given), timeout=_POLL_SECONDS)
        ended = [given.pop(reference) for reference in done]
        for reference, trial in zip(done, ended):
            _settle(reference, trial)
        if stop.signal_number and not cancelled:
            cancelled = True
            waiting.clear()
            for reference in given:
                ray.cancel(reference)
        show(list(given.values()), ended, len(waiting))


def _settle(reference: Any, trial: TrialFolder) -> None:
    """Write the state of a trial whose process could not do it."""
    import ray

    try:
        ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        if trial.state().state == "running":
            trial.update(state="interrupted")
    except ray.exceptions.RayError as error:
        if trial.state().state != "finished":
            trial.update(state="failed", message=_reason(error))


def _probe(path: str) -> Tuple[str, str]:
    """On a node: the version there, and the text of `sweep.json` seen there; empty if the folder is not writable."""
    return __version__, folder.settings_text(Path(path)) if os.access(path, os.W_OK) else ""


def _reason(error: Exception) -> str:
    """The reason in one of Ray's exceptions: the last line of a worker's traceback, else the first sentence."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    if getattr(error, "cause", None) and lines:
        return lines[-1]
    return f"{type(error).__name__}: {lines[0].split('. ')[0]}" if lines else type(error).__name__
