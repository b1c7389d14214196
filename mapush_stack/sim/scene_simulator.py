"""The MuJoCo scene as a simulator, on any engine: on a CPU or on a GPU."""

from __future__ import annotations

from typing import Callable, Dict, Optional, Sequence, Tuple, Type

import torch
from torch import Tensor

from ..device.replay import Replay
from ..device.state import flatten, unflatten
from ..task.obstacle_config import ObstacleConfig
from ..task.obstacles import Layout
from ..task.state import SimState
from . import family, obstacles, scene, work
from .config import ObjectBody, SimConfig
from .engine import Engine
from .family import Shapes
from .rotation import conjugate, quaternion_from_rpy, rotate_by_quaternion, rpy_from_quaternion
from .simulator import SimulationRequest, Simulator, SimulatorKind
from .team import OBJECT_QPOS, OBJECT_QVEL, Team

MAX_SPEED = 100.0
"""If a body is faster than this (m/s or rad/s) the simulation has failed: commands are below 1 m/s."""


class SceneSimulator(Simulator):
    """Floor, object and team; each environment has its own friction.

    A copy, by `copy.deepcopy` or pickle, is made from the request anew and goes on where the original was.
    """

    made_by: Callable[[SimulationRequest], Simulator]
    """The method of its kind that made it."""
    request: SimulationRequest
    """What it was made from."""

    def __init__(self, engine: Engine, team: Team, friction: Tensor, shapes: Optional[Shapes] = None) -> None:
        """Simulate `scene.build`'s model on `engine`.

        `friction` `[N]` is the friction coefficient of each environment's object, and `shapes` are the objects
        themselves, if they differ.
        """
        self.engine, self.team = engine, team
        self.num_envs, self.robots, self.device = engine.num_envs, team.tasks, engine.device
        self.masked_reset, self.measures_work = engine.masked_reset, bool(work.sensors(engine.model))
        self._read_path = Replay(self._read, self.device)
        self._obstacles = obstacles.Standing(engine)
        engine.set_field("geom_friction", scene.friction_arrays(engine.model, friction, team.own_friction()))
        if shapes is not None:
            self.outlines = shapes.outline.to(self.device)
            for name, values in shapes.fields(engine.model).items():
                engine.set_field(name, values)

    def reset(self, env_ids: Tensor, start: SimState, mask: Optional[Tensor] = None) -> None:
        """See `Simulator.reset`; forces and solver warm starts begin at zero."""
        if len(env_ids) == 0:
            return
        mask = torch.ones_like(env_ids, dtype=torch.bool) if mask is None else mask
        qpos, qvel = self.team.start(env_ids, start, mask)
        quaternion = quaternion_from_rpy(start.object_rpy)
        spin = rotate_by_quaternion(conjugate(quaternion), start.object_ang_vel)
        self.engine.write(
            env_ids,
            torch.cat((start.object_pos, quaternion, qpos), dim=-1),
            torch.cat((start.object_lin_vel, spin, qvel), dim=-1),
            mask,
        )

    def place_obstacles(self, env_ids: Tensor, layout: Layout, mask: Tensor) -> None:
        """See `Simulator.place_obstacles`."""
        self._obstacles.place(env_ids, layout, mask)

    def step(self, commands: Tensor, repeat: int = 1) -> SimState:
        """See `Simulator.step`."""
        path = self.team.drive(self.engine, commands, repeat)
        self.joint_path, self.work_path = path.qpos, path.work
        states: SimState = self._read_path(path.qpos, path.qvel)
        return states

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
        robots, senses = self.team.bodies(qpos, qvel)
        return SimState(
            robot_pos=robots.pos,
            robot_rpy=robots.rpy,
            robot_lin_vel=robots.lin_vel,
            robot_ang_vel=robots.ang_vel,
            object_pos=qpos[..., :3],
            object_rpy=rpy_from_quaternion(quaternion),
            object_lin_vel=qvel[..., :3],
            object_ang_vel=rotate_by_quaternion(quaternion, qvel[..., 3:OBJECT_QVEL]),
            senses=senses,
            healthy=believable & ~self.engine.faulty(),
        )

    def state_dict(self) -> Dict[str, Tensor]:
        """What the engine and the team depend on."""
        return {**self.engine.state_dict(), **flatten({"team": self.team, "obstacles": self._obstacles})}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        unflatten({"team": self.team, "obstacles": self._obstacles}, state)
        self.engine.load_state_dict(state)

    def __reduce__(self) -> Tuple[Callable[..., Simulator], Tuple[SimulationRequest], Dict[str, Tensor]]:
        return self.made_by, (self.request,), self.state_dict()

    def __setstate__(self, state: Dict[str, Tensor]) -> None:
        self.load_state_dict(state)

    def overflows(self) -> Tensor:
        """See `Simulator.overflows`."""
        return self.engine.overflows()

    def close(self) -> None:
        """Release the engine; may be called twice."""
        self.engine.close()


class SceneKind(SimulatorKind):
    """A simulator of the MuJoCo scene; a subclass says which engine it has."""

    engine: Type[Engine]

    def engine_for(
        self,
        sim: SimConfig,
        body: ObjectBody,
        team: Team,
        device: torch.device,
        fields: Tuple[str, ...],
        measure_work: bool = False,
        around: Optional[ObstacleConfig] = None,
    ) -> Engine:
        """The engine for the scene of an object and a team; arguments and errors as for `Engine`."""
        spec = scene.build(body, team, sim.solver_iterations, measure_work, around, sim.cone)
        # Four contacts under each part of the object, and two of a robot with each further part. A scene that needs
        # more is unhealthy.
        parts = len(body.parts)
        contacts = 4 * parts + team.contacts + (2 * (parts - 1) * len(team) if "geom_size" in fields else 0)
        if around is not None:  # eight of two obstacles, or of one with each part, and four of one with each robot
            contacts += 8 * max(2, parts) + 4 * len(team)
            fields = tuple(dict.fromkeys((*fields, "geom_size")))
        engine = self.engine_type(sim, team.kinds, body, around)
        return engine(spec, sim.num_envs, device, contacts, fields, sim.threads)

    def engine_type(
        self, sim: SimConfig, team: Sequence[str], body: ObjectBody, around: Optional[ObstacleConfig] = None
    ) -> Type[Engine]:
        """The engine that steps a team of these kinds and an object, among obstacles."""
        return self.engine

    def make(self, request: SimulationRequest) -> SceneSimulator:
        """See `SimulatorKind.make`."""
        sim, device = request.sim, request.device
        team = Team(sim, request.team, request.seed, device, request.first_env)
        body, shapes = request.body, request.shapes
        if shapes is not None:
            body = body.model_copy(update={"parts": shapes.parts(0, all_parts=True)})
        fields = ("geom_friction", *(family.FIELDS if shapes is not None else ()))
        engine = self.engine_for(sim, body, team, device, fields, request.measure_work, request.around)
        simulator = SceneSimulator(engine, team, request.friction, shapes)
        simulator.made_by, simulator.request = self.make, request
        return simulator
