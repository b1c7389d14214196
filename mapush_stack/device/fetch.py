"""Numbers on their way from the device to the host, without anybody waiting for them."""

from __future__ import annotations

import time
from typing import Any, Dict, List

import torch
from torch import Tensor

_Event: Any = torch.cuda.Event
"""torch declares no types for it."""


class Fetch:
    """Scalars by name; the copy begins at once and is waited for only where they are asked for."""

    def __init__(self, values: Dict[str, Tensor]) -> None:
        """`values` are scalars on one device."""
        self._names = list(values)
        numbers = torch.stack([value.to(torch.float64) for value in values.values()])
        self._ready: Any = None
        if numbers.is_cuda:
            self._numbers = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            self._numbers.copy_(numbers, non_blocking=True)
            self._ready = _Event()
            self._ready.record()
        else:
            self._numbers = numbers

    def result(self) -> Dict[str, float]:
        """The numbers; waits until they are there."""
        if self._ready is not None:
            self._ready.synchronize()
        return dict(zip(self._names, self._numbers.tolist()))


class Stopwatch:
    """Times between marks, as the device sees them: kernels are only queued when Python has gone on."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._marks: List[Any] = []

    def mark(self) -> None:
        """Take note of the time at which everything queued so far is done."""
        if self._cuda:
            event = _Event(enable_timing=True)
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.monotonic())

    def seconds(self) -> List[float]:
        """The times between the marks; waits until the last one is reached."""
        pairs = list(zip(self._marks, self._marks[1:]))
        if not self._cuda:
            return [after - before for before, after in pairs]
        self._marks[-1].synchronize()
        return [1e-3 * before.elapsed_time(after) for before, after in pairs]
