"""Limits and scales from a run's configuration, by which its numbers are judged."""

from __future__ import annotations

import math
from typing import Any, Dict, NamedTuple, Optional

from ..run import LoggedRun
from .rules import Rules

_UNIT_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
"""Entropy of a Gaussian with standard deviation 1, nats per dimension."""
_WHOLE = 0.02
"""An entropy in units of the above is a number of dimensions if it is this close to a whole number."""


class RunFacts(NamedTuple):
    """Limits and scales of a run; None if its files do not say."""

    weights: Dict[str, float]
    """Weight of each reward term by name, 0 if it is off; empty if they are not known."""
    actor_limit: Optional[float] = None
    """Limit of the norm of an actor's gradient."""
    critic_limit: Optional[float] = None
    target_kl: Optional[float] = None
    horizon: Optional[float] = None
    """Control steps within the horizon of the discount: 1 / (1 - gamma) decisions."""
    saturation: Optional[float] = None
    """|action| above which commands no longer grow."""
    staged: bool = False
    """True if the rewards' scales change during the training (a curriculum)."""
    action_size: Optional[int] = None
    """Number of action dimensions."""
    familiar: bool = True
    """False for a program or task to which the rules' thresholds were not fitted."""
    assumed: str = ""
    """What is not in the run's files, and is taken from upstream's published run."""


def run_facts(run: LoggedRun, rules: Rules) -> RunFacts:
    """The facts of a run, from its configuration or from upstream's published settings."""
    facts = RunFacts(weights={}, familiar=False)
    if run.library == "harl" and "algo_args" in run.config:
        facts = _harl(run.config)
    elif get(run.config, "learner", "gamma") is not None:
        facts = _own(run.config)
    elif run.library == "openrl" and _pushes(run):
        facts = _upstream(run, rules)
    if not _pushes(run) or run.library == "openrl":
        return facts
    return facts._replace(action_size=rules.action_size, saturation=facts.saturation or 1.0)


def _pushes(run: LoggedRun) -> bool:
    """True for MAPush's task, whose actions are velocities; OpenRL's runs are MAPush's if they log its rewards."""
    environment = f"{run.task} {get(run.config, 'main_args', 'env')}".lower()
    rewards = run.library == "openrl" and any(tag.startswith("rewards/") for tag in run.series)
    return run.library == "mapush" or rewards or "mapush" in environment or "go1push" in environment


def get(config: Any, *path: str) -> Any:
    """A value inside nested dictionaries; None if there is none."""
    for name in path:
        if not isinstance(config, dict) or name not in config:
            return None
        config = config[name]
    return config


def _number(value: Any) -> Optional[float]:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _limit(value: Any) -> Optional[float]:
    """A limit of gradients, None if it is not positive."""
    limit = _number(value)
    return None if limit is None or limit <= 0 else limit


def _own(config: Dict[str, Any]) -> RunFacts:
    """From this project's `config.json`."""
    weights = get(config, "task", "rewards") or {}
    return RunFacts(
        actor_limit=_limit(get(config, "learner", "actor_max_grad_norm")),
        critic_limit=_limit(get(config, "learner", "critic_max_grad_norm")),
        target_kl=_number(get(config, "learner", "target_kl")),
        horizon=_horizon(get(config, "learner", "gamma"), get(config, "task", "action_repeat")),
        saturation=1.0 / (_number(get(config, "task", "action_gain")) or 1.0),
        weights={name: value for name, value in weights.items() if _number(value) is not None},
        staged=bool(get(config, "training", "stages")),
    )


def _harl(config: Dict[str, Any]) -> RunFacts:
    """From HARL's `config.json`: main_args, algo_args, env_args."""
    algorithm = config["algo_args"]
    limit = _limit(get(algorithm, "algo", "max_grad_norm")) if get(algorithm, "algo", "use_max_grad_norm") else None
    return RunFacts(
        weights={},
        actor_limit=limit,
        critic_limit=limit,
        horizon=_horizon(get(algorithm, "algo", "gamma"), 1),
    )


def _upstream(run: LoggedRun, rules: Rules) -> RunFacts:
    """From MAPush's `task/config.py` if it is beside the run, else what is published.

    The published settings are not assumed for a fork, which logs other reward terms or another number of actions.
    """
    published = rules.published
    scales = get(run.config, "rewards", "scales") or {}
    found = {name: _number(get(scales, field)) for name, field in published.fields.items()}
    weights = {name: value for name, value in found.items() if value is not None}
    entropy = run.series.get("agent0/dist_entropy")
    # OpenRL's policies begin with a deviation of 1.
    size = float(entropy.values[0]) / _UNIT_ENTROPY if entropy is not None and len(entropy.values) else math.nan
    forked = "average_step_reward" in run.series and "average_step_reward" not in run.derived
    if forked or (
        abs(size - round(size)) < _WHOLE and round(size) != rules.action_size if math.isfinite(size) else False
    ):
        return RunFacts(weights=weights)
    assumed = f"{rules.action_size} action dimensions, gamma {published.gamma:g}"
    return RunFacts(
        horizon=_horizon(published.gamma, published.action_repeat),
        saturation=published.saturation,
        weights=weights or published.weights,
        action_size=rules.action_size,
        assumed=f"{assumed}, commands that saturate at {published.saturation:g}"
        + ("" if weights else ", reward weights"),
    )


def _horizon(gamma: Any, repeat: Any) -> Optional[float]:
    discount, steps = _number(gamma), _number(repeat)
    if discount is None or steps is None or not 0 <= discount < 1:
        return None
    return steps / (1.0 - discount)
