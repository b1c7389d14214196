"""The same policies on both simulators: `python benchmarks/parity.py [--episodes 1000] [POLICY ...]`.

Evaluates every team that comes with the project, and the POLICY files given (published actors as .npz), under the
published protocol, with MuJoCo on the CPU and MuJoCo Warp on the GPU: the same first episodes, deterministic actions.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mapush_stack.cli.evaluate import evaluate_paths
from mapush_stack.evaluation import pretrained

BACKENDS = {"mujoco": ["sim.backend=mujoco"], "warp": ["sim.backend=warp", "sim.device=cuda"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1_000_003)
    parser.add_argument("policies", nargs="*", type=Path)
    arguments = parser.parse_args()
    cases = [(path, robot) for path in arguments.policies for robot in ("planar", "go1")]
    cases += [
        (pretrained.path(name), name.rsplit("-", 1)[1]) for name in pretrained.names() if "generalist" not in name
    ]
    table = Table(title=f"{arguments.episodes} first episodes, seed {arguments.seed}")
    for heading in ("policy", "robots", "success, mujoco", "success, warp", "difference", "finish time"):
        table.add_column(heading, justify="left" if heading in ("policy", "robots") else "right")
    largest = 0.0
    for path, robot in cases:
        rows = {}
        for name, changes in BACKENDS.items():
            changes = [*changes, f"sim.robot={robot}", "training.torch_threads=4"]
            found = evaluate_paths(Console(quiet=True), [path], "", changes, arguments.episodes, arguments.seed, False)
            rows[name] = found[-1]
        rates = [row["success_rate"] for row in rows.values()]
        times = " / ".join(f"{row['finished_time']:.2f}" for row in rows.values())
        largest = max(largest, abs(rates[0] - rates[1]))
        row = [path.name, robot, *(f"{rate:.3f}" for rate in rates), f"{rates[1] - rates[0]:+.3f}", f"{times} s"]
        print(*row, sep=" | ", file=sys.stderr, flush=True)
        table.add_row(*row)
    Console(width=140).print(table)
    print(f"largest difference: {largest:.3f}")


if __name__ == "__main__":
    main()
