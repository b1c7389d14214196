"""The one exception that users see."""

from __future__ import annotations


class UserError(Exception):
    """A request that cannot be met; the message is one sentence that says what to do instead.

    The command line prints the message and exits with status 2. The error is raised before anything is written, or
    after all files are complete again.
    """
