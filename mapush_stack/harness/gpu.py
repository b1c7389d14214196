"""NVIDIA's driver and its GPUs as the driver's own library (NVML) tells of them: without CUDA, and without torch.

NVML counts the machine's GPUs whatever CUDA_VISIBLE_DEVICES says, and sees the memory of every process on them.
"""

from __future__ import annotations

import contextlib
from typing import Iterator, List, Optional, Tuple

from pydantic import BaseModel, ConfigDict


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
