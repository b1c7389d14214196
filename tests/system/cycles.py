"""Fifty times: create, train, destroy, in one process; prints what it holds after each as JSON."""

import contextlib
import gc
import io
import json
import sys
from pathlib import Path

CYCLES = 50
WARM = 10
"""Cycles after which caches are full, and kernels compiled."""


def growth_mib(series):
    """By how much a series has grown since it was warm: what the last cycles hold more than those just after that."""
    return min(series[-5:]) - max(series[WARM : WARM + 5])


def main(folder, overrides):
    import psutil
    import torch
    from rich.console import Console

    from mapush_stack.training import session
    from mapush_stack.training.progress import ProgressDisplay
    from tests.conftest import small_config

    config = small_config(*overrides)
    cuda = "sim.device=cuda" in overrides
    seen = {"rss_mib": [], "allocated_mib": [], "device_mib": []}
    for _ in range(CYCLES):
        with contextlib.redirect_stdout(io.StringIO()):
            display = ProgressDisplay(Console(quiet=True), config.total_steps)
            done = session.start(config, folder, [], display)
        assert done.exit_code == 0 and done.outcome.steps >= config.total_steps
        del display, done
        gc.collect()
        seen["rss_mib"].append(psutil.Process().memory_info().rss / 2**20)
        if cuda:
            torch.cuda.synchronize()
            free, total = torch.cuda.mem_get_info()
            seen["allocated_mib"].append(torch.cuda.memory_allocated() / 2**20)
            seen["device_mib"].append((total - free) / 2**20)
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    from mapush_stack.system import exit

    exit.run(lambda: main(Path(sys.argv[1]), sys.argv[2:]))
