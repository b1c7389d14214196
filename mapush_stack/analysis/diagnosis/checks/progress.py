"""The progress of success and reward."""

from __future__ import annotations

import math
from typing import Dict, Iterator, List, Optional

from ... import axes
from ..judged_run import (
    REWARDS,
    SUCCESS,
    CheckResult,
    Evidence,
    JudgedRun,
    NotJudgedError,
    Objective,
    means,
    number,
    steps,
)
from ..rules import Severity
from ..segments import Segment, difference_error, quarters

Limits = Dict[str, float]


def degradation(run: JudgedRun, limits: Limits) -> Iterator[CheckResult]:
    """The last quarter or the last checkpoint is below the best one.

    Quarters are compared by success, by reward and by the return of episodes.
    """
    checkpoints = _lost_by_checkpoints(run, limits)
    try:
        objectives = run.objectives()
    except NotJudgedError:
        if checkpoints is None:
            raise
        objectives = []
    results = [_lost(one, limits) for one in objectives]
    results += [_lost_return(run, objectives, limits)] if objectives else []
    lost = sorted(filter(None, results), key=lambda result: result.severity is Severity.REMARK)
    if lost and checkpoints is not None:
        sentence = f"{lost[0].sentence} {checkpoints.sentence}"
        yield lost[0]._replace(sentence=sentence, evidence=lost[0].evidence + checkpoints.evidence)
    elif lost:
        yield lost[0]
    elif checkpoints is not None:
        yield checkpoints


def _lost(objective: Objective, limits: Limits) -> Optional[CheckResult]:
    """The last quarter of an objective is below its best, by more than noise."""
    tag, parts = objective.tag, objective.quarters
    best, last = max(parts[:3], key=lambda one: one.mean), parts[3]
    drop = best.mean - last.mean
    most = limits["success" if tag == SUCCESS else "reward"] * objective.scale
    falling = all(before.mean > after.mean for before, after in zip(parts, parts[1:]))
    errors = limits["falling" if falling else "errors"]
    if drop <= max(most, errors * difference_error(best, last)):
        return None
    sentence = (
        f"{tag} by quarters of the run: {_listed(parts)}. The last is {number(drop)} below the best, "
        f"which ended at {steps(best.last)} steps; take a checkpoint from there."
    )
    severe = tag == SUCCESS or drop >= limits["severe"] * objective.scale
    return CheckResult(sentence, means(tag, *parts), severity=None if severe else Severity.REMARK)


def _lost_return(run: JudgedRun, objectives: List[Objective], limits: Limits) -> Optional[CheckResult]:
    """The return of episodes falls from the second quarter on.

    This is used if the reward of a step is the objective. The shortest episodes end in the first quarter, so later
    quarters may be lower although nothing was lost. If success rises at the same time, episodes may only have become
    shorter; then it is a remark.
    """
    tag = REWARDS[1]
    if tag not in run.logged.series or run.facts.staged or any(one.tag == tag for one in objectives):
        return None
    try:
        objective = run.objective(tag)
    except NotJudgedError:
        return None
    _, second, third, last = objective.quarters
    if not second.mean > third.mean > last.mean:
        return None
    lost = _lost(objective._replace(quarters=[second, second, third, last]), limits)
    if lost is None:
        return None
    evidence = means(tag, *objective.quarters)
    sentence = (
        f"{tag} by quarters of the run: {_listed(objective.quarters)}. It falls from the second quarter on, by "
        f"{number(second.mean - last.mean)}"
    )
    success = next((one.quarters for one in objectives if one.tag == SUCCESS), None)
    if success is not None and success[3].mean > success[1].mean:
        sentence += f", although success rises from {success[1].mean:.1%} to {success[3].mean:.1%} at the same time."
        return CheckResult(sentence, evidence, severity=Severity.REMARK)
    return lost._replace(sentence=f"{sentence}; take an earlier checkpoint.", evidence=evidence)


def _lost_by_checkpoints(run: JudgedRun, limits: Limits) -> Optional[CheckResult]:
    """The last evaluated checkpoint is below the best one.

    This is only a remark, because the best of many checkpoints is partly luck.
    """
    counted = [(one, one.episodes) for one in run.logged.evaluations if one.episodes is not None and one.episodes > 0]
    if len(counted) < 2:
        return None
    (best, of_best), (last, of_last) = max(counted, key=lambda pair: pair[0].success_rate), counted[-1]
    drop = best.success_rate - last.success_rate
    pooled = (best.success_rate * of_best + last.success_rate * of_last) / (of_best + of_last)
    deviation = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / of_best + 1 / of_last))
    if drop <= max(limits["checkpoints"], limits["deviations"] * deviation):
        return None
    sentence = (
        f"The checkpoint of {steps(best.steps)} steps succeeds in {best.success_rate:.1%} of {of_best} evaluated "
        f"episodes, the last one, of {steps(last.steps)} steps, in {last.success_rate:.1%} of {of_last}."
    )
    evidence = [Evidence("success of a checkpoint", one.steps, one.success_rate) for one in (best, last)]
    return CheckResult(sentence, evidence, severity=Severity.REMARK)


def _listed(parts: List[Segment]) -> str:
    return ", ".join(number(one.mean) for one in parts)


def learning_stalled(run: JudgedRun, limits: Limits) -> Iterator[CheckResult]:
    """Neither reward nor success rises over the second half, and success is still low.

    If success is not logged, a reward that stands still after it rose may be the best possible. Then only a reward that
    does not rise above the first half is reported.
    """
    success, total = run.success(), run.logged.steps
    if success is None and not run.facts.familiar:
        raise NotJudgedError("success is not logged, and nothing says how much more reward is possible")
    if total < limits["fewest_steps"] and run.logged.axis == axes.STEPS:
        raise NotJudgedError(f"{steps(total)} steps are too few; {steps(limits['fewest_steps'])} are needed")
    tag, parts, scale = run.objective(run.reward_tag())
    if run.facts.staged:
        return
    before, after, noise = parts[2], parts[3], 0.0
    if success is None:
        before = max(parts[:2], key=lambda one: one.mean)
    else:
        noise = limits["errors"] * difference_error(before, after)
    if after.mean - before.mean > max(limits["gain"] * scale, noise):
        return
    evidence = means(tag, *parts)
    sentence = f"{tag} by quarters of the run: {_listed(parts)}. The last is not clearly above "
    if success is None:
        yield CheckResult(f"{sentence}the first half, at {steps(total)} steps.", evidence)
        return
    *_, third, last = quarters(success)
    if last.mean < limits["mastered"] and last.mean - third.mean <= limits["success"]:
        sentence += (
            f"the one before; success was {third.mean:.1%} in the third and {last.mean:.1%} in the last quarter, at "
            f"{steps(total)} steps."
        )
        yield CheckResult(sentence, evidence + means(SUCCESS, third, last))
