"""Obstacles in the MuJoCo scene: bodies that stand still, with a pose and a size of their own in each environment."""

from __future__ import annotations

from typing import Any, Tuple

import torch
from torch import Tensor

from ..task.obstacle_config import ObstacleConfig
from ..task.obstacles import HEIGHT, Layout, largest
from .contacts import OBSTACLE, OBSTACLE_FRICTION, friction
from .engine import Engine

NAME = "obstacle"
"""How the names of their bodies and geoms begin."""
FIELDS = ("body_pos", "body_quat", "geom_size")
"""Fields of the model that differ between environments."""


def add_to(spec: Any, around: ObstacleConfig) -> None:
    """Add obstacles `obstacle0`, `obstacle1` ... to a `mujoco.MjSpec`, each as large as it can become.

    The engines look for contacts within bounds that they keep from here.
    """
    import mujoco

    assert around.arena is not None
    shapes = {"box": mujoco.mjtGeom.mjGEOM_BOX, "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER}
    for number, (shape, half) in enumerate(zip(around.slots, largest(around))):
        body = spec.worldbody.add_body(name=f"{NAME}{number}", pos=[100.0 + 40 * number, 0, 0.5 * HEIGHT])
        size = [half[0], 0.5 * HEIGHT, 0.0] if shape == "cylinder" else [*half, 0.5 * HEIGHT]
        rough = friction(OBSTACLE_FRICTION)
        body.add_geom(name=body.name, type=shapes[shape], size=size, friction=rough, **OBSTACLE._asdict())


def place(engine: Engine, env_ids: Tensor, layout: Layout, mask: Tensor) -> None:
    """Move the obstacles of environments `env_ids` `[n]` to a layout `[n, K]` where `mask` `[n]` is true."""
    bodies, geoms = numbers(engine.model)
    half, zero = 0.5 * layout.yaw, torch.zeros_like(layout.yaw)
    tall = torch.full_like(zero, 0.5 * HEIGHT)
    position = torch.stack((*layout.centre.unbind(-1), tall), dim=-1)
    turn = torch.stack((torch.cos(half), zero, zero, torch.sin(half)), dim=-1)
    first, second = layout.half.unbind(-1)
    box = torch.stack((first, second, tall), dim=-1)
    size = torch.where(layout.round.unsqueeze(-1), torch.stack((first, tall, zero), dim=-1), box)
    for name, columns, values in zip(FIELDS, (bodies, bodies, geoms), (position, turn, size)):
        engine.set_rows(name, env_ids, columns, values, mask)


def numbers(model: Any) -> Tuple[slice, slice]:
    """The obstacles' bodies and geoms in a `mujoco.MjModel`: each follow one another."""
    bodies = [body for body in range(model.nbody) if model.body(body).name.startswith(NAME)]
    geoms = [geom for geom in range(model.ngeom) if model.geom(geom).name.startswith(NAME)]
    return slice(bodies[0], bodies[-1] + 1), slice(geoms[0], geoms[-1] + 1)
