"""NVIDIA's driver and its GPUs as the driver's own library (NVML) tells of them: without CUDA, and without torch.

NVML counts the machine's GPUs whatever CUDA_VISIBLE_DEVICES says, and sees the memory of every process on them.
"""

from __future__ import annotations

import contextlib
import os
from typing import Collection, Iterator, List, NamedTuple, Optional, Tuple

from pydantic import BaseModel, ConfigDict

from ..errors import UserError


class Gpu(BaseModel):
    """One card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    compute_capability: Tuple[int, int]
    memory_mib: int
    free_mib: int
    """What no process holds."""


class Nvidia(BaseModel):
    """The driver and the cards; without a driver both are empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Optional[str] = None
    """As 535.104.05."""
    cuda: Optional[Tuple[int, int]] = None
    """The newest CUDA that the driver knows."""
    gpus: List[Gpu] = []
    problem: str = ""
    """What NVML said where a driver is there and does not answer."""


def look() -> Nvidia:
    """The driver and its GPUs."""
    import pynvml

    try:
        with _nvml():
            cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()
            return Nvidia(
                driver=_text(pynvml.nvmlSystemGetDriverVersion()),
                cuda=(cuda // 1000, cuda % 1000 // 10),
                gpus=[_gpu(handle) for handle in _handles()],
            )
    except pynvml.NVMLError as error:
        absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        return Nvidia() if error.value in absent else Nvidia(problem=str(error))


class MemoryMeter:
    """Reads how full the cards are, again and again; tells nothing where there is no driver."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> MemoryMeter:
        import pynvml

        with contextlib.suppress(pynvml.NVMLError):
            self._stack.enter_context(_nvml())
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def fullest(self) -> Optional[float]:
        """The share (0 to 1) of its memory that is in use on the fullest card, by whatever process."""
        import pynvml

        try:
            shares = [memory.used / memory.total for memory in map(pynvml.nvmlDeviceGetMemoryInfo, _handles())]
        except pynvml.NVMLError:
            return None
        return max(shares, default=None)


class Memory(NamedTuple):
    """Of one card, MiB."""

    total: float
    used: float
    """By all processes and the driver."""
    free: float


class Card:
    """One card, watched for as long as it is entered."""

    def __init__(self, number: int) -> None:
        """`number` counts the cards that CUDA_VISIBLE_DEVICES leaves to this process, in the order of their buses."""
        self._number = number
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Card:
        """Find the card.

        Raises:
            UserError: there is no driver, or no such card.

        """
        import pynvml

        try:
            self._stack.enter_context(_nvml())
            visible = _visible()
            if self._number >= len(visible):
                raise UserError(f"cuda:{self._number} is not here: NVIDIA's driver shows {len(visible)} usable GPUs")
            self._handle = visible[self._number]
            self.name = _text(pynvml.nvmlDeviceGetName(self._handle))
            self.uuid = _text(pynvml.nvmlDeviceGetUUID(self._handle))
            """As CUDA_VISIBLE_DEVICES takes it."""
        except pynvml.NVMLError as error:
            self._stack.close()
            raise UserError(f"no NVIDIA GPU can be watched here: {error}") from None
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def memory(self) -> Memory:
        """What is in use and what is not."""
        import pynvml

        memory = pynvml.nvmlDeviceGetMemoryInfo(self._handle)
        return Memory(memory.total / 2**20, memory.used / 2**20, memory.free / 2**20)

    def held_by(self, pids: Collection[int]) -> Optional[float]:
        """MiB that these processes hold on the card.

        None where NVML shows none of them: in a container it knows processes by other numbers.
        """
        import pynvml

        # The second one is raised where the driver is older than this call.
        silent = (pynvml.NVMLError, getattr(pynvml, "NVMLLibraryMismatchError", pynvml.NVMLError))
        try:
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except silent:
            return None
        held = [one.usedGpuMemory for one in running if one.pid in pids and one.usedGpuMemory]
        return sum(held) / 2**20 if held else None


@contextlib.contextmanager
def _nvml() -> Iterator[None]:
    import pynvml

    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _handles() -> List[object]:
    import pynvml

    return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]


def _visible() -> List[object]:
    """The cards that CUDA shows to this process: CUDA_VISIBLE_DEVICES, numbers in the order of the buses, or UUIDs."""
    import pynvml

    handles, wanted = _handles(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return handles
    uuids = [_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    found: List[object] = []
    for entry in filter(None, map(str.strip, wanted.split(","))):
        if entry.isdigit():
            matches = handles[int(entry) : int(entry) + 1]
        elif entry.startswith("MIG"):
            matches = [pynvml.nvmlDeviceGetHandleByUUID(entry.encode())]
        else:
            matches = [handle for handle, uuid in zip(handles, uuids) if uuid.startswith(entry)]
        if not matches:  # CUDA, too, takes what stands before an entry that it does not know
            break
        found += matches[:1]
    return found


def _gpu(handle: object) -> Gpu:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        compute_capability=pynvml.nvmlDeviceGetCudaComputeCapability(handle),
        memory_mib=memory.total >> 20,
        free_mib=memory.free >> 20,
    )


def _text(value: object) -> str:
    """Older NVML bindings return bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
