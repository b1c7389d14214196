"""What the steps of a log count: environment steps, iterations, or something that nothing tells."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from .events import Series

STEPS, ITERATIONS, UNKNOWN = "environment steps", "iterations", "steps"
_MIRROR = re.compile(r"(?P<base>.+?)/(?:time|iter)")
_COUNTER = re.compile(
    r"(?:.*/)?(?:num_env_steps_sampled(?:_lifetime)?|timesteps_total|total_timesteps|total_env_steps|total_frames)"
)
"""Tags whose values are environment steps."""
_FPS, _SECONDS = "Perf/total_fps", (("Perf/collection time", "Perf/collection_time"), ("Perf/learning_time",))
_DENSE, _SPARSE = 2, 100
"""Environment steps grow by more than the first between two records, iterations by less than the second."""
_FAR, _FEW = 100.0, 10
"""A record whose step is this many times the rest's range beyond at least so many records is damaged."""


class Axis(NamedTuple):
    """A log on one axis."""

    series: Dict[str, Series]
    name: str
    """What its steps count, in the plural."""
    notes: List[str]
    """What was changed, and why."""


def put_on_axis(series: Dict[str, Series], usual: str, sure: bool) -> Axis:
    """Put a log on the axis of environment steps if it says how.

    `usual` is what the program that wrote it counts. It is believed if `sure`, or if the distances of the steps agree.
    """
    notes: List[str] = []
    kept = {tag: _without_far(tag, one, notes) for tag, one in series.items()}
    if sure or not kept:
        return Axis(kept, usual, notes)
    kept = {tag: one for tag, one in kept.items() if not _is_mirror(tag, kept)}
    gaps = [np.median(np.diff(one.steps)) for one in kept.values() if len(one.steps) > 2]
    gap = float(np.median(gaps)) if gaps else None
    if gap is not None and ((usual == STEPS and gap < _DENSE) or (usual == ITERATIONS and gap > _SPARSE)):
        usual = UNKNOWN
    counter = next((one for tag, one in sorted(kept.items()) if _COUNTER.fullmatch(tag) and _counts(one)), None)
    if counter is not None:
        return Axis(*_counted(kept, counter), notes)
    if usual == ITERATIONS:
        if min(int(one.steps[0]) for one in kept.values()) == 0:  # iterations count from 0, what is done from 1
            kept = {tag: one._replace(steps=one.steps + 1) for tag, one in kept.items()}
        each = _steps_per_iteration(kept)
        if each is not None:
            number, about = each
            notes.append(f"an iteration has {about}{number:,} environment steps, by {_FPS} and the seconds beside it")
            return Axis({tag: one._replace(steps=one.steps * number) for tag, one in kept.items()}, STEPS, notes)
    return Axis(kept, usual, notes)


def _is_mirror(tag: str, series: Dict[str, Series]) -> bool:
    """True for a curve that is logged again over seconds or iterations: `rewards/time` beside `rewards/step`."""
    found = _MIRROR.fullmatch(tag)
    if not found:
        return False
    others = [found["base"], *(f"{found['base']}/{end}" for end in ("step", "frame", "mean"))]
    return any(other in series for other in others) or (tag.endswith("/time") and f"{found['base']}/iter" in series)


def _without_far(tag: str, one: Series, notes: List[str]) -> Series:
    """A series without a few records whose steps are far beyond all others."""
    at = int(np.argmax(np.diff(one.steps.astype(np.float64)))) + 1 if len(one.steps) > _FEW else 0
    span = float(one.steps[at - 1]) - float(one.steps[0]) if at else 0.0
    if at < max(_FEW, 0.9 * len(one.steps)) or float(one.steps[at]) - float(one.steps[at - 1]) <= _FAR * max(span, 1.0):
        return one
    count = len(one.steps) - at
    notes.append(
        f"{count} record{'s' * (count > 1)} of {tag} at step {int(one.steps[at]):,}, far beyond the "
        f"{int(one.steps[at - 1]):,} before, {'are' if count > 1 else 'is'} left out"
    )
    return Series(*(column[:at] for column in one))


def _counts(one: Series) -> bool:
    values = one.values
    return len(values) > 1 and bool(
        np.isfinite(values).all() and (np.diff(values) >= 0).all() and values[-1] > values[0]
    )


def _counted(series: Dict[str, Series], counter: Series) -> Tuple[Dict[str, Series], str]:
    """The series with a counter's values as steps; those that reach beyond the counter stay as they are."""
    first, last = int(counter.steps[0]), int(counter.steps[-1])
    slack = max(1, (last - first) // 20)
    return {
        tag: one._replace(steps=np.interp(one.steps, counter.steps, counter.values).round().astype(np.int64))
        if one.steps[0] >= first - slack and one.steps[-1] <= last + slack
        else one
        for tag, one in series.items()
    }, STEPS


def _steps_per_iteration(series: Dict[str, Series]) -> Optional[Tuple[int, str]]:
    """Environment steps of an rsl_rl iteration, and "about " if they are not exact.

    They are its rate times its seconds, which must agree over the run.
    """
    parts = [next((series[name] for name in names if name in series), None) for names in ((_FPS,), *_SECONDS)]
    columns = [one for one in parts if one is not None]
    if len(columns) < len(parts) or len({len(one.values) for one in columns}) > 1:
        return None
    rates, collected, learned = (one.values for one in columns)
    seconds = collected + learned
    # The rate is logged as a whole number, rounded down; single precision adds the rest.
    least, most = float(np.max(rates * seconds)) * (1 - 1e-6), float(np.min((rates + 1) * seconds)) * (1 + 1e-6)
    if not (1 <= least <= most <= 1.02 * least + 1):
        return None
    # Environments times steps has many factors of two.
    power = next(2**bits for bits in range(40, -1, -1) if most // 2**bits * 2**bits >= least or not bits)
    return int(most // power * power), "" if most - least < power else "about "
