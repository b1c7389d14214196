"""A small scene, run as `python -m mapush_stack.gym_api.self_test` by `mapush gym test`: prints what works."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

_STEPS, _ENVS = 400, 4
_ARM = """<robot name="arm">
  <link name="base"><inertial><mass value="5"/><inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><geometry><box size=".3 .3 .2"/></geometry></collision></link>
  <link name="arm"><inertial><origin xyz="0 0 .2"/><mass value=".5"/>
    <inertia ixx=".01" iyy=".01" izz=".01" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="arm"/><origin xyz="0 0 .1"/>
    <axis xyz="0 1 0"/><limit lower="-1" upper="1" effort="50" velocity="10"/></joint>
</robot>"""
_FRICTIONS = (0.2, 0.4, 0.6, 0.8)


class _Scene:
    """Four environments: a robot with one joint, and a box that starts at 2 m/s; after `_STEPS` steps."""

    def __init__(self, folder: Path) -> None:
        from isaacgym import gymapi, gymtorch
        from isaacgym.torch_utils import to_torch

        self.gym = gym = gymapi.acquire_gym()
        params = gymapi.SimParams()
        params.dt, params.substeps, params.up_axis = 0.005, 1, gymapi.UP_AXIS_Z
        params.gravity = gymapi.Vec3(0.0, 0.0, -9.81)
        params.use_gpu_pipeline = True
        self.sim = sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params)
        plane = gymapi.PlaneParams()
        plane.normal, plane.static_friction = gymapi.Vec3(0, 0, 1), 0.0
        gym.add_ground(sim, plane)
        (folder / "arm.urdf").write_text(_ARM)
        arm, box = gym.load_asset(sim, str(folder), "arm.urdf"), gym.create_box(sim, 0.4, 0.4, 0.2)
        drive = gym.get_asset_dof_properties(arm)
        drive["driveMode"], drive["stiffness"], drive["damping"] = gymapi.DOF_MODE_POS, 100.0, 10.0
        for number, friction in enumerate(_FRICTIONS):
            env = gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 2)
            robot = gym.create_actor(env, arm, gymapi.Transform(p=gymapi.Vec3(0, 3, 0.1)), "robot", number, 0)
            gym.set_actor_dof_properties(env, robot, drive)
            thing = gym.create_actor(env, box, gymapi.Transform(p=gymapi.Vec3(0, 0, 0.1)), "box", number, 0)
            shapes = gym.get_actor_rigid_shape_properties(env, thing)
            shapes[0].friction = 2 * friction  # PhysX takes the mean with the ground's
            gym.set_actor_rigid_shape_properties(env, thing, shapes)
        self.mass = gym.get_actor_rigid_body_properties(env, thing)[0].mass
        gym.prepare_sim(sim)
        self.roots = gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(sim)).view(_ENVS, 2, 13)
        self.joints = gymtorch.wrap_tensor(gym.acquire_dof_state_tensor(sim))
        self.forces = gymtorch.wrap_tensor(gym.acquire_net_contact_force_tensor(sim)).view(_ENVS, -1, 3)
        self.roots[:, 1, 7] = 2.0
        gym.set_actor_root_state_tensor(sim, gymtorch.unwrap_tensor(self.roots))
        targets = to_torch([0.5] * _ENVS, device="cuda:0")
        gym.set_dof_position_target_tensor(sim, gymtorch.unwrap_tensor(targets))
        for _ in range(_STEPS):
            gym.simulate(sim)
            gym.fetch_results(sim, True)
        for refresh in ("actor_root_state", "dof_state", "net_contact_force"):
            getattr(gym, f"refresh_{refresh}_tensor")(sim)


def _checks(scene: _Scene) -> Dict[str, Callable[[], bool]]:
    """What must be true after the steps, by its name."""
    slid: List[float] = (scene.roots[:, 1, 0]).tolist()
    expected = [2.0**2 / (2 * friction * 9.81) for friction in _FRICTIONS]
    load = scene.mass * 9.81
    return {
        "states are finite": lambda: bool(scene.roots.isfinite().all() and scene.joints.isfinite().all()),
        "boxes slide as far as their frictions say": lambda: all(
            math.isclose(far, wanted, rel_tol=0.15) for far, wanted in zip(slid, expected)
        ),
        "contact forces carry a box's weight": lambda: bool(
            ((scene.forces[:, -1, 2] - load).abs() < 0.02 * load).all()
        ),
        "a joint reaches its drive's target": lambda: bool(((scene.joints[:, 0] - 0.5).abs() < 0.05).all()),
    }


def main() -> int:
    """Run the scene and print each check; returns 1 if one fails."""
    import isaacgym  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        scene: Any = _Scene(Path(folder))
    failed = 0
    for name, check in _checks(scene).items():
        good = check()
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
