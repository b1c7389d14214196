"""How the scene looks: shells, colours, floor and light.

`Stage` compiles the scene a second time, with geoms that have no mass and collide with nothing, and shows joint
positions that a simulation has had. Nothing here is simulated.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import numpy as np

from ..task.obstacle_config import ObstacleConfig
from ..task.obstacles import Layout
from . import obstacles, scene
from .config import ObjectBody, PartConfig
from .drawing import HIDDEN, SHOWN, Colour, Draw
from .team import Team

ACCENTS: Tuple[Colour, ...] = (
    (0.10, 0.45, 0.95),
    (0.95, 0.20, 0.50),
    (0.48, 0.28, 0.90),
    (0.05, 0.65, 0.70),
    (0.95, 0.45, 0.10),
    (0.30, 0.32, 0.38),
    (0.60, 0.35, 0.20),
    (0.85, 0.75, 0.15),
)
"""A robot's own colour, by its number in the team."""
_OBJECT: Colour = (0.93, 0.68, 0.22)
_OBSTACLE: Colour = (0.50, 0.36, 0.32)
_GOAL: Colour = (0.98, 0.99, 1.00)
_MARK: Colour = (0.20, 0.16, 0.12)
_GREEN: Colour = (0.20, 0.76, 0.36)
_RED: Colour = (0.88, 0.22, 0.20)
MOODS = {"pushing": (_OBJECT, _GOAL), "success": (_GREEN, _GREEN), "failure": (_RED, _RED)}
"""Colours of the object and of the goal."""
_FLOOR: Colour = (0.465, 0.515, 0.565)
_DISC_OPACITY = 0.38
"""The disc's colour is mixed with the floor's, because a translucent geom casts shadows on itself in MuJoCo."""
_LIGHT = (2.5, 4.0, 8.0)
"""Where the light stands from the point that the camera looks at: towards the camera, to its left, up; m."""


class Stage:
    """A model and its data to be drawn: put joint positions in, and draw."""

    object_radius: float
    """Of a circle around the object's frame that holds it, seen from above, m."""

    def __init__(
        self,
        body: ObjectBody,
        team: Team,
        goal_radius: float,
        size: Tuple[int, int] = (1280, 720),
        posed: bool = False,
        around: Optional[ObstacleConfig] = None,
    ) -> None:
        """The scene of `scene.build` with its looks.

        `goal_radius` is in m; `size` is the width and height of the largest picture, pixels. If the goal is a pose
        (`posed`) the place of the object's parts is drawn on the floor. `around`: there are obstacles.
        """
        import mujoco

        spec = scene.build(body, team, around=around)
        dress(spec, body, team, goal_radius)
        if posed:
            _add_outline(spec, body)
        spec.visual.global_.offwidth, spec.visual.global_.offheight = size
        self._mujoco = mujoco
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.object_radius = max(np.hypot(*part.position[:2]) + _radius(part) for part in body.parts)
        self._object_body = self.model.body("object").id
        self._robot_bodies = [self.model.body(f"robot{number}").id for number in range(len(team))]
        self._goal = self.model.body("goal").mocapid[0]
        self._obstacles = obstacles.columns(self.model)
        self._object_geoms = [self.model.geom(f"object{part}").id for part in range(len(body.parts))]

    def pose(self, qpos: np.ndarray) -> None:
        """Put everything at joint positions `[nq]`."""
        self.data.qpos[:] = qpos
        self._mujoco.mj_kinematics(self.model, self.data)
        self._mujoco.mj_comPos(self.model, self.data)

    def positions(self) -> Tuple[np.ndarray, np.ndarray]:
        """Where the object's frame `[3]` and the robots' bases `[A, 3]` are, m."""
        return self.data.xpos[self._object_body].copy(), self.data.xpos[self._robot_bodies].copy()

    def light(self, looking_at: np.ndarray, azimuth: float) -> None:
        """Place the light for a camera that looks at a point `[3]` (m) along `azimuth` (rad)."""
        back, left, up = _LIGHT
        cos, sin = np.cos(azimuth), np.sin(azimuth)
        away = np.array([-back * cos - left * sin, -back * sin + left * cos, up])
        self.model.light_pos[0], self.model.light_dir[0] = looking_at + away, -away / np.linalg.norm(away)
        self._mujoco.mj_camlight(self.model, self.data)

    def place_goal(self, goal: Sequence[float]) -> None:
        """Move the disc that the object's centre must enter; `goal` is x and y, m, and perhaps yaw, rad."""
        x, y, yaw = (*goal, 0.0)[:3]
        self.data.mocap_pos[self._goal] = [x, y, 0.0]
        self.data.mocap_quat[self._goal] = [np.cos(0.5 * yaw), 0.0, 0.0, np.sin(0.5 * yaw)]

    def place_obstacles(self, layout: Layout) -> None:
        """Move the obstacles to a layout `[K]`."""
        holders = self.data.mocap_pos, self.data.mocap_quat, self.model.geom_size
        for holder, columns, values in zip(holders, self._obstacles, obstacles.fields(layout)):
            holder[columns] = values.cpu().numpy()

    def set_mood(self, mood: str) -> None:
        """Colour object and goal for `pushing`, or for an end in `success` or `failure`."""
        thing, goal = MOODS[mood]
        self.model.geom_rgba[self._object_geoms] = [*thing, 1.0]
        mixed = _DISC_OPACITY * np.array(goal) + (1.0 - _DISC_OPACITY) * np.array(_FLOOR)
        for geom in range(self.model.ngeom):
            if self.model.geom(geom).name.startswith(("goal_disc", "goal_part")):
                self.model.geom_rgba[geom] = [*mixed, 1.0]
        for name in ("goal_rim", "goal_pin", "goal_head"):
            self.model.geom(name).rgba = [*goal, 1.0]


def _radius(part: PartConfig) -> float:
    if part.shape == "prism":
        return float(max(np.hypot(x, y) for x, y in part.vertices))
    half = scene.half_sizes(part)
    return half[0] if part.shape == "cylinder" else float(np.hypot(half[0], half[1]))


def dress(spec: Any, body: ObjectBody, team: Team, goal_radius: float) -> None:
    """Add looks to the `mujoco.MjSpec` of `scene.build`; `goal_radius` in m."""
    for geom in spec.geoms:
        geom.group = SHOWN if geom.name == "floor" or geom.name.startswith(("object", obstacles.NAME)) else HIDDEN
        if geom.name.startswith(obstacles.NAME):
            geom.rgba = [*_OBSTACLE, 1.0]
    _add_surroundings(spec)
    draw = Draw(spec)
    # A disc with a rim, and a pin that is seen over the object. The discs reach deep into the floor: shadows are
    # computed from their lower sides, which must be far from the upper.
    goal = spec.worldbody.add_body(name="goal", mocap=True)
    draw.cylinder(goal, [0, 0, 0.003 - 0.1], goal_radius, 0.1, _GOAL, name="goal_rim")
    draw.cylinder(goal, [0, 0, 0.006 - 0.1], goal_radius - 0.03, 0.1, _GOAL, name="goal_disc")
    draw.cylinder(goal, [0, 0, 0.4], 0.012, 0.4, _GOAL, name="goal_pin")
    draw.sphere(goal, [0, 0, 0.82], 0.045, _GOAL, name="goal_head")
    # A mark over the point that must come into the disc.
    top = max(0.5 * part.size[-1] for part in body.parts)  # the height is the last length of all shapes
    draw.cylinder(spec.body("object"), [0, 0, top], 0.05, 0.003, _MARK)
    for group in team.groups:
        for number in group.members:
            group.robots.dress(draw, f"robot{number}", ACCENTS[number % len(ACCENTS)])


def _add_outline(spec: Any, body: ObjectBody) -> None:
    """Draw where the object's parts are to be, on the floor around the goal."""
    for number, part in enumerate(body.parts):
        place, name = [*part.position[:2], 0.0015 - 0.1], f"goal_part{number}"
        if part.shape == "prism":
            mesh = scene.prism_mesh(spec, name, part.vertices, 0.1)
            Draw(spec).mesh(spec.body("goal"), place, mesh, _GOAL, np.radians(part.yaw), name)
            continue
        radius, width, _ = scene.half_sizes(part)
        if part.shape == "cylinder":
            Draw(spec).cylinder(spec.body("goal"), place, radius, 0.1, _GOAL, name=name)
        else:
            Draw(spec).box(spec.body("goal"), place, [radius, width, 0.1], _GOAL, np.radians(part.yaw), name)


def _add_surroundings(spec: Any) -> None:
    """Sky, floor and lights, and how finely they are drawn."""
    import mujoco

    look = spec.visual
    look.quality.shadowsize, look.quality.offsamples = 2048, 4
    look.quality.numslices, look.quality.numstacks = 40, 6  # software rendering pays for every triangle
    look.map.znear, look.map.zfar, look.map.shadowclip = 0.1, 60.0, 5.0
    look.map.fogstart, look.map.fogend, look.map.haze = 8.0, 30.0, 0.4
    look.rgba.haze = look.rgba.fog = [0.87, 0.91, 0.95, 1]
    look.headlight.ambient, look.headlight.diffuse = [0.38, 0.39, 0.41], [0.22, 0.22, 0.22]
    look.headlight.specular = [0.05, 0.05, 0.05]
    spec.stat.extent, spec.stat.center = 1.0, [0, 0, 0]
    gradient, checker = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, mujoco.mjtBuiltin.mjBUILTIN_CHECKER
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=gradient,
        rgb1=[0.45, 0.64, 0.86],
        rgb2=[0.90, 0.94, 0.97],
        width=256,
        height=1536,
    )
    spec.add_texture(
        name="floor",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=checker,
        rgb1=[part - 0.015 for part in _FLOOR],
        rgb2=[part + 0.015 for part in _FLOOR],
        mark=mujoco.mjtMark.mjMARK_EDGE,
        markrgb=[0.56, 0.61, 0.66],
        width=512,
        height=512,
    )
    material = spec.add_material(name="floor", texrepeat=[0.5, 0.5], texuniform=True, specular=0.1, shininess=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    spec.geom("floor").material = "floor"
    spec.worldbody.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[0.62, 0.61, 0.58],
        specular=[0.25, 0.25, 0.25],
        castshadow=True,
    )
