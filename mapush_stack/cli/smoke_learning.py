"""The learning steps of `mapush smoke` in one process: `python -m mapush_stack.cli.smoke_learning FOLDER OPTIONS`."""

from __future__ import annotations

import sys
from pathlib import Path

from ..harness.smoke import series, steps
from ..system import exit
from .main import main


def run() -> None:
    """Run them; `series.follow` reads what this prints."""
    folder, *options = sys.argv[1:]
    series.report(Path(folder), lambda runner, mapush: steps.learn(runner, options, mapush), main)


if __name__ == "__main__":
    exit.run(run)
