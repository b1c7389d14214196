"""A scene on an engine: what every MuJoCo simulator of this project is, on a CPU or on a GPU."""

from __future__ import annotations

from typing import Dict, Optional

import torch
from torch import Tensor

from ..device.replay import Replay
from ..task.config import CONTROL_DT
from ..task.state import SimState
from . import scene
from .engine import Engine
from .robots.base import OBJECT_QPOS, OBJECT_QVEL, Team, split_robots
from .rotation import conjugate, quaternion_from_rpy, rotate_by_quaternion, rpy_from_quaternion
from .simulator import Simulator

MAX_SPEED = 100.0
"""A body faster than this (m/s or rad/s) is a simulation gone wrong: commands are below 1 m/s."""


class SceneSimulator(Simulator):
    """Floor, object and team; each environment has its own friction."""

    def __init__(self, engine: Engine, team: Team, num_robots: int, friction: Tensor) -> None:
        """`engine` runs `scene.build`'s model; `friction` `[N]` is each environment's object friction coefficient."""
        self.engine, self.team = engine, team
        self.num_envs, self.num_robots, self.device = engine.num_envs, num_robots, engine.device
        self.control_dt = CONTROL_DT
        self.counting_waits = engine.counting_waits
        self._read_path = Replay(self._read, self.device)
        engine.set_field("geom_friction", scene.friction_arrays(engine.model, friction))

    def reset(self, env_ids: Tensor, start: SimState, mask: Optional[Tensor] = None) -> None:
        """See `Simulator.reset`; forces and solver warm starts begin at zero."""
        if len(env_ids) == 0:
            return
        mask = torch.ones_like(env_ids, dtype=torch.bool) if mask is None else mask
        joints = self.team.start(env_ids, start, mask)
        quaternion = quaternion_from_rpy(start.object_rpy)
        spin = rotate_by_quaternion(conjugate(quaternion), start.object_ang_vel)
        self.engine.write(
            env_ids,
            torch.cat((start.object_pos, quaternion, joints.qpos.flatten(1)), dim=-1),
            torch.cat((start.object_lin_vel, spin, joints.qvel.flatten(1)), dim=-1),
            mask,
        )

    def step(self, commands: Tensor, repeat: int = 1) -> SimState:
        """See `Simulator.step`."""
        path = self.team.drive(self.engine, commands, repeat)
        self.joint_path = path.qpos
        return self._read_path(*path)

    def state(self) -> SimState:
        """See `Simulator.state`."""
        return self._read(*self.engine.read())

    def joint_positions(self) -> Tensor:
        """See `Simulator.joint_positions`."""
        return self.engine.read()[0]

    def _read(self, qpos: Tensor, qvel: Tensor) -> SimState:
        believable = qpos.isfinite().all(-1) & (qvel.abs() < MAX_SPEED).all(-1)
        qpos, qvel = qpos.nan_to_num(0.0, 0.0, 0.0), qvel.nan_to_num(0.0, 0.0, 0.0)
        quaternion = qpos[..., 3:OBJECT_QPOS]
        robots = self.team.bodies(split_robots(self.team, qpos, qvel))
        return SimState(
            robot_pos=robots.pos,
            robot_rpy=robots.rpy,
            robot_lin_vel=robots.lin_vel,
            robot_ang_vel=robots.ang_vel,
            object_pos=qpos[..., :3],
            object_rpy=rpy_from_quaternion(quaternion),
            object_lin_vel=qvel[..., :3],
            object_ang_vel=rotate_by_quaternion(quaternion, qvel[..., 3:OBJECT_QVEL]),
            healthy=believable & ~self.engine.faulty(),
        )

    def state_dict(self) -> Dict[str, Tensor]:
        """What the engine and the team depend on."""
        team = {f"team.{name}": value for name, value in self.team.state_dict().items()}
        return {**self.engine.state_dict(), **team}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        prefix = "team."
        self.team.load_state_dict({name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)})
        self.engine.load_state_dict({name: v for name, v in state.items() if not name.startswith(prefix)})

    def overflows(self) -> Tensor:
        """See `Simulator.overflows`."""
        return self.engine.overflows()

    def close(self) -> None:
        """Release the engine; may be called twice."""
        self.engine.close()
