"""Which runs are seeds of one experiment, and what groups and runs are called."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Sequence

from ...errors import UserError
from ..layouts.foreign import named
from ..run import LoggedRun
from .config_fields import essential
from .model import Difference, Group

_FACTS = ("task", "algorithm", "library", "name", "seed")
"""Facts of a run by which it can be grouped, besides the fields of its configuration."""


def find(runs: List[LoggedRun], configs: List[Dict[str, Any]], by: Optional[str] = None) -> List[List[int]]:
    """Indices of the runs of each group: same library, task, algorithm and essential fields.

    Runs of other programs must also have the same name but for seed, date and repetition. `by` is a field, or a regular
    expression of paths, whose values make the groups instead.

    Raises:
        UserError: `by` fits no run, or not all of them.

    """
    members: Dict[str, List[int]] = {}
    for index, (run, config) in enumerate(zip(runs, configs)):
        alone = named(run.path).experiment if run.named_by_folders else None if config else index
        key = json.dumps(
            [run.library, run.task, run.algorithm, alone, essential(config, not run.foreign)],
            sort_keys=True,
            default=str,
        )
        members.setdefault(key if by is None else _value(by, run, configs, index), []).append(index)
    return list(members.values())


def _value(by: str, run: LoggedRun, configs: List[Dict[str, Any]], index: int) -> str:
    """The value of a field of a run, or what a regular expression finds in its path.

    Raises:
        UserError: the run has no such field, and its path does not match.

    """
    if by in _FACTS:
        return str(getattr(run, by))
    if any(by in config for config in configs):
        return short(configs[index].get(by, "-"))
    try:
        found = re.search(by, run.path.resolve().as_posix())
    except re.error as error:
        raise UserError(f"--group-by {by}: it is no field of the runs, and no regular expression: {error}") from None
    if not found:
        raise UserError(f"--group-by {by}: it is no field of the runs, and {run.path} does not match it as a path")
    return ", ".join(found.groups("")) or found.group()


def name(
    members: List[List[int]],
    runs: List[LoggedRun],
    differences: List[Difference],
    configs: List[Dict[str, Any]],
    by: Optional[str] = None,
) -> List[Group]:
    """Groups with unique names: the experiment's name, and details if names repeat; or the values of `by`."""
    firsts = [runs[indices[0]] for indices in members]
    names = [_experiment(run) for run in firsts]
    if by is not None:
        names = [_value(by, run, configs, indices[0]) for run, indices in zip(firsts, members)]
    details: List[Sequence[Any]] = [
        [run.algorithm for run in firsts],
        [run.task for run in firsts],
        [run.library for run in firsts],
    ]
    details += [
        [f"{row.field.split('.')[-1]}={short(value)}" for value in row.values]
        for row in differences
        if row.field != "learner.algorithm"
    ]
    for values in details:
        if len(set(names)) == len(names):
            break
        repeated = [names.count(one) > 1 for one in names]
        if any(value != values[names.index(one)] for value, one, same in zip(values, names, repeated) if same):
            names = [f"{one} {value}" if same and value else one for one, value, same in zip(names, values, repeated)]
    counts = [names[: index + 1].count(one) for index, one in enumerate(names)]
    numbered = [one if count == 1 else f"{one} ({count})" for one, count in zip(names, counts)]
    return [
        Group(one, indices, first.task, [runs[index].seed for index in indices])
        for one, indices, first in zip(numbered, members, firsts)
    ]


def _experiment(run: LoggedRun) -> str:
    """The name of the experiment in the configuration, else the name of the run."""
    if run.named_by_folders:
        return named(run.path).title
    main = run.config.get("main_args")  # HARL's
    title = main.get("exp_name") if isinstance(main, dict) else run.config.get("experiment")
    return str(title or run.name)


def labels(runs: List[LoggedRun], groups: List[Group]) -> List[str]:
    """A label for each run: its group, and its seed (its folder if seeds repeat)."""
    found = [run.name for run in runs]
    for group in groups:
        seeds_differ = None not in group.seeds and len(set(group.seeds)) == len(group.seeds)
        for index, seed in zip(group.runs, group.seeds):
            detail = f"seed {seed}" if seeds_differ else runs[index].path.name
            found[index] = group.name if len(group.runs) == 1 else f"{group.name}, {detail}"
    return found


def short(value: Any) -> str:
    """A value of a configuration in at most 40 characters."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
