"""Trials as Ray tasks: Ray decides where and when, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections import deque
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Tuple

from filelock import FileLock, Timeout

from .. import __version__
from ..errors import UserError
from ..system.machine import usable_cpus
from ..system.signals import StopRequest
from . import folder
from .folder import SweepFolder, TrialFolder
from .trial import run as run_trial

LOCAL = "local"
"""The address of a Ray of one's own, on this machine, for as long as the sweep runs."""
_POLL_SECONDS = 1.0
_PROBE_SECONDS = 60.0
"""How long a cluster's machine may take to answer."""
_OBJECT_STORE_BYTES = 80 * 2**20
"""About the least that Ray takes; results go through the sweep's folder."""
_TEMPORARY_PREFIX = "mapush-ray-"
_LONGEST_TEMPORARY = 20
"""With the rest of the folder's name and Ray's sockets in it 85 characters follow; a socket's path can have 107."""


class Resources(NamedTuple):
    """What a trial takes."""

    cpus: int
    gpus: float


def check_installed() -> None:
    """Refuse a sweep where Ray is missing.

    Raises:
        UserError: it is not installed.

    """
    if find_spec("ray") is None:
        raise UserError("Ray is not installed; sweeps need it: pip install 'mapush_stack[sweep]'")


@contextmanager
def connected(address: str, resources: Resources, trials: int) -> Iterator[None]:
    """Ray for as long as the block lasts: the cluster at `address`, or one of our own that leaves nothing behind.

    Args:
        address: `local`, `auto` for the cluster that this machine belongs to, or its head's HOST:PORT.
        resources: of a trial.
        trials: how many can run side by side at most.

    Raises:
        UserError: there is no such cluster, or this machine is too small for a trial.

    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no reports to Ray's makers unless asked for
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # older ones warn; trials see to it themselves
    if address == LOCAL:
        # Ray listens on the network, for those who have its token. Without one here it would leave one in the home
        # folder, which changes how other clusters behave.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    quiet: Dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with _temporary_folder() if address == LOCAL else nullcontext() as folder_of_ray:
        try:
            if folder_of_ray is None:
                _join(address, quiet)
            else:
                _start(folder_of_ray, resources, trials, quiet)
            yield
        finally:
            ray.shutdown()


def _join(address: str, quiet: Dict[str, Any]) -> None:
    import ray

    _check_address(address)
    try:
        with _native_stderr_hidden():
            ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        if "AuthenticationError" in str(error.__cause__):
            reason = "it wants a token; set RAY_AUTH_MODE=token where its token is in ~/.ray/auth_token"
        raise UserError(f"no Ray cluster can be joined at {address}: {reason}") from None


def _check_address(address: str) -> None:
    """Refuse an address at which nobody listens, which Ray would try for minutes."""
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


@contextmanager
def _native_stderr_hidden() -> Iterator[None]:
    """Nothing written to descriptor 2 is seen: Ray's native code repeats there what its exceptions say."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _start(folder_of_ray: str, resources: Resources, trials: int, quiet: Dict[str, Any]) -> None:
    import ray

    cpus = usable_cpus()
    if resources.cpus > cpus:
        raise UserError(f"--cpus-per-trial {resources.cpus} is more than the {cpus} CPUs of this machine")
    ray.init(
        address=LOCAL,
        num_cpus=min(cpus, resources.cpus * trials),
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        _temp_dir=folder_of_ray,
        **quiet,
    )
    if not nodes(resources):
        raise UserError(f"--gpus-per-trial {resources.gpus:g} is not possible here: Ray finds {gpus()} GPUs")


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder for Ray's logs and sockets that goes when the block ends; those of killed sweeps go with it."""
    usual = tempfile.gettempdir()
    place = Path(usual if len(usual) <= _LONGEST_TEMPORARY else "/tmp")
    for folder_of_another in place.glob(_TEMPORARY_PREFIX + "*"):
        _remove_if_abandoned(folder_of_another)
    path = tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=str(place))
    try:
        with FileLock(str(Path(path) / ".lock")):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a folder of `_temporary_folder` that no living sweep has locked."""
    lock = path / ".lock"
    try:
        if lock.is_file() and lock.stat().st_uid == os.getuid():
            with FileLock(str(lock)).acquire(timeout=0):
                shutil.rmtree(str(path), ignore_errors=True)
    except (OSError, Timeout):  # in use
        pass


def gpus() -> int:
    """How many GPUs Ray has."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def nodes(resources: Resources) -> List[Dict[str, Any]]:
    """What Ray says of the nodes that are large enough for a trial."""
    import ray

    alive = [(node, node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return [node for node, has in alive if has.get("CPU", 0) >= resources.cpus and has.get("GPU", 0) >= resources.gpus]


def check_nodes(sweep: SweepFolder, resources: Resources) -> None:
    """Make sure that every node that can run trials has this version of the project and sees the sweep's folder.

    Raises:
        UserError: one does not.

    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    path, expected = sweep.path.resolve(), folder.contents(sweep.path)
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
    watch: Callable[[List[TrialFolder], List[TrialFolder], int], None],
) -> None:
    """Run trials until they have ended; what became of each is in its folder.

    A trial that fails is data. When a stop is requested, the running trials are asked to write their checkpoints, and
    are waited for.

    Args:
        sweep: their sweep.
        trials: those to run, in order.
        resources: of each.
        most: how many Ray may have at a time; None for all.
        stop: a request to end early.
        watch: called about once a second with the trials that Ray has, those that have just ended, and how many are
            left to give to it.

    """
    import ray

    remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)(run_trial)
    waiting: Deque[TrialFolder] = deque(trials)
    given: Dict[Any, TrialFolder] = {}
    told = False
    while waiting or given:
        while waiting and len(given) < (most or len(trials)):
            trial = waiting.popleft()
            given[remote.remote(str(trial.path.resolve()), sweep.file.cwd, resources.gpus)] = trial
        done, _ = ray.wait(list(given), timeout=_POLL_SECONDS)
        ended = [given.pop(reference) for reference in done]
        for reference, trial in zip(done, ended):
            _settle(reference, trial)
        if stop.signal_number and not told:
            told = True
            waiting.clear()
            for reference in given:
                ray.cancel(reference)
        watch(list(given.values()), ended, len(waiting))


def _settle(reference: Any, trial: TrialFolder) -> None:
    """Write down the end of a trial whose process could not."""
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
    """On a node: the project's version, and the sweep's file as it is seen there; empty where none can be written."""
    return __version__, folder.contents(Path(path)) if os.access(path, os.W_OK) else ""


def _reason(error: Exception) -> str:
    """What one of Ray's exceptions says happened; a worker's traceback ends with it, other texts begin with it."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    if getattr(error, "cause", None) and lines:
        return lines[-1]
    return f"{type(error).__name__}: {lines[0].split('. ')[0]}" if lines else type(error).__name__
