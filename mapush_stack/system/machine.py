"""CPUs and memory of the machine that this process may use."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
from pathlib import Path
from typing import List, Optional

import psutil

_CGROUP_V2, _OWN = Path("/sys/fs/cgroup/cpu.max"), Path("/proc/self/cgroup")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def usable_cpus() -> int:
    """CPUs that this process may run on: its affinity, limited by a container's quota and by Slurm's share."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [cpus, _quota(), _number("SLURM_CPUS_PER_TASK") or _number("SLURM_CPUS_ON_NODE")]
    return min(math.ceil(limit) for limit in limits if limit)


def asked_threads() -> Optional[int]:
    """The threads that OMP_NUM_THREADS or MKL_NUM_THREADS asks for; None if neither does."""
    return _number("OMP_NUM_THREADS") or _number("MKL_NUM_THREADS")


def _number(variable: str) -> Optional[int]:
    """The positive number at the start of an environment variable, such as 4 of `4,2`; None without one."""
    found = re.match(r"\s*0*([1-9]\d{0,8})\s*(,|$)", os.environ.get(variable, ""))
    return None if found is None else int(found[1])


def _quota() -> Optional[float]:
    """The smallest limit of the control groups that this process is in, in CPUs; None without one."""
    limits = []
    for folder in (*_own_groups(), _CGROUP_V2.parent):
        with contextlib.suppress(OSError, ValueError):  # no such file, or no limit ("max")
            limits.append((folder / _CGROUP_V2.name).read_text().split())
    if not limits:
        with contextlib.suppress(OSError):
            limits.append([path.read_text() for path in _CGROUP_V1])
    shares = []
    for quota, period in limits:
        with contextlib.suppress(ValueError):
            shares += [float(quota) / float(period)] if float(quota) > 0 else []
    return min(shares, default=None)


def _own_groups() -> List[Path]:
    """The folders of this process's control group and of those around it (cgroup v2)."""
    try:
        (name,) = re.findall(r"^0::/(.+)$", _OWN.read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return []
    return [_CGROUP_V2.parent / name, *(_CGROUP_V2.parent / parent for parent in Path(name).parents)]


def available_memory() -> int:
    """Free memory in bytes."""
    return int(psutil.virtual_memory().available)


def processor() -> str:
    """The name of the CPU model, if the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
