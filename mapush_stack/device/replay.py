"""Work on tensors that is done again and again: launched kernel by kernel, or on a GPU replayed as one CUDA graph."""

from __future__ import annotations

import contextlib
import gc
from typing import Any, Callable, Dict, Generic, Iterator, List, NamedTuple, Sequence, Set, Tuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


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
        self, function: Callable[..., T], device: torch.device, generators: Sequence[torch.Generator] = ()
    ) -> None:
        """`generators` are those that the function draws from."""
        able = hasattr(torch.cuda.CUDAGraph, "register_generator_state")
        self._function, self._generators = function, generators
        self._captures = device.type == "cuda" and able
        self._seen: Set[Tuple[Any, ...]] = set()
        self._captured: Dict[Tuple[Any, ...], _Captured] = {}

    def __call__(self, *arguments: Any) -> T:
        """What the function returns."""
        if not self._captures:
            return self._function(*arguments)
        key = tuple((tuple(a.shape), a.dtype) if isinstance(a, Tensor) else a for a in arguments)
        if key not in self._seen:
            # The first call loads kernels and makes handles, which cannot be captured.
            self._seen.add(key)
            return self._function(*arguments)
        if key not in self._captured:
            self._captured[key] = self._capture(arguments)
        captured = self._captured[key]
        for static, given in zip(captured.inputs, (a for a in arguments if isinstance(a, Tensor))):
            static.copy_(given)
        captured.graph.replay()
        outputs: T = captured.outputs
        return outputs

    def __getstate__(self) -> Dict[str, Any]:
        # A copy captures graphs of its own.
        return {**self.__dict__, "_seen": set(), "_captured": {}}

    def release(self) -> None:
        """Give the graphs up; a communicator of NCCL cannot be closed while a graph still holds work of it."""
        self._captured.clear()

    def _capture(self, arguments: Sequence[Any]) -> _Captured:
        static = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        with no_garbage_collection(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = self._function(*static)
        return _Captured(graph, [a for a in static if isinstance(a, Tensor)], outputs)
