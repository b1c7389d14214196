"""MAPush's own environment (MQE) on Isaac Gym: its bodies and its walking controller.

This runs MAPush's code for the scene, the walking controller ("walk these ways") and the actuator network. MAPush's
rewards, ends of episodes, automatic resets and statistics are left out, because this project has its own. MAPush's
configuration classes are derived from and stay as published.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence
from xml.etree import ElementTree

from ..errors import UserError
from ..task.obstacles import AROUND, HEIGHT, present
from .config import PartConfig
from .contacts import OBSTACLE_FRICTION
from .isaacgym_import import stdout_as_stderr
from .rotation import conjugate, rotate_by_quaternion
from .simulator import SimulationRequest

TASK = "go1push_mid"
"""MAPush's name of the task."""
OBJECT, OBSTACLES = "object.urdf", "obstacles{}.urdf"
"""Files of the object, and of each environment's obstacles."""
MAX_COMMAND = 1.0
"""MAPush clips the commands of its walking controller to this, m/s and rad/s."""
_WALKING = "mqe/utils/locomotion_checkpoints/walk_these_ways"
_ACTUATORS = "resources/actuator_nets"
_NEEDED = (
    f"{_WALKING}/body_latest.jit",
    f"{_WALKING}/adaptation_module_latest.jit",
    f"{_ACTUATORS}/unitree_go1.pt",
    "resources/robots/go1/urdf/go1.urdf",
    "resources/objects/target.urdf",
)
"""What MAPush reads beside its code, below the root of its source tree."""


def find_source() -> Path:
    """The root of MAPush's source tree: MAPUSH_SRC, or where the installed package `mqe` lies.

    Raises:
        UserError: it is not there, lacks files, or does not have the contact-pair patch.

    """
    source = os.environ.get("MAPUSH_SRC")
    if source:
        if not (Path(source) / "mqe").is_dir():
            raise UserError(f"MAPUSH_SRC={source} is not a source tree of MAPush: it holds no mqe/")
        if source not in sys.path:
            sys.path.insert(0, source)
    try:
        with stdout_as_stderr():
            from mqe.envs.base import base_task
    except ImportError as error:
        if getattr(error, "name", None) == "mqe":
            raise UserError(
                "sim.backend=isaacgym needs MAPush, which is not installed in this Python: set MAPUSH_SRC to its "
                "source tree (docs/isaacgym.md)"
            ) from None
        raise UserError(f"MAPush cannot be imported: {error}") from None
    root = Path(base_task.__file__).resolve().parents[3]
    for path in _NEEDED:
        if not (root / path).is_file():
            raise UserError(f"{root} is no complete source tree of MAPush: {path} is missing; get it anew")
    _check_contact_pairs(base_task, root)
    return root


def _check_contact_pairs(base_task: Any, root: Path) -> None:
    """Refuse MAPush without the contact-pair patch, and a multiplier that is not valid."""
    multiplier = getattr(base_task, "contact_pair_multiplier", None)
    if multiplier is None:
        raise UserError(
            f"MAPush in {root} takes 5 to 10 GB of the GPU for contact pairs that it never uses; "
            f"run: mapush patches apply contact-pairs --target {root}"
        )
    try:
        multiplier()
    except ValueError as error:
        raise UserError(str(error)) from None


def make_task(root: Path, folder: Path, request: SimulationRequest) -> Any:
    """MAPush's `Go1Object` environment with the object and the obstacles whose URDF files are in a folder."""
    from isaacgym import gymapi
    from mqe.envs.configs.go1_push_mid_config import Go1PushMidCfg
    from mqe.envs.npc.go1_object import Go1Object
    from mqe.utils import make_env

    on_gpu = request.device.type == "cuda"
    arguments = argparse.Namespace(
        task=TASK,
        num_envs=request.sim.num_envs,
        seed=request.seed % 2**32,  # of MAPush's constructor; no result here depends on it
        headless=True,
        record_video=False,
        physics_engine=gymapi.SIM_PHYSX,
        sim_device=str(request.device),
        use_gpu=on_gpu,
        use_gpu_pipeline=on_gpu,
        num_threads=request.sim.threads,  # 0 leaves MAPush's own number
        subscenes=0,
    )
    configuration = derive(Go1PushMidCfg, root, folder / OBJECT, request.sim.num_envs, len(request.team))
    bodies: Any = Go1Object
    if request.layout is not None:
        configuration = _around(configuration, float(request.layout.centre[:, :AROUND].abs().max()))
        bodies = _with_obstacles(Go1Object, folder)
    task, _ = make_env(_bodies_and_walking(bodies, request.friction.tolist()), configuration, arguments)
    return task


def derive(published: Any, root: Path, body_file: Path, num_envs: int, num_robots: int) -> Any:
    """MAPush's configuration for this object and team.

    MAPush's `task/*/train.sh` overwrite the published file with that of the object trained last. Of what differs
    between those files, only the starts of object and target are used.
    """
    state = published.init_state
    changes: Dict[str, Dict[str, Any]] = {
        "env": {
            "num_envs": num_envs,
            "num_agents": num_robots,
            "num_npcs": 2,
            "record_video": False,
        },
        "asset": {"file_npc": str(body_file), "npc_collision": True, "fix_npc_base_link": False, "npc_gravity": True},
        "init_state": {"multi_init_state": True, "init_states": [state.init_states[0]] * num_robots},
        "goal": {"sequential_goal_pos": False, "received_goal_pos": False},
        "control": {
            "control_type": "C",
            "locomotion_policy_dir": str(root / _WALKING),
            "actuator_network_path": str(root / _ACTUATORS),
        },
        "domain_rand": {"push_robots": False, "randomize_friction": False},
        # MAPush writes into these.
        "terrain": {},
        "normalization": {},
        "obs": {},
        "privileged_obs": {},
    }
    return _changed(published, changes)


def _changed(published: Any, changes: Dict[str, Dict[str, Any]]) -> Any:
    sections = {name: type(name, (getattr(published, name),), values) for name, values in changes.items()}
    return type("Configuration", (published,), sections)


def _around(derived: Any, reach: float) -> Any:
    """A configuration with obstacles up to `reach` m from where the object starts, and ground for them.

    All obstacles of an environment are one more thing.
    """
    half, track = max(0.5 * derived.terrain.map_size[0], math.ceil(reach) + 1.0), derived.terrain.BarrierTrack_kwargs
    ground = {
        **track,
        "track_width": 2 * half,
        "init": {**track["init"], "room_size": (track["init"]["room_size"][0], 2 * half)},
        "plane": {**track["plane"], "block_length": 2 * half},
    }
    things = [copy.copy(derived.init_state.init_states_npc[number]) for number in (0, 1, 0)]
    for number, height in ((0, things[0].pos[2]), (2, 0.0)):
        things[number].pos = [half, 0.0, height]
    return _changed(
        derived,
        {
            "env": {"num_npcs": 3},
            "init_state": {"init_states_npc": things},
            "terrain": {"map_size": [2 * half] * 2, "BarrierTrack_kwargs": ground},
        },
    )


def _bodies_and_walking(published: Any, friction: Sequence[float]) -> type:
    """MAPush's environment class without its task; environment i's object has `friction[i]`."""

    class BodiesAndWalking(published):  # type: ignore[misc] # a class of MAPush's, known at run time only
        def _create_npc(self, env_handle: Any, env_id: int) -> Any:
            """Object and target marker; the object's friction is the environment's own, not drawn anew."""
            handles = super()._create_npc(env_handle, env_id)
            shapes = self.gym.get_actor_rigid_shape_properties(env_handle, handles[0])
            for shape in shapes:
                shape.friction = friction[env_id]
            self.gym.set_actor_rigid_shape_properties(env_handle, handles[0], shapes)
            return handles

        def post_physics_step(self) -> None:
            """What the walking controller needs of the step; no reward, no end, no reset."""
            self.gym.refresh_actor_root_state_tensor(self.sim)
            self._step_contact_targets()
            self.sense()

        def sense(self) -> None:
            """Fill what the walking controller observes from the root and joint states as they are."""
            self.root_states = self.all_root_states.view(self.num_envs, -1, 13)[:, : self.num_agents].reshape(-1, 13)
            self.base_pos, self.base_quat = self.root_states[:, :3], self.root_states[:, 3:7]
            to_base = conjugate(self.base_quat.roll(1, -1))
            self.base_lin_vel = rotate_by_quaternion(to_base, self.root_states[:, 7:10])
            self.base_ang_vel = rotate_by_quaternion(to_base, self.root_states[:, 10:13])
            self.projected_gravity = rotate_by_quaternion(to_base, self.gravity_vec)
            self.compute_observations()

    return BodiesAndWalking


def _with_obstacles(published: type, folder: Path) -> type:
    """MAPush's environment class with the obstacles of each environment, which nothing moves."""
    from isaacgym import gymapi

    options = gymapi.AssetOptions()
    options.fix_base_link = options.collapse_fixed_joints = True

    class WithObstacles(published):  # type: ignore[misc] # a class of MAPush's, known at run time only
        def _create_npc(self, env_handle: Any, env_id: int) -> Any:
            asset = self.gym.load_asset(self.sim, str(folder), OBSTACLES.format(env_id), options)
            shapes = self.gym.get_asset_rigid_shape_properties(asset)
            for shape in shapes:
                shape.friction = OBSTACLE_FRICTION
            self.gym.set_asset_rigid_shape_properties(asset, shapes)
            place = gymapi.Transform()
            place.p = gymapi.Vec3(*(self.env_origins[env_id] + self.base_init_state_npc[-1, :3]).tolist())
            handles = super()._create_npc(env_handle, env_id)
            return [*handles, self.gym.create_actor(env_handle, asset, place, "obstacles", env_id, 0, 0)]

    return WithObstacles


def obstacle_parts(request: SimulationRequest, env: int) -> List[PartConfig]:
    """The obstacles of an environment, from where its object starts."""
    assert request.layout is not None
    layout, parts = request.layout.at(env), []
    for there, (x, y), yaw, (a, b), is_round in zip(present(layout).tolist(), *(one.tolist() for one in layout)):
        if there:
            size = (a, HEIGHT) if is_round else (2 * a, 2 * b, HEIGHT)
            shape: Any = "cylinder" if is_round else "box"
            place, turn, inertia = (x, y, 0.5 * HEIGHT), math.degrees(yaw), (1.0, 1.0, 1.0)
            parts.append(PartConfig(shape=shape, size=size, position=place, yaw=turn, mass=1.0, inertia=inertia))
    return parts


def write_urdf(parts: Sequence[PartConfig], path: Path) -> None:
    """Write the object as a URDF: a link for each part, fixed to the first, as MAPush does.

    The first link's frame is the object's. Isaac Gym's root velocity is that of the object's frame if the first part's
    centre of mass is there too, as in all of MAPush's objects.
    """
    robot = ElementTree.Element("robot", name="object")
    if any(part.shape == "prism" for part in parts):
        raise UserError("sim.backend=isaacgym knows boxes and cylinders, not prisms; choose mujoco or warp")
    for number, part in enumerate(parts):
        _add_link(robot, f"part{number}", part)
        if number:
            joint = ElementTree.SubElement(robot, "joint", name=f"fixed{number}", type="fixed")
            ElementTree.SubElement(joint, "parent", link="part0")
            ElementTree.SubElement(joint, "child", link=f"part{number}")
    ElementTree.ElementTree(robot).write(str(path), encoding="utf-8", xml_declaration=True)


def _add_link(robot: ElementTree.Element, name: str, part: PartConfig) -> None:
    link = ElementTree.SubElement(robot, "link", name=name)
    for kind in ("visual", "collision", "inertial"):
        element = ElementTree.SubElement(link, kind)
        turn = repr(math.radians(part.yaw)) if part.yaw else "0"
        ElementTree.SubElement(element, "origin", xyz=" ".join(map(repr, part.position)), rpy=f"0 0 {turn}")
        if kind == "inertial":
            ElementTree.SubElement(element, "mass", value=repr(part.mass))
            ixx, iyy, izz = map(repr, part.inertia)
            ElementTree.SubElement(element, "inertia", ixx=ixx, iyy=iyy, izz=izz, ixy="0", ixz="0", iyz="0")
            continue
        geometry = ElementTree.SubElement(element, "geometry")
        if part.shape == "cylinder":
            radius, length = part.size
            ElementTree.SubElement(geometry, "cylinder", radius=repr(radius), length=repr(length))
        else:
            ElementTree.SubElement(geometry, "box", size=" ".join(map(repr, part.size)))
