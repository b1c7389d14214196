"""The robots of an environment: a list of kinds, batched by kind."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..device.replay import Replay
from ..device.state import flatten, unflatten
from ..task.state import SimState
from .config import SimConfig
from .engine import Engine, Path
from .robots import ROBOTS
from .robots.base import Bodies, Joints, Placement, RobotKind

OBJECT_QPOS, OBJECT_QVEL = 7, 6
"""The object comes first in a scene's joint positions and velocities: one free joint."""


class Group(NamedTuple):
    """The robots of one kind in a team."""

    name: str
    """Of the kind."""
    robots: RobotKind[Any]
    members: List[int]
    """Which robots of the team they are, R numbers."""
    rows: Optional[Tensor]
    """The same as a tensor; None where they are the whole team."""
    qpos: slice
    """Where a scene's joint positions have theirs."""
    qvel: slice
    """Where a scene's joint velocities have theirs."""

    def joints(self, qpos: Tensor, qvel: Tensor) -> Joints:
        """Their part of a scene's joint states `[..., nq]` and `[..., nv]`."""
        count = len(self.members)
        return Joints(
            qpos[..., self.qpos].view(*qpos.shape[:-1], count, self.robots.positions),
            qvel[..., self.qvel].view(*qvel.shape[:-1], count, self.robots.velocities),
        )

    def of(self, values: Tensor) -> Tensor:
        """Their rows `[..., R, k]` of something that the whole team has, `[..., A, k]`."""
        return values if self.rows is None else values.index_select(-2, self.rows)


class Team:
    """A team of A robots in each environment.

    In the scene robots of one kind follow each other, kinds in the order in which the team first names them; their
    joints and controls do likewise. Where all are of one kind nothing is rearranged.
    """

    def __init__(
        self, sim: SimConfig, kinds: Sequence[str], seed: int, device: torch.device, first_env: int = 0
    ) -> None:
        """A robot of each of `kinds`, in that order, in `sim.num_envs` environments.

        `seed` and the environments' numbers, counted from `first_env`, decide what is random in the robots.

        Raises:
            UserError: there is no such kind, or a file that one needs cannot be read.

        """
        self.kinds = tuple(kinds)
        self.tasks = tuple(ROBOTS[kind].task for kind in kinds)
        self.groups: List[Group] = []
        qpos, qvel = OBJECT_QPOS, OBJECT_QVEL
        names = list(dict.fromkeys(kinds))
        for name in names:
            members = [number for number, kind in enumerate(kinds) if kind == name]
            placement = Placement(sim.num_envs, len(members), seed, device, first_env, tuple(members))
            robots = ROBOTS[name](sim.of_kind(name), placement)
            rows = None if len(names) == 1 else torch.tensor(members, device=device)
            end_qpos, end_qvel = qpos + len(members) * robots.positions, qvel + len(members) * robots.velocities
            self.groups.append(Group(name, robots, members, rows, slice(qpos, end_qpos), slice(qvel, end_qvel)))
            qpos, qvel = end_qpos, end_qvel
        self.physics_dt = min(group.robots.settings.physics_dt for group in self.groups)
        self.substeps = max(group.robots.settings.substeps for group in self.groups)
        self.contacts = sum(len(group.members) * group.robots.contacts for group in self.groups)
        self._closed_loop = any(group.robots.closed_loop for group in self.groups)
        order = [member for group in self.groups for member in group.members]
        self._places = torch.tensor([order.index(number) for number in range(len(kinds))], device=device)
        self._width = max(len(task.sense_mirror) for task in self.tasks)
        self._control: Replay[Tensor] = Replay(self._controls, device)

    def __len__(self) -> int:
        return len(self.kinds)

    def add_to(self, spec: Any, object_friction: float) -> None:
        """Add robots `robot0`, `robot1` ... to a `mujoco.MjSpec`; arguments as in `RobotKind`."""
        for group in self.groups:
            for number in group.members:
                group.robots.add_to(spec, f"robot{number}", object_friction)

    def own_friction(self) -> List[str]:
        """Names of the robots' geoms whose friction does not depend on the object's."""
        return [
            f"robot{number}_{geom}"
            for group in self.groups
            for number in group.members
            for geom in group.robots.own_friction
        ]

    def bodies(self, qpos: Tensor, qvel: Tensor) -> Tuple[Bodies, Tensor]:
        """The bases for these joint states, and what the robots sense, `[..., A, M]`."""
        joints = [group.joints(qpos, qvel) for group in self.groups]
        parts = [group.robots.bodies(own) for group, own in zip(self.groups, joints)]
        senses = [self._widened(group.robots.senses(own)) for group, own in zip(self.groups, joints)]
        return Bodies(*(self._in_order(values) for values in zip(*parts))), self._in_order(senses)

    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Tuple[Tensor, Tensor]:
        """All robots' joint positions and velocities `[n, ...]`; arguments as in `RobotKind.start`."""
        qpos, qvel = [], []
        for group in self.groups:
            own = start._replace(
                robot_pos=group.of(start.robot_pos),
                robot_rpy=group.of(start.robot_rpy),
                robot_lin_vel=group.of(start.robot_lin_vel),
                robot_ang_vel=group.of(start.robot_ang_vel),
            )
            joints = group.robots.start(env_ids, own, mask)
            qpos.append(joints.qpos.flatten(1))
            qvel.append(joints.qvel.flatten(1))
        return torch.cat(qpos, dim=-1), torch.cat(qvel, dim=-1)

    def drive(self, engine: Engine, commands: Tensor, repeat: int) -> Path:
        """Follow velocity commands `[N, A, 3]` for `repeat` control steps.

        Controls are renewed every control step if a kind in the team is `closed_loop`.
        """
        if not self._closed_loop:
            return engine.advance(self._control(engine, commands), repeat, self.substeps)
        paths = [engine.advance(self._control(engine, commands), 1, self.substeps) for _ in range(repeat)]
        qpos, qvel, work = zip(*paths)
        return Path(torch.cat(qpos), torch.cat(qvel), None if work[0] is None else torch.cat(work))

    def state_dict(self) -> Dict[str, Tensor]:
        """What the robots remember; names have the kind in front where there are several kinds."""
        if len(self.groups) == 1:
            return self.groups[0].robots.state_dict()
        return flatten({group.name: group.robots for group in self.groups})

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        if len(self.groups) == 1:
            self.groups[0].robots.load_state_dict(state)
        else:
            unflatten({group.name: group.robots for group in self.groups}, state)

    def _controls(self, engine: Engine, commands: Tensor) -> Tensor:
        """All actuators' controls `[N, nu]` for velocity commands `[N, A, 3]`; gaits advance."""
        qpos, qvel = engine.read()
        parts = [group.robots.control(group.of(commands), group.joints(qpos, qvel)).flatten(1) for group in self.groups]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def _widened(self, senses: Tensor) -> Tensor:
        missing = self._width - senses.shape[-1]
        return torch.nn.functional.pad(senses, (0, missing)) if missing else senses

    def _in_order(self, parts: Sequence[Tensor]) -> Tensor:
        """What groups have, `[..., R, k]` each, as the team has it, `[..., A, k]`."""
        return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=-2).index_select(-2, self._places)
