"""Quadrupeds of twelve joints, from code, that walk by a policy in `locomotion`; each machine is a subclass."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict, List, NamedTuple, Sequence, Union

import torch
from pydantic import Field
from torch import Tensor

from ...device.rows import overwrite
from ...gym_api.walker.interface import UpstreamPolicy
from ...locomotion import gait, hardware, policy
from ...locomotion.kinematics import ENDS, SIDES, Legs
from ...task.random import STREAM_JOINTS, STREAM_SENSORS, uniform
from ...task.state import SimState
from ..contacts import (
    FLOOR_FRICTION,
    FOOT,
    LEG,
    LEG_ENVELOPE,
    ROBOT_FRICTION,
    TRUNK,
    ContactBits,
    friction,
    mean_friction,
)
from ..drawing import DARK, SHELL, STEEL, TURN_X, TURN_Y, Colour, Draw
from ..inertia import Inertia
from ..rotation import conjugate, quaternion_from_rpy, rotate_by_quaternion, rpy_from_quaternion
from .base import Bodies, Joints, Placement, RobotKind, RobotSettings

_START_SCALE = (0.7, 1.3)
"""Joint angles start at the stance times this (docs/task.md section 4)."""


class JointModel(NamedTuple):
    """One of a leg's three joints."""

    low: float
    """rad"""
    high: float
    """rad"""
    max_torque: float
    """N m"""
    armature: float
    """Inertia of the motor's rotor, seen from the joint, kg m^2."""


class Capsule(NamedTuple):
    """A capsule in the trunk's frame."""

    radius: float
    """m"""
    axis: List[float]
    """Its two ends, m."""


class QuadrupedSettings(RobotSettings):
    """A legged machine that walks by a policy of its own."""

    walking_policy: str = Field(
        "shipped",
        min_length=1,
        description="`shipped`; `blind`, which is not told its velocity; `upstream`, which walks and gives way as in "
        "MAPush's program (docs/gym_api.md); the path of a .safetensors file; `none`: actions of 0",
    )
    stiffness: float = Field(20.0, gt=0, le=500, description="of the joint position servos, N m/rad")
    damping: float = Field(0.8, ge=0, le=50, description="of the joint position servos, N m s/rad")
    delay: float = Field(0.0, ge=0, le=hardware.LONGEST_DELAY, description="from sensing to acting, s")
    noise: float = Field(0.0, ge=0, le=10, description="of the sensors, in units of `locomotion.hardware.NOISE`")


class Quadruped(RobotKind[QuadrupedSettings]):
    """Machines of one kind; one call of the walking policy turns all their commands into joint targets."""

    settings_model = QuadrupedSettings
    positions, velocities = 7 + gait.NUM_JOINTS, 6 + gait.NUM_JOINTS
    contacts = 14
    closed_loop = True
    own_friction = tuple(f"{leg}_foot" for leg in gait.LEGS)
    name: str
    """Of the kind."""
    walker: str
    """Name of the kind whose policy it walks by where `walking_policy` is `shipped`."""
    legs: Legs
    trunk: Inertia
    hull: Capsule
    """What collides of the trunk."""
    envelope: Capsule
    """What stands for trunk and legs where robots meet (docs/task.md section 12)."""

    @staticmethod
    @abstractmethod
    def links(side: float, end: float) -> Dict[str, Inertia]:
        """Inertias of hip, thigh and calf of one leg; `side` is +1 on the left, `end` is +1 in front."""

    @staticmethod
    @abstractmethod
    def joint_models(end: float) -> Dict[str, JointModel]:
        """Hip, thigh and calf joint of a leg; `end` is +1 in front."""

    @staticmethod
    @abstractmethod
    def draw_trunk(draw: Draw, trunk: Any, accent: Colour) -> None:
        """Draw the trunk, whose front is at +x."""

    def __init__(self, settings: QuadrupedSettings, placement: Placement) -> None:
        """Robots at rest; the seed and an environment's number decide how their joints start.

        Raises:
            UserError: the walking policy cannot be read.

        """
        super().__init__(settings, placement)
        device = placement.device
        self._walker = _walker(settings.walking_policy, self.name, self.walker).to(device)
        shape = (placement.num_envs, placement.num_robots)
        self._gait = self._walker.at_rest(shape, device)
        self._sent = torch.zeros(*shape, hardware.STEPS_LATE if settings.delay else 0, gait.NUM_JOINTS, device=device)
        """Actions that the motors may not have followed yet, the newest first."""
        self._delay, self._noise = (
            torch.full(shape, value, device=device) for value in (settings.delay, settings.noise)
        )
        self._starts = torch.zeros(placement.num_envs, dtype=torch.int64, device=device)
        self._ticks = self._starts.clone() if settings.noise else self._starts[:0].clone()
        """Control steps so far, which number the draws of noise."""
        self._envs = torch.arange(placement.num_envs, device=device) + placement.first_env
        self._stance = torch.tensor(gait.STANCE, device=device)
        numbers = placement.numbers or range(placement.num_robots)
        self._drawn = max(numbers) + 1
        """So many robots' joints are drawn, in the order of the team."""
        self._numbers = torch.tensor(list(numbers), device=device)

    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """See `RobotKind.add_to`."""
        rough = friction(mean_friction(ROBOT_FRICTION, object_friction))
        trunk = spec.worldbody.add_body(name=name, pos=[0, 0, 0.3])
        trunk.add_freejoint(name=name)
        self.trunk.assign(trunk)
        add_capsule(trunk, f"{name}_trunk", *self.hull, TRUNK, rough)
        add_capsule(trunk, f"{name}_envelope", *self.envelope, LEG_ENVELOPE, rough)
        for leg, side, end in zip(gait.LEGS, SIDES, ENDS):
            self._add_leg(spec, trunk, f"{name}_{leg}", side, end, rough)

    def _add_leg(self, spec: Any, trunk: Any, name: str, side: float, end: float, rough: List[float]) -> None:
        import mujoco

        legs, inertias, models = self.legs, self.links(side, end), self.joint_models(end)
        hip = trunk.add_body(name=f"{name}_hip", pos=[legs.hip_x * end, legs.hip_y * side, 0])
        thigh = hip.add_body(name=f"{name}_thigh", pos=[0, legs.hip * side, 0])
        calf = thigh.add_body(name=f"{name}_calf", pos=[0, 0, -legs.thigh])
        for joint, body, axis in (("hip", hip, [1, 0, 0]), ("thigh", thigh, [0, 1, 0]), ("calf", calf, [0, 1, 0])):
            inertias[joint].assign(body)
            self._add_joint(spec, body, f"{name}_{joint}", models[joint], axis)
        add_capsule(thigh, f"{name}_thigh", 0.017, [0, 0, 0, 0, 0, -legs.thigh], LEG, rough)
        add_capsule(calf, f"{name}_calf", 0.01, [0, 0, 0, 0, 0, -legs.calf], LEG, rough)
        calf.add_geom(
            name=f"{name}_foot",
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[legs.foot_radius, 0, 0],
            pos=[0, 0, -legs.calf],
            friction=friction(mean_friction(FLOOR_FRICTION, ROBOT_FRICTION)),
            **FOOT._asdict(),
        )

    def _add_joint(self, spec: Any, body: Any, name: str, model: JointModel, axis: Sequence[float]) -> None:
        import mujoco

        body.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=axis,
            limited=True,
            range=[model.low, model.high],
            armature=model.armature,
        )
        servo = spec.add_actuator(name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=name)
        servo.set_to_position(kp=self.settings.stiffness, kv=self.settings.damping)
        servo.forcelimited, servo.forcerange = True, [-model.max_torque, model.max_torque]

    def bodies(self, joints: Joints) -> Bodies:
        """See `RobotKind.bodies`."""
        quaternion = joints.qpos[..., 3:7]
        return Bodies(
            pos=joints.qpos[..., :3],
            rpy=rpy_from_quaternion(quaternion),
            lin_vel=joints.qvel[..., :3],
            ang_vel=rotate_by_quaternion(quaternion, joints.qvel[..., 3:6]),
        )

    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Joints:
        """See `RobotKind.start`; joints are at the stance times U(0.7, 1.3), at rest."""
        own = self._draws(STREAM_JOINTS, self._envs[env_ids], self._starts[env_ids], gait.NUM_JOINTS)
        low, high = _START_SCALE
        angles = self._stance * (low + (high - low) * own)
        quaternion = quaternion_from_rpy(start.robot_rpy)
        spin = rotate_by_quaternion(conjugate(quaternion), start.robot_ang_vel)
        self._starts.index_add_(0, env_ids, mask.to(self._starts.dtype))
        for memory in (*self._gait, self._sent):
            overwrite(memory, env_ids, mask, 0)
        return Joints(
            qpos=torch.cat((start.robot_pos, quaternion, angles), dim=-1),
            qvel=torch.cat((start.robot_lin_vel, spin, torch.zeros_like(angles)), dim=-1),
        )

    def control(self, commands: Tensor, joints: Joints) -> Tensor:
        """See `RobotKind.control`: joint targets `[N, R, 12]`, rad; the gait advances."""
        seen = self._walker.observe(self.sense(joints), commands, self._gait)
        action: Tensor = self._walker(seen)
        for memory, now in zip(self._gait, self._walker.advance(self._gait, action, commands, seen)):
            memory.copy_(now)
        return self.follow(action)

    def sense(self, joints: Joints) -> gait.Proprioception:
        """What the robots sense of themselves once in a control step, with the noise of their sensors."""
        body = proprioception(joints)
        if self.settings.noise:
            draws = self._draws(STREAM_SENSORS, self._envs, self._ticks, hardware.NUMBERS)
            body = hardware.noisy(body, draws, self._noise)
            self._ticks += 1
        return body

    def follow(self, action: Tensor) -> Tensor:
        """Joint targets `[N, R, 12]` (rad) of a control step in which `action` `[N, R, 12]` is sent to the motors."""
        if self.settings.delay:
            actions = torch.cat((action.unsqueeze(-2), self._sent), dim=-2)
            self._sent.copy_(actions[..., :-1, :])
            action = hardware.late(actions, self._delay)
        return self._walker.targets(action)

    def _draws(self, stream: int, envs: Tensor, times: Tensor, count: int) -> Tensor:
        """So many random numbers for each of these robots in environments numbered `envs` `[n]`, `[n, R, count]`."""
        draws = uniform(self.placement.seed, stream, envs, times, self._drawn * count)
        return draws.view(-1, self._drawn, count).index_select(1, self._numbers)

    def dress(self, draw: Draw, name: str, accent: Colour) -> None:
        """See `RobotKind.dress`: trunk and legs."""
        self.draw_trunk(draw, draw.spec.body(name), accent)
        for leg, side, end in zip(gait.LEGS, SIDES, ENDS):
            _draw_leg(draw, f"{name}_{leg}", self.legs, side, end, accent)

    def state_dict(self) -> Dict[str, Tensor]:
        """The gait, and how often each environment has started; late actions and ticks where there are any."""
        return {name: value.clone() for name, value in self._memory().items()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name, value in self._memory().items():
            value.copy_(state[name])

    def _memory(self) -> Dict[str, Tensor]:
        memory = {**self._gait._asdict(), "starts": self._starts, "sent": self._sent, "ticks": self._ticks}
        return {name: value for name, value in memory.items() if value.numel()}


def _walker(name: str, robot: str, walker: str) -> Union[policy.WalkingPolicy, UpstreamPolicy]:
    """What robots of the kind `robot` walk by; `name` as in the settings."""
    return UpstreamPolicy() if name == "upstream" else policy.load(name, robot, walker)


def proprioception(joints: Joints) -> gait.Proprioception:
    """What robots with these joint states sense of themselves."""
    inverse = conjugate(joints.qpos[..., 3:7])
    down = torch.zeros_like(joints.qvel[..., :3])
    down[..., 2] = -1.0
    return gait.Proprioception(
        linear_velocity=rotate_by_quaternion(inverse, joints.qvel[..., :3]),
        angular_velocity=joints.qvel[..., 3:6],
        gravity=rotate_by_quaternion(inverse, down),
        joint_pos=joints.qpos[..., 7:],
        joint_vel=joints.qvel[..., 6:],
    )


def add_capsule(body: Any, name: str, radius: float, axis: List[float], bits: ContactBits, rough: List[float]) -> None:
    """Add a capsule that collides to a `mujoco.MjsBody`; `axis` holds its two ends, `rough` is its friction."""
    import mujoco

    kind = mujoco.mjtGeom.mjGEOM_CAPSULE
    body.add_geom(name=name, type=kind, size=[radius, 0, 0], fromto=axis, friction=rough, **bits._asdict())


def _draw_leg(draw: Draw, name: str, legs: Legs, side: float, end: float, accent: Colour) -> None:
    """Motors, thigh plate, calf and foot of one leg; `side` +1 is left, `end` +1 in front."""
    hip, thigh, calf = (draw.spec.body(f"{name}_{joint}") for joint in gait.JOINTS)
    draw.cylinder(hip, [0, 0, 0], 0.046, 0.036, STEEL, turn=TURN_X)
    draw.cylinder(hip, [0.034 * end, 0, 0], 0.036, 0.008, DARK, turn=TURN_X)
    draw.rounded(hip, [0, 0.5 * legs.hip * side, 0], [0.038, 0.034, 0.038], DARK)
    draw.cylinder(thigh, [0, -0.012 * side, 0], 0.047, 0.024, STEEL, turn=TURN_Y)
    draw.cylinder(thigh, [0, 0.015 * side, 0], 0.040, 0.006, accent, turn=TURN_Y)
    draw.cylinder(thigh, [0, 0.021 * side, 0], 0.022, 0.003, DARK, turn=TURN_Y)
    for where, size in ((-0.055, [0.032, 0.015, 0.060]), (-0.130, [0.024, 0.013, 0.075])):
        draw.rounded(thigh, [0.004, 0, where], size, SHELL)
    draw.cylinder(thigh, [0, 0, -legs.thigh], 0.022, 0.016, DARK, turn=TURN_Y)
    draw.capsule(calf, [0, 0, 0, 0.012, 0, -0.45 * legs.calf], 0.014, DARK)
    draw.capsule(calf, [0.012, 0, -0.45 * legs.calf, 0, 0, -legs.calf], 0.011, DARK)
    draw.sphere(calf, [0, 0, -legs.calf], legs.foot_radius, STEEL)
