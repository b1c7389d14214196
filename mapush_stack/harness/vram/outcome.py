"""What the end of a trial means: it fits, memory ran out, it hung, or it failed for another reason."""

from __future__ import annotations

import re
import signal
from enum import Enum
from typing import TYPE_CHECKING, Optional, Tuple

from ..triage import rules
from ..triage.diagnosis import Verdict, describe_exit, diagnose
from ..triage.log import Log

if TYPE_CHECKING:
    from .measurement import Measurement

_MEMORY_RULES = {"isaacgym-out-of-memory", "physx-out-of-memory", "torch-out-of-memory", "contact-pairs"}
"""Triage rules for memory that ran out."""
_MEMORY_LINES = (
    r"\bCUDA error(?: 2)?: out of memory|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED"
    r"|Failed to allocate \d+ bytes on device"  # Warp
    r"|DefaultCPUAllocator: (?:can't allocate|not enough) memory|(?:^|ran out \()MemoryError\b|std::bad_alloc"
    r"|Cannot allocate memory"
)
"""Other lines that mean that memory ran out."""
_DEADLY = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGKILL)
"""How programs die of a failed allocation, or of the kernel's out-of-memory killer."""
_REFUSED = 2
"""The exit code of `mapush` for a request that cannot be met; its last line gives the reason."""
_NEAR = 0.85
"""Share of the memory in use from which on such a death counts as out of memory."""


class Outcome(str, Enum):
    """How a trial can end."""

    FITS = "fits"
    OUT_OF_MEMORY = "out of memory"
    HUNG = "hung"
    FAILED = "failed"


def classify(
    measured: Measurement,
    output: bytes,
    has_result: bool,
    capacity_mib: float,
    expected_mib: Optional[float],
    on_gpu: bool,
) -> Tuple[Outcome, str]:
    """How a trial ended, and why it counts as that.

    Args:
        measured: how its process ended and the memory that it took.
        output: what it printed.
        has_result: whether it wrote its result; then its exit code does not matter.
        capacity_mib: the memory that it may use.
        expected_mib: the memory that earlier trials predict for its size; None if they predict nothing.
        on_gpu: whether the memory in question is the GPU's.

    """
    if has_result:
        return (
            Outcome.FITS,
            "" if measured.exit_code == 0 or measured.stopped else f"then {describe_exit(measured.exit_code)}",
        )
    if measured.stopped == "limit":
        return Outcome.OUT_OF_MEMORY, f"{measured.peak_mib:,.0f} MiB held: ended at the limit"
    log, share = Log(output), measured.peak_mib / capacity_mib
    fact = rules.Fact.GPU_MEMORY if on_gpu else rules.Fact.HOST_MEMORY
    # A trial that was killed for its time has not crashed.
    code = None if measured.stopped else measured.exit_code
    diagnosis = diagnose(log, rules.registered(), code, {fact: min(share, 1.0)})
    for finding in diagnosis.findings:
        if finding.rule in _MEMORY_RULES:
            return Outcome.OUT_OF_MEMORY, f"{finding.evidence[0].text} ({finding.rule})"
    lines = log.find(_MEMORY_LINES)
    if lines:
        return Outcome.OUT_OF_MEMORY, log.line(lines[0])
    if measured.stopped == "timeout":
        return Outcome.HUNG, f"not done after {measured.seconds:.0f} s, {share:.0%} of the memory in use"
    number = -measured.exit_code if measured.exit_code < 0 else measured.exit_code - 128
    how = describe_exit(-number if number > 0 else measured.exit_code)
    last = " ".join(log.line(line) for line in log.last(1)) or "it printed nothing"
    if measured.exit_code == _REFUSED:
        return Outcome.FAILED, f"{how}: {re.sub('^mapush: ', '', last)}"
    if number in _DEADLY and share >= _NEAR:
        return Outcome.OUT_OF_MEMORY, f"{how} with {share:.0%} of the memory in use"
    if expected_mib is not None and expected_mib > capacity_mib:
        return Outcome.OUT_OF_MEMORY, f"{how}, {expected_mib:,.0f} MiB expected of {capacity_mib:,.0f}: {last}"
    known = diagnosis.verdict is Verdict.KNOWN
    return Outcome.FAILED, f"{how}: {diagnosis.findings[0].cause if known else last}"
