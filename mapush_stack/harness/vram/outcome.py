"""What the end of a trial means: it fits, the memory ran out, it hung, or something else is wrong."""

from __future__ import annotations

import re
import signal
from enum import Enum
from typing import NamedTuple, Optional

from ..triage import rules
from ..triage.diagnosis import Verdict, describe_exit, diagnose
from ..triage.log import Log
from .watch import Watched

_RULES_OF_MEMORY = {
    "isaacgym-out-of-memory",
    "physx-out-of-memory",
    "torch-out-of-memory",
    "contact-pairs",
}
"""Rules of triage that say that memory ran out."""
_LINES_OF_MEMORY = (
    r"\bCUDA error(?: 2)?: out of memory|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|CUBLAS_STATUS_ALLOC_FAILED"
    r"|Failed to allocate \d+ bytes on device"  # Warp
    r"|DefaultCPUAllocator: (?:can't allocate|not enough) memory|^MemoryError\b|std::bad_alloc|Cannot allocate memory"
)
"""What else says so."""
_DEADLY = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGKILL)
"""How programs die that did not expect an allocation to fail, or that the kernel ends for their memory."""
_REFUSED = 2
"""The exit code of `mapush` for a request that cannot be met; its last line says why."""
_NEAR = 0.85
"""The share of the memory from which on such a death is put down to it."""


class Outcome(str, Enum):
    """The kinds of ends."""

    FITS = "fits"
    OUT_OF_MEMORY = "out of memory"
    HUNG = "hung"
    FAILED = "failed"


class Ended(NamedTuple):
    """How a trial ended, and what says so."""

    outcome: Outcome
    evidence: str


def classify(
    watched: Watched, output: bytes, has_result: bool, capacity_mib: float, expected_mib: Optional[float], on_gpu: bool
) -> Ended:
    """Say what became of a trial.

    Args:
        watched: how the process ended and what it held.
        output: what it printed.
        has_result: whether it wrote what it was started for; how it ended afterwards does not matter then.
        capacity_mib: what there is for it.
        expected_mib: what the trials before it let expect of this size, None where nothing does.
        on_gpu: whether it is the GPU's memory that counts.

    """
    if has_result:
        return Ended(Outcome.FITS, "" if watched.exit_code == 0 else f"then {describe_exit(watched.exit_code)}")
    if watched.stopped == "limit":
        return Ended(Outcome.OUT_OF_MEMORY, f"{watched.peak_mib:,.0f} MiB held: ended at the limit")
    log, known = Log(output), rules.load()
    share = watched.peak_mib / capacity_mib
    fact = rules.Fact.GPU_MEMORY if on_gpu else rules.Fact.HOST_MEMORY
    # A trial that was ended here for its time has not crashed.
    code = None if watched.stopped else watched.exit_code
    diagnosis = diagnose(log, known, code, {fact: min(share, 1.0)})
    for finding in diagnosis.findings:
        if finding.rule in _RULES_OF_MEMORY:
            return Ended(Outcome.OUT_OF_MEMORY, f"{finding.evidence[0].text} ({finding.rule})")
    lines = log.find(_LINES_OF_MEMORY)
    if lines:
        return Ended(Outcome.OUT_OF_MEMORY, log.line(lines[0]))
    if watched.stopped == "timeout":
        return Ended(Outcome.HUNG, f"not done after {watched.seconds:.0f} s, {share:.0%} of the memory in use")
    number = -watched.exit_code if watched.exit_code < 0 else watched.exit_code - 128
    how = describe_exit(-number if number > 0 else watched.exit_code)
    last = " ".join(log.line(line) for line in log.last(1))
    if watched.exit_code == _REFUSED:
        return Ended(Outcome.FAILED, f"{how}: {re.sub('^mapush: ', '', last)}")
    if number in _DEADLY and share >= _NEAR:
        return Ended(Outcome.OUT_OF_MEMORY, f"{how} with {share:.0%} of the memory in use")
    if expected_mib is not None and expected_mib > capacity_mib:
        evidence = f"{how}, {expected_mib:,.0f} MiB expected of {capacity_mib:,.0f}: {last or 'it printed nothing'}"
        return Ended(Outcome.OUT_OF_MEMORY, evidence)
    if diagnosis.verdict is Verdict.KNOWN:
        return Ended(Outcome.FAILED, f"{how}: {diagnosis.findings[0].cause}")
    return Ended(Outcome.FAILED, f"{how}: {last or 'it printed nothing'}")
