"""Checkpoints: safetensors and JSON in a folder that appears whole or not at all. Never pickle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..errors import FaultError, UserError, of_safetensors
from ..system.atomic import new_directory, write_json
from ..system.tensor_file import read_tensors
from .episode_window import PROGRESS

_NAME = re.compile(r"rl_model_(\d{1,15})_steps")
_MODEL, _TRAINING, _PROGRESS = "model.safetensors", "training.safetensors", "progress.json"
GENERATOR, ENV = "generator.", "env."
"""How the names of random generators and of the environments' state begin; the rest of it is learned."""


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    steps: int
    """Environment steps (0.02 s) of the run so far."""
    model: Dict[str, Tensor]
    """Weights and value normaliser."""
    training: Dict[str, Tensor]
    """Optimisers, random generators, the state of every environment."""
    progress: Dict[str, Any]
    """Counters and recent statistics, plain JSON; nothing that differs between equal runs, such as a time."""


def save(folder: Path, checkpoint: Checkpoint, add: Optional[Callable[[Path], Any]] = None) -> Path:
    """Write a checkpoint to `folder/rl_model_<steps>_steps`, unless it is there already; returns its path.

    `add` is given the unfinished folder, to put files of its own beside the others.

    Raises:
        FaultError: a weight, or a number of an optimiser, is not finite.
        OSError: it cannot be written; nothing of it is left.

    """
    path = folder / f"rl_model_{checkpoint.steps}_steps"
    if path.exists():
        return path
    model, training = on_host(checkpoint.model), on_host(checkpoint.training)
    learned = {name: tensor for name, tensor in training.items() if not name.startswith((GENERATOR, ENV))}
    wrong = not_finite({**model, **learned})
    if wrong:
        raise FaultError(f"the weights in {wrong} are not finite at {checkpoint.steps:,} steps, and are not saved")
    folder.mkdir(exist_ok=True)  # but not a deleted run's folder
    with new_directory(path) as temporary:
        save_tensors(model, temporary / _MODEL)
        save_tensors(training, temporary / _TRAINING)
        write_json(temporary / _PROGRESS, {"schema": PROGRESS.schema, "steps": checkpoint.steps, **checkpoint.progress})
        if add is not None:
            add(temporary)
    return path


def load(path: Path) -> Checkpoint:
    """Read a whole checkpoint.

    Raises:
        UserError: it is missing or damaged.

    """
    try:
        counters = progress(path)
        if counters["recent"] is None:
            raise UserError(f"{path / _PROGRESS} is damaged: it has no field recent")
        if path.name != f"rl_model_{counters['steps']}_steps":
            raise UserError(f"{path / _PROGRESS} is damaged: it says steps={counters['steps']}")
        return Checkpoint(counters.pop("steps"), load_model(path), load_tensors(path / _TRAINING), counters)
    except UserError as error:
        raise UserError(f"{error}; to go on from the checkpoint before it, move {path} away") from None


def load_model(path: Path) -> Dict[str, Tensor]:
    """Read only the weights: of a checkpoint, or of a .safetensors file that holds what a checkpoint's does.

    Raises:
        UserError: they are missing or damaged.

    """
    return load_tensors(path if path.is_file() else model_file(path))


def not_finite(tensors: Dict[str, Tensor]) -> str:
    """The name of the first tensor on the host with a number that is NaN or infinite; empty if there is none."""
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), "")


def refuse_not_finite(model: Dict[str, Tensor], source: Path) -> None:
    """Raise `UserError` if weights from `source`, whose shapes have been checked, are not finite."""
    wrong = not_finite(model)
    if wrong:
        raise UserError(f"{source} cannot be used: {wrong} holds numbers that are not finite; take an earlier one")


def model_file(path: Path) -> Path:
    """The file of a checkpoint's weights."""
    return path / _MODEL


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is a checkpoint, by what it holds."""
    # A run's folder has another file called progress.json.
    return (path / _PROGRESS).is_file() and any((path / name).is_file() for name in (_MODEL, _TRAINING))


def all_in(folder: Path) -> List[Tuple[int, Path]]:
    """Every checkpoint in a folder as (steps, path), oldest first."""
    found = []
    for path in folder.glob("rl_model_*_steps") if folder.is_dir() else []:
        match = _NAME.fullmatch(path.name)
        if match and path.is_dir():
            found.append((int(match.group(1)), path))
    return sorted(found)


def on_host(tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Copies of tensors on the host, each with memory of its own."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def save_tensors(tensors: Dict[str, Tensor], path: Path) -> None:
    """Write tensors on the host to a .safetensors file.

    Raises:
        OSError: the file cannot be written.

    """
    try:
        save_file(tensors, str(path))
        path.chmod(0o644)  # of some versions only the owner could read it
    except SafetensorError as error:
        raise of_safetensors(error, path) from None


def load_tensors(path: Path) -> Dict[str, Tensor]:
    """Read a .safetensors file.

    Raises:
        UserError: it is missing or damaged.

    """
    return read_tensors(path)[0]


def progress(path: Path) -> Dict[str, Any]:
    """A checkpoint's counters and statistics of the last updates.

    Raises:
        UserError: they are missing or damaged, or a newer version wrote them.

    """
    file = path / _PROGRESS
    if not file.exists():
        raise UserError(f"{path} is not a checkpoint: it has no {_PROGRESS}")
    return PROGRESS.read(file).model_dump()


def does_not_fit(source: Path, error: Exception) -> UserError:
    """What to raise where the weights of `source` belong to other networks; `error` says why."""
    missing = f"{error.args[0]} is missing" if isinstance(error, KeyError) and error.args else ""
    return UserError(
        f"the weights in {source} do not fit the configuration's networks: {missing or error}; they need the robots, "
        "the goal, the observation and the sizes of networks of their training"
    )
