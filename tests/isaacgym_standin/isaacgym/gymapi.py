"""Scenes, assets and tensors of the stand-in."""

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import torch

from .torch_utils import get_euler_xyz, quat_from_euler_xyz

SIM_PHYSX, SIM_FLEX = 1, 2
DOMAIN_SIM = 2

PUPPET = (
    ("FL_thigh_joint", "FR_thigh_joint"),
    ("RL_thigh_joint", "RR_thigh_joint"),
    ("FL_calf_joint", "FR_calf_joint"),
)
"""The base moves forwards, to the left and round by the differences of these angles, in m/s and rad/s.

They are 0 in MAPush's stance."""
MOBILITY = 1.0
"""How fast a torque moves a joint, rad/s per N m."""
STANDING_HEIGHT, SETTLING = 0.3, 0.1
"""Height of a robot's base, m, and the time in which heights and tilts settle, s."""
REACH = 0.35
"""A robot whose base is this near an object's outline touches it, m."""


class Vec3:
    def __init__(self, x=0.0, y=0.0, z=0.0):
        self.x, self.y, self.z = float(x), float(y), float(z)


class Transform:
    def __init__(self, p=None, r=None):
        self.p, self.r = p or Vec3(), r


class AssetOptions(SimpleNamespace):
    def __init__(self):
        super().__init__(fix_base_link=False, disable_gravity=False, collapse_fixed_joints=False)


class SimParams(SimpleNamespace):
    def __init__(self):
        super().__init__(dt=1 / 60, use_gpu_pipeline=False, physx=SimpleNamespace(max_gpu_contact_pairs=2**20))


class TriangleMeshParams(SimpleNamespace):
    def __init__(self):
        super().__init__(transform=Transform())


class Asset:
    """A robot or object from a URDF: its movable joints in Isaac Gym's order, its shapes, its size on the floor."""

    def __init__(self, path, options):
        robot = ElementTree.parse(str(path)).getroot()
        self.fixed = options.fix_base_link
        self.joints = {joint.get("name"): joint for joint in robot.iter("joint") if joint.find("child") is not None}
        collisions = [c for link in robot.iter("link") for c in link.iter("collision")]
        self.shapes = [SimpleNamespace(friction=1.0, restitution=0.0) for _ in collisions]
        movable = [name for name, joint in self.joints.items() if joint.get("type") in ("revolute", "continuous")]
        self.dof_names = sorted(
            movable, key=lambda name: (name[:2], ("hip", "thigh", "calf").index(name.split("_")[1]))
        )
        kept = {self.joints[name].find("child").get("link") for name in movable}
        roots = [link.get("name") for link in robot.iter("link")][:1]
        self.bodies = [
            link.get("name")
            for link in robot.iter("link")
            if not options.collapse_fixed_joints or link.get("name") in {*kept, *roots}
        ]
        self.radius = max((self._radius(collision) for collision in collisions), default=0.0)
        self.height = max((self._height(collision) for collision in collisions), default=0.0)

    @staticmethod
    def _radius(collision):
        box, cylinder = collision.find("geometry/box"), collision.find("geometry/cylinder")
        if cylinder is not None:
            return float(cylinder.get("radius"))
        return 0.5 * min(float(text) for text in box.get("size").split()[:2]) if box is not None else 0.0

    @staticmethod
    def _height(collision):
        box, cylinder = collision.find("geometry/box"), collision.find("geometry/cylinder")
        if cylinder is not None:
            return float(cylinder.get("length"))
        return float(box.get("size").split()[2]) if box is not None else 0.0

    def dof_properties(self):
        rows = np.zeros(len(self.dof_names), dtype=[(n, "f4") for n in ("lower", "upper", "velocity", "effort")])
        for row, name in enumerate(self.dof_names):
            limit = self.joints[name].find("limit")
            for field in rows.dtype.names:
                rows[field][row] = float(limit.get(field, math.inf))
        return rows


class Actor:
    def __init__(self, asset, index):
        self.asset, self.index = asset, index
        self.shapes = copy.deepcopy(asset.shapes)


class Sim:
    """Every environment has the same actors in the same order."""

    def __init__(self, params, device):
        self.params, self.device = params, device
        self.envs, self.destroyed = [], False

    def prepare(self):
        actors = self.envs[0]
        assert all([a.asset for a in env] == [a.asset for a in actors] for env in self.envs)
        count, size = len(self.envs), len(actors)
        self.walkers = [i for i, actor in enumerate(actors) if actor.asset.dof_names]
        self.things = [i for i, a in enumerate(actors) if not a.asset.dof_names and not a.asset.fixed]
        dofs = len(actors[0].asset.dof_names)
        assert self.walkers == list(range(len(self.walkers)))
        assert all(len(actors[i].asset.dof_names) == dofs for i in self.walkers)
        bodies = sum(len(actor.asset.bodies) for actor in actors)
        zeros = {"device": self.device}
        # Views of one environment's actors and joints: [N, actors, 13], [N, robots, joints, 2].
        self.roots = torch.zeros(count, size, 13, **zeros)
        self.roots[..., 6] = 1.0
        self.dofs = torch.zeros(count, len(self.walkers), dofs, 2, **zeros)
        self.torques = torch.zeros(count, len(self.walkers), dofs, **zeros)
        self.tensors = {
            "roots": torch.zeros(count * size, 13, **zeros),
            "dofs": torch.zeros(count * len(self.walkers) * dofs, 2, **zeros),
            "forces": torch.zeros(count * bodies, 3, **zeros),
            "bodies": torch.zeros(count * bodies, 13, **zeros),
        }
        names = actors[0].asset.dof_names
        self.puppet = torch.tensor([[names.index(name) for name in pair] for pair in PUPPET], **zeros)
        self.pending = {}

    def simulate(self):
        self._take_over()
        dt = self.params.dt
        self.dofs[..., 1] = MOBILITY * self.torques
        self.dofs[..., 0] += dt * self.dofs[..., 1]
        angles = self.dofs[..., 0]
        walked = angles[..., self.puppet[:, 0]] - angles[..., self.puppet[:, 1]]
        robots = self.roots[:, self.walkers]
        roll, pitch, yaw = get_euler_xyz(robots[..., 3:7])
        vx, vy, turn = walked.unbind(-1)
        planar = torch.stack((vx * yaw.cos() - vy * yaw.sin(), vx * yaw.sin() + vy * yaw.cos()), dim=-1)
        self._move(robots, planar, turn, (roll, pitch, yaw), STANDING_HEIGHT)
        self.roots[:, self.walkers] = robots
        for index in self.things:
            asset, thing = self.envs[0][index].asset, self.roots[:, index]
            towards = thing[:, None, :2] - robots[..., :2]
            distance = towards.norm(dim=-1).clamp_min(1e-6)
            approach = (planar * towards).sum(-1) / distance
            touching = (distance < asset.radius + REACH) & (approach > 0)
            push = (towards * (approach * touching / distance).unsqueeze(-1)).sum(1)
            pushed = push / touching.sum(1).clamp_min(1).unsqueeze(-1)
            still = torch.zeros_like(pushed[:, 0])
            self._move(thing, pushed, still, get_euler_xyz(thing[..., 3:7]), 0.5 * asset.height)
            self.roots[:, index] = thing

    def _move(self, roots, planar, turn, rpy, height):
        """Integrate bodies `[..., 13]` in place; heights and tilts settle."""
        dt = self.params.dt
        fall = (height - roots[..., 2]) / SETTLING
        roots[..., 7:9], roots[..., 9] = planar, fall
        roots[..., 10:12], roots[..., 12] = 0.0, turn
        roots[..., :3] += dt * roots[..., 7:10]
        roll, pitch, yaw = rpy
        upright = [((angle + math.pi) % (2 * math.pi) - math.pi) * (1 - dt / SETTLING) for angle in (roll, pitch)]
        roots[..., 3:7] = quat_from_euler_xyz(*upright, yaw + dt * turn)

    def _take_over(self):
        """What was written since the last step."""
        if "roots" in self.pending:
            values, actors = self.pending["roots"]
            self.roots.view(-1, 13)[actors] = values[actors]
        if "dofs" in self.pending:
            values, actors = self.pending["dofs"]
            size = self.roots.shape[1]
            given = values.view_as(self.dofs)
            self.dofs[actors // size, actors % size] = given[actors // size, actors % size]
        self.pending = {}


class Gym:
    """The methods that MAPush and this project call; what is asked of the graphics is ignored."""

    def create_sim(self, compute_device, graphics_device, engine, params):
        assert engine == SIM_PHYSX
        return Sim(params, f"cuda:{compute_device}" if params.use_gpu_pipeline else "cpu")

    def destroy_sim(self, sim):
        assert not sim.destroyed
        sim.destroyed = True

    def prepare_sim(self, sim):
        sim.prepare()
        return True

    def add_triangle_mesh(self, sim, vertices, triangles, params):
        assert vertices.ndim == triangles.ndim == 1

    def load_asset(self, sim, root, file, options):
        return Asset(Path(root) / file, options)

    def get_asset_dof_names(self, asset):
        return list(asset.dof_names)

    def get_asset_dof_count(self, asset):
        return len(asset.dof_names)

    def get_asset_dof_properties(self, asset):
        return asset.dof_properties()

    def get_asset_rigid_body_names(self, asset):
        return list(asset.bodies)

    def get_asset_rigid_body_count(self, asset):
        return len(asset.bodies)

    def get_asset_rigid_shape_properties(self, asset):
        return copy.deepcopy(asset.shapes)

    def set_asset_rigid_shape_properties(self, asset, properties):
        asset.shapes = copy.deepcopy(properties)

    def create_env(self, sim, lower, upper, per_row):
        env = []
        env_sims[id(env)] = sim
        sim.envs.append(env)
        return env

    def create_actor(self, env, asset, pose, name, group, collision_filter, segmentation=0):
        env.append(Actor(asset, sum(map(len, env_sims[id(env)].envs))))
        return len(env) - 1

    def set_actor_dof_properties(self, env, actor, properties):
        assert len(properties) == len(env[actor].asset.dof_names)

    def get_actor_rigid_body_properties(self, env, actor):
        return [SimpleNamespace(mass=1.0, com=Vec3()) for _ in env[actor].asset.bodies]

    def set_actor_rigid_body_properties(self, env, actor, properties, recomputeInertia=False):  # noqa: N803
        return True

    def get_actor_rigid_shape_properties(self, env, actor):
        return copy.deepcopy(env[actor].shapes)

    def set_actor_rigid_shape_properties(self, env, actor, properties):
        env[actor].shapes = copy.deepcopy(properties)

    def get_actor_index(self, env, actor, domain):
        assert domain == DOMAIN_SIM
        return env[actor].index

    def find_actor_rigid_body_handle(self, env, actor, name):
        return env[actor].asset.bodies.index(name)

    def acquire_actor_root_state_tensor(self, sim):
        return sim.tensors["roots"]

    def acquire_dof_state_tensor(self, sim):
        return sim.tensors["dofs"]

    def acquire_net_contact_force_tensor(self, sim):
        return sim.tensors["forces"]

    def acquire_rigid_body_state_tensor(self, sim):
        return sim.tensors["bodies"]

    def refresh_actor_root_state_tensor(self, sim):
        sim.tensors["roots"].copy_(sim.roots.flatten(0, 1))

    def refresh_dof_state_tensor(self, sim):
        sim.tensors["dofs"].copy_(sim.dofs.flatten(0, 2))

    def refresh_net_contact_force_tensor(self, sim):
        return True

    def get_rigid_contacts(self, sim):
        assert not sim.params.use_gpu_pipeline
        feet = 4 * sum(bool(actor.asset.dof_names) for env in sim.envs for actor in env)
        contacts = np.zeros(feet + 1, dtype=[("env0", "i4")])
        contacts["env0"][-1] = -1  # no contact
        return contacts

    def refresh_rigid_body_state_tensor(self, sim):
        return True

    def render_all_camera_sensors(self, sim):
        return True

    def set_actor_root_state_tensor_indexed(self, sim, values, actors, count):
        assert actors.dtype == torch.int32 and len(actors) == count
        sim.pending["roots"] = (values.clone(), actors.long())

    def set_dof_state_tensor_indexed(self, sim, values, actors, count):
        assert actors.dtype == torch.int32 and len(actors) == count
        sim.pending["dofs"] = (values.clone(), actors.long())

    def set_dof_actuation_force_tensor(self, sim, torques):
        sim.torques.copy_(torques.view_as(sim.torques))

    def simulate(self, sim):
        assert not sim.destroyed
        sim.simulate()

    def fetch_results(self, sim, wait):
        return True


env_sims = {}
"""The simulation of an environment, by the environment's identity."""
_gym = Gym()


def acquire_gym():
    return _gym
