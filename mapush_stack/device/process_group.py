"""The processes that train together: one, or one for each GPU (data parallelism)."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from datetime import timedelta
from typing import Any, Iterator, List

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import FaultError, UserError
from ..system.signals import heeded

_PATIENCE = timedelta(minutes=5)
"""How long a process waits for the others before it gives up: longer than a GPU's kernels take to compile."""

_PARTED = re.compile(r"peer|reset|closed|[Tt]imed out|[Tt]imeout")
"""In the messages of gloo and NCCL about another process that has ended."""


class World:
    """This process alone; the base of `ProcessGroup`."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks for all."""
        return self.rank == 0

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over all processes, of the same shape."""
        return tensor

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors `[n, ...]` of all processes, `[size * n, ...]` in the order of their ranks."""
        return tensor

    def say(self, text: str) -> str:
        """The text of rank 0."""
        return text

    def close(self) -> None:
        """Part from the others; may be called twice."""


ALONE = World()
"""One process."""


class ProcessGroup(World):
    """Processes started by torchrun, over NCCL between GPUs and gloo between CPUs."""

    def __init__(self) -> None:
        """Join the others, with this process's GPU, if there is one, as the current one."""
        backend = "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            backend = "cpu:gloo,cuda:nccl"
        try:
            with _ended_by_signals():
                store, rank, size = next(dist.rendezvous("env://", timeout=_PATIENCE))  # type: ignore[attr-defined]
                store = _store_of_this_start(store)
                dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
        except RuntimeError as error:
            raise FaultError(
                f"the processes that train together do not find each other ({str(error).splitlines()[0][:300]}): check "
                "MASTER_ADDR and MASTER_PORT, and start all of them again"
            ) from None
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def mean(self, tensor: Tensor) -> Tensor:
        """See `World.mean`."""
        return self.sum(tensor) / self.size

    def sum(self, tensor: Tensor) -> Tensor:
        """See `World.sum`."""
        total = tensor.clone()
        with self._others():
            dist.all_reduce(total)
        return total

    def gather(self, tensor: Tensor) -> Tensor:
        """See `World.gather`."""
        parts: List[Tensor] = [torch.empty_like(tensor) for _ in range(self.size)]
        with self._others():
            dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def say(self, text: str) -> str:
        """See `World.say`."""
        words = [text]
        with self._others():
            dist.broadcast_object_list(words, 0, device=torch.device("cpu"))
        return words[0]

    @contextlib.contextmanager
    def _others(self) -> Iterator[None]:
        """Within the block, the end of another process is a `ConnectionError`, told by the first.

        Raises:
            ConnectionError: another process has ended.

        """
        try:
            yield
        except RuntimeError as error:
            if not _PARTED.search(str(error)):
                raise
            told = "" if self.rank else "another of the processes that train together has ended"
            raise ConnectionError(told) from None

    def close(self) -> None:
        """See `World.close`."""
        if dist.is_initialized():
            dist.destroy_process_group()


def launchers() -> int:
    """How many of torch's launchers have started the processes together: one on each node."""
    return int(os.environ.get("GROUP_WORLD_SIZE", "1"))


def _store_of_this_start(store: Any) -> Any:
    """The part of torch's store for the processes that were started at the same time.

    torchrun keeps one store over all restarts, and newer versions of torch do not divide it: a process would find the
    address of one that has ended. Several launchers may have counted different numbers of restarts.
    """
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if launchers() == 1 else "0"
    return dist.PrefixStore(f"start_{restarts}", store)  # type: ignore[attr-defined]  # torch's stubs do not name it


def restarts_may_hang() -> bool:
    """Whether torch's launchers on several nodes may start processes again that never find each other.

    They keep one store over all restarts. In older versions of torch, processes look for each other there under the
    number of restarts, which every launcher counts for itself; in newer ones they may find those that have ended.
    """
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0
    return launchers() > 1 and restarts and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Within the block, Ctrl-C and SIGTERM end the process at once: torch waits where Python handles no signals."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def join() -> World:
    """The processes that torchrun started, or this one alone.

    Raises:
        UserError: the variables of torchrun are there only in part.
        FaultError: the others cannot be reached.

    """
    size = os.environ.get("WORLD_SIZE") or "1"
    if size == "1":
        return ALONE
    for name, least in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0), ("MASTER_PORT", 1), ("MASTER_ADDR", None)):
        value = os.environ.get(name, "")
        if not value or (least is not None and not (value.isdecimal() and least <= int(value) < 65536)):
            raise UserError(
                f"WORLD_SIZE={size} means one of several processes, but {name}={value} is not what torchrun sets: "
                "start them with torchrun, or unset WORLD_SIZE"
            )
    if int(os.environ["RANK"]) >= int(size):
        raise UserError(f"RANK={os.environ['RANK']} must be less than WORLD_SIZE={size}: start all with torchrun")
    return ProcessGroup()
