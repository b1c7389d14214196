"""A process that holds part of a GPU's memory, so that the rest is that of a smaller card.

    python -m mapush_stack.harness.vram.ballast CUDA_INDEX FREE_MIB

prints "held MIB" once it holds its memory, and ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Iterator, List

from ...errors import UserError
from ...system.gpu import Card
from ...system.supervisor import ChildProcess

if TYPE_CHECKING:
    import torch

_TOLERANCE_MIB = 64.0
"""Allowed difference between the free memory asked for and what NVML reports."""


@contextlib.contextmanager
def ballast(card: Card, free_mib: int) -> Iterator[float]:
    """Within the block, so much of the card is free; yields the free MiB that NVML reports.

    The memory is freed when this process ends, however that happens.

    Raises:
        UserError: less than that is free, or the rest cannot be held.

    """
    free = card.memory().free
    if free_mib > free + _TOLERANCE_MIB:
        raise UserError(f"--limit-mib {free_mib} is more than the {free:.0f} MiB that are free on {card.name}")
    command = [sys.executable, "-m", __name__, "0", str(free_mib)]
    environment = dict(os.environ, CUDA_VISIBLE_DEVICES=card.uuid)
    with tempfile.TemporaryFile() as errors, ChildProcess(
        command, subprocess.PIPE, errors, stdin=subprocess.PIPE, environment=environment
    ) as child:
        answer = child.process.stdout.readline() if child.process.stdout else b""
        if not answer.startswith(b"held"):
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().split("\n")
            raise UserError(f"--limit-mib {free_mib}: the rest of {card.name} cannot be held: {lines[-1]}")
        free = card.memory().free
        if abs(free - free_mib) > _TOLERANCE_MIB:
            raise UserError(
                f"--limit-mib {free_mib}: {free:.0f} MiB are free on {card.name} beside the ballast; another program "
                "uses the card: wait for it or leave --limit-mib out"
            )
        yield free


def hold(index: int, free_mib: int) -> List[torch.Tensor]:
    """Allocate memory of a GPU until `free_mib` are free; returns the tensors that hold it.

    Raises:
        RuntimeError: CUDA refuses.

    """
    import torch

    device = torch.device("cuda", index)
    held = [torch.zeros(1, device=device)]  # loads CUDA, which takes memory too
    for _ in range(3):  # the driver's tables for the memory take memory too
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
