"""The one exception that users see."""

from __future__ import annotations

_MOST = 1500
"""Characters of a message; a hostile file may have names of any length."""


class UserError(Exception):
    """A request that cannot be met; the message is one sentence that says what to do instead.

    The command line prints the message and exits with status 2. The error is raised before anything is written, or
    after all files are complete again.
    """

    def __init__(self, message: str) -> None:
        """Keep the message on one line, without characters that a terminal would obey."""
        line = "".join(one if one.isprintable() else "?" for one in " ".join(message.split()))
        super().__init__(line if len(line) <= _MOST else f"{line[: _MOST - 300]} ... {line[-300:]}")
