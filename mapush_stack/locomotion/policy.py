"""The walking policy as a file: weights in safetensors, and what they are in its header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Tuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import UserError, of_safetensors
from ..system.limits import parse_json, shown
from ..system.tensor_file import check_state, read_tensors
from . import gait
from .gait import MOST_FRAMES, NUM_JOINTS, SIGHTED, View

_FORMAT, _FIRST_FORMAT = "mapush walking policy 2", "mapush walking policy 1"
"""The first did not say what the policy sees: it was `SIGHTED`."""
_WIDEST = 1024
"""Of a hidden layer."""


class WalkingPolicy(nn.Module):
    """A multilayer perceptron with ELU from `gait.observe`'s numbers to joint offsets."""

    def __init__(self, hidden: List[int], view: View = SIGHTED) -> None:
        """Layers of the given widths, untrained."""
        super().__init__()
        widths = [view.size, *hidden]
        layers: List[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ELU()]
        self.net = nn.Sequential(*layers, nn.Linear(widths[-1], NUM_JOINTS))
        self.hidden, self.view = list(hidden), view

    @torch.no_grad()
    def forward(self, observation: Tensor) -> Tensor:
        """Actions `[..., 12]` for observations `[..., view.size]`."""
        action: Tensor = self.net(observation)
        return action

    def at_rest(self, leading: Tuple[int, ...], device: torch.device) -> gait.Gait:
        """See `gait.at_rest`."""
        return gait.at_rest(leading, device, self.view)

    def observe(self, body: gait.Proprioception, command: Tensor, now: gait.Gait) -> Tensor:
        """See `gait.observe`."""
        return gait.observe(body, command, now, self.view)

    def advance(self, now: gait.Gait, action: Tensor, command: Tensor, observation: Tensor) -> gait.Gait:
        """See `gait.advance`."""
        return gait.advance(now, action, command, observation)

    def targets(self, action: Tensor) -> Tensor:
        """See `gait.joint_targets`."""
        return gait.joint_targets(action)


def save(policy: WalkingPolicy, path: Path) -> None:
    """Write a policy to a .safetensors file.

    Raises:
        OSError: it cannot be written.

    """
    header = {"format": _FORMAT, "hidden": json.dumps(policy.hidden), "view": json.dumps(policy.view._asdict())}
    tensors: Dict[str, Tensor] = {name: value.cpu().contiguous() for name, value in policy.net.state_dict().items()}
    try:
        save_file(tensors, str(path), metadata=header)
    except SafetensorError as error:
        raise of_safetensors(error, path) from None


def shipped(robot: str, name: str = "shipped") -> Path:
    """A policy of a kind of robot that comes with the project; the .json beside it is the record of its training."""
    return Path(__file__).parent / f"{robot}{'' if name == 'shipped' else f'_{name}'}_walk.safetensors"


def find(name: str, robot: str = "go1", walker: str = "go1") -> Path:
    """The .safetensors file that `load` reads.

    Raises:
        UserError: it is missing.

    """
    named = shipped(walker, name)
    path = named if name.isidentifier() and named.exists() else Path(name)
    if not path.exists():
        raise UserError(
            f"sim.{robot}.walking_policy={name} is not allowed: there is no such file; give shipped, blind, none or "
            "the path of a .safetensors file"
        )
    return path


def load(name: str, robot: str = "go1", walker: str = "go1") -> WalkingPolicy:
    """The policy in a .safetensors file, or of kind `walker` by name; one that does nothing for `none`.

    `robot` is the kind that is to walk by it, for messages.

    Raises:
        UserError: the file is missing, damaged, or holds something else.

    """
    if name == "none":
        return _standing()
    path = find(name, robot, walker)
    tensors, header = read_tensors(path)
    if header.get("format") not in (_FORMAT, _FIRST_FORMAT):
        raise UserError(f"{path} is not a walking policy of this project; `mapush walk train` makes one")
    try:
        hidden = parse_json(header.get("hidden", ""))
        if not isinstance(hidden, list) or not all(type(width) is int and 0 < width <= _WIDEST for width in hidden):
            raise ValueError(f"hidden={shown(hidden)} in its header is not a list of widths up to {_WIDEST}")
        if len(tensors) != 2 * len(hidden) + 2:
            raise ValueError(f"its header names {len(hidden)} hidden layers, and it holds {len(tensors)} tensors")
        policy = WalkingPolicy(hidden, _view(header))
        check_state("", policy.net.state_dict(), tensors)
        if not all(value.isfinite().all() for value in tensors.values()):
            raise ValueError("it holds numbers that are not finite")
    except (ValueError, RuntimeError, KeyError) as error:
        raise UserError(f"{path} cannot be read as a walking policy: {error}; restore a copy of it") from None
    policy.net.load_state_dict(tensors)
    return policy


def _view(header: Dict[str, str]) -> View:
    """What the policy with this header sees."""
    if header["format"] == _FIRST_FORMAT:
        return SIGHTED
    told = parse_json(header.get("view", ""))
    if not isinstance(told, dict) or set(told) != set(View._fields):
        raise ValueError(f"view={shown(told)} in its header does not say {' and '.join(View._fields)}")
    view = View(**told)
    if type(view.frames) is not int or not 0 < view.frames <= MOST_FRAMES or type(view.linear_velocity) is not bool:
        raise ValueError(f"view={shown(told)} in its header is not a number of frames up to {MOST_FRAMES} and a bool")
    return view


def _standing() -> WalkingPolicy:
    """A policy whose actions are 0, the stance."""
    policy = WalkingPolicy([])
    for value in policy.parameters():
        nn.init.zeros_(value)
    return policy
