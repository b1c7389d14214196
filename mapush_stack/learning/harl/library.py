"""Finds HARL (PKU-MARL/HARL) and makes its runner over a team's environment; HARL's files are not edited."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator
from unittest import mock

from ...errors import UserError
from .env import HarlEnv

_COMMIT, _SOURCES = "d539bad", "HARL_SRC"
_HOW = f"clone https://github.com/PKU-MARL/HARL, check out {_COMMIT}, and set {_SOURCES} to its folder"
_BASE, _ENVS, _NAME = "harl.runners.on_policy_base_runner", "harl.envs", "mapush"
_HOOKS = {_BASE: ("make_train_env", "get_num_agents", "init_dir", "save_config"), _ENVS: ("LOGGER_REGISTRY",)}
"""What is replaced while a runner is made, by module: names that HARL has imported by value are replaced there."""


def find() -> ModuleType:
    """HARL's package `harl.runners`, from the folder that `HARL_SRC` names, else as it is installed.

    Raises:
        UserError: HARL or something that it needs is missing, or it is another version.

    """
    folder = os.environ.get(_SOURCES, "")
    if folder and not (Path(folder) / "harl" / "runners").is_dir():
        raise UserError(f"{_SOURCES}={folder} is not HARL's source tree: it has no harl/runners; {_HOW}")
    before = list(sys.path)
    sys.path[:0] = [folder] if folder else []
    try:
        # HARL chooses environments by name and imports the chosen one alone.
        runners = importlib.import_module("harl.runners")
        hooked = {name: importlib.import_module(name) for name in _HOOKS}
    except ModuleNotFoundError as error:
        raise UserError(_missing(error)) from None
    finally:
        sys.path[:] = before
    for name, wanted in _HOOKS.items():
        for attribute in wanted:
            if not hasattr(hooked[name], attribute):
                raise UserError(f"{name} has no {attribute}: this is not HARL's version {_COMMIT}; {_HOW}")
    return runners


def make_runner(runners: ModuleType, algorithm: str, algo_args: Dict[str, Dict[str, Any]], env: HarlEnv) -> Any:
    """HARL's own runner of `algorithm` over `env`; it makes no folder and no log.

    Args:
        runners: HARL's package, from `find`.
        algorithm: HARL's name of it.
        algo_args: HARL's arguments (`arguments.algo_args`).
        env: the environment.

    """
    args = {"algo": algorithm, "env": _NAME, "exp_name": algorithm}
    with _hooked(env), contextlib.redirect_stdout(io.StringIO()):
        return runners.RUNNER_REGISTRY[algorithm](args, algo_args, {"state_type": env.state_type})


@contextlib.contextmanager
def _hooked(env: HarlEnv) -> Iterator[None]:
    """Until the block ends HARL's runners get `env` and leave folders and logs to us.

    HARL chooses all of these by the name of one of its own environments; there is no other way to pass them.
    """
    replaced: Dict[str, Any] = {
        "make_train_env": lambda *arguments: env,
        "get_num_agents": lambda *arguments: env.n_agents,
        "init_dir": lambda *arguments, **more: (None, None, None, None),
        "save_config": lambda *arguments: None,
    }
    loggers = importlib.import_module(_ENVS).LOGGER_REGISTRY
    with mock.patch.multiple(_BASE, **replaced), mock.patch.dict(loggers, {_NAME: lambda *arguments: None}):
        yield


def _missing(error: ModuleNotFoundError) -> str:
    if (error.name or "").split(".")[0] == "harl":
        return f"HARL is not installed: {_HOW}"
    if error.name == "uu":
        return "HARL imports uu, which Python has dropped with 3.13; train with Python 3.12 or older"
    return f"HARL needs {error.name}, which is not installed: pip install 'mapush_stack[harl]'"
