"""The GPU that `sim.device` means, and why it may not be usable."""

from __future__ import annotations

import torch


def find(device: str) -> torch.device:
    """The GPU of `auto`, `cuda` or `cuda:N`."""
    index = int(device[5:]) if device.startswith("cuda:") else torch.cuda.current_device()
    return torch.device("cuda", index)


def why_not(device: str) -> str:
    """Why no simulation can run on that GPU; empty if one can."""
    if not torch.cuda.is_available():
        return "torch sees no NVIDIA GPU"
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        return f"there is no {device}, only {torch.cuda.device_count()} GPUs"
    return _why_unusable("cuda" if device == "auto" else device)


def _why_unusable(device: str) -> str:
    """Why torch cannot use a GPU that it sees, such as a missing kernel; empty if it can."""
    try:
        torch.ones(1, device=device).add_(1)
    except RuntimeError as error:
        return f"torch cannot use {torch.cuda.get_device_name(device)}: {str(error).splitlines()[0]}"
    return ""
