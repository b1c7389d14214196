"""What is to be known of a machine and its environment: plain data, so that another machine's can be looked at too."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from pydantic import BaseModel, ConfigDict

from ...system.gpu import Nvidia
from ..patches.state import State


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Python(_Fact):
    """The Python that runs mapush."""

    version: Tuple[int, int, int]
    executable: str


class Torch(_Fact):
    """torch, as a process of its own imported it."""

    version: str = ""
    cuda: Optional[str] = None
    """The CUDA that it was built for, as 11.6."""
    architectures: List[str] = []
    """What it holds code for: sm_86, compute_90, ..."""
    sees_gpu: bool = False
    error: str = ""
    """What was printed where it cannot be imported."""

    @property
    def cuda_major(self) -> Optional[int]:
        """11 of 11.6."""
        return int(self.cuda.split(".")[0]) if self.cuda else None


class PatchState(_Fact):
    """A patch and what it found."""

    name: str
    state: State
    problem: str
    directory: Optional[str]


class Gymtorch(_Fact):
    """torch's cache of the compiled gymtorch: one folder for each Python and CUDA."""

    built: List[str] = []
    unfinished: List[str] = []
    """Folders with a lock, for which torch waits without end, or without the library; none has changed lately."""


class Disk(_Fact):
    """Space for one purpose."""

    purpose: str
    path: str
    free_mib: int


class Drift(_Fact):
    """A package that is installed in another version than a lock says."""

    package: str
    installed: str
    locked: str
    lock: str


class Facts(_Fact):
    """All of it."""

    python: Python
    packages: Dict[str, str]
    """Installed distributions, by their normalized names, and their versions."""
    torch: Torch
    nvidia: Nvidia
    visible_devices: Optional[str]
    """CUDA_VISIBLE_DEVICES; None where it is not set."""
    isaacgym: Optional[str]
    """What importing isaacgym ended with, empty for success; None where it is not installed."""
    torch_loaded_by: str
    """Who imports torch before a program can import isaacgym: "python" when it starts, "mapush", or nobody ("")."""
    gymtorch: Gymtorch
    compiler: Dict[str, bool]
    """Whether the programs that gymtorch is compiled with are on the PATH."""
    patches: List[PatchState]
    harl_source: bool
    """Whether HARL_SRC names a folder."""
    cpus: int
    memory_mib: Optional[int]
    """Available; None where the system does not say."""
    disks: List[Disk]
    container: bool
    shared_memory_mib: Optional[int]
    """Size of /dev/shm; None where there is none."""
    drift: Optional[List[Drift]]
    """None where there are no locks: the package lies outside its source tree, or this Python has none."""
