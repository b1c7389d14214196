"""NVIDIA's driver and its GPUs, read through the driver's library NVML, without CUDA or torch.

NVML lists all GPUs of the machine, whatever CUDA_VISIBLE_DEVICES says, and the memory of all processes on them.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Collection, List, NamedTuple, Optional, Tuple

from pydantic import Field

from ..errors import UserError
from ..settings import Settings


class Gpu(Settings):
    """One GPU."""

    name: str
    compute_capability: Tuple[int, int]
    memory_mib: int
    free_mib: int
    """Memory that no process holds."""


class Nvidia(Settings):
    """The driver and its GPUs; without a driver both are empty."""

    driver: Optional[str] = None
    """Its version, such as 535.104.05."""
    cuda: Optional[Tuple[int, int]] = None
    """The newest CUDA version that the driver supports."""
    gpus: List[Gpu] = Field(default=[])
    problem: str = ""
    """NVML's error message if there is a driver that does not answer."""


def look() -> Nvidia:
    """The driver and GPUs of this machine."""
    import pynvml

    try:
        nvml = _nvml()
        cuda = nvml.nvmlSystemGetCudaDriverVersion_v2()
        return Nvidia(
            driver=_text(nvml.nvmlSystemGetDriverVersion()),
            cuda=(cuda // 1000, cuda % 1000 // 10),
            gpus=[_gpu(handle) for handle in _handles()],
        )
    except pynvml.NVMLError as error:
        absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        return Nvidia() if error.value in absent else Nvidia(problem=str(error))


def fullest() -> Optional[float]:
    """The share (0 to 1) of memory in use, by all processes, on the fullest card; None without a driver."""
    import pynvml

    try:
        shares = [memory.used / memory.total for memory in map(_nvml().nvmlDeviceGetMemoryInfo, _handles())]
    except pynvml.NVMLError:
        return None
    return max(shares, default=None)


class Memory(NamedTuple):
    """Memory of one card, MiB."""

    total: float
    used: float
    """By all processes and the driver."""
    free: float


class Card:
    """One card."""

    def __init__(self, number: int) -> None:
        """Find the card.

        Args:
            number: its index among the cards that CUDA_VISIBLE_DEVICES shows, in the order of their buses.

        Raises:
            UserError: there is no driver, or no such card.

        """
        import pynvml

        try:
            visible = _visible()
            if number >= len(visible):
                raise UserError(f"cuda:{number} is not here: NVIDIA's driver shows {len(visible)} usable GPUs")
            self._handle = visible[number]
            self.name = _text(_nvml().nvmlDeviceGetName(self._handle))
            self.uuid = _text(_nvml().nvmlDeviceGetUUID(self._handle))
            """In the form that CUDA_VISIBLE_DEVICES accepts."""
        except pynvml.NVMLError as error:
            raise UserError(f"no NVIDIA GPU can be watched here: {error}") from None

    def memory(self) -> Memory:
        """The memory in use and free."""
        memory = _nvml().nvmlDeviceGetMemoryInfo(self._handle)
        return Memory(memory.total / 2**20, memory.used / 2**20, memory.free / 2**20)

    def held_by(self, pids: Collection[int]) -> Optional[float]:
        """Memory that these processes hold on the card, MiB.

        None if NVML lists none of them: in a container it knows processes by other numbers.
        """
        import pynvml

        # The second error means that the driver is older than this function.
        silent = (pynvml.NVMLError, getattr(pynvml, "NVMLLibraryMismatchError", pynvml.NVMLError))
        try:
            running = _nvml().nvmlDeviceGetComputeRunningProcesses(self._handle)
        except silent:
            return None
        held = [one.usedGpuMemory for one in running if one.pid in pids and one.usedGpuMemory]
        return sum(held) / 2**20 if held else None


@functools.lru_cache(maxsize=None)
def _nvml() -> Any:
    """The module `pynvml`, with the driver's library open until this process ends."""
    import pynvml

    pynvml.nvmlInit()
    return pynvml


def _handles() -> List[object]:
    nvml = _nvml()
    return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def _visible() -> List[object]:
    """The cards named in CUDA_VISIBLE_DEVICES, by their index in the order of the buses or by UUID; all without it."""
    handles, wanted = _handles(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return handles
    uuids = [_text(_nvml().nvmlDeviceGetUUID(handle)) for handle in handles]
    found: List[object] = []
    for entry in filter(None, map(str.strip, wanted.split(","))):
        if entry.isdigit():
            matches = handles[int(entry) : int(entry) + 1]
        elif entry.startswith("MIG"):
            matches = [_nvml().nvmlDeviceGetHandleByUUID(entry.encode())]
        else:
            matches = [handle for handle, uuid in zip(handles, uuids) if uuid.startswith(entry)]
        if not matches:  # CUDA also ignores everything after an entry that it does not know
            break
        found += matches[:1]
    return found


def _gpu(handle: object) -> Gpu:
    memory = _nvml().nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=_text(_nvml().nvmlDeviceGetName(handle)),
        compute_capability=_nvml().nvmlDeviceGetCudaComputeCapability(handle),
        memory_mib=memory.total >> 20,
        free_mib=memory.free >> 20,
    )


def _text(value: object) -> str:
    """NVML's text, which older bindings return as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
