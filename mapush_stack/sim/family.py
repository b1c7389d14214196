"""Objects that are drawn at random: every environment pushes one of its own."""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor

from ..task.outline import convex_hull
from ..task.random import STREAM_OBJECT, uniform
from .config import FamilyConfig, PartConfig

_CORNERS = 12
"""Corners of the polygon that stands for a cylinder."""
_SIDES = (0.35, 1.0)
"""Sides of a box, before all boxes of an object are scaled to its size."""
_THINNEST = 0.3
"""No side is shorter than this, m: thin boxes fall over."""
_TINY = 0.01
"""Half lengths of a part that an object does not have: it is in the middle of the object, where nothing touches it."""


class Shapes(NamedTuple):
    """The objects of N environments.

    Each has P parts: boxes, and a cylinder as the last one. The frame is at the centre of mass, along the principal
    axes.
    """

    half: Tensor
    """`[N, P, 3]` MuJoCo's sizes: half lengths of boxes; radius, half height and 0 of a cylinder; m."""
    place: Tensor
    """`[N, P, 2]` centres of the parts, m."""
    yaw: Tensor
    """`[N, P]` rad."""
    weight: Tensor
    """`[N, P]` kg; 0 for a part that the object does not have."""
    inertia: Tensor
    """`[N, 3]` of the whole object, kg m^2."""
    outline: Tensor
    """`[N, V, 2]` convex outline, counter-clockwise; the first vertex is repeated at the end; m."""

    def parts(self, index: int, all_parts: bool = False) -> List[PartConfig]:
        """The object of environment `index`, with `all_parts` with those that it does not have."""
        found = []
        for part in range(self.half.shape[1]):
            mass, half, yaw = float(self.weight[index, part]), self.half[index, part], float(self.yaw[index, part])
            if mass == 0.0 and not all_parts:
                continue
            last = part == self.half.shape[1] - 1
            (x, y), (a, b, c) = self.place[index, part].tolist(), half.tolist()
            height = 2 * (b if last else c)
            found.append(
                PartConfig(
                    shape="cylinder" if last else "box",
                    size=(a, height) if last else (2 * a, 2 * b, height),
                    position=(x, y, 0.0),
                    yaw=math.degrees(yaw),
                    mass=mass or 1e-6,
                )
            )
        return found

    def fields(self, model: Any) -> Dict[str, Tensor]:
        """Fields of a `mujoco.MjModel` for each environment, `[N, ...]`: what the objects' geoms and masses are."""
        count, parts = self.yaw.shape
        body, first = model.body("object").id, model.geom("object0").id
        own, level = slice(first, first + parts), torch.zeros_like(self.yaw)
        turn = torch.stack((torch.cos(self.yaw / 2), level, level, torch.sin(self.yaw / 2)), dim=-1)
        upright = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4)
        written = {
            "geom_size": (own, self.half),
            "geom_pos": (own, torch.nn.functional.pad(self.place, (0, 1))),
            "geom_quat": (own, turn),
            "body_mass": (body, self.weight.sum(-1)),
            "body_ipos": (body, torch.zeros(count, 3)),
            "body_iquat": (body, upright),
            "body_inertia": (body, self.inertia),
        }
        values = {name: torch.from_numpy(getattr(model, name)).repeat(count, 1, 1) for name in written}
        for name, (where, value) in written.items():
            values[name] = values[name].view(count, *getattr(model, name).shape)
            values[name][:, where] = value.to(values[name])
        return values


FIELDS = ("geom_size", "geom_pos", "geom_quat", "body_mass", "body_ipos", "body_iquat", "body_inertia")
"""Names of what `Shapes.fields` gives."""


def draw_shapes(family: FamilyConfig, seed: int, env_ids: Tensor) -> Shapes:
    """The objects of environments `env_ids` `[N]`, which depend on seed and environment alone; on the CPU."""
    boxes = family.boxes[1]
    draws = uniform(seed, STREAM_OBJECT, env_ids, torch.zeros_like(env_ids), 4 + 5 * boxes).double()
    shared, each = draws[:, :4], draws[:, 4:].view(-1, boxes, 5)
    size = family.size[0] + (family.size[1] - family.size[0]) * shared[:, :1]
    mass = family.mass[0] * (family.mass[1] / family.mass[0]) ** shared[:, 1:2]
    count = family.boxes[0] + torch.floor((boxes - family.boxes[0] + 1) * shared[:, 2:3])
    round_one = shared[:, 3:] < family.cylinders
    there = (torch.arange(boxes) < count) & ~round_one

    sides = _SIDES[0] + (_SIDES[1] - _SIDES[0]) * each[..., :2]
    place = (each[..., 2:4] - 0.5) * sides[:, :1]  # centres within the first box, which is at the origin
    place[:, 0] = 0.0
    yaw = math.pi * each[..., 4]
    yaw[:, 0] = 0.0
    corners = _corners(sides / 2, place, yaw, there)
    scale = (size / torch.cdist(corners, corners).amax((-2, -1)).clamp_min(1e-9).unsqueeze(-1)).unsqueeze(-1)
    sides, place = (scale * sides).clamp_min(_THINNEST), scale * place

    area = (sides.prod(-1) * there).clamp_min(0.0)
    weight = torch.cat((area / area.sum(-1, keepdim=True).clamp_min(1e-9), round_one.double()), dim=-1) * mass
    place = torch.cat((place, torch.zeros_like(place[:, :1])), dim=1)
    yaw = torch.cat((yaw, torch.zeros_like(yaw[:, :1])), dim=1)
    centre = (weight.unsqueeze(-1) * place).sum(1, keepdim=True) / mass.unsqueeze(-1)
    place = place - centre
    spread = torch.cat((sides**2 / 12, (size**2 / 16).unsqueeze(1).expand(-1, 1, 2)), dim=1)
    moments, turn = _principal(weight, place, yaw, spread)
    place, yaw = _turned(place, -turn), yaw - turn

    tall = family.height / 2
    half = torch.cat((sides / 2, torch.full_like(sides[..., :1], tall)), dim=-1)
    drum = torch.cat((size / 2, torch.full_like(size, tall), torch.zeros_like(size)), dim=-1).unsqueeze(1)
    half, missing = torch.cat((half, drum), dim=1), weight == 0
    half = torch.where(missing.unsqueeze(-1), torch.full_like(half, _TINY), half)
    place = torch.where(missing.unsqueeze(-1), torch.zeros_like(place), place)
    yaw = torch.where(missing, torch.zeros_like(yaw), yaw)
    angle = 2 * math.pi * torch.arange(_CORNERS) / _CORNERS
    rim = size.unsqueeze(-1) / 2 * torch.stack((angle.cos(), angle.sin()), dim=-1)
    outline = convex_hull(_corners(half[:, :-1, :2], place[:, :-1], yaw[:, :-1], there))
    outline = torch.nn.functional.pad(outline, (0, 0, 0, max(0, _CORNERS - outline.shape[1])))
    room = outline.shape[1]
    rim = torch.cat((rim, rim[:, :1].expand(-1, max(0, room - _CORNERS), 2)), dim=1)
    extra = torch.arange(room) >= 4 * boxes
    outline = torch.where(extra.unsqueeze(-1), outline[:, :1], outline)
    outline = torch.where(round_one.unsqueeze(-1), rim, outline)
    around, across = mass * moments[:, 0:1], mass * moments[:, 1:2]
    upright = mass * family.height**2 / 12
    inertia = torch.cat((across + upright, around + upright, around + across), dim=-1)
    return Shapes(*(part.float() for part in (half, place, yaw, weight, inertia, outline)))


def _corners(half: Tensor, place: Tensor, yaw: Tensor, there: Tensor) -> Tensor:
    """`[N, 4 B, 2]` corners of boxes; those of boxes that are not `there` are the first one's."""
    signs = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]]).to(half)
    corners = place.unsqueeze(-2) + _turned(half.unsqueeze(-2) * signs, yaw.unsqueeze(-1))
    return torch.where(there[..., None, None], corners, corners[:, :1, :1]).flatten(1, 2)


def _principal(weight: Tensor, place: Tensor, yaw: Tensor, spread: Tensor) -> Tuple[Tensor, Tensor]:
    """Mean squares of x and y `[N, 2]` in the principal axes, m^2, and the angle of these axes `[N, 1]`.

    Args:
        weight: `[N, P]` of the parts.
        place: `[N, P, 2]` their centres, about that of all, m.
        yaw: `[N, P]` rad.
        spread: `[N, P, 2]` mean squares of x and y of each part along its own axes, m^2.

    """
    share = weight / weight.sum(-1, keepdim=True)
    mean, half = spread.sum(-1) / 2, (spread[..., 0] - spread[..., 1]) / 2
    x, y = place.unbind(-1)
    square_x = (share * (x**2 + mean + half * torch.cos(2 * yaw))).sum(-1, keepdim=True)
    square_y = (share * (y**2 + mean - half * torch.cos(2 * yaw))).sum(-1, keepdim=True)
    product = (share * (x * y + half * torch.sin(2 * yaw))).sum(-1, keepdim=True)
    turn = torch.atan2(2 * product, square_x - square_y) / 2
    middle, radius = (square_x + square_y) / 2, torch.hypot((square_x - square_y) / 2, product)
    return torch.cat((middle + radius, middle - radius), dim=-1), turn


def _turned(vector: Tensor, angle: Tensor) -> Tensor:
    cos, sin, (x, y) = torch.cos(angle), torch.sin(angle), vector.unbind(-1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=-1)
