"""CPUs and memory of the machine that this process may use."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import Optional

import psutil

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def usable_cpus() -> int:
    """CPUs that this process may run on: its affinity, limited by a container's quota (`docker run --cpus`)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def _quota() -> Optional[float]:
    try:
        if _CGROUP_V2.is_file():
            quota, period = _CGROUP_V2.read_text().split()
        else:
            quota, period = (path.read_text().strip() for path in _CGROUP_V1)
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # no limit ("max"), or no such file
        return None


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
