"""Teams of robots learn to push objects to goals (MAPush, arXiv 2411.07104)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

__version__ = "1.0.0"

__all__ = [
    "PushEnv",
    "UserError",
    "load_config",
    "load_policy",
    "make_env",
    "register_learner",
    "register_object",
    "register_observation_layout",
    "register_reward_term",
    "register_robot",
    "register_simulator",
    "register_triage_rules",
]

if TYPE_CHECKING:
    from .api import (
        PushEnv,
        UserError,
        load_config,
        load_policy,
        make_env,
        register_learner,
        register_object,
        register_observation_layout,
        register_reward_term,
        register_robot,
        register_simulator,
        register_triage_rules,
    )


def __getattr__(name: str) -> Any:
    # Importing the interface takes torch, which the command line should not wait for.
    if name in __all__:
        return getattr(import_module(f"{__name__}.api"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")


def __dir__() -> List[str]:
    return sorted([*globals(), *__all__])
