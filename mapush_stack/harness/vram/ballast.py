"""A process that holds so much of a GPU that the rest is as much as a smaller card has.

    python -m mapush_stack.harness.vram.ballast CUDA_INDEX FREE_MIB

prints "held MIB" once it holds its memory, and ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import Iterator, List

from ...errors import UserError
from ...system import processes
from ...system.gpu import Card

_TOLERANCE_MIB = 64.0
"""Between what is asked for and what NVML says is free."""


@contextlib.contextmanager
def ballast(card: Card, free_mib: int) -> Iterator[float]:
    """While the block lasts this much of the card is free; yields the MiB that NVML then says are.

    The memory is given back when this process ends, however it does.

    Raises:
        UserError: less than that is free to begin with, or the rest cannot be held.

    """
    free = card.memory().free
    if free_mib > free + _TOLERANCE_MIB:
        raise UserError(f"--limit-mib {free_mib} is more than the {free:.0f} MiB that are free on {card.name}")
    command = [sys.executable, "-m", __name__, "0", str(free_mib)]
    environment = dict(os.environ, CUDA_VISIBLE_DEVICES=card.uuid)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = processes.start(command, env=environment, **pipes)
    try:
        answer = process.stdout.readline()
        if not answer.startswith(b"held"):
            lines = process.stderr.read().decode(errors="replace").strip().split("\n")
            raise UserError(f"--limit-mib {free_mib}: the rest of {card.name} cannot be held: {lines[-1]}")
        free = card.memory().free
        if abs(free - free_mib) > _TOLERANCE_MIB:
            raise UserError(
                f"--limit-mib {free_mib}: {free:.0f} MiB are free on {card.name} beside the ballast; another program "
                "uses the card: wait for it or leave --limit-mib out"
            )
        yield free
    finally:
        processes.end(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def hold(index: int, free_mib: int) -> List[object]:
    """Take of a GPU until `free_mib` are free; what is returned keeps it taken.

    Raises:
        RuntimeError: CUDA refuses.

    """
    import torch

    device = torch.device("cuda", index)
    held = [torch.zeros(1, device=device)]  # CUDA's own share comes first
    for _ in range(3):  # the driver's tables for the memory take of it too
        excess = torch.cuda.mem_get_info(device)[0] - free_mib * 2**20
        if excess >= 2 * 2**20:
            held.append(torch.empty(excess // 2**21 * 2**21, dtype=torch.uint8, device=device))
    return held


def main() -> None:
    """Hold the memory until standard input ends."""
    held = hold(int(sys.argv[1]), int(sys.argv[2]))
    print("held", sum(tensor.numel() for tensor in held) >> 20, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
