"""Command lines and simulation settings of programs, under the names of `isaacgym.gymutil`.

What would be drawn into a viewer is made and ignored: there is no window.
"""

from __future__ import annotations

import argparse
from typing import Any, Dict, List, Sequence, Tuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from .support import INSTEAD, Refused, ignore
from .types import SimType, UpAxis, Vec3

__all__ = [
    "parse_device_str", "parse_sim_config", "parse_arguments", "LineGeometry", "AxesGeometry", "WireframeBoxGeometry",
    "WireframeBBoxGeometry", "WireframeSphereGeometry", "draw_lines", "draw_line",
]  # fmt: skip


globals().update({name[8:]: Refused(name) for name in INSTEAD if name.startswith("gymutil.")})


def _indent_xml(elem: Element, level: int = 0) -> None:
    """Put the elements of an XML tree on lines of their own."""
    ElementTree.indent(elem, level=level)


def parse_device_str(device_str: str) -> Tuple[str, int]:
    """Kind and number of a device: `cuda:1` is ("cuda", 1), `cpu` is ("cpu", 0)."""
    kind, _, number = device_str.lower().partition(":")
    kind = "cuda" if kind == "gpu" else kind
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device {device_str!r} is neither cpu nor cuda, as in cuda:0")
    if number and not number.isdigit():
        raise ValueError(f"device {device_str!r} has no number after the colon, as in cuda:0")
    return kind, int(number or 0)


def parse_sim_config(sim_cfg: Dict[str, Any], sim_params: Any) -> None:
    """Set the fields of `sim_params` that `sim_cfg` names; `physx` and `flex` are dictionaries in it.

    Names that `sim_params` does not have are left out, as Isaac Gym does.
    """
    for name, value in sim_cfg.items():
        if not hasattr(sim_params, name):
            continue
        if isinstance(value, dict):
            parse_sim_config(value, getattr(sim_params, name))
        elif name == "gravity":
            sim_params.gravity = Vec3(*value)
        elif name == "up_axis":
            number = {"y": 0, "z": 1}.get(value.lower()) if isinstance(value, str) else int(value)
            if number not in (0, 1):
                raise ValueError(f"up_axis {value!r} is neither y (0) nor z (1)")
            sim_params.up_axis = UpAxis(number)
        else:
            setattr(sim_params, name, value)


def parse_arguments(
    description: str = "Isaac Gym Example",
    headless: bool = False,
    no_graphics: bool = False,
    custom_parameters: Sequence[Dict[str, Any]] = (),
) -> argparse.Namespace:
    """The command line's arguments: Isaac Gym's own, and `custom_parameters`, options of `add_argument` with a name.

    Sets `sim_device_type`, `compute_device_id`, `use_gpu`, `use_gpu_pipeline` and `physics_engine` by them.
    """
    parser = argparse.ArgumentParser(description=description)
    if headless:
        parser.add_argument("--headless", action="store_true", help="open no window")
    if no_graphics:
        parser.add_argument("--nographics", action="store_true", help="render nothing, and open no window")
    parser.add_argument("--sim_device", default="cuda:0", help="device of the physics, as torch names it")
    parser.add_argument("--pipeline", default="gpu", help="where tensors are: cpu or gpu")
    parser.add_argument("--graphics_device_id", type=int, default=0, help="number of the GPU that renders")
    engine = parser.add_mutually_exclusive_group()
    engine.add_argument("--flex", action="store_true", help="FleX as the physics")
    engine.add_argument("--physx", action="store_true", help="PhysX as the physics, the default")
    parser.add_argument("--num_threads", type=int, default=0, help="threads of the physics; 0 for its own number")
    parser.add_argument("--subscenes", type=int, default=0, help="number of PhysX's subscenes")
    parser.add_argument("--slices", type=int, help="number of threads that process slices of the environments")
    for parameter in custom_parameters:
        if "name" not in parameter or not {"type", "action"} & set(parameter):
            raise ValueError(f"custom parameter {parameter} needs a name, and a type or an action")
        options = {key: value for key, value in parameter.items() if key != "name"}
        if "action" in options:
            options.pop("type", None)
        parser.add_argument(parameter["name"], **options)
    args = parser.parse_args()
    args.sim_device_type, args.compute_device_id = parse_device_str(args.sim_device)
    pipeline = args.pipeline.lower()
    if pipeline not in ("cpu", "gpu", "cuda"):
        parser.error(f"--pipeline {args.pipeline} is neither cpu nor gpu")
    args.use_gpu = args.sim_device_type == "cuda"
    args.use_gpu_pipeline = pipeline != "cpu" and args.use_gpu
    if pipeline != "cpu" and not args.use_gpu:
        args.pipeline = "CPU"
    args.physics_engine = SimType.SIM_FLEX if args.flex else SimType.SIM_PHYSX
    if no_graphics and args.nographics:
        args.headless = True
    if args.slices is None:
        args.slices = args.subscenes
    return args


class LineGeometry:
    """Lines that nobody sees; takes and keeps whatever it is made of."""

    def __init__(self, *args: Any, **options: Any) -> None:
        ignore("draw_lines")

    def num_lines(self) -> int:
        """0: there are no lines."""
        return 0

    def vertices(self) -> List[Any]:
        """No vertices."""
        return []

    colors = instance_verts = vertices


class AxesGeometry(LineGeometry):
    """Coordinate axes."""


class WireframeBoxGeometry(LineGeometry):
    """The edges of a box."""


class WireframeBBoxGeometry(LineGeometry):
    """The edges of a bounding box."""


class WireframeSphereGeometry(LineGeometry):
    """Circles of a sphere."""


def draw_lines(geom: Any, gym: Any, viewer: Any, env: Any, pose: Any) -> None:
    """Draw nothing."""
    ignore("draw_lines")


def draw_line(p1: Any, p2: Any, color: Any, gym: Any, viewer: Any, env: Any) -> None:
    """Draw nothing."""
    ignore("draw_lines")
