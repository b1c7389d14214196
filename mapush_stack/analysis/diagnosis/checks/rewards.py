"""The sizes of the reward terms."""

from __future__ import annotations

from typing import Dict, Iterator

import numpy as np

from ..judged_run import CheckResult, Evidence, JudgedRun, NotJudgedError, number

_NO_CONFIGURATION = "the success bonus and the discount are not known: the run has no configuration"


def reward_scales_lopsided(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The success bonus is many times what a term pays within the learner's horizon, as logged."""
    bonus, horizon = abs(run.facts.weights.get("success", 0.0)), run.facts.horizon
    if not bonus or horizon is None:
        missing = "success bonus" if horizon is not None else "discount" if bonus else "success bonus and no discount"
        raise NotJudgedError(f"the run's configuration names no {missing}" if run.logged.config else _NO_CONFIGURATION)
    skipped = {*run.rules.events, *run.rules.telescoping}
    terms = {name: series for name, series in run.reward_terms() if name not in skipped}
    if not terms:
        raise NotJudgedError("no shaping term is logged (rewards/...)")
    sizes = {name: float(np.abs(series.values).mean()) for name, series in terms.items()}
    # The rule reward-term-idle reports a term that pays nothing.
    ratios = {name: bonus / (size * horizon) for name, size in sizes.items() if size}
    small = {name: ratio for name, ratio in ratios.items() if ratio > limits["ratio"]}
    if small:
        listed = [_ratio(run, name, ratio) for name, ratio in sorted(small.items(), key=lambda item: -item[1])]
        sentence = (
            f"The success bonus ({number(bonus)}) is far larger than the shaping terms: within the horizon of "
            f"{number(horizon)} control steps it is worth {'; '.join(listed)}."
        )
        yield CheckResult(
            sentence, [Evidence(f"rewards/{name}", int(terms[name].steps[-1]), sizes[name]) for name in small]
        )


def _ratio(run: JudgedRun, name: str, ratio: float) -> str:
    weight = abs(run.facts.weights.get(name, 0.0))
    weights = abs(run.facts.weights["success"]) / weight if weight else 0.0
    return f"{number(ratio)} times the term {name}" + (f" (by weight {number(weights)} times)" if weights else "")


def reward_term_idle(run: JudgedRun, limits: Dict[str, float]) -> Iterator[CheckResult]:
    """The mean size of a term is a tiny share of the sum over all terms."""
    sizes = {name: float(np.abs(series.values).mean()) for name, series in run.reward_terms()}
    sizes = {name: size for name, size in sizes.items() if run.facts.weights.get(name, 1.0)}
    total = sum(sizes.values())
    if len(sizes) < 2 or not total:
        raise NotJudgedError("fewer than two reward terms are logged (rewards/...)")
    idle = [name for name, size in sizes.items() if size / total < limits["share"] and name not in run.rules.events]
    if idle:
        most = max(sizes[name] for name in idle) / total
        sentence = (
            f"The reward term{'s' if len(idle) > 1 else ''} {' and '.join(idle)} made up {most:.2%} of the reward's "
            f"size or less over the whole run; raise or remove task.rewards.{idle[0]}."
        )
        tags = {name: f"rewards/{name}" for name in idle}
        evidence = [Evidence(tag, int(run.logged.series[tag].steps[-1]), sizes[name]) for name, tag in tags.items()]
        yield CheckResult(sentence, evidence)
