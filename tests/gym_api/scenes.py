"""Small scenes through Isaac Gym's names."""

import os

import pytest
import torch

pytest.importorskip("mujoco", reason="MuJoCo 4 needs Python 3.11")

from mapush_stack.gym_api import gymapi, gymtorch

gym = gymapi.acquire_gym()
ROOT, DOFS, BODIES = "actor_root_state", "dof_state", "rigid_body_state"


class World:
    """A simulation with its tensors; `gravity` in m/s^2, no ground if `ground` (its friction) is None."""

    def __init__(self, gravity=-9.81, ground=1.0, dt=0.005, substeps=1):
        params = gymapi.SimParams()
        params.dt, params.substeps, params.up_axis = dt, substeps, gymapi.UP_AXIS_Z
        params.gravity, params.physx.num_threads = gymapi.Vec3(0, 0, gravity), 1
        params.use_gpu_pipeline = torch.cuda.is_available() and os.environ.get("MAPUSH_GYM") == "warp"
        self.sim, self.dt = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params), dt
        if ground is not None:
            plane = gymapi.PlaneParams()
            plane.normal, plane.static_friction = gymapi.Vec3(0, 0, 1), ground
            gym.add_ground(self.sim, plane)
        self.envs = []

    def add(self, *actors, group=None):
        """An environment with actors (asset, position); returns it."""
        env = gym.create_env(self.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
        self.envs.append(env)
        for asset, place in actors:
            pose = place if isinstance(place, gymapi.Transform) else gymapi.Transform(gymapi.Vec3(*place))
            number = len(self.envs) - 1 if group is None else group
            gym.create_actor(env, asset, pose, f"actor{gym.get_actor_count(env)}", number, 0)
        return env

    def prepare(self):
        """Make it ready; returns itself."""
        assert gym.prepare_sim(self.sim)
        return self

    def read(self, name):
        """A tensor as it is now: `actor_root_state`, `dof_state`, `rigid_body_state`, `net_contact_force`..."""
        tensor = gymtorch.wrap_tensor(getattr(gym, f"acquire_{name}_tensor")(self.sim))
        getattr(gym, f"refresh_{name}_tensor")(self.sim)
        return tensor

    def step(self, seconds=None, before=None):
        """Advance by `seconds`, or by one step; `before` is called before each."""
        for _ in range(1 if seconds is None else round(seconds / self.dt)):
            if before:
                before()
            gym.simulate(self.sim)
            gym.fetch_results(self.sim, True)

    def move(self, actor, **values):
        """Set an actor's `pos`, `quat`, `vel`, `spin`."""
        roots = self.read(ROOT)
        for name, part in (("pos", slice(3)), ("quat", slice(3, 7)), ("vel", slice(7, 10)), ("spin", slice(10, 13))):
            if name in values:
                roots[actor, part] = torch.tensor(values[name], dtype=torch.float32)
        gym.set_actor_root_state_tensor_indexed(self.sim, roots, torch.tensor([actor], dtype=torch.int32), 1)


def options(**values):
    """Asset options without damping."""
    made = gymapi.AssetOptions()
    made.angular_damping = 0.0
    for name, value in values.items():
        setattr(made, name, value)
    return made


def box(world, side=0.4, mass=None, friction=1.0, **values):
    """A cube, with this friction."""
    if mass is not None:
        values["density"] = mass / side**3
    return rubbed(gym.create_box(world.sim, side, side, side, options(**values)), friction)


def rubbed(asset, friction):
    """The asset with this friction on all shapes."""
    shapes = gym.get_asset_rigid_shape_properties(asset)
    for shape in shapes:
        shape.friction = friction
    gym.set_asset_rigid_shape_properties(asset, shapes)
    return asset


LEGS = {"FR": (0.2, -0.1), "FL": (0.2, 0.1), "RR": (-0.2, -0.1), "RL": (-0.2, 0.1)}
"""In the order of the file, which is not Isaac Gym's."""


def quadruped():
    """A URDF with 12 joints: box, capsules, a ball at each foot, and parts fixed to others; 10.6 kg."""
    parts = [_link("base", 6.0, 0.1, '<box size="0.4 0.2 0.1"/>'), _link("imu", 0.2, 1e-4)]
    parts += [_joint("imu_joint", "fixed", "base", "imu", "0 0 0.05"), _link("mast", 0.4, 1e-3)]
    parts += [_joint("mast_joint", "fixed", "base", "mast", "0 0 0.1", more='dont_collapse="true"')]
    for leg, (x, y) in LEGS.items():
        capsule = '<cylinder radius="0.02" length="0.16"/>'
        parts += [_link(f"{leg}_hip", 0.3, 1e-3), _link(f"{leg}_thigh", 0.5, 2e-3, capsule, "0 0 -0.1")]
        parts += [_link(f"{leg}_calf", 0.15, 1e-3, capsule, "0 0 -0.1")]
        parts += [_link(f"{leg}_foot", 0.05, 1e-4, '<sphere radius="0.02"/>')]
        parts += [_joint(f"{leg}_hip_joint", "revolute", "base", f"{leg}_hip", f"{x} {y} 0", "1 0 0")]
        parts += [_joint(f"{leg}_thigh_joint", "revolute", f"{leg}_hip", f"{leg}_thigh", f"0 {0.4 * y} 0", "0 1 0")]
        parts += [_joint(f"{leg}_calf_joint", "revolute", f"{leg}_thigh", f"{leg}_calf", "0 0 -0.2", "0 1 0")]
        parts += [_joint(f"{leg}_foot_joint", "fixed", f"{leg}_calf", f"{leg}_foot", "0 0 -0.2")]
    return f'<robot name="quadruped">{"".join(parts)}</robot>'


def _link(name, mass, moment, shape="", place="0 0 0"):
    inertia = " ".join(f'{axis}="{moment}"' for axis in ("ixx", "iyy", "izz"))
    collision = f'<collision><origin xyz="{place}"/><geometry>{shape}</geometry></collision>' if shape else ""
    inertial = f'<mass value="{mass}"/><inertia {inertia} ixy="0" ixz="0" iyz="0"/>'
    inertial = f'<inertial><origin xyz="{place}"/>{inertial}</inertial>'
    return f'<link name="{name}">{inertial}{collision}</link>'


def _joint(name, kind, parent, child, place, axis="0 0 1", more=""):
    limit = '<limit lower="-2.5" upper="2.5" velocity="20" effort="40"/>' if kind == "revolute" else ""
    return (
        f'<joint name="{name}" type="{kind}" {more}><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{place}"/><axis xyz="{axis}"/>{limit}</joint>'
    )


def load(world, text, folder, name="asset.urdf", **values):
    """The asset of a file with this text."""
    (folder / name).write_text(text)
    return gym.load_asset(world.sim, str(folder), name, options(**values))


def pendulum(mass=1.0, length=0.5):
    """A URDF: a point-like mass under a hinge about y."""
    joint = _joint("hinge", "continuous", "base", "bob", "0 0 0", "0 1 0")
    return (
        f'<robot name="pendulum">{_link("base", 1, 1)}{_link("bob", mass, 1e-4, place=f"0 0 {-length}")}{joint}</robot>'
    )


def go1():
    """A URDF with the Go1's lengths and masses (docs/task.md section 7)."""
    parts = [_link("base", 4.8, 0.03, '<box size="0.3762 0.0935 0.114"/>')]
    for leg, x, y in (("FR", 0.1881, -0.08), ("FL", 0.1881, 0.08), ("RR", -0.1881, -0.08), ("RL", -0.1881, 0.08)):
        parts += [_link(f"{leg}_hip", 0.51, 5e-4), _link(f"{leg}_thigh", 0.9, 5e-3), _link(f"{leg}_calf", 0.16, 3e-3)]
        parts += [_link(f"{leg}_foot", 0.06, 1e-5, '<sphere radius="0.02"/>')]
        parts += [_joint(f"{leg}_hip_joint", "revolute", "base", f"{leg}_hip", f"{x} {0.5844 * y} 0", "1 0 0")]
        parts += [_joint(f"{leg}_thigh_joint", "revolute", f"{leg}_hip", f"{leg}_thigh", f"0 {y} 0", "0 1 0")]
        parts += [_joint(f"{leg}_calf_joint", "revolute", f"{leg}_thigh", f"{leg}_calf", "0 0 -0.213", "0 1 0")]
        parts += [_joint(f"{leg}_foot_joint", "fixed", f"{leg}_calf", f"{leg}_foot", "0 0 -0.213")]
    return f'<robot name="go1">{"".join(parts)}</robot>'
