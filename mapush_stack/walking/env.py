"""The environment in which a quadruped learns to walk: two of them beside the box.

Some push the box, others walk freely. Every scene has its own friction, masses and motor strengths (`bodies`); forces
push the robots, and commands change every few seconds. A fall or the time limit starts the scene again.
"""

from __future__ import annotations

import math
from typing import Dict, NamedTuple, Tuple, Type

import torch
from torch import Tensor

from ..envs.factory import scene_kind
from ..errors import UserError
from ..locomotion import gait, hardware
from ..locomotion.gait import CONTROL_DT, NUM_JOINTS, Gait, View
from ..locomotion.kinematics import foot_positions
from ..sim.config import ObjectBody, SimConfig
from ..sim.engine import Engine
from ..sim.robots import ROBOTS
from ..sim.robots.base import Joints
from ..sim.robots.quadruped import Quadruped, proprioception
from ..sim.rotation import quaternion_from_rpy, rotate_by_quaternion, rpy_from_quaternion
from ..sim.simulators import choose
from ..sim.team import OBJECT_QPOS, OBJECT_QVEL, Team
from . import bodies, rewards

EPISODE_STEPS = 500
"""Control steps of an episode, 10 s."""
MAX_SPEED = (1.0, 0.75, 1.25)
"""Commands are drawn up to this, m/s, m/s, rad/s."""
SECONDS_BETWEEN_COMMANDS = (2.0, 5.0)
"""Twice that after a command to stand."""
SECONDS_TO_FOLLOW = 0.5
"""After so long without a command or a push the feet should stay where they are, and after so long with a new command
its velocity should be reached."""
AVERAGED_SECONDS = 0.5
"""Time constant of the mean of the velocity's error."""
STANDING_SHARE, PUSHING_SHARE = 0.2, 0.45
"""Shares of the commands that are to stand still, and of the robots that start in front of the box and push it."""
PUSH_FORCE = 80.0
"""Largest force of a short push on the trunk, N; a push begins every 2 s on average and lasts 0.2 s on average."""
LOAD_FORCE = 40.0
"""Largest steady force on the trunk, N, while a command lasts; a third of the robots feel one."""
OBJECT_HEIGHT = 0.25


class WalkingStepResult(NamedTuple):
    """What a control step led to; `W` walkers, two to a scene."""

    observations: Tensor
    """`[W, view.size]` of the new episode where one ended."""
    rewards: Tensor
    """`[W]`"""
    done: Tensor
    """`[W]` bool"""
    timed_out: Tensor
    """`[W]` bool: ended by the time limit, or because the other robot of the scene fell."""
    log: Dict[str, Tensor]
    """Each reward term and the tracking errors, means over all walkers."""


class WalkingEnv:
    """`engine.num_envs` scenes with `num_robots` walkers each, all on the engine's device."""

    def __init__(self, engine: Engine, team: Team, seed: int, view: View, longest_delay: float) -> None:
        """`engine` simulates a scene with `team`, quadrupeds of one kind, whose policy sees `view`.

        Robots that are not told their velocity have noisy sensors, motors up to `longest_delay` (s) late, and bodies
        that differ more.
        """
        machine = team.groups[0].robots
        assert isinstance(machine, Quadruped)
        num_robots = len(team)
        self.engine, self.device = engine, engine.device
        self.num_scenes, self.num_robots, self.num_walkers = engine.num_envs, num_robots, engine.num_envs * num_robots
        self._team, self._robots, self._legs = team, team.groups[0], machine.legs
        self._random = torch.Generator(device=self.device).manual_seed(seed)
        shape, self.view = (self.num_scenes, num_robots), view
        self._gait = gait.at_rest(shape, self.device, view)
        self._sent = torch.zeros(*shape, hardware.STEPS_LATE, NUM_JOINTS, device=self.device)
        self._command = torch.zeros(*shape, 3, device=self.device)
        self._pushes_box = torch.zeros(shape, dtype=torch.bool, device=self.device)
        self._command_steps = torch.zeros(shape, device=self.device)
        self._load = torch.zeros(*shape, 2, device=self.device)
        self._push = torch.zeros(*shape, 2, device=self.device)
        self.ages = torch.zeros(self.num_scenes, dtype=torch.int64, device=self.device)
        self._stance = torch.tensor(gait.STANCE, device=self.device)
        self._calm = torch.zeros(shape, device=self.device)
        self._anchor = torch.zeros(*shape, 4, 3, device=self.device)
        self._drift = torch.zeros(*shape, 4, device=self.device)
        self._since, self._error = torch.zeros(shape, device=self.device), torch.zeros_like(self._command)
        self._stiffness = float(engine.model.actuator_gainprm[0, 0])
        self._damping = -float(engine.model.actuator_biasprm[0, 2])
        bodies.randomize(engine, team, self._uniform, widely=not view.linear_velocity)
        self._hardware = bodies.draw_hardware(self._uniform, *shape, view.linear_velocity, longest_delay)
        self._restart(torch.arange(self.num_scenes, device=self.device))
        self.observe()

    def observe(self) -> Tensor:
        """Observations `[W, view.size]`; their noise is drawn anew."""
        body, wrong = proprioception(self._joints), self._hardware
        draws = self._uniform(0, 1, self.num_scenes, self.num_robots, hardware.NUMBERS)
        body = hardware.noisy(body._replace(joint_pos=body.joint_pos + wrong.offset), draws, wrong.noise)
        self._seen = gait.observe(body, self._command, self._gait, self.view)
        return self._seen.flatten(0, 1)

    def told(self) -> Tensor:
        """What a policy of the view `SIGHTED` sees, `[W, SIGHTED.size]`, without noise."""
        return gait.observe(proprioception(self._joints), self._command, self._gait).flatten(0, 1)

    def standing(self) -> Tensor:
        """`[W]` bool: the command is to stand."""
        return gait.is_standing(self._command).flatten()

    def privileged(self) -> Tensor:
        """What only the critic sees, `[W, 67]`.

        The present frame without noise; heights of base and feet (m), what `hold` and `velocity_mean` depend on, the
        forces on the trunk (N / 50), and the delay of the motors.
        """
        joints = self._joints
        heights = (joints.qpos[..., 2:3], self._feet[..., 2])
        past, forces = ((20.0 * self._drift).clamp_max(5.0), 5.0 * self._error), (self._load / 50.0, self._push / 50.0)
        parts = (*heights, *past, *forces, 25.0 * self._hardware.delay.unsqueeze(-1))
        return torch.cat((self.told(), torch.cat(parts, dim=-1).flatten(0, 1)), dim=-1)

    def step(self, action: Tensor) -> WalkingStepResult:
        """Take an action `[W, 12]` for one control step."""
        action = action.view(self.num_scenes, self.num_robots, -1).clamp(-10.0, 10.0)
        self._apply_forces()
        actions = torch.cat((action.unsqueeze(-2), self._sent), dim=-2)
        self._sent = actions[..., :-1, :]
        targets = gait.joint_targets(hardware.late(actions, self._hardware.delay)) - self._hardware.offset
        path = self.engine.advance(targets.flatten(1), 1, self._team.substeps)
        step, joints = self._reckon(path.qpos[0], path.qvel[0], action, targets)
        terms = rewards.terms(step, CONTROL_DT)
        reward = torch.stack(list(terms.values())).sum(0).nan_to_num(0.0)
        self._joints, self._feet = joints, self._foot_positions(joints)
        self._gait = gait.advance(self._gait, action, self._command, self._seen)
        self.ages = self.ages + 1
        scene_done = step.fallen.any(-1) | (self.ages >= EPISODE_STEPS)
        done = scene_done.unsqueeze(-1).expand_as(step.fallen)
        log = {f"/reward/{name}": value.mean() / CONTROL_DT for name, value in terms.items()}
        self._draw_commands(self._command_steps <= 0)
        self._command_steps = self._command_steps - 1
        self._restart(scene_done.nonzero().squeeze(-1))
        timed_out = done & ~step.fallen
        return WalkingStepResult(self.observe(), reward.flatten(), done.flatten(), timed_out.flatten(), log)

    def _reckon(
        self, qpos: Tensor, qvel: Tensor, action: Tensor, targets: Tensor
    ) -> Tuple[rewards.WalkingStep, Joints]:
        """The step as the reward terms see it, and the joint states after it."""
        broken = ~(qpos.isfinite().all(-1) & (qvel.abs() < 200.0).all(-1)) | self.engine.faulty()
        joints = self._robots.joints(qpos.nan_to_num(0.0, 0.0, 0.0), qvel.nan_to_num(0.0, 0.0, 0.0))
        body, feet = proprioception(joints), self._foot_positions(joints)
        height = joints.qpos[..., 2]
        calm = gait.is_standing(self._command) & (self._push == 0).all(-1)
        self._calm = torch.where(calm, self._calm + CONTROL_DT, torch.zeros_like(self._calm))
        self._anchor = torch.where(self._calm[..., None, None] > SECONDS_TO_FOLLOW, self._anchor, feet)
        self._drift = torch.linalg.vector_norm((feet - self._anchor)[..., :2], dim=-1)
        moved = torch.cat((body.linear_velocity[..., :2], body.angular_velocity[..., 2:]), dim=-1)
        error = torch.lerp(self._error, moved - self._command, CONTROL_DT / AVERAGED_SECONDS)
        self._since = self._since + CONTROL_DT
        self._error = torch.where(self._since.unsqueeze(-1) > SECONDS_TO_FOLLOW, error, torch.zeros_like(error))
        upset = (body.gravity[..., 2] > -0.7) | (height < 0.15)
        step = rewards.WalkingStep(
            body=body,
            command=self._command,
            phase=self._gait.phase,
            height=height,
            foot_height=feet[..., 2] - self._legs.foot_radius,
            foot_speed=torch.linalg.vector_norm((feet - self._feet)[..., :2], dim=-1) / CONTROL_DT,
            foot_drift=self._drift,
            mean_error=self._error,
            torque=self._stiffness * (targets - body.joint_pos) - self._damping * body.joint_vel,
            action=action,
            last_action=self._gait.action,
            fallen=upset | broken.unsqueeze(-1),
        )
        return step, joints

    def _foot_positions(self, joints: Joints) -> Tensor:
        """Centres of the feet in the arena frame, `[N, A, 4, 3]`."""
        quaternion = joints.qpos[..., None, 3:7].expand(*joints.qpos.shape[:-1], 4, 4)
        feet = foot_positions(joints.qpos[..., 7:], self._legs)
        return joints.qpos[..., None, :3] + rotate_by_quaternion(quaternion, feet)

    # Draws

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=self._random, device=self.device)

    def _restart(self, scenes: Tensor) -> None:
        """Start new episodes in these scenes."""
        count, robots = len(scenes), self.num_robots
        if not count:
            return
        pushes_box = self._uniform(0, 1, count, robots) < PUSHING_SHARE
        around = self._uniform(0, 2 * math.pi, count, 1) + torch.arange(robots, device=self.device) * (
            2 * math.pi / robots
        )
        around = around + self._uniform(-0.6, 0.6, count, robots)
        near, far = self._uniform(1.15, 1.4, count, robots), self._uniform(1.3, 3.0, count, robots)
        distance = torch.where(pushes_box, near, far)
        facing = around + math.pi + self._uniform(-0.4, 0.4, count, robots)
        yaw = torch.where(pushes_box, facing, self._uniform(-math.pi, math.pi, count, robots))
        height = self._uniform(0.37, 0.46, count, robots)
        pos = torch.stack((distance * torch.cos(around), distance * torch.sin(around), height), dim=-1)
        tilts = self._uniform(-0.1, 0.1, count, robots, 2)
        quaternion = quaternion_from_rpy(torch.cat((tilts, yaw.unsqueeze(-1)), dim=-1))
        angles = self._stance * self._uniform(0.7, 1.3, count, robots, NUM_JOINTS)
        qpos = torch.cat((pos, quaternion, angles), dim=-1)
        qvel = torch.cat(
            (
                self._uniform(-0.3, 0.3, count, robots, 6),
                torch.zeros(count, robots, NUM_JOINTS, device=self.device),
            ),
            dim=-1,
        )
        box_yaw = self._uniform(-math.pi, math.pi, count, 1)
        object_qpos = torch.zeros(count, OBJECT_QPOS, device=self.device)
        object_qpos[:, 2] = OBJECT_HEIGHT
        object_qpos[:, 3:] = quaternion_from_rpy(torch.nn.functional.pad(box_yaw, (2, 0)))
        object_qvel = torch.zeros(count, OBJECT_QVEL, device=self.device)
        self.engine.write(
            scenes,
            torch.cat((object_qpos, qpos.flatten(1)), dim=-1),
            torch.cat((object_qvel, qvel.flatten(1)), dim=-1),
            torch.ones_like(scenes, dtype=torch.bool),
        )
        self._gait = Gait(*(memory.index_fill(0, scenes, 0.0) for memory in self._gait))
        self._sent, self._calm, self._drift, self._error = (
            memory.index_fill(0, scenes, 0.0) for memory in (self._sent, self._calm, self._drift, self._error)
        )
        self.ages = self.ages.index_fill(0, scenes, 0)
        self._pushes_box = self._pushes_box.index_copy(0, scenes, pushes_box)
        fresh = torch.zeros_like(self._pushes_box).index_fill(0, scenes, True)
        self._draw_commands(fresh)
        self._joints = self._robots.joints(*self.engine.read())
        self._feet = self._foot_positions(self._joints)

    def _draw_commands(self, chosen: Tensor) -> None:
        """New commands and steady loads for the chosen walkers `[N, A]`."""
        shape = tuple(chosen.shape)
        limits = torch.tensor(MAX_SPEED, device=self.device)
        free = self._uniform(-1, 1, *shape, 3) * limits
        # A third of the free commands are along a single axis, as in the table of `mapush walk test`.
        axis = torch.randint(0, 9, shape, generator=self._random, device=self.device).unsqueeze(-1)
        only = torch.arange(3, device=self.device)
        free = torch.where((axis < 3) & (axis != only), torch.zeros_like(free), free)
        pushing = torch.stack(
            (self._uniform(0.1, 0.8, *shape), self._uniform(-0.3, 0.3, *shape), self._uniform(-0.4, 0.4, *shape)),
            dim=-1,
        )
        at_box = self._pushes_box & (self._uniform(0, 1, *shape) < 0.8)
        drawn = torch.where(at_box.unsqueeze(-1), pushing, free)
        drawn = torch.where(
            (self._uniform(0, 1, *shape) < STANDING_SHARE).unsqueeze(-1), torch.zeros_like(drawn), drawn
        )
        self._command = torch.where(chosen.unsqueeze(-1), drawn, self._command)
        low, high = (seconds / CONTROL_DT for seconds in SECONDS_BETWEEN_COMMANDS)
        steps = self._uniform(low, high, *shape) * (1.0 + gait.is_standing(self._command))
        self._command_steps = torch.where(chosen, steps, self._command_steps)
        self._since = torch.where(chosen, torch.zeros_like(self._since), self._since)
        loaded = (self._uniform(0, 1, *shape) < 1 / 3) & ~(self._command == 0).all(-1)
        load = self._planar_force(LOAD_FORCE, shape) * loaded.unsqueeze(-1)
        self._load = torch.where(chosen.unsqueeze(-1), load, self._load)

    def _planar_force(self, largest: float, shape: Tuple[int, ...]) -> Tensor:
        size, angle = self._uniform(0, largest, *shape), self._uniform(0, 2 * math.pi, *shape)
        return torch.stack((size * torch.cos(angle), size * torch.sin(angle)), dim=-1)

    def _apply_forces(self) -> None:
        """Steady loads and short pushes on the trunks."""
        shape = (self.num_scenes, self.num_robots)
        begins = self._uniform(0, 1, *shape) < CONTROL_DT / 2
        ends = self._uniform(0, 1, *shape) < CONTROL_DT / 0.2
        pushed = torch.where(ends.unsqueeze(-1), torch.zeros_like(self._push), self._push)
        self._push = torch.where(begins.unsqueeze(-1), self._planar_force(PUSH_FORCE, shape), pushed)
        wrench = torch.zeros(self.num_scenes, self.engine.model.nbody, 6, device=self.device)
        for robot in range(self.num_robots):
            wrench[:, self.engine.model.body(f"robot{robot}").id, :2] = self._load[:, robot] + self._push[:, robot]
        self.engine.push(wrench)

    def tracking(self) -> Dict[str, Tensor]:
        """Means over the robots: errors of velocity (m/s) and yaw rate (rad/s), height (m), tilt."""
        body = proprioception(self._joints)
        planar = torch.linalg.vector_norm(body.linear_velocity[..., :2] - self._command[..., :2], dim=-1)
        tilt = rpy_from_quaternion(self._joints.qpos[..., 3:7])[..., :2].abs()
        return {
            "/tracking/velocity_error": planar.mean(),
            "/tracking/yaw_rate_error": (body.angular_velocity[..., 2] - self._command[..., 2]).abs().mean(),
            "/tracking/height": self._joints.qpos[..., 2].mean(),
            "/tracking/tilt": tilt.mean(),
        }


def make_walking_env(
    sim: SimConfig,
    body: ObjectBody,
    seed: int,
    view: View = gait.SIGHTED,
    longest_delay: float = hardware.LONGEST_DELAY,
) -> WalkingEnv:
    """`sim.num_envs` pairs of `sim.robot` beside the object, to learn to walk by what `view` says; see `WalkingEnv`.

    Raises:
        UserError: the simulator is not installed, or cannot run here.

    """
    device = choose(sim).device
    team = Team(sim, [sim.robot] * 2, seed, device)
    engine = scene_kind(sim).engine_for(sim, body, team, device, bodies.FIELDS)
    return WalkingEnv(engine, team, seed, view, longest_delay)


def check_legs(robot: str) -> Type[Quadruped]:
    """The kind of robot, which must be one that walks.

    Raises:
        UserError: there is no such kind, or it has no legs; the message names those that have.

    """
    kind = ROBOTS[robot]
    if not issubclass(kind, Quadruped):
        legged = ", ".join(name for name in ROBOTS if issubclass(ROBOTS[name], Quadruped))
        raise UserError(f"--robot {robot} has no legs to walk with; give one of: {legged}")
    return kind
