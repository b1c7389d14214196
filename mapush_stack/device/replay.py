"""Work on tensors that is done again and again: launched kernel by kernel, or on a GPU replayed as one CUDA graph."""

from __future__ import annotations

import contextlib
import gc
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, Callable, Dict, Generic, Iterator, List, NamedTuple, Optional, Sequence, Tuple, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor

T = TypeVar("T")

_living: Dict[torch.device, WeakSet[Any]] = {}
"""The graphs of each device that run in turn. They share one pool of memory, in which nothing of a graph outlasts its
replay: what the function returns is copied out."""


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Within the block nothing is collected: a graph that is destroyed while another one is captured spoils it."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Beside:
    """A second stream of work on a GPU; elsewhere, and where it is not `wanted`, that work is done in turn.

    All objects of a device have one stream, because cuBLAS keeps a buffer for every stream that it has ever seen.
    """

    def __init__(self, device: torch.device, wanted: bool = True) -> None:
        self.stream = _second_stream(device) if wanted and device.type == "cuda" else None

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Within the block work is given to the second stream, which first waits for what the present one has."""
        if self.stream is None:
            yield
            return
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            yield

    def join(self) -> None:
        """The present stream waits for the second one; until then nothing may change or free what that one reads."""
        if self.stream is not None:
            torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)


@lru_cache(maxsize=None)
def _second_stream(device: torch.device) -> torch.cuda.Stream:
    stream: Any = torch.cuda.Stream
    made: torch.cuda.Stream = stream(device)
    return made


class _Captured(NamedTuple):
    """A CUDA graph with the memory that it reads and writes."""

    graph: Any
    inputs: List[Tensor]
    outputs: Any


class Replay(Generic[T]):
    """`function(*arguments)`, on a GPU as a CUDA graph from the second call with the same kinds of arguments on.

    The function may read and write tensors that live as long as it does, in place; it must not wait for the device,
    allocate anything that outlives it except what it returns, or decide anything by the values of tensors. Arguments
    are tensors, copied to where the graph expects them, and other objects, each combination of which has a graph of
    its own. **On a GPU the next call overwrites what the last one returned.**

    Elsewhere, and with a torch too old to capture random numbers (below 2.4), the function is simply called.
    """

    def __init__(
        self,
        function: Callable[..., T],
        device: torch.device,
        generators: Sequence[torch.Generator] = (),
        beside: Optional[Beside] = None,
    ) -> None:
        """`generators` are those that the function draws from.

        What is called within `beside.work()` needs `beside`: its graphs may run at the same time as others. So they
        have memory of their own, and are captured on that stream, for the sake of cuBLAS's buffer.
        """
        able = hasattr(torch.cuda.CUDAGraph, "register_generator_state")
        self._function, self._generators, self._device = function, generators, device
        self._stream = None if beside is None else beside.stream
        self._captures = device.type == "cuda" and able
        self._seen: Dict[Tuple[Any, ...], T] = {}
        self._captured: Dict[Tuple[Any, ...], _Captured] = {}

    def __call__(self, *arguments: Any) -> T:
        """What the function returns."""
        if not self._captures:
            return self._function(*arguments)
        key = tuple((tuple(a.shape), a.dtype) if isinstance(a, Tensor) else a for a in arguments)
        if key not in self._seen:
            # The first call loads kernels and makes handles, which cannot be captured.
            outputs = self._function(*arguments)
            self._seen[key] = _each_tensor(torch.empty_like, outputs)
            return outputs
        if key not in self._captured:
            self._captured[key] = self._capture(arguments, self._seen[key])
        captured = self._captured[key]
        for static, given in zip(captured.inputs, (a for a in arguments if isinstance(a, Tensor))):
            static.copy_(given)
        captured.graph.replay()
        replayed: T = captured.outputs
        return replayed

    def __getstate__(self) -> Dict[str, Any]:
        # A copy captures graphs of its own.
        return {**self.__dict__, "_seen": {}, "_captured": {}}

    def release(self) -> None:
        """Give the graphs up; a communicator of NCCL cannot be closed while a graph still holds work of it."""
        self._captured.clear()

    def _capture(self, arguments: Sequence[Any], outputs: T) -> _Captured:
        """A graph that leaves what the function returns in `outputs`."""
        static = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        living = _living.setdefault(self._device, WeakSet())
        with no_garbage_collection():
            pool = None if self._stream else next((other.pool() for other in living), None)
            with torch.cuda.graph(graph, pool, self._stream, capture_error_mode="thread_local"):
                _each_tensor(Tensor.copy_, outputs, self._function(*static))
        if not self._stream:
            living.add(graph)
        return _Captured(graph, [a for a in static if isinstance(a, Tensor)], outputs)


def _each_tensor(function: Callable[..., Tensor], *values: Any) -> Any:
    """`function` of the tensors that stand at the same place in values of one structure, in that structure."""
    first = values[0]
    if isinstance(first, Tensor):
        return function(*(value.detach() for value in values))
    if isinstance(first, dict):
        return {name: _each_tensor(function, *(value[name] for value in values)) for name in first}
    if isinstance(first, tuple):
        parts = [_each_tensor(function, *part) for part in zip(*values)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if is_dataclass(first):
        parts = [_each_tensor(function, *(getattr(value, field.name) for value in values)) for field in fields(first)]
        made: Any = type(first)
        return made(*parts)
    return first
