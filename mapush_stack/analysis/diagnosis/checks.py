"""The checks: one function a rule, in the order of `rules.yaml`. Thresholds are the rule's, by name."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Optional

import numpy as np

from .curves import Part, difference_error, part, quarters, trend
from .rules import Severity
from .subject import REWARDS, SUCCESS, Evidence, Measure, NotJudgedError, Observed, Subject, number, owner, steps, worst

Thresholds = Dict[str, float]
Check = Callable[[Subject, Thresholds], Optional[Observed]]


_NO_CONFIGURATION = "the success bonus and the discount are not known: the run has no configuration"


def _evidence(tag: str, *parts: Part) -> List[Evidence]:
    return [Evidence(tag, one.last, one.mean) for one in parts]


# The policy's noise


def policy_std_exploding(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """Grown several times, and far beyond what commands can show."""
    seen, most = [], limits["saturations"] * subject.facts.saturation
    for tag, series in subject.deviations().items():
        first, last = part(series, 0, 0.1), part(series, 0.9, 1)
        if last.mean < limits["growth"] * first.mean or last.mean < most:
            continue
        begin, end = series.values[0], series.values[-1]
        told = f"The standard deviation of {owner(tag)}'s policy grew from {number(begin)} to {number(end)}"
        evidence = [Evidence(f"{tag} (as deviation)", int(series.steps[i]), float(series.values[i])) for i in (0, -1)]
        entropy = subject.run.series.get(f"{tag.split('/', 1)[0]}/dist_entropy")
        if entropy is not None and len(entropy.steps):
            told += f" (dist_entropy {number(entropy.values[0])} to {number(entropy.values[-1])})"
            name = f"{tag.split('/', 1)[0]}/dist_entropy"
            evidence = [Evidence(name, int(entropy.steps[i]), float(entropy.values[i])) for i in (0, -1)] + evidence
        told += (
            f" by {steps(series.steps[-1])} steps, where commands saturate at {number(subject.facts.saturation)}: "
            "the robots' training is driven by noise."
        )
        seen.append(Observed(told, evidence, last.mean / first.mean))
    return worst(seen)


def entropy_rising(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """The last quarter above the lowest before it."""
    seen, size = [], subject.action_size()
    for tag, series in subject.courses(r"agent\d+/dist_entropy").items():
        parts = quarters(series)
        lowest = min(parts[:3], key=lambda one: one.mean)
        rise = (parts[3].mean - lowest.mean) / size
        if rise > limits["rise"]:
            told = (
                f"The entropy of {owner(tag)}'s policy rose from {number(lowest.mean)} nats (mean up to "
                f"{steps(lowest.last)} steps) to {number(parts[3].mean)} in the last quarter; its deviation grew by a "
                f"factor of {number(np.exp(rise))}."
            )
            seen.append(Observed(told, _evidence(tag, lowest, parts[3]), rise))
    return worst(seen)


def entropy_out_of_range(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """The last quarter's deviation beyond what helps, or too small for a policy that does not succeed."""
    seen, saturation, success = [], subject.facts.saturation, subject.success()
    mastered = success is not None and part(success, 0.75, 1).mean >= limits["mastered"]
    for tag, series in subject.deviations().items():
        last = part(series, 0.75, 1)
        share = last.mean / saturation
        if share > limits["most_saturations"]:
            more = "more than half of its samples lie where commands saturate"
        elif share < limits["least_saturations"] and not mastered:
            more = "it tries hardly anything new"
        else:
            continue
        told = (
            f"In the last quarter {owner(tag)}'s policy has a standard deviation of {number(last.mean)}, where "
            f"commands saturate at {number(saturation)}: {more}."
        )
        seen.append(Observed(told, _evidence(f"{tag} (as deviation)", last), abs(np.log(share))))
    return worst(seen)


# Gradients


def gradient_unclipped(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """A norm that was applied and is above its limit."""
    tags = subject.tags(r"(agent\d+|critic)/(actor|critic)_grad_norm_clipped(_max)?")
    if not tags:
        raise NotJudgedError("norms after clipping are not logged (actor_grad_norm_clipped)")
    seen, judged = [], False
    for tag in tags:
        limit, series = gradient_limit(subject, tag), subject.run.series[tag]
        if limit is None or not np.isfinite(series.values).any():
            continue
        judged, at = True, int(np.nanargmax(np.where(np.isfinite(series.values), series.values, -np.inf)))
        excess = series.values[at] / limit
        if excess > limits["excess"]:
            told = (
                f"At {steps(series.steps[at])} steps {owner(tag)} applied a gradient of norm "
                f"{number(series.values[at])}, above the limit of {number(limit)}."
            )
            seen.append(Observed(told, [Evidence(tag, int(series.steps[at]), float(series.values[at]))], excess))
    if not judged:
        raise NotJudgedError("the configured limit of the gradients is not known")
    return worst(seen)


def gradient_large(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """Norms before clipping: many times the limit, or many times the first quarter's."""
    seen = []
    for tag, series in subject.courses(r"agent\d+/actor_grad_norm|critic/critic_grad_norm").items():
        first, *_, last = quarters(series)
        limit, growth = gradient_limit(subject, tag), last.median / max(first.median, 1e-12)
        over = 0.0 if limit is None else last.median / limit
        told = f"The norm of {owner(tag)}'s gradient before clipping is {number(last.median)} in the last quarter"
        if over > limits["limits"]:
            told += f", {number(over)} times its limit of {number(limit)}: every step has the limit's length."
        elif growth > limits["growth"] and (limit is None or over > 1):
            told += f", {number(growth)} times the first quarter's {number(first.median)}."
        else:
            continue
        evidence = [Evidence(tag, one.last, one.median) for one in (first, last)]
        seen.append(Observed(told, evidence, max(over, growth)))
    return worst(seen)


def gradient_limit(subject: Subject, tag: str) -> Optional[float]:
    """The configured bound of the network that a tag is of."""
    return subject.facts.critic_limit if tag.startswith("critic/") else subject.facts.actor_limit


# The critic


def value_loss_growing(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """Rising from quarter to quarter to several times its smallest, with returns that are not explained.

    The loss is that of normalised returns: as a team masters the task their variance shrinks, and the loss grows
    although the critic is as good as before.
    """
    tag, explained = "critic/value_loss", "critic/explained_variance"
    series = subject.course(tag)
    parts = quarters(series)
    lowest = min(parts[:3], key=lambda one: one.median)
    rising = parts[1].median < parts[2].median < parts[3].median
    growth = parts[3].median / max(lowest.median, 1e-12)
    if not rising or growth <= limits["growth"]:
        return None
    if explained in subject.run.series:
        if part(subject.course(explained), 0.75, 1).mean >= limits["explained"]:
            return None
    elif parts[3].median <= part(series, 0, 0.1).mean:
        return None
    told = (
        f"The value loss grew from a median of {number(lowest.median)} (up to {steps(lowest.last)} steps) to "
        f"{number(parts[3].median)} in the last quarter, {number(growth)} times that."
    )
    return Observed(told, [Evidence(tag, one.last, one.median) for one in (lowest, parts[3])])


def explained_variance_low(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """The last half's mean."""
    tag = "critic/explained_variance"
    last = part(subject.course(tag), 0.5, 1)
    if last.mean >= limits["least"]:
        return None
    told = f"In the second half the critic explains {number(last.mean)} of the variance of the returns."
    return Observed(told, _evidence(tag, last))


# The size of updates


def kl_high(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """The last half's mean against the bound, and against the target where there is one."""
    target = subject.facts.target_kl
    most = limits["most"] if target is None else max(limits["most"], limits["targets"] * target)
    seen = []
    for tag, series in subject.courses(r"agent\d+/approx_kl").items():
        last = part(series, 0.5, 1)
        if last.mean > most:
            bound = "" if target is None else f"; learner.target_kl is {number(target)}"
            told = (
                f"In the second half an update moves {owner(tag)}'s policy by a KL divergence of {number(last.mean)} "
                f"nats on average{bound}."
            )
            seen.append(Observed(told, _evidence(tag, last), last.mean))
    return worst(seen)


def clip_fraction_high(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """The last half's mean."""
    seen = []
    for tag, series in subject.courses(r"agent\d+/clip_fraction").items():
        last = part(series, 0.5, 1)
        if last.mean > limits["most"]:
            told = f"In the second half {last.mean:.0%} of {owner(tag)}'s samples are clipped."
            seen.append(Observed(told, _evidence(tag, last), last.mean))
    return worst(seen)


# The reward


def reward_scales_lopsided(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """The bonus against what a term pays within the learner's horizon, as logged."""
    bonus, horizon = abs(subject.facts.weights.get("success", 0.0)), subject.facts.horizon
    if not bonus or horizon is None:
        missing = "success bonus" if horizon is not None else "discount" if bonus else "success bonus and no discount"
        raise NotJudgedError(f"the run's configuration names no {missing}" if subject.run.config else _NO_CONFIGURATION)
    skipped = {*subject.rules.events, *subject.rules.telescoping}
    terms = {name: series for name, series in subject.rewards() if name not in skipped}
    if not terms:
        raise NotJudgedError("no shaping term is logged (rewards/...)")
    pays = {name: float(np.abs(series.values).mean()) * horizon for name, series in terms.items()}
    # A term that pays nothing at all is another finding.
    small = {name: bonus / paid for name, paid in pays.items() if paid and bonus / paid > limits["ratio"]}
    if not small:
        return None
    listed = [_lopsided(subject, name, ratio) for name, ratio in sorted(small.items(), key=lambda item: -item[1])]
    told = (
        f"The success bonus ({number(bonus)}) dwarfs what should lead to it: within the {number(horizon)} control "
        f"steps that the discount sees it is worth {'; '.join(listed)}."
    )
    evidence = [
        Evidence(f"rewards/{name}", int(terms[name].steps[-1]), float(np.abs(terms[name].values).mean()))
        for name in small
    ]
    return Observed(told, evidence)


def _lopsided(subject: Subject, name: str, ratio: float) -> str:
    weight = abs(subject.facts.weights.get(name, 0.0))
    weights = abs(subject.facts.weights["success"]) / weight if weight else 0.0
    return f"{number(ratio)} times the term {name}" + (f" (by weight {number(weights)} times)" if weights else "")


def reward_term_idle(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """A term whose mean size is nothing beside all of them."""
    sizes = {name: float(np.abs(series.values).mean()) for name, series in subject.rewards()}
    sizes = {name: size for name, size in sizes.items() if subject.facts.weights.get(name, 1.0)}
    total = sum(sizes.values())
    if len(sizes) < 2 or not total:
        raise NotJudgedError("fewer than two reward terms are logged (rewards/...)")
    idle = [name for name, size in sizes.items() if size / total < limits["share"] and name not in subject.rules.events]
    if not idle:
        return None
    listed, most = " and ".join(idle), max(sizes[name] for name in idle) / total
    told = (
        f"The reward term{'s' if len(idle) > 1 else ''} {listed} made up {most:.2%} of the reward's size or less over "
        f"the whole run; raise or remove task.rewards.{idle[0]}."
    )
    last = {name: int(subject.run.series[f"rewards/{name}"].steps[-1]) for name in idle}
    return Observed(told, [Evidence(f"rewards/{name}", last[name], sizes[name]) for name in idle])


# The course of learning


def degradation(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """The last quarter below the best one, by success, reward or return; or the last checkpoint below the best."""
    checkpoints = _lost_checkpoint(subject, limits)
    try:
        measures = subject.measures()
    except NotJudgedError:
        if checkpoints is None:
            raise
        return checkpoints
    found = [_lost(one, limits) for one in measures] + [_lost_return(subject, measures, limits)]
    ordered = sorted(filter(None, found), key=lambda observed: observed.severity is Severity.REMARK)
    if not ordered or checkpoints is None:
        return ordered[0] if ordered else checkpoints
    told, evidence = f"{ordered[0].sentence} {checkpoints.sentence}", ordered[0].evidence + checkpoints.evidence
    return ordered[0]._replace(sentence=told, evidence=evidence)


def _lost(measure: Measure, limits: Thresholds) -> Optional[Observed]:
    best, last = max(measure.parts[:3], key=lambda one: one.mean), measure.parts[3]
    drop = best.mean - last.mean
    most = limits["success" if measure.tag == SUCCESS else "reward"] * measure.size
    falling = all(before.mean > after.mean for before, after in zip(measure.parts, measure.parts[1:]))
    errors = limits["falling" if falling else "errors"]
    if drop <= max(most, errors * difference_error(best, last)):
        return None
    told = (
        f"{measure.tag} by quarters of the run: {_listed(measure.parts)}. The last is {number(drop)} below the best, "
        f"which ended at {steps(best.last)} steps; take a checkpoint from there."
    )
    severe = measure.tag == SUCCESS or drop >= limits["severe"] * measure.size
    return Observed(told, _evidence(measure.tag, *measure.parts), severity=None if severe else Severity.REMARK)


def _lost_return(subject: Subject, measures: List[Measure], limits: Thresholds) -> Optional[Observed]:
    """The return of episodes beside the reward of a step, where it falls from the second quarter on.

    In the first one the shortest episodes end, so that the quarters after it may be lower without a loss. Where success
    rises meanwhile, episodes may just have become shorter: a remark.
    """
    tag = REWARDS[1]
    if tag not in subject.run.series or subject.facts.staged or any(one.tag == tag for one in measures):
        return None
    try:
        measure = subject.measure(tag)
    except NotJudgedError:
        return None
    _, second, third, last = measure.parts
    if not second.mean > third.mean > last.mean:
        return None
    lost = _lost(measure._replace(parts=[second, second, third, last]), limits)
    if lost is None:
        return None
    told = (
        f"{tag} by quarters of the run: {_listed(measure.parts)}. It falls from the second quarter on, by "
        f"{number(second.mean - last.mean)}"
    )
    success = next((one.parts for one in measures if one.tag == SUCCESS), None)
    if success is not None and success[3].mean > success[1].mean:
        told += f", although success rises from {success[1].mean:.1%} to {success[3].mean:.1%} meanwhile."
        return Observed(told, _evidence(tag, *measure.parts), severity=Severity.REMARK)
    return lost._replace(sentence=f"{told}; take a checkpoint from before.", evidence=_evidence(tag, *measure.parts))


def _lost_checkpoint(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """A remark: of many checkpoints the best is partly the luckiest."""
    counted = [one for one in subject.run.evaluations if isinstance(one.episodes, int) and one.episodes > 0]
    if len(counted) < 2:
        return None
    best, last = max(counted, key=lambda one: one.success_rate), counted[-1]
    drop = best.success_rate - last.success_rate
    shared = (best.success_rate * best.episodes + last.success_rate * last.episodes) / (best.episodes + last.episodes)
    deviation = math.sqrt(max(shared * (1 - shared), 0.0) * (1 / best.episodes + 1 / last.episodes))
    if drop <= max(limits["checkpoints"], limits["deviations"] * deviation):
        return None
    told = (
        f"The checkpoint of {steps(best.steps)} steps succeeds in {best.success_rate:.1%} of {best.episodes} evaluated "
        f"episodes, the last one, of {steps(last.steps)} steps, in {last.success_rate:.1%} of {last.episodes}."
    )
    evidence = [Evidence("success of a checkpoint", one.steps, one.success_rate) for one in (best, last)]
    return Observed(told, evidence, severity=Severity.REMARK)


def _listed(parts: List[Part]) -> str:
    return ", ".join(number(one.mean) for one in parts)


def learning_stalled(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """Neither reward nor success rises over the second half, and success is far from mastered.

    Where success is not logged, a reward that stands still after it rose may be all that there is to reach: only one
    that does not rise above the first half is told.
    """
    success, total = subject.success(), subject.run.steps
    if total < limits["fewest_steps"]:
        raise NotJudgedError(f"{steps(total)} steps are too few; {steps(limits['fewest_steps'])} are needed")
    tag, parts, size = subject.measure(subject.reward_tag())
    if subject.facts.staged:
        return None
    before, after, least = parts[2], parts[3], limits["gain"] * size
    if success is None:
        before = max(parts[:2], key=lambda one: one.mean)
    else:
        least = max(least, limits["errors"] * difference_error(before, after))
    if after.mean - before.mean > least:
        return None
    evidence = _evidence(tag, *parts)
    told = f"{tag} by quarters of the run: {_listed(parts)}. The last is not clearly above "
    if success is None:
        return Observed(f"{told}the first half, at {steps(total)} steps.", evidence)
    shares = quarters(success)
    if shares[3].mean >= limits["mastered"] or shares[3].mean - shares[2].mean > limits["success"]:
        return None
    told += (
        f"the one before, nor is success, with {shares[2].mean:.1%} and then {shares[3].mean:.1%} of the episodes, at "
        f"{steps(total)} steps."
    )
    return Observed(told, evidence + _evidence(SUCCESS, *shares[2:]))


# The machine


def memory_growing(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """Growth over the second half that does not stop."""
    seen = []
    for tag, series in subject.courses("perf/vram_mib|perf/rss_mib").items():
        half = part(series, 0.5, 1)
        begin, end = part(series, 0.5, 0.55), part(series, 0.95, 1)
        grown = end.median - begin.median
        if grown > max(limits["mib"], limits["share"] * begin.median) and trend(half.values) > limits["trend"]:
            kind = "GPU memory" if "vram" in tag else "The process's memory"
            told = (
                f"{kind} grew from {number(begin.median)} to {number(end.median)} MiB over the second half and was "
                f"growing to the end: {number(grown / ((end.last - begin.first) / 1e6))} MiB for each million steps."
            )
            evidence = [Evidence(tag, one.last, one.median) for one in (begin, end)]
            seen.append(Observed(told, evidence, grown))
    return worst(seen)


def fps_falling(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """A rate that falls all the way."""
    tag = "perf/fps"
    series = subject.course(tag)
    first, *_, last = quarters(series)
    if last.median >= limits["share"] * first.median:
        return None
    if max(trend(series.values), trend(part(series, 0.5, 1).values)) > limits["trend"]:
        return None
    if _slows_alike(subject) >= limits["alike"]:
        return None
    told = (
        f"The rate fell from a median of {number(first.median)} steps a second in the first quarter to "
        f"{number(last.median)} in the last one, and was falling to the end."
    )
    return Observed(told, [Evidence(tag, one.last, one.median) for one in (first, last)])


def _slows_alike(subject: Subject) -> float:
    """How alike rollouts and updates became slower, 0 to 1; 0 where their times are not logged."""
    slower = []
    for tag in ("perf/rollout_seconds", "perf/update_seconds"):
        if tag not in subject.run.series:
            return 0.0
        first, *_, last = quarters(subject.course(tag))
        slower.append(last.median / max(first.median, 1e-12))
    return min(slower) / max(max(slower), 1e-12)


# Numbers that are none


def value_errors(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """Episodes that ended as value errors: the count, or their share where that is logged."""
    tag, share_tag = "mapush/value_errors", "mapush/cause/value_error"
    logged = subject.run.series.get(tag)
    series = None if logged is None else logged.finite()
    if series is None or not len(series.values):
        raise NotJudgedError(f"{tag} is not logged")
    count = float(series.values.max())
    if not count:
        return None
    at = int(series.steps[int(np.argmax(series.values > 0))])
    shares = subject.run.series.get(share_tag)
    shares = None if shares is None else shares.finite()
    most = float(shares.values.mean()) if shares is not None and len(shares.values) else 1.0
    told = (
        f"{number(count)} episodes ended because the physics produced numbers that are not finite, the first by "
        f"{steps(at)} steps"
    )
    told += f" ({most:.2%} of the episodes)." if shares is not None else "."
    severity = None if most > limits["share"] else Severity.REMARK
    return Observed(told, [Evidence(tag, int(series.steps[-1]), count)], severity=severity)


def not_finite(subject: Subject, limits: Thresholds) -> Optional[Observed]:
    """NaN or infinity among what the learner logged."""
    seen, tags = [], subject.tags(r"(agent\d+|critic)/.+|train_episode_rewards|average_step_reward|rewards/.+")
    if not tags:
        raise NotJudgedError("no loss, norm or reward is logged")
    for tag in tags:
        series = subject.run.series[tag]
        bad = ~np.isfinite(series.values)
        if bad.sum() > limits["most"]:
            at = int(series.steps[int(np.argmax(bad))])
            told = (
                f"{int(bad.sum())} of {len(bad)} logged values of {tag} are not finite, the first at {steps(at)} steps."
            )
            seen.append(Observed(told, [Evidence(tag, at, float(series.values[bad][0]))], float(bad.sum())))
    return worst(seen)


CHECKS: Dict[str, Check] = {
    check.__name__.replace("_", "-"): check
    for check in (
        policy_std_exploding,
        entropy_rising,
        entropy_out_of_range,
        gradient_unclipped,
        gradient_large,
        value_loss_growing,
        explained_variance_low,
        kl_high,
        clip_fraction_high,
        reward_scales_lopsided,
        reward_term_idle,
        degradation,
        learning_stalled,
        memory_growing,
        fps_falling,
        value_errors,
        not_finite,
    )
}
"""Every check by its rule's name."""
