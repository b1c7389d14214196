"""Obstacles in the MuJoCo scene: bodies that stand still, with a pose and a size of their own in each environment."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import torch
from torch import Tensor

from ..device.rows import overwrite
from ..task.obstacle_config import ObstacleConfig
from ..task.obstacles import HEIGHT, Layout, largest
from .contacts import OBSTACLE, OBSTACLE_FRICTION, friction
from .engine import Engine

NAME = "obstacle"
"""How the names of their bodies and geoms begin."""
FIELDS = ("mocap_pos", "mocap_quat", "geom_size")
"""What differs between environments. Other bodies that stand still have one place for all in MuJoCo Warp."""


def add_to(spec: Any, around: ObstacleConfig) -> None:
    """Add obstacles `obstacle0`, `obstacle1` ... to a `mujoco.MjSpec`, each as large as it can become.

    The engines look for contacts within bounds that they keep from here.
    """
    import mujoco

    assert around.arena is not None
    shapes = {"box": mujoco.mjtGeom.mjGEOM_BOX, "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER}
    for number, (shape, half) in enumerate(zip(around.slots, largest(around))):
        body = spec.worldbody.add_body(name=f"{NAME}{number}", mocap=True, pos=[100.0 + 40 * number, 0, 0.5 * HEIGHT])
        size = [half[0], 0.5 * HEIGHT, 0.0] if shape == "cylinder" else [*half, 0.5 * HEIGHT]
        rough = friction(OBSTACLE_FRICTION)
        body.add_geom(name=body.name, type=shapes[shape], size=size, friction=rough, **OBSTACLE._asdict())


def fields(layout: Layout) -> Tuple[Tensor, Tensor, Tensor]:
    """The `FIELDS` of obstacles `[..., K]`: positions, turns (quaternions) and sizes."""
    half, zero = 0.5 * layout.yaw, torch.zeros_like(layout.yaw)
    tall = torch.full_like(zero, 0.5 * HEIGHT)
    position = torch.stack((*layout.centre.unbind(-1), tall), dim=-1)
    turn = torch.stack((torch.cos(half), zero, zero, torch.sin(half)), dim=-1)
    first, second = layout.half.unbind(-1)
    box = torch.stack((first, second, tall), dim=-1)
    size = torch.where(layout.round.unsqueeze(-1), torch.stack((first, tall, zero), dim=-1), box)
    return position, turn, size


def columns(model: Any) -> Tuple[slice, slice, slice]:
    """Where the `FIELDS` of a `mujoco.MjModel` have its obstacles, which follow one another; empty without any."""
    geoms = [geom for geom in range(model.ngeom) if model.geom(geom).name.startswith(NAME)]
    bodies = [int(model.body_mocapid[model.geom_bodyid[geom]]) for geom in geoms]
    body, geom = (slice(found[0], found[-1] + 1) if found else slice(0) for found in (bodies, geoms))
    return body, body, geom


class Standing:
    """Where the obstacles of each environment stand; a state that can be saved."""

    def __init__(self, engine: Engine) -> None:
        """The obstacles of the engine's model, which stand nowhere yet."""
        self._engine, self._columns = engine, columns(engine.model)
        count = self._columns[0].stop - (self._columns[0].start or 0)
        zeros = torch.zeros(engine.num_envs, count, device=engine.device)
        self.layout = Layout(torch.stack((zeros, zeros), -1), zeros, torch.stack((zeros, zeros), -1), zeros.bool())

    def place(self, env_ids: Tensor, layout: Layout, mask: Tensor) -> None:
        """Move the obstacles of environments `env_ids` `[n]` to a layout `[n, K]` where `mask` `[n]` is true."""
        for memory, new in zip(self.layout, layout):
            overwrite(memory, env_ids, mask, new)
        for name, where, values in zip(FIELDS, self._columns, fields(layout)):
            self._engine.set_rows(name, env_ids, where, values, mask)

    def state_dict(self) -> Dict[str, Tensor]:
        """Where they stand; nothing without obstacles."""
        return {name: tensor.clone() for name, tensor in self.layout._asdict().items() if tensor.shape[1]}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Put them where `state_dict` said."""
        if state:
            rows = torch.arange(self._engine.num_envs, device=self._engine.device)
            self.place(rows, Layout(**state), torch.ones_like(rows).bool())
