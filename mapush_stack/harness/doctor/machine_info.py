"""Information about a machine and its Python environment, as plain data that can come from another machine."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from pydantic import Field

from ...settings import Settings
from ...system.gpu import Nvidia
from ..patches.state import State


class Python(Settings):
    """The Python that runs mapush."""

    version: Tuple[int, int, int]
    executable: str


class Torch(Settings):
    """torch, imported in a separate process."""

    version: str = ""
    cuda: Optional[str] = None
    """The CUDA that it was built for, such as 11.6; None without CUDA."""
    architectures: List[str] = Field(default=[])
    """Architectures that it has code for: sm_86, compute_90, ..."""
    sees_gpu: bool = False
    cuda_error: str = ""
    """How CUDA's start failed; empty if it did not, or was not tried because torch is for the CPU."""
    error: str = ""
    """The output of the failed import; empty if it succeeded."""

    @property
    def cuda_major(self) -> Optional[int]:
        """The major version of CUDA, 11 for 11.6."""
        return int(self.cuda.split(".")[0]) if self.cuda else None


class PatchState(Settings):
    """A patch and the state of its files."""

    name: str
    state: State
    problem: str
    directory: Optional[str]


class Gymtorch(Settings):
    """The compiled gymtorch in torch's cache: one folder for each Python and CUDA."""

    built: List[str] = Field(default=[])
    unfinished: List[str] = Field(default=[])
    """Folders without the library, or with a lock that torch would wait for; none changed recently."""


class Disk(Settings):
    """Disk space for one purpose."""

    purpose: str
    path: str
    free_mib: int


class Drift(Settings):
    """A package whose installed version is not the locked one."""

    package: str
    installed: str
    locked: str
    lock: str


class Graphics(Settings):
    """What rendering needs."""

    errors: Dict[str, str] = Field(default={})
    """The error of loading each library, empty for success."""
    vulkan_drivers: List[str] = Field(default=[])
    """The files that name Vulkan's drivers (ICD)."""
    capabilities: Optional[str] = None
    """NVIDIA_DRIVER_CAPABILITIES: what the driver may do in this container."""
    mujoco_gl: str = ""
    """MUJOCO_GL."""


class Docker(Settings):
    """The Docker on this machine."""

    toolkit: bool
    """Whether NVIDIA's container toolkit is installed."""
    runtimes: List[str]
    """Runtimes in Docker's daemon.json."""


class MachineInfo(Settings):
    """All information."""

    python: Python
    packages: Dict[str, str]
    """Versions of the installed distributions by normalized name."""
    torch: Torch
    nvidia: Nvidia
    visible_devices: Optional[str]
    """CUDA_VISIBLE_DEVICES; None if it is not set."""
    isaacgym: Optional[str]
    """The error of importing isaacgym, empty for success; None if it is not installed."""
    torch_loaded_by: str
    """What imports torch before a program can import isaacgym: "python" at its start, "mapush", or nothing ("")."""
    gymtorch: Gymtorch
    compiler: Dict[str, bool]
    """Whether each program that compiles gymtorch is on the PATH."""
    patches: List[PatchState]
    over_mujoco: bool = False
    """Whether MAPUSH_GYM is set: programs of Isaac Gym then need no patch."""
    harl_source: bool
    """Whether HARL_SRC names a folder."""
    cpus: int
    memory_mib: Optional[int]
    """Available memory; None if the system does not say."""
    disks: List[Disk]
    container: bool
    shared_memory_mib: Optional[int]
    """Size of /dev/shm; None without it."""
    drift: Optional[List[Drift]]
    """None without lock files: the package is not in its source tree, or there are none for this Python."""
    library_path: Dict[str, List[str]] = Field(default={})
    """Libraries of CUDA and of the driver in each folder of LD_LIBRARY_PATH that has some."""
    graphics: Graphics = Graphics()
    docker: Optional[Docker] = None
    """None without Docker."""
