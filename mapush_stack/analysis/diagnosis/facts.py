"""What a run's configuration says that its numbers have to be judged by."""

from __future__ import annotations

import math
from typing import Any, Dict, NamedTuple, Optional

from ..run import LoggedRun
from .rules import Published, Rules


class Facts(NamedTuple):
    """Bounds and scales; None where the run's files do not say."""

    actor_limit: Optional[float]
    """Bound of the norm of an actor's gradient."""
    critic_limit: Optional[float]
    target_kl: Optional[float]
    horizon: Optional[float]
    """Control steps that the discount sees: 1 / (1 - gamma) decisions."""
    saturation: float
    """|action| from which on a command does not grow."""
    weights: Dict[str, float]
    """Weight of each reward term by name, 0 for those that are off; empty where nothing says."""
    staged: bool
    """Whether the rewards' scales change on the way (a curriculum)."""
    action_size: Optional[int]
    """Numbers of an action."""


def facts(run: LoggedRun, rules: Rules) -> Facts:
    """What `run` says of itself, or what is published of upstream's run."""
    known = _known(run, rules)
    return known._replace(action_size=rules.action_size) if _pushes(run) else known


def _known(run: LoggedRun, rules: Rules) -> Facts:
    if run.library == "harl" and "algo_args" in run.config:
        return _harl(run.config)
    if get(run.config, "learner", "gamma") is not None:
        return _own(run.config)
    return _upstream(run.config, rules.published) if run.library == "openrl" else _unknown()


def _pushes(run: LoggedRun) -> bool:
    """Whether it is MAPush's task, whose actions are a robot's velocities. OpenRL's layout is that of MAPush's runs."""
    environment = f"{run.task} {get(run.config, 'main_args', 'env')}".lower()
    return run.library in ("mapush", "openrl") or "mapush" in environment or "go1push" in environment


def get(config: Any, *path: str) -> Any:
    """A value inside nested dictionaries, or None."""
    for name in path:
        if not isinstance(config, dict) or name not in config:
            return None
        config = config[name]
    return config


def _number(value: Any) -> Optional[float]:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _limit(value: Any) -> Optional[float]:
    """A bound of gradients; none where it leaves nothing."""
    limit = _number(value)
    return None if limit is None or limit <= 0 else limit


def _own(config: Dict[str, Any]) -> Facts:
    """This project's `config.json`."""
    weights = get(config, "task", "rewards") or {}
    return Facts(
        actor_limit=_limit(get(config, "learner", "actor_max_grad_norm")),
        critic_limit=_limit(get(config, "learner", "critic_max_grad_norm")),
        target_kl=_number(get(config, "learner", "target_kl")),
        horizon=_horizon(get(config, "learner", "gamma"), get(config, "task", "action_repeat")),
        saturation=1.0 / (_number(get(config, "task", "action_gain")) or 1.0),
        weights={name: value for name, value in weights.items() if _number(value) is not None},
        staged=bool(get(config, "training", "stages")),
        action_size=None,
    )


def _harl(config: Dict[str, Any]) -> Facts:
    """HARL's `config.json`: main_args, algo_args, env_args."""
    algorithm = config["algo_args"]
    limit = _limit(get(algorithm, "algo", "max_grad_norm")) if get(algorithm, "algo", "use_max_grad_norm") else None
    return _unknown()._replace(
        actor_limit=limit,
        critic_limit=limit,
        horizon=_horizon(get(algorithm, "algo", "gamma"), 1),
    )


def _upstream(config: Dict[str, Any], published: Published) -> Facts:
    """MAPush's `task/config.py` where it lies beside the run, else what is published."""
    scales = get(config, "rewards", "scales") or {}
    weights = {name: _number(get(scales, field)) for name, field in published.fields.items()}
    return _unknown()._replace(
        horizon=_horizon(published.gamma, published.action_repeat),
        saturation=published.saturation,
        weights={name: value for name, value in weights.items() if value is not None} or published.weights,
    )


def _unknown() -> Facts:
    return Facts(None, None, None, None, 1.0, {}, False, None)


def _horizon(gamma: Any, repeat: Any) -> Optional[float]:
    discount, steps = _number(gamma), _number(repeat)
    if discount is None or steps is None or not 0 <= discount < 1:
        return None
    return steps / (1.0 - discount)
