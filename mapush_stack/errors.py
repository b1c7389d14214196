"""The one exception that users see."""

from __future__ import annotations


class UserError(Exception):
    """Something the user asked for cannot be done; the message is one sentence that says what to do instead.

    The command line prints the message and exits with status 2. Raised before anything is written, or after
    what was written has been made whole again.
    """
