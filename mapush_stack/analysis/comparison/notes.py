"""Warnings about the runs of a comparison."""

from __future__ import annotations

from typing import Dict, Iterator, List, Tuple

import numpy as np

from ..run import LoggedRun, Series, printable
from .curves import QUANTITIES
from .model import Difference, Group


def notes(runs: List[LoggedRun], labels: List[str], groups: List[Group], differences: List[Difference]) -> List[str]:
    """Sentences about problems, about what cannot be compared, and about missing data."""
    found = _merge([(label, problem) for label, run in zip(labels, runs) for problem in run.problems])
    tasks = list(dict.fromkeys(group.task or "an unknown task" for group in groups))
    if len(tasks) > 1:
        found.append(f"the runs are of different tasks ({', '.join(tasks)}): success and reward cannot be compared")
    elif any(row.field.startswith("task.rewards") for row in differences):
        found.append("the runs have different rewards: their returns cannot be compared, but their success can")
    if len({run.library for run in runs}) > 1:
        found.append(
            "the runs are of different libraries: fields that only one of them has are left out, and losses and "
            "gradient norms may be defined differently"
        )
    if len({run.axis for run in runs}) > 1:
        counted = _merge([(label, run.axis) for label, run in zip(labels, runs)])
        found.append(f"the runs count different things, so only hours can be compared: {'; '.join(counted)}")
    for group in groups:
        if len(group.runs) > 1 and not all(runs[index].config for index in group.runs):
            found.append(
                f"{group.name} is a group by the names of its folders: nothing says that its runs had the same "
                "settings (--group-by makes other groups)"
            )
    lengths = [run.steps for run in runs]
    if len({run.axis for run in runs}) == 1 and min(lengths) < 0.95 * max(lengths):
        span = f"{min(lengths):,} to {max(lengths):,} {runs[0].axis}"
        found.append(f"the runs are of different lengths ({span}): final scores are taken at each run's own end")
    for group in groups:
        repeated = sorted({seed for seed in group.seeds if seed is not None and group.seeds.count(seed) > 1})
        if repeated:
            which = ", ".join(map(str, repeated))
            found.append(
                f"{group.name} has several runs of seed {which}: they are not independent, so their mean "
                "counts as one sample"
            )
    return found + _merge([(label, gap) for label, run in zip(labels, runs) for gap in _gaps(run)])


def _gaps(run: LoggedRun) -> List[str]:
    """What is missing in one run."""
    gaps = [] if run.config else ["there is no configuration beside the logs, so its fields are not compared"]
    if run.running:
        gaps.append("still being trained")
    if "perf/fps" in run.derived:
        gaps.append(f"no speed is logged; it was computed as {run.derived['perf/fps']}")
    gaps += [
        sentence
        for tag, series in sorted({**run.unknown, **run.series}.items())
        for sentence in _not_finite(tag, series)
    ]
    gaps += [run.unmapped] if run.unmapped else []
    lacking = [quantity.name for quantity in QUANTITIES if quantity.required and quantity.of(run) is None]
    return [*gaps, *([f"not logged: {', '.join(lacking)}"] if lacking else [])]


def _not_finite(tag: str, series: Series) -> Iterator[str]:
    """How many values of a series are NaN or infinite, and from where on if it stays so."""
    bad = ~np.isfinite(series.values)
    if bad.any():
        count = f"{int(bad.sum()):,} of {len(bad):,} values of {printable(tag)} are not finite and are left out"
        good = np.flatnonzero(~bad)
        after = int(good[-1]) + 1 if len(good) else 0
        yield count + (f": all from step {int(series.steps[after]):,} on" if after < len(bad) else "")


def _merge(sentences: List[Tuple[str, str]]) -> List[str]:
    """Each sentence once, after the labels of the runs that it is about."""
    names: Dict[str, List[str]] = {}
    for name, sentence in sentences:
        names.setdefault(sentence, []).append(name)
    return [f"{'; '.join(dict.fromkeys(about))}: {sentence}" for sentence, about in names.items()]
