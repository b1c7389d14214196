"""Finds and imports OpenRL."""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib import metadata
from typing import Any, Tuple

from ...errors import UserError

VERSION = "0.2.0"
"""The OpenRL that this is written for; upstream's."""
_ADVICE = "pip install 'mapush_stack[openrl]'"


def import_openrl() -> Tuple[Any, Any, Any, Any]:
    """OpenRL's `create_config_parser`, `PPONet`, `PPOAgent` and `Driver`.

    Raises:
        UserError: it is missing, of another version, or cannot be imported.

    """
    try:
        found = metadata.version("openrl")
    except metadata.PackageNotFoundError:
        raise UserError(f"library=openrl needs OpenRL {VERSION}, which is not installed: {_ADVICE}") from None
    if found != VERSION:
        raise UserError(f"library=openrl needs OpenRL {VERSION}, but {found} is installed: {_ADVICE}")
    try:
        # gym, which OpenRL imports, prints that it is no longer maintained.
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from openrl.configs.config import create_config_parser
            from openrl.modules.common import PPONet  # before the runners: they import each other
            from openrl.runners.common.ppo_agent import Driver, PPOAgent
    except ModuleNotFoundError as error:
        raise UserError(f"OpenRL {VERSION} lacks something that it needs ({error}): {_ADVICE}") from None
    except (ImportError, AttributeError) as error:
        raise UserError(f"OpenRL {VERSION} cannot be imported ({error}): mapush patches apply") from None
    return create_config_parser, PPONet, PPOAgent, Driver
