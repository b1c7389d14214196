"""Policies that come with the project, each a small run directory."""

from __future__ import annotations

from pathlib import Path
from typing import List

from ..errors import UserError
from ..registry import closest

_FOLDER = Path(__file__).resolve().parents[1] / "pretrained"


def names() -> List[str]:
    """Every shipped policy's name."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/config.json"))


def path(name: str) -> Path:
    """The run directory of a shipped policy.

    Raises:
        UserError: there is none of that name.

    """
    if name not in names():
        raise UserError(f"there is no pretrained policy called {name}; {closest(name, names())}")
    return _FOLDER / name


def find(policy: str) -> Path:
    """The path of a policy, given by the name of a shipped one or as a path.

    Raises:
        UserError: it is neither.

    """
    if policy not in names() and not Path(policy).exists():
        raise UserError(
            f"{policy} does not exist; give a run directory, a checkpoint, or the name of a shipped policy: "
            f"{closest(policy, names())}"
        )
    return path(policy) if policy in names() else Path(policy)


def prose(name: str) -> str:
    """What a shipped policy does, and its limits, as Markdown; empty where nobody has written it down.

    Raises:
        UserError: there is no policy of that name.

    """
    card = path(name) / "card.md"
    return card.read_text(encoding="utf-8") if card.is_file() else ""
