"""The Unitree Go1 with twelve joints, from code, walking by the policy in `locomotion`.

Lengths, masses, inertias, joint ranges and limits are those of Unitree's go1_description (unitree_ros,
robots/go1_description/xacro/const.xacro and leg.xacro, BSD-3-Clause). The rotors of the thigh and calf motors belong
to the links that carry them; those of the hip motors are counted in the trunk's 5.204 kg, which gives 12.74 kg.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...device.replay import Replay
from ...locomotion import gait
from ...locomotion.kinematics import CALF_LENGTH, ENDS, FOOT_RADIUS, HIP_LENGTH, HIP_X, HIP_Y, SIDES, THIGH_LENGTH
from ...locomotion.policy import WalkingPolicy
from ...task.random import STREAM_JOINTS, uniform
from ...task.state import SimState
from ..config import Go1Config
from ..contacts import ENVELOPE, FLOOR_FRICTION, FOOT, LEG, LEG_ENVELOPE, ROBOT_FRICTION, TRUNK, friction, mean_friction
from ..engine import Engine, Path
from ..inertia import Inertia, combine, point
from ..rotation import conjugate, quaternion_from_rpy, rotate_by_quaternion, rpy_from_quaternion
from .base import Bodies, Joints, Team, split_robots

ROTOR_INERTIA = 0.000111842
"""Of a motor's rotor about its axis, kg m^2 (hip_rotor_ixx, thigh_rotor_iyy, calf_rotor_iyy)."""


class JointModel(NamedTuple):
    """One of a leg's three joints."""

    low: float
    """rad"""
    high: float
    """rad"""
    max_torque: float
    """N m"""
    gear_ratio: float
    """Turns of the rotor for one of the joint: 6.33 by the data sheet of Unitree's GO-M8010-6 motor (23.7 N m); the
    calf's linkage adds the factor 1.5 by which its torque limit is larger and its speed limit smaller."""


JOINT_MODELS = {
    "hip": JointModel(-0.863, 0.863, 23.7, 6.33),
    "thigh": JointModel(-0.686, 4.501, 23.7, 6.33),
    "calf": JointModel(-2.818, -0.888, 35.55, 6.33 * 1.5),
}
"""hip_, thigh_ and calf_position_min, _max and _torque_max."""

_TRUNK = Inertia(
    5.204,
    np.array([0.0223, 0.002, -0.0005]),
    np.array(
        [
            [0.0168128557, -0.0002296769, -0.0002945293],
            [-0.0002296769, 0.063009565, -0.0000418731],
            [-0.0002945293, -0.0000418731, 0.0716547275],
        ]
    ),
)
_ROTOR_MASS = 0.089
_FOOT_MASS = 0.06
_THIGH_ROTOR_Y, _CALF_ROTOR_Y = -0.00015, -0.03235
_START_SCALE = (0.7, 1.3)
"""Joint angles start at the stance times this (task_spec section 4)."""


def _symmetric(xx: float, xy: float, xz: float, yy: float, yz: float, zz: float) -> np.ndarray:
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def link_inertias(side: float, end: float) -> Dict[str, Inertia]:
    """Hip, thigh and calf of one leg; `side` is +1 on the left and `end` +1 in front, as leg.xacro mirrors them."""
    hip_tensor = _symmetric(
        0.000334008405, -0.000010826066 * side * end, 0.000001290732 * end, 0.000619101213, 0.000001643194 * side,
        0.00040057614,
    )  # fmt: skip
    thigh_tensor = _symmetric(
        0.004431760472, 0.000057496807 * side, -0.000218457134, 0.004485671726, 0.000572001265 * side, 0.000740309489
    )
    calf_tensor = _symmetric(0.001088793059, -2.55679e-07, 7.117814e-06, 0.001100428748, 2.077264e-06, 0.000024787446)
    hip = Inertia(0.591, np.array([-0.005657 * end, -0.008752 * side, -0.000102]), hip_tensor)
    thigh = Inertia(0.92, np.array([-0.003342, -0.018054 * side, -0.033451]), thigh_tensor)
    calf = Inertia(0.135862, np.array([0.006197, 0.001408, -0.116695]), calf_tensor)
    return {
        "hip": combine([hip, point(_ROTOR_MASS, [0, _THIGH_ROTOR_Y * side, 0])]),
        "thigh": combine([thigh, point(_ROTOR_MASS, [0, _CALF_ROTOR_Y * side, 0])]),
        "calf": combine([calf, point(_FOOT_MASS, [0, 0, -CALF_LENGTH])]),
    }


class Go1Team(Team):
    """Robots whose walking policy turns commands into joint targets, in one call for all of them."""

    positions, velocities = 7 + gait.NUM_JOINTS, 6 + gait.NUM_JOINTS
    contacts = 14

    def __init__(
        self,
        config: Go1Config,
        walker: WalkingPolicy,
        num_envs: int,
        num_robots: int,
        seed: int,
        device: torch.device,
        first_env: int = 0,
    ) -> None:
        """Robots of `num_envs` environments that walk by `walker`.

        `seed` and the environment's number, counted from `first_env`, decide how their joints start.
        """
        self._config, self._seed, self._first_env = config, seed, first_env
        self._walker = walker.to(device)
        self._gait = gait.at_rest((num_envs, num_robots), device)
        self._starts = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self._stance = torch.tensor(gait.STANCE, device=device)
        self._walk = Replay(self._walk_on, device)

    def add_to(self, spec: Any, name: str, object_friction: float) -> None:
        """See `Team.add_to`."""
        rough = friction(mean_friction(ROBOT_FRICTION, object_friction))
        trunk = spec.worldbody.add_body(name=name, pos=[0, 0, 0.3])
        trunk.add_freejoint(name=name)
        _TRUNK.assign(trunk)
        _add_capsule(trunk, f"{name}_trunk", 0.05, [-0.14, 0, 0, 0.24, 0, 0], TRUNK, rough)
        _add_capsule(trunk, f"{name}_envelope", ENVELOPE.radius, ENVELOPE.axis, LEG_ENVELOPE, rough)
        for leg, side, end in zip(gait.LEGS, SIDES, ENDS):
            self._add_leg(spec, trunk, f"{name}_{leg}", side, end, rough)

    def _add_leg(self, spec: Any, trunk: Any, name: str, side: float, end: float, rough: list) -> None:
        inertias = link_inertias(side, end)
        hip = trunk.add_body(name=f"{name}_hip", pos=[HIP_X * end, HIP_Y * side, 0])
        thigh = hip.add_body(name=f"{name}_thigh", pos=[0, HIP_LENGTH * side, 0])
        calf = thigh.add_body(name=f"{name}_calf", pos=[0, 0, -THIGH_LENGTH])
        for joint, body, axis in (("hip", hip, [1, 0, 0]), ("thigh", thigh, [0, 1, 0]), ("calf", calf, [0, 1, 0])):
            inertias[joint].assign(body)
            self._add_joint(spec, body, f"{name}_{joint}", JOINT_MODELS[joint], axis)
        _add_capsule(thigh, f"{name}_thigh", 0.017, [0, 0, 0, 0, 0, -THIGH_LENGTH], LEG, rough)
        _add_capsule(calf, f"{name}_calf", 0.01, [0, 0, 0, 0, 0, -CALF_LENGTH], LEG, rough)
        _add_foot(calf, f"{name}_foot")

    def _add_joint(self, spec: Any, body: Any, name: str, model: JointModel, axis: list) -> None:
        import mujoco

        body.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=axis,
            limited=True,
            range=[model.low, model.high],
            armature=ROTOR_INERTIA * model.gear_ratio**2,
        )
        spec.add_actuator(
            name=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            target=name,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            gainprm=[self._config.stiffness] + [0] * 9,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            biasprm=[0, -self._config.stiffness, -self._config.damping] + [0] * 7,
            forcelimited=True,
            forcerange=[-model.max_torque, model.max_torque],
        )

    def bodies(self, joints: Joints) -> Bodies:
        """See `Team.bodies`."""
        quaternion = joints.qpos[..., 3:7]
        return Bodies(
            pos=joints.qpos[..., :3],
            rpy=rpy_from_quaternion(quaternion),
            lin_vel=joints.qvel[..., :3],
            ang_vel=rotate_by_quaternion(quaternion, joints.qvel[..., 3:6]),
        )

    def start(self, env_ids: Tensor, start: SimState, mask: Tensor) -> Joints:
        """See `Team.start`; joints at the stance times U(0.7, 1.3), at rest, and a gait that has not begun."""
        robots = start.robot_pos.shape[-2]
        draws = uniform(
            self._seed,
            STREAM_JOINTS,
            env_ids + self._first_env,
            self._starts[env_ids],
            robots * gait.NUM_JOINTS,
        )
        low, high = _START_SCALE
        angles = self._stance * (low + (high - low) * draws.unflatten(1, (robots, gait.NUM_JOINTS)))
        quaternion = quaternion_from_rpy(start.robot_rpy)
        spin = rotate_by_quaternion(conjugate(quaternion), start.robot_ang_vel)
        self._starts.index_add_(0, env_ids, mask.to(self._starts.dtype))
        for memory in self._gait:
            kept = memory[env_ids]
            starting = mask.view(-1, *[1] * (kept.dim() - 1))
            memory.index_copy_(0, env_ids, torch.where(starting, torch.zeros_like(kept), kept))
        return Joints(
            qpos=torch.cat((start.robot_pos, quaternion, angles), dim=-1),
            qvel=torch.cat((start.robot_lin_vel, spin, torch.zeros_like(angles)), dim=-1),
        )

    def drive(self, engine: Engine, commands: Tensor, repeat: int) -> Path:
        """See `Team.drive`: a walking decision every control step."""
        paths = [engine.advance(self.walk(engine, commands), 1, self._config.substeps) for _ in range(repeat)]
        return Path(*(torch.cat(parts) for parts in zip(*paths)))

    def walk(self, engine: Engine, commands: Tensor) -> Tensor:
        """The walking policy's joint targets `[N, A * 12]` (rad) under commands `[N, A, 3]`; the gait goes on."""
        return self._walk(engine, commands)

    def _walk_on(self, engine: Engine, commands: Tensor) -> Tensor:
        joints = split_robots(self, *engine.read())
        action = self._walker(gait.observe(proprioception(joints), commands, self._gait))
        for memory, now in zip(self._gait, gait.advance(self._gait, action, commands)):
            memory.copy_(now)
        return gait.joint_targets(action).flatten(1)

    def state_dict(self) -> Dict[str, Tensor]:
        """The gait, and how often each environment has started."""
        return {"action": self._gait.action.clone(), "phase": self._gait.phase.clone(), "starts": self._starts.clone()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._gait.action.copy_(state["action"])
        self._gait.phase.copy_(state["phase"])
        self._starts.copy_(state["starts"])


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


def _add_capsule(body: Any, name: str, radius: float, axis: list, bits: Any, rough: list) -> None:
    import mujoco

    kind = mujoco.mjtGeom.mjGEOM_CAPSULE
    body.add_geom(name=name, type=kind, size=[radius, 0, 0], fromto=axis, friction=rough, **bits._asdict())


def _add_foot(calf: Any, name: str) -> None:
    import mujoco

    calf.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[FOOT_RADIUS, 0, 0],
        pos=[0, 0, -CALF_LENGTH],
        friction=friction(mean_friction(FLOOR_FRICTION, ROBOT_FRICTION)),
        **FOOT._asdict(),
    )
