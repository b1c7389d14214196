"""Runs side by side: everything that `mapush compare` and the report show, as one object."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import UserError
from . import statistics
from .differences import Difference, differences, essential, made_with, settings
from .evaluations import Evaluation
from .run import LoggedRun, Series, read
from .statistics import Estimate, Improvement

THRESHOLDS = (0.2, 0.4, 0.6, 0.8, 0.9)
"""Success rates of the milestone table."""
_NAMES = 8
"""Most tags that a note lists."""
_POINTS = 256
"""Of a curve; more than a plot can show."""
_TAIL = 0.1
"""The last part of a run's steps, whose mean is its final score."""
_HELD = 10
"""Records of a training over which success counts as reached: the first ones are means over one or two episodes."""
_GAP_SECONDS, _GAP_INTERVALS = 60.0, 20.0
"""A pause in the log that is longer than both, in seconds and in usual intervals, is a stop and not training."""


class Group(NamedTuple):
    """Runs of one configuration, which differ in their seeds."""

    name: str
    runs: List[int]
    """Indices into `Comparison.runs`."""
    task: Optional[str]
    seeds: List[Optional[int]]


class Milestones(NamedTuple):
    """When a run first reached success rates: with a checkpoint, or in training for ten records on average."""

    run: int
    source: str
    """"evaluations" of its checkpoints, or success in "training"."""
    steps: Dict[float, Optional[int]]
    """Environment steps by threshold, None where it was not reached."""
    hours: Dict[float, Optional[float]]
    """Hours of training likewise; None too where the log has no times."""
    best: float
    """The highest success rate."""


class Curve(NamedTuple):
    """A quantity of a group over steps or hours."""

    group: int
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    """First quartile over seeds, the mean where there is one seed."""
    high: np.ndarray
    seeds: int


class Panel(NamedTuple):
    """A quantity on shared axes."""

    name: str
    unit: str
    over_steps: List[Curve]
    """x: environment steps of 0.02 s."""
    over_hours: List[Curve]
    """x: hours of training, stops left out."""


class Score(NamedTuple):
    """A figure of a run and what it is over the seeds of each group."""

    name: str
    unit: str
    by_run: List[Optional[float]]
    by_group: List[Optional[Estimate]]
    """Interquartile mean with its bootstrap interval."""


class Verdict(NamedTuple):
    """What can be said of two groups."""

    groups: Tuple[int, int]
    score: str
    improvement: Optional[Improvement]
    """How probably a seed of the second beats one of the first; None where a group has no such score."""
    conclusion: str
    """"nothing", "apart" or "alike"."""
    sentence: str


class Comparison(NamedTuple):
    """Everything there is to show about some runs."""

    runs: List[LoggedRun]
    labels: List[str]
    """A short name of each run."""
    groups: List[Group]
    differences: List[Difference]
    """Configuration fields that differ; a value a group."""
    made_with: List[Difference]
    """Software and machines that differ; a value a group."""
    timeline: List[Tuple[int, Evaluation]]
    """(run, evaluated checkpoint), by run and steps."""
    milestones: List[Milestones]
    panels: List[Panel]
    scores: List[Score]
    significance: List[Verdict]
    notes: List[str]
    """What the reader must know: unreadable files, unlike tasks, missing metrics, unlike lengths."""


def load(paths: Sequence[Path]) -> Tuple[List[LoggedRun], List[str]]:
    """Read runs; returns them, and a sentence for each that is left out.

    Raises:
        UserError: none of them can be read.

    """
    runs: List[LoggedRun] = []
    notes: List[str] = []
    for path in paths:
        try:
            found = read(path)
        except UserError as error:
            notes.append(f"left out: {error}")
            continue
        if any(found.path.resolve() == run.path.resolve() for run in runs):
            notes.append(f"{path} is named twice and counts once")
        else:
            runs.append(found)
    if not runs:
        raise UserError(notes[0][len("left out: ") :] if len(notes) == 1 else f"no run can be read: {'; '.join(notes)}")
    return runs, notes


def compare(runs: List[LoggedRun], notes: Sequence[str] = ()) -> Comparison:
    """Compare runs; of a single one there is everything but differences and significance."""
    configs = [settings(run.config, run.library) for run in runs]
    groups = _groups(runs, configs)
    firsts = [configs[group.runs[0]] for group in groups]
    differing = differences(firsts, [runs[group.runs[0]].library for group in groups])
    named = _named(groups, runs, differing)
    labels = _labels(runs, named)
    scores = _scores(runs, named)
    return Comparison(
        runs=runs,
        labels=labels,
        groups=named,
        differences=differing,
        made_with=made_with([[runs[index].manifest for index in group.runs] for group in named]),
        timeline=[(index, one) for index, run in enumerate(runs) for one in run.evaluations],
        milestones=[one for index, run in enumerate(runs) for one in _milestones(index, run)],
        panels=_panels(runs, named),
        scores=scores,
        significance=_verdicts(runs, named, scores, differing),
        notes=[*notes, *_notes(runs, labels, named, differing)],
    )


# Groups


def _groups(runs: List[LoggedRun], configs: List[Dict[str, Any]]) -> List[Group]:
    """Runs with the same library, task, algorithm and essential settings; one without settings is alone."""
    members: Dict[str, List[int]] = {}
    for index, (run, config) in enumerate(zip(runs, configs)):
        alone = None if config else index
        key = json.dumps([run.library, run.task, run.algorithm, alone, essential(config)], sort_keys=True, default=str)
        members.setdefault(key, []).append(index)
    return [
        Group("", indices, runs[indices[0]].task, [runs[index].seed for index in indices])
        for indices in members.values()
    ]


def _named(groups: List[Group], runs: List[LoggedRun], differing: List[Difference]) -> List[Group]:
    """Groups with names: the experiment's, and what sets it apart where others are called the same."""
    firsts = [runs[group.runs[0]] for group in groups]
    names = [_experiment(run) for run in firsts]
    for values in (
        [run.algorithm for run in firsts],
        [group.task for group in groups],
        [run.library for run in firsts],
        *(
            [f"{row.field.split('.')[-1]}={short(value)}" for value in row.values]
            for row in differing
            if row.field != "learner.algorithm"
        ),
    ):
        if len(set(names)) == len(names):
            break
        alike = [names.count(name) > 1 for name in names]
        if any(one != values[names.index(name)] for one, name, same in zip(values, names, alike) if same):
            names = [f"{name} {one}" if same and one else name for name, one, same in zip(names, values, alike)]
    seen: Dict[str, int] = {}
    for index, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[index] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return [group._replace(name=name) for group, name in zip(groups, names)]


def _experiment(run: LoggedRun) -> str:
    """The experiment's name by the configuration, the run's own where that has none."""
    main = run.config.get("main_args")  # HARL's
    named = main.get("exp_name") if isinstance(main, dict) else run.config.get("experiment")
    return str(named or run.name)


def _labels(runs: List[LoggedRun], groups: List[Group]) -> List[str]:
    """A run's group, with its seed where the group has several, else with its folder's name."""
    labels = [run.name for run in runs]
    for group in groups:
        told = None not in group.seeds and len(set(group.seeds)) == len(group.seeds)
        for index, seed in zip(group.runs, group.seeds):
            apart = f"seed {seed}" if told else runs[index].path.name
            labels[index] = group.name if len(group.runs) == 1 else f"{group.name}, {apart}"
    return labels


def short(value: Any) -> str:
    """A configuration's value in few characters."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


# Curves


def _panels(runs: List[LoggedRun], groups: List[Group]) -> List[Panel]:
    panels = []
    for name, unit, choose in _QUANTITIES:
        series = [choose(run) for run in runs]
        if any(series):
            panels.append(
                Panel(
                    name,
                    unit,
                    _curves(groups, series, lambda index, found: found.steps.astype(np.float64)),
                    _curves(groups, series, lambda index, found: hours(runs[index], found)),
                )
            )
    return panels


def _curves(
    groups: List[Group], series: List[Optional[Series]], axis: Callable[[int, Series], np.ndarray]
) -> List[Curve]:
    curves = []
    for number, group in enumerate(groups):
        lines = [_line(axis(index, found), found.values) for index, found in _of(group, series)]
        lines = [(x, y) for x, y in lines if len(x)]
        if not lines:
            continue
        if len(lines) == 1:
            x, mean = lines[0]
            curves.append(Curve(number, x, mean, mean, mean, 1))
            continue
        grid = np.linspace(min(x[0] for x, _ in lines), max(x[-1] for x, _ in lines), _POINTS)
        rows = np.stack([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in lines])
        curves.append(Curve(number, grid, *statistics.band(rows), len(lines)))
    return curves


def _of(group: Group, series: List[Optional[Series]]) -> List[Tuple[int, Series]]:
    return [(index, found) for index in group.runs for found in [series[index]] if found is not None]


def _line(x: np.ndarray, y: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """A curve without what is not finite, and with means of neighbours where it has more points than a plot shows."""
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) <= _POINTS:
        return x, y
    starts = np.linspace(0, len(x), _POINTS + 1).astype(np.int64)
    sizes = np.diff(starts)
    return np.add.reduceat(x, starts[:-1]) / sizes, np.add.reduceat(y, starts[:-1]) / sizes


def hours(run: LoggedRun, found: Series) -> np.ndarray:
    """`[n]` hours of training at a series' records; the time that a stopped run lay idle is left out."""
    walls, elapsed = _clock(run)
    if not len(walls):
        return np.full(len(found.wall), np.nan)
    return np.interp(found.wall, walls, elapsed) / 3600


def _clock(run: LoggedRun) -> Tuple[np.ndarray, np.ndarray]:
    """Unix seconds of the run's records and the seconds of training until then."""
    longest = max(run.series.values(), key=lambda found: len(found.steps), default=None)
    if longest is None or not np.isfinite(longest.wall).all():
        return np.empty(0), np.empty(0)
    walls = np.maximum.accumulate(longest.wall)
    intervals = np.diff(walls)
    usual = float(np.median(intervals)) if len(intervals) else 0.0
    limit = max(_GAP_SECONDS, _GAP_INTERVALS * usual)
    first = walls[0] - run.started if math.isfinite(run.started) else 0.0
    intervals = np.append(max(first, 0.0), intervals)
    return walls, np.cumsum(np.where(intervals > limit, usual, intervals))


def tagged(*tags: str) -> Callable[[LoggedRun], Optional[Series]]:
    """The series of the first tag that a run has; of one that begins with `agent#` the mean over robots."""

    def choose(run: LoggedRun) -> Optional[Series]:
        for tag in tags:
            found = [run.series[name] for name in _expanded(run, tag) if len(run.series[name].steps)]
            if found:
                return _mean(found)
        return None

    return choose


def _expanded(run: LoggedRun, tag: str) -> List[str]:
    if not tag.startswith("agent#"):
        return [tag] if tag in run.series else []
    return sorted(name for name in run.series if name.startswith("agent") and name.endswith(tag[len("agent#") :]))


def _mean(found: List[Series]) -> Series:
    """The mean of series that were logged together."""
    size = min(len(one.steps) for one in found)
    return found[0]._replace(
        steps=found[0].steps[:size],
        wall=found[0].wall[:size],
        values=np.mean([one.values[:size] for one in found], axis=0),
    )


def evaluated(run: LoggedRun) -> Optional[Series]:
    """Success of the evaluated checkpoints as a curve, which one of them is not."""
    return _checkpoints(run) if len(run.evaluations) > 1 else None


def _checkpoints(run: LoggedRun) -> Optional[Series]:
    """Success of the evaluated checkpoints, at the times at which training reached their steps."""
    if not run.evaluations:
        return None
    steps = np.array([one.steps for one in run.evaluations], dtype=np.int64)
    longest = max(run.series.values(), key=lambda found: len(found.steps), default=None)
    wall = np.full(len(steps), np.nan) if longest is None else np.interp(steps, longest.steps, longest.wall)
    return Series(steps, wall, np.array([one.success_rate for one in run.evaluations]))


_trained = tagged("mapush/success_rate")
_evaluation_return = tagged("eval_average_episode_rewards")
_OPTIONAL = (evaluated, _evaluation_return)
"""What no run needs to have: this project evaluates apart from the training, HARL within it."""

_QUANTITIES: List[Tuple[str, str, Callable[[LoggedRun], Optional[Series]]]] = [
    ("success in training", "share", _trained),
    ("success of checkpoints", "share", evaluated),
    ("episode return", "reward", tagged("train_episode_rewards")),
    ("return of evaluation episodes", "reward", _evaluation_return),
    ("reward per control step", "reward", tagged("average_step_reward")),
    ("entropy", "nat", tagged("agent#/dist_entropy")),
    ("actor gradient norm", "", tagged("agent#/actor_grad_norm")),
    ("critic gradient norm", "", tagged("critic/critic_grad_norm")),
    ("value loss", "", tagged("critic/value_loss")),
    ("policy loss", "", tagged("agent#/policy_loss")),
    ("speed", "environment steps per second", tagged("perf/fps")),
]
"""What is shown on shared axes: name, unit, where a run has it."""


# Milestones


def _milestones(index: int, run: LoggedRun) -> List[Milestones]:
    """By evaluated checkpoints where there are some, and by success in training."""
    rows = []
    for source, found in (("evaluations", _checkpoints(run)), ("training", _trained(run))):
        found = None if found is None else found.finite()
        if found is None or not len(found.values):
            continue
        elapsed = hours(run, found)
        held = found.values if source == "evaluations" else _held(found.values)
        first = {level: _first((found.values >= level) & (held >= level)) for level in THRESHOLDS}
        rows.append(
            Milestones(
                run=index,
                source=source,
                steps={level: None if at is None else int(found.steps[at]) for level, at in first.items()},
                hours={level: None if at is None else _finite(elapsed[at]) for level, at in first.items()},
                best=float(np.max(held)),
            )
        )
    return rows


def _held(values: np.ndarray) -> np.ndarray:
    """The mean of each value and the nine that follow; of those that are left near the end, but never of fewer."""
    size = min(_HELD, len(values))
    means = np.convolve(values, np.full(size, 1 / size), mode="valid")
    return np.append(means, np.full(size - 1, means[-1]))


def _first(reached: np.ndarray) -> Optional[int]:
    return int(np.argmax(reached)) if reached.any() else None


def _finite(value: float) -> Optional[float]:
    return float(value) if math.isfinite(value) else None


# Scores


def _scores(runs: List[LoggedRun], groups: List[Group]) -> List[Score]:
    scores = []
    for name, unit, figure in _FIGURES:
        by_run = [figure(run) for run in runs]
        if any(value is not None for value in by_run):
            scores.append(Score(name, unit, by_run, [_estimate(group, by_run) for group in groups]))
    return scores


def _estimate(group: Group, by_run: List[Optional[float]]) -> Optional[Estimate]:
    values = _values(group, by_run)
    return statistics.iqm_estimate(statistics.strata(values)) if values else None


def _values(group: Group, by_run: List[Optional[float]]) -> List[float]:
    """A value for each seed: the mean of its runs, which tell nothing of how seeds scatter."""
    by_seed: Dict[Any, List[float]] = {}
    for index, seed in zip(group.runs, group.seeds):
        value = by_run[index]
        if value is not None:
            by_seed.setdefault(("run", index) if seed is None else seed, []).append(value)
    return [sum(values) / len(values) for values in by_seed.values()]


def _last_evaluation(run: LoggedRun) -> Optional[float]:
    return run.evaluations[-1].success_rate if run.evaluations else None


def _best_evaluation(run: LoggedRun) -> Optional[float]:
    return max((one.success_rate for one in run.evaluations), default=None)


_Choose = Callable[[LoggedRun], Optional[Series]]
_Figure = Callable[[LoggedRun], Optional[float]]


def _figure(choose: _Choose, reduce: Callable[[Series], float]) -> _Figure:
    def figure(run: LoggedRun) -> Optional[float]:
        found = choose(run)
        return None if found is None or not np.isfinite(found.values).any() else _finite(reduce(found))

    return figure


def _tail(choose: _Choose) -> _Figure:
    """The mean over the last tenth of the run's steps, None where nothing there is finite."""

    def mean(found: Series) -> float:
        first, last = min(float(found.steps[0]), 0.0), float(found.steps[-1])  # damaged steps may be negative
        late = found.values[found.steps >= last - _TAIL * (last - first)]
        late = late[np.isfinite(late)]
        return float(late.mean()) if len(late) else math.nan

    return _figure(choose, mean)


def _best(choose: _Choose) -> _Figure:
    """The highest mean over ten records."""
    return _figure(choose, lambda found: np.max(_held(found.finite().values)))


def _median(choose: _Choose) -> _Figure:
    return _figure(choose, lambda found: np.median(found.finite().values))


_FIGURES: List[Tuple[str, str, _Figure]] = [
    ("success of the last checkpoint", "share", _last_evaluation),
    ("success of the best checkpoint", "share", _best_evaluation),
    ("success at the end of training", "share", _tail(_trained)),
    (f"best success in training over {_HELD} records", "share", _best(_trained)),
    ("return at the end", "reward", _tail(tagged("train_episode_rewards"))),
    ("return of evaluation episodes at the end", "reward", _tail(_evaluation_return)),
    ("reward per control step at the end", "reward", _tail(tagged("average_step_reward"))),
    ("speed", "environment steps per second", _median(tagged("perf/fps"))),
]
"""The figures of a run: name, unit, how it is computed. The first that two groups have is what they are judged by."""


# Significance


def _verdicts(
    runs: List[LoggedRun], groups: List[Group], scores: List[Score], differing: List[Difference]
) -> List[Verdict]:
    """Each pair of groups of one task by its success, else, where rewards are known to be alike, by its return."""
    unlike = any(row.field.startswith("task.rewards") for row in differing) or not all(run.config for run in runs)
    usable = [score for score in scores if score.unit == "share" or (score.unit == "reward" and not unlike)]
    return [
        _verdict(groups, usable, pair)
        for pair in itertools.combinations(range(len(groups)), 2)
        if groups[pair[0]].task == groups[pair[1]].task
    ]


def _verdict(groups: List[Group], scores: List[Score], pair: Tuple[int, int]) -> Verdict:
    """What the first score that both groups have allows to say."""
    a, b = (groups[index].name for index in pair)
    score = next((one for one in scores if all(one.by_group[index] is not None for index in pair)), None)
    if score is None:
        return Verdict(pair, "", None, "nothing", f"{a} and {b} have no score in common that could be compared")
    one, other = (_values(groups[index], score.by_run) for index in pair)
    found = statistics.improvement(statistics.strata(other), statistics.strata(one))
    conclusion = statistics.significant(found, (len(one), len(other)))
    seeds = f"{len(one)} and {len(other)} seeds"
    if conclusion == "nothing":
        sentence = (
            f"nothing can be concluded about {a} against {b}: with {seeds} nobody knows how much seeds scatter; "
            "train at least 3 of each, better 5"
        )
        return Verdict(pair, score.name, found, conclusion, sentence)
    low, high = found.interval or (math.nan, math.nan)
    test = "" if found.p_value is None else f", Mann-Whitney p = {found.p_value:.2g}"
    figures = f"a seed of {b} beats one of {a} with probability {found.probability:.2f} [{low:.2f}, {high:.2f}]{test}"
    if conclusion == "apart":
        better, worse = (b, a) if found.probability > 0.5 else (a, b)
        sentence = f"by {score.name}, {better} is better than {worse}: {figures} ({seeds})"
    else:
        sentence = f"by {score.name}, {seeds} do not tell {a} and {b} apart: {figures}"
    return Verdict(pair, score.name, found, conclusion, sentence)


# Notes


def _notes(runs: List[LoggedRun], labels: List[str], groups: List[Group], differing: List[Difference]) -> List[str]:
    notes = _together([(label, problem) for label, run in zip(labels, runs) for problem in run.problems])
    tasks = list(dict.fromkeys(group.task or "an unknown task" for group in groups))
    if len(tasks) > 1:
        notes.append(f"the runs are of different tasks ({', '.join(tasks)}): success and reward do not compare")
    elif any(row.field.startswith("task.rewards") for row in differing):
        notes.append("the runs have different rewards: their returns do not compare, their success does")
    if len({run.library for run in runs}) > 1:
        notes.append(
            "the runs are of different libraries: fields that only one of them has are left out, and losses and "
            "gradient norms may be defined differently"
        )
    lengths = [run.steps for run in runs]
    if min(lengths) < 0.95 * max(lengths):
        span = f"{min(lengths):,} to {max(lengths):,} steps"
        notes.append(f"the runs are of different lengths ({span}): final scores are those at each run's own end")
    for group in groups:
        repeated = sorted({seed for seed in group.seeds if seed is not None and group.seeds.count(seed) > 1})
        if repeated:
            which = ", ".join(map(str, repeated))
            notes.append(
                f"{group.name} has several runs of seed {which}: they are no independent samples and count as one, "
                "by their mean"
            )
    return notes + _together([(label, note) for label, run in zip(labels, runs) for note in _gaps(run)])


def _gaps(run: LoggedRun) -> List[str]:
    """What one run lacks."""
    notes = [] if run.config else ["there is no configuration beside the logs, and so nothing to compare of it"]
    if run.running:
        notes.append("still being trained")
    if "perf/fps" in run.derived:
        notes.append(f"no speed is logged: it is {run.derived['perf/fps']}")
    success = _trained(run)
    strange = 0 if success is None else int(np.sum(~np.isfinite(success.values)))
    if success is not None and strange:
        notes.append(f"{strange:,} of {len(success.values):,} success rates are no finite numbers and are left out")
    if run.unknown:
        names = sorted(run.unknown)
        shown = ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")
        notes.append(f"logged under names that the vocabulary does not map, and so in no table or plot: {shown}")
    lacking = [name for name, _, choose in _QUANTITIES if choose not in _OPTIONAL and choose(run) is None]
    return [*notes, *([f"not logged: {', '.join(lacking)}"] if lacking else [])]


def _together(said: List[Tuple[str, str]]) -> List[str]:
    """Sentences with the names of all that they are about."""
    names: Dict[str, List[str]] = {}
    for name, sentence in said:
        names.setdefault(sentence, []).append(name)
    return [f"{'; '.join(dict.fromkeys(about))}: {sentence}" for sentence, about in names.items()]
