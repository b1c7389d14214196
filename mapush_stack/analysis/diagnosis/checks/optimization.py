"""Gradients, the critic, and the size of updates."""

from __future__ import annotations

from typing import Dict, Iterator

import numpy as np

from ..judged_run import CheckResult, JudgedRun, NotJudgedError, means, medians, number, owner, steps, value_at
from ..rules import Severity
from ..segments import quarters, segment


def gradient_unclipped(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """A gradient was applied whose norm is above the limit."""
    tags = run.tags(r"(agent\d+|critic)/(actor|critic)_grad_norm_clipped(_max)?")
    if not tags:
        raise NotJudgedError("norms after clipping are not logged (actor_grad_norm_clipped)")
    judged = False
    for tag in tags:
        limit, series = run.gradient_limit(tag), run.logged.series[tag].finite()
        if limit is None or not len(series.values):
            continue
        judged, at = True, int(np.argmax(series.values))
        excess = series.values[at] / limit
        if excess > limits["excess"]:
            sentence = (
                f"At {steps(series.steps[at])} steps {owner(tag)} applied a gradient of norm "
                f"{number(series.values[at])}, above the limit of {number(limit)}."
            )
            yield CheckResult(sentence, [value_at(tag, series, at)], excess)
    if not judged:
        raise NotJudgedError("the configured limit of the gradients is not known")


def gradient_large(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The norm before clipping is many times its limit, or many times that at the start."""
    for tag, series in run.all_series(r"agent\d+/actor_grad_norm|critic/critic_grad_norm").items():
        first, *_, last = quarters(series)
        limit, growth = run.gradient_limit(tag), last.median / max(first.median, 1e-12)
        over = 0.0 if limit is None else last.median / limit
        sentence = f"The norm of {owner(tag)}'s gradient before clipping is {number(last.median)} in the last quarter"
        if limit is not None and over > limits["limits"]:
            sentence += f", {number(over)} times its limit of {number(limit)}: every gradient is cut to the limit."
        elif growth > limits["growth"] and (limit is None or over > 1):
            sentence += f", {number(growth)} times the first quarter's {number(first.median)}."
        else:
            continue
        remark = Severity.REMARK if limit is None and not run.facts.familiar else None
        yield CheckResult(sentence, medians(tag, first, last), max(over, growth), remark)


def value_loss_growing(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The loss rises from quarter to quarter, and the critic does not explain the returns.

    The loss is computed from normalised returns. When a team masters the task, the variance of the returns shrinks, so
    the loss grows although the critic is as good as before.
    """
    tag, explained = "critic/value_loss", "critic/explained_variance"
    series = run.series(tag)
    if not run.facts.familiar:
        raise NotJudgedError("nothing says that the value loss is one of normalised returns; it may grow with them")
    parts = quarters(series)
    lowest = min(parts[:3], key=lambda one: one.median)
    growth = parts[3].median / max(lowest.median, 1e-12)
    if not parts[1].median < parts[2].median < parts[3].median or growth <= limits["growth"]:
        return
    if explained in run.logged.series:
        if segment(run.series(explained), 0.75, 1).mean >= limits["explained"]:
            return
    elif parts[3].median <= segment(series, 0, 0.1).mean:
        return
    sentence = (
        f"The value loss grew from a median of {number(lowest.median)} (up to {steps(lowest.last)} steps) to "
        f"{number(parts[3].median)} in the last quarter, {number(growth)} times as much."
    )
    yield CheckResult(sentence, medians(tag, lowest, parts[3]))


def explained_variance_low(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The mean explained variance of the second half is low."""
    tag = "critic/explained_variance"
    last = segment(run.series(tag), 0.5, 1)
    if last.mean < limits["least"]:
        sentence = f"In the second half the critic explains {number(last.mean)} of the variance of the returns."
        yield CheckResult(sentence, means(tag, last), severity=None if run.facts.familiar else Severity.REMARK)


def kl_high(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The mean KL divergence of the second half is high.

    The limit is a fixed one, or a multiple of `learner.target_kl` if that is larger.
    """
    target = run.facts.target_kl
    most = limits["most"] if target is None else max(limits["most"], limits["targets"] * target)
    for tag, series in run.all_series(r"agent\d+/approx_kl").items():
        last = segment(series, 0.5, 1)
        if last.mean > most:
            bound = "" if target is None else f"; learner.target_kl is {number(target)}"
            sentence = (
                f"In the second half an update moves {owner(tag)}'s policy by a KL divergence of {number(last.mean)} "
                f"nats on average{bound}."
            )
            yield CheckResult(sentence, means(tag, last), last.mean)


def clip_fraction_high(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The mean clip fraction of the second half is high."""
    for tag, series in run.all_series(r"agent\d+/clip_fraction").items():
        last = segment(series, 0.5, 1)
        if last.mean > limits["most"]:
            sentence = f"In the second half {last.mean:.0%} of {owner(tag)}'s samples are clipped."
            yield CheckResult(sentence, means(tag, last), last.mean)
