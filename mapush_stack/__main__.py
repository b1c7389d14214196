"""`python -m mapush_stack` is `mapush`."""

import sys

from .cli.main import main


def run() -> None:
    """The `mapush` command."""
    sys.exit(main())


if __name__ == "__main__":
    run()
