"""Which size to try next: exponential growth, then bisection, then a size that is held out of the fit."""

from __future__ import annotations

import math
from typing import List, NamedTuple, Optional, Sequence

from .folder import ProbeSettings, Purpose, TrialRecord
from .outcome import Outcome

MULTIPLIERS = (1, 2, 3, 5)
"""Multipliers of Isaac Gym's room for contact pairs; MAPush as published has 5."""
_DIGITS = 7
"""Significant binary digits of the sizes that are tried."""


class Trial(NamedTuple):
    """A trial to run."""

    purpose: Purpose
    num_envs: int
    multiplier: Optional[int] = None


def next_trial(settings: ProbeSettings, records: Sequence[TrialRecord]) -> Optional[Trial]:
    """The trial to run after these; None if the probe is finished."""
    one = MULTIPLIERS[0] if settings.sweeps_contact_pairs else None
    searched = [record for record in records if record.purpose == "search"]
    size = _next_size(settings, searched)
    if size is not None:
        return Trial("search", size, one)
    fitting = sizes(searched, Outcome.FITS)
    held_out = _between(fitting)
    if held_out is not None and not any(record.purpose == "held-out" for record in records):
        return Trial("held-out", held_out, one)
    if one is not None and fitting:
        tried = {record.multiplier for record in records if record.purpose == "contact-pairs"}
        left = [multiplier for multiplier in MULTIPLIERS[1:] if multiplier not in tried]
        if left:
            return Trial("contact-pairs", fitting[-1], left[0])
    return None


def sizes(records: Sequence[TrialRecord], *outcomes: Outcome) -> List[int]:
    """The sizes of trials with one of these outcomes, ascending."""
    return sorted(record.num_envs for record in records if record.outcome in outcomes)


def _next_size(settings: ProbeSettings, searched: Sequence[TrialRecord]) -> Optional[int]:
    """The next size of the search for the limit; None once that is known."""
    fitting = sizes(searched, Outcome.FITS)
    too_many = sizes(searched, Outcome.OUT_OF_MEMORY, Outcome.HUNG)
    if not searched:
        return settings.start
    if not fitting:
        smaller = int(too_many[0] / settings.growth) if too_many else 0
        return smaller or None
    largest = fitting[-1]
    if not too_many:
        grown = min(_rounded(largest * settings.growth), settings.max_envs)
        return grown if grown > largest else None
    middle = _rounded(math.sqrt(largest * too_many[0]))
    close = too_many[0] <= largest * (1 + settings.resolution)
    return None if close or not largest < middle < too_many[0] else middle


def _between(fitting: Sequence[int]) -> Optional[int]:
    """A size in the widest gap between two sizes that fit; of equally wide gaps, in the one at larger sizes."""
    gaps = [(upper / lower, lower, upper) for lower, upper in zip(fitting, fitting[1:])]
    if not gaps:
        return None
    _, lower, upper = max(gaps)
    middle = _rounded(math.sqrt(lower * upper))
    return middle if lower < middle < upper else None


def _rounded(size: float) -> int:
    unit: int = 2 ** max(int(math.log2(size)) + 1 - _DIGITS, 0)
    return max(round(size / unit), 1) * unit
