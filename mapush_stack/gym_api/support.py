"""What of Isaac Gym is refused, and what is accepted and has no effect here (docs/gym_api.md)."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Dict, List

_OURS = str(Path(__file__).parent)

IGNORED: Dict[str, str] = {
    "AssetOptions.thickness": "MuJoCo's shapes have no shell",
    "AssetOptions.convex_decomposition_from_submeshes": "a mesh collides as its convex hull",
    "AssetOptions.vhacd_enabled": "a mesh collides as its convex hull",
    "AssetOptions.vhacd_params": "a mesh collides as its convex hull",
    "AssetOptions.flip_visual_attachments": "pictures show the shapes that collide",
    "AssetOptions.use_mesh_materials": "pictures show the shapes that collide",
    "AssetOptions.mesh_normal_mode": "pictures show the shapes that collide",
    "AssetOptions.use_physx_armature": "armature is always MuJoCo's",
    "AssetOptions.slices_per_cylinder": "cylinders are round",
    "AssetOptions.min_particle_mass": "there are no particles",
    "AssetOptions.tendon_limit_stiffness": "tendons of MJCF files are left out",
    "AssetOptions.enable_gyroscopic_forces": "MuJoCo always has them",
    "RigidShapeProperties.rolling_friction": "PhysX does not use it either",
    "RigidShapeProperties.torsion_friction": "PhysX does not use it either",
    "RigidShapeProperties.contact_offset": "MuJoCo finds contacts when shapes touch",
    "RigidShapeProperties.rest_offset": "MuJoCo's shapes touch at their surfaces",
    "RigidShapeProperties.compliance": "contacts are equally soft for all shapes",
    "RigidShapeProperties.thickness": "MuJoCo's shapes have no shell",
    "RigidBodyProperties.flags": "a body's gravity is its asset's",
    "RigidBodyProperties.invMass": "it follows from the mass",
    "RigidBodyProperties.invInertia": "it follows from the inertia",
    "SimParams.num_client_threads": "this process calls the simulation",
    "SimParams.stress_visualization": "there is no soft body",
    "SimParams.stress_visualization_max": "there is no soft body",
    "SimParams.stress_visualization_min": "there is no soft body",
    "SimParams.enable_actor_creation_warning": "there is no such warning",
    "SimParams.flex": "FleX is not supported",
    "PhysXParams.solver_type": "MuJoCo's Newton solver is used",
    "PhysXParams.num_position_iterations": "MuJoCo's Newton solver has its own number",
    "PhysXParams.num_velocity_iterations": "MuJoCo's Newton solver has its own number",
    "PhysXParams.contact_offset": "MuJoCo finds contacts when shapes touch",
    "PhysXParams.rest_offset": "MuJoCo's shapes touch at their surfaces",
    "PhysXParams.bounce_threshold_velocity": "restitution has no threshold",
    "PhysXParams.max_depenetration_velocity": "overlaps end as MuJoCo's contacts do",
    "PhysXParams.friction_offset_threshold": "it belongs to PhysX's contacts",
    "PhysXParams.friction_correlation_distance": "it belongs to PhysX's contacts",
    "PhysXParams.max_gpu_contact_pairs": "contacts have room as they need it",
    "PhysXParams.default_buffer_size_multiplier": "contacts have room as they need it",
    "PhysXParams.num_subscenes": "MuJoCo's copies are its subscenes",
    "PhysXParams.contact_collection": "forces are those of the last substep",
    "PhysXParams.always_use_articulations": "a lone body is a body either way",
    "PhysXParams.use_gpu": "MAPUSH_GYM says where the physics runs",
    "ForceSensorProperties.enable_forward_dynamics_forces": "force sensors read contacts alone",
    "ForceSensorProperties.enable_constraint_solver_forces": "force sensors read contacts alone",
    "PlaneParams.dynamic_friction": "MuJoCo has one coefficient: static_friction",
    "PlaneParams.segmentation_id": "the ground is 0 in pictures",
    "TriangleMeshParams.dynamic_friction": "MuJoCo has one coefficient: static_friction",
    "TriangleMeshParams.segmentation_id": "the ground is 0 in pictures",
    "HeightFieldParams.dynamic_friction": "MuJoCo has one coefficient: static_friction",
    "HeightFieldParams.segmentation_id": "the ground is 0 in pictures",
    "CameraProperties.use_collision_geometry": "pictures always show the shapes that collide",
    "CameraProperties.supersampling_horizontal": "pictures are drawn at their own size",
    "CameraProperties.supersampling_vertical": "pictures are drawn at their own size",
    "CameraProperties.far_plane": "MuJoCo chooses the planes by the size of the scene",
    "CameraProperties.near_plane": "MuJoCo chooses the planes by the size of the scene",
    "draw_lines": "nothing is drawn into pictures",
    "draw_env_rigid_contacts": "nothing is drawn into pictures",
    "create_texture_from_file": "pictures have their own colours",
    "set_rigid_body_texture": "pictures have their own colours",
    "set_light_parameters": "pictures have their own light",
    **dict.fromkeys(
        (
            "subscribe_viewer_keyboard_event",
            "subscribe_viewer_mouse_event",
            "query_viewer_action_events",
            "query_viewer_has_closed",
            "viewer_camera_look_at",
            "get_viewer_camera_transform",
            "draw_viewer",
            "poll_viewer_events",
            "sync_frame_time",
            "clear_lines",
            "add_lines",
            "write_viewer_image_to_file",
            "destroy_viewer",
        ),
        "there is no window",
    ),
    "tendon": "tendons and equalities of an MJCF file are left out",
    "mimic": "joints of a URDF file move on their own, as with Isaac Gym",
    "begin_aggregate": "it tells PhysX how much room to keep",
    "end_aggregate": "it tells PhysX how much room to keep",
    "viewer": "there is no window; a program should be started with --headless",
}
"""Settings and calls that have no effect here, as `Class.field` or the call's name, and why."""

INSTEAD: Dict[str, str] = {
    **dict.fromkeys(
        (
            "gym.get_asset_tendon_count", "gym.get_asset_tendon_name", "gym.get_asset_tendon_properties",
            "gym.set_asset_tendon_properties", "gym.get_actor_tendon_count", "gym.get_actor_tendon_properties",
            "gym.set_actor_tendon_properties",
        ),
        "tendons are not simulated; take the call out, and the joints of a tendon move each on its own",
    ),
    **dict.fromkeys(
        (
            "gymutil.apply_random_samples", "gymutil.check_buckets", "gymutil.generate_random_samples",
            "gymutil.get_default_setter_args", "gymutil.get_property_getter_map", "gymutil.get_property_setter_map",
        ),
        "the import works and the call is refused; switch the task's randomisation off",
    ),
    "gym.create_rigid_body_attractor": "apply_rigid_body_force_tensors can pull a body",
    "gymapi.AttractorProperties": "apply_rigid_body_force_tensors can pull a body",
    "gym.create_force_sensor": "use create_asset_force_sensor before create_actor",
}  # fmt: skip
"""What to do without something that is refused, by its name."""

_used: List[str] = []


class UnsupportedError(NotImplementedError):
    """What a program asks of Isaac Gym and cannot have here; says what, and the line that asks."""

    def __init__(self, what: str, instead: str = "") -> None:
        """`what` is the name asked for; `instead` says what to do."""
        instead = instead or INSTEAD.get(what, "")
        reason = f": {instead}" if instead else ""
        super().__init__(f"{what} is not supported by mapush_stack's Isaac Gym over MuJoCo{reason} ({calling_line()})")


class Refused:
    """A call that is refused when it is made, so that a program can import it or put it into a table."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_: object, **__: object) -> None:
        """Raise `UnsupportedError`."""
        raise UnsupportedError(self.name)


def calling_line() -> str:
    """`file:line` of the innermost caller outside of this package."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(_OURS):
            return f"{frame.filename}:{frame.lineno}"
    return "unknown line"


def ignore(name: str) -> None:
    """Note that the program uses `name`, a key of `IGNORED`."""
    if name not in _used:
        _used.append(name)


def tell_ignored() -> None:
    """Print what the program uses and has no effect here, each name once."""
    new = [name for name in _used if name not in _told]
    _told.extend(new)
    if new:
        listed = "; ".join(f"{name} ({IGNORED[name]})" for name in new)
        print(f"isaacgym: set and without effect here: {listed}", file=sys.stderr)


_told: List[str] = []
