"""The walking networks as files: this project's, and the two TorchScript files that MAPush reads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Dict, List

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ...errors import UserError, of_safetensors, refuse
from ...system.atomic import errors_name, scratch_directory
from ...system.tensor_file import check_state, read_tensors
from .networks import FRAME, FRAMES, LATENT, Walker

SHIPPED = Path(__file__).parent / "walker.safetensors"
"""The networks that come with the project; `walker.json` beside them is the record of their training."""
NAMES = {"adaptation": "adaptation_module_latest.jit", "body": "body_latest.jit"}
"""MAPush's names of the two files, in mqe/utils/locomotion_checkpoints/walk_these_ways."""
_FORMAT = "mapush gym walker 1"


def save(walker: Walker, path: Path) -> None:
    """Write the networks to a .safetensors file.

    Raises:
        OSError: it cannot be written.

    """
    tensors: Dict[str, Tensor] = {name: value.detach().contiguous() for name, value in walker.state_dict().items()}
    try:
        with errors_name(path), scratch_directory(path.parent) as scratch:
            save_file(tensors, str(scratch / path.name), metadata={"format": _FORMAT})
            (scratch / path.name).chmod(0o644)
            (scratch / path.name).replace(path)
    except SafetensorError as error:
        raise of_safetensors(error, path) from None


def load(path: Path = SHIPPED) -> Walker:
    """The networks in a .safetensors file.

    Raises:
        UserError: the file is missing, damaged, or holds something else.

    """
    tensors, header = read_tensors(path)
    walker = Walker()
    try:
        if header.get("format") != _FORMAT:
            raise RuntimeError(f"its format is {header.get('format')!r}, not {_FORMAT!r}")
        check_state("", walker.state_dict(), tensors)
    except RuntimeError as error:
        raise UserError(f"{path} holds no walking networks of this version: {error}; restore a copy of it") from None
    walker.load_state_dict(tensors)
    return walker


def traced(walker: Walker, part: str) -> Any:
    """One of the two networks as TorchScript, for any device and number of robots."""
    network = getattr(walker, part)
    example = torch.zeros(2, FRAMES * FRAME + (LATENT if part == "body" else 0))
    network(example)  # constants that are made in the first call would be bound to this device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have another format, which MAPush does not read
        return torch.jit.trace(network, example)  # type: ignore[no-untyped-call]


def write(folder: Path, walker: Walker) -> List[Path]:
    """Write the two TorchScript files into a folder; returns their paths.

    Raises:
        UserError: a file of that name is there, or the folder cannot be written.

    """
    paths = {part: folder / name for part, name in NAMES.items()}
    for path in paths.values():
        if path.exists() or path.is_symlink():
            raise UserError(
                f"{path} is not overwritten, for it may be upstream's own: move it away to have this project's"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch_directory(folder) as scratch:
            for part, path in paths.items():
                torch.jit.save(traced(walker, part), str(scratch / path.name))
            for path in paths.values():
                (scratch / path.name).rename(path)
    except OSError as error:
        refuse(error, f"{folder} cannot be written")
    return list(paths.values())
