"""`python -m mapush_stack` is `mapush`."""

from .cli.main import main
from .system import exit


def run() -> None:
    """The `mapush` command."""
    exit.run(main)


if __name__ == "__main__":
    run()
