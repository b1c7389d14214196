"""Go1s that walk as MAPush makes them walk: its description, observations, clock and actuator network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...locomotion import gait
from ...sim.rotation import conjugate, rotate_by_quaternion
from .interface import Frames
from .networks import DEFAULT, FRAME, FRAMES, SCALE, STRIDE

_DECIMATION, _GROUND = 4, 0.1
"""Physics steps in a control step, and the friction of the ground, which is averaged with the robot's."""
_MAX_TORQUE = (20.0, 20.0, 25.0) * 4
"""N m."""


class World:
    """`num` robots, each alone; tensors are `[num, ...]` on the CPU."""

    def __init__(self, upstream: Path, friction: Tensor, payload: Tensor) -> None:
        """`upstream` is MAPush's source tree; `friction` `[num]` is between feet and ground; `payload` `[num]`, kg."""
        from .. import gymapi, gymtorch

        self._gym, self._num = gymapi.acquire_gym(), len(friction)
        self._sim = self._scene(gymapi, upstream, friction, payload)
        wrap = gymtorch.wrap_tensor
        self.roots: Tensor = wrap(self._gym.acquire_actor_root_state_tensor(self._sim))
        self.dofs: Tensor = wrap(self._gym.acquire_dof_state_tensor(self._sim)).view(self._num, 12, 2)
        self._force = torch.zeros(self._gym.get_sim_rigid_body_count(self._sim), 3)
        motors = str(upstream / "resources/actuator_nets/unitree_go1.pt")
        self._network = torch.jit.load(motors, map_location="cpu")  # type: ignore[no-untyped-call]
        self._default, self._scale = torch.tensor(DEFAULT), torch.tensor(SCALE)
        self._limit = torch.tensor(_MAX_TORQUE)
        self.command, self.push = torch.zeros(self._num, 3), torch.zeros(self._num, 3)
        self.phase = torch.zeros(self._num)
        self.action, self._frames = torch.zeros(self._num, 12), Frames()
        self._motor = torch.zeros(self._num, 12, 6)
        self.history = torch.zeros(self._num, FRAMES * FRAME)
        self.restart(torch.arange(self._num), torch.Generator().manual_seed(0))

    def _scene(self, api: Any, upstream: Path, friction: Tensor, payload: Tensor) -> Any:
        gym: Any = self._gym
        params = api.SimParams()
        params.dt, params.substeps, params.up_axis = gait.CONTROL_DT / _DECIMATION, 1, api.UP_AXIS_Z
        params.gravity = api.Vec3(0.0, 0.0, -9.81)
        sim = gym.create_sim(0, -1, api.SIM_PHYSX, params)
        plane = api.PlaneParams()
        plane.normal, plane.static_friction = api.Vec3(0.0, 0.0, 1.0), _GROUND
        gym.add_ground(sim, plane)
        options = api.AssetOptions()
        options.collapse_fixed_joints = options.replace_cylinder_with_capsule = True
        options.default_dof_drive_mode, options.angular_damping = 3, 0.0
        asset = gym.load_asset(sim, str(upstream / "resources/robots/go1/urdf"), "go1.urdf", options)
        for index in range(self._num):
            env = gym.create_env(sim, api.Vec3(), api.Vec3(), 1)
            gym.create_actor(env, asset, api.Transform(api.Vec3(0.0, 0.0, 0.42)), "go1", index, 0, 0)
            shapes = gym.get_actor_rigid_shape_properties(env, 0)
            for shape in shapes:
                shape.friction = 2.0 * float(friction[index]) - _GROUND
            gym.set_actor_rigid_shape_properties(env, 0, shapes)
            bodies = gym.get_actor_rigid_body_properties(env, 0)
            bodies[0].mass += float(payload[index])
            gym.set_actor_rigid_body_properties(env, 0, bodies, True)
        gym.prepare_sim(sim)
        return sim

    def restart(self, which: Tensor, random: torch.Generator) -> None:
        """Put the robots `which` where MAPush puts them: 0.42 m high, joints at U(0.7, 1.3) of their defaults."""
        count = len(which)
        self.roots[which] = 0.0
        self.roots[which, 2], self.roots[which, 6] = 0.42, 1.0
        self.dofs[which, :, 0] = self._default * (0.7 + 0.6 * torch.rand(count, 12, generator=random))
        self.dofs[which, :, 1] = 0.0
        actors = which.to(torch.int32)
        self._gym.set_actor_root_state_tensor_indexed(self._sim, self.roots, actors, count)
        self._gym.set_dof_state_tensor_indexed(self._sim, self.dofs.view(-1, 2), actors, count)
        self.history = self.history.clone()  # whoever keeps the last one keeps it as it was
        for memory in (self.phase, self.history, self._motor, self.action):
            memory[which] = 0.0

    def body(self) -> gait.Proprioception:
        """What the robots would sense, their true velocities included."""
        turn = self.roots[:, [6, 3, 4, 5]]
        inverse = conjugate(turn)
        down = torch.tensor([0.0, 0.0, -1.0]).expand(self._num, 3)
        return gait.Proprioception(
            linear_velocity=rotate_by_quaternion(inverse, self.roots[:, 7:10]),
            angular_velocity=rotate_by_quaternion(inverse, self.roots[:, 10:13]),
            gravity=rotate_by_quaternion(inverse, down),
            joint_pos=self.dofs[..., 0],
            joint_vel=self.dofs[..., 1],
        )

    def observe(self, body: gait.Proprioception) -> Tensor:
        """The history `[num, 2100]` with the frame of now."""
        frame = self._frames(body, self.command, gait.Gait(self.action, self.phase, self.history))
        self.history = torch.cat((self.history[:, FRAME:], frame), dim=-1)
        return self.history

    def step(self, action: Tensor) -> None:
        """Act for one control step, 0.02 s; `push` `[num, 3]`, N, acts on the trunks meanwhile."""
        self.action = action
        target = self._default + self._scale * action.clamp(-10.0, 10.0)
        bodies = len(self._force) // self._num
        for _ in range(_DECIMATION):
            error, last = self.dofs[..., 0] - target, self._motor.unbind(-1)
            self._motor = torch.stack((error, *last[:2], self.dofs[..., 1], *last[3:5]), dim=-1)
            with torch.no_grad():
                torque = self._network(self._motor.view(-1, 6)).view(self._num, 12)
            self._gym.set_dof_actuation_force_tensor(self._sim, torque.clamp(-self._limit, self._limit))
            self._force.view(self._num, bodies, 3)[:, 0] = self.push
            self._gym.apply_rigid_body_force_tensors(self._sim, self._force)
            self._gym.simulate(self._sim)
            self._gym.refresh_dof_state_tensor(self._sim)
        self._gym.refresh_actor_root_state_tensor(self._sim)
        self.phase = torch.remainder(self.phase + STRIDE, 1.0)

    def fallen(self) -> Tensor:
        """`[num]` bool: on its side or its belly, or no longer finite."""
        height, down = self.roots[:, 2], self.body().gravity[:, 2]
        upright: Tensor = (down < -0.6) & (height > 0.15) & (height < 1.0)
        return ~upright
