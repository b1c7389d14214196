"""Pictures of environments, drawn by MuJoCo without a display; a camera sees its own environment alone."""

from __future__ import annotations

import atexit
import importlib
import math
import sys
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch

from ..sim.opengl import choose_gl
from .actor import Env
from .layout import Layout
from .simulation import Handle
from .support import UnsupportedError
from .types import CameraFollowMode, CameraProperties, ImageType, Quat, Transform, Vec3

_COLOURS = ((0.75, 0.75, 0.78), (0.80, 0.55, 0.35), (0.35, 0.55, 0.80), (0.55, 0.75, 0.45))
"""Of actors by their numbers, unless `set_rigid_body_color` gives another."""
_TO_OPENGL = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], dtype=float)
"""Axes of a camera, which looks along x, as OpenGL has them: -z and y up."""
_renderers: Dict[Tuple[int, int, int], Any] = {}
"""By layout, width and height."""


class Camera:
    """A camera that stands, or follows a body; it looks along its x axis, with z up."""

    def __init__(self, properties: CameraProperties) -> None:
        """At the origin."""
        self.width, self.height = int(properties.width), int(properties.height)
        self.across = math.tan(math.radians(0.5 * float(properties.horizontal_fov)))
        self.place, self.near = Transform(), float(properties.near_plane)
        self.body: Optional[int] = None
        """The number in its environment of the body that it follows."""
        self.turns = True
        """True if it turns with that body."""

    def look(self, position: Any, target: Any) -> None:
        """Stand at a place and look at another."""
        forward = np.array(tuple(target)) - np.array(tuple(position))
        yaw, pitch = math.atan2(forward[1], forward[0]), math.atan2(-forward[2], math.hypot(*forward[:2]))
        self.stand(Transform(Vec3(*position), Quat.from_euler_zyx(0.0, pitch, yaw)))

    def stand(self, place: Transform) -> None:
        """Stand there."""
        self.place, self.body = place, None

    def follow(self, body: int, place: Transform, mode: Any) -> None:
        """Keep a place in a body's frame; with FOLLOW_POSITION the axes stay those of the world."""
        self.place, self.body, self.turns = place, body, mode == CameraFollowMode.FOLLOW_TRANSFORM

    def pose(self, env: Env) -> Transform:
        """Where it is now."""
        if self.body is None:
            return self.place
        layout = env.sim.layout_of(env)
        carrier = Transform.from_buffer(layout.bodies()[layout.row(env.index), self.body, :7].cpu())
        return carrier * self.place if self.turns else Transform(carrier.p + self.place.p, self.place.r)

    def draw(self, env: Env, kind: Any) -> np.ndarray:
        """A picture as an array.

        Colours `[height, 4 * width]` uint8; depth `[height, width]`, m, negative, -inf for the sky; or the numbers that
        the program gave to bodies `[height, width]`, 0 for the ground and the sky.

        Raises:
            UnsupportedError: another kind is asked for.
            UserError: no OpenGL library can draw here.

        """
        if kind == ImageType.IMAGE_OPTICAL_FLOW:
            raise UnsupportedError(
                "a picture of IMAGE_OPTICAL_FLOW", "use IMAGE_COLOR, IMAGE_DEPTH or IMAGE_SEGMENTATION"
            )
        layout = env.sim.layout_of(env)
        renderer = _renderer(layout, self.width, self.height)
        _paint(layout, env)
        self._aim(renderer, layout.engine.data(layout.row(env.index)), self.pose(env))
        if kind == ImageType.IMAGE_COLOR:
            colours = renderer.render()
            opaque = np.full((*colours.shape[:2], 1), 255, dtype=np.uint8)
            return np.concatenate((colours, opaque), axis=-1).reshape(self.height, 4 * self.width)
        if kind == ImageType.IMAGE_SEGMENTATION:
            renderer.enable_segmentation_rendering()
            geoms = renderer.render()[..., 0]
            renderer.disable_segmentation_rendering()
            seen: np.ndarray = _numbers(layout, env)[geoms]
            return seen
        renderer.enable_depth_rendering()
        depth = np.array(renderer.render(), dtype=np.float32)
        renderer.disable_depth_rendering()
        model = layout.engine.model
        depth[depth > 0.99 * model.vis.map.zfar * model.stat.extent] = np.inf
        return -depth

    def _aim(self, renderer: Any, data: Any, pose: Transform) -> None:
        import mujoco

        by_hand = mujoco.MjvCamera()
        renderer.update_scene(data)  # for the planes between which it sees
        for eye in renderer.scene.camera:
            eye.pos, eye.forward, eye.up = (
                list(values) for values in (pose.p, pose.r.rotate(Vec3(1, 0, 0)), pose.r.rotate(Vec3(0, 0, 1)))
            )
            eye.frustum_center, eye.frustum_width = 0.0, eye.frustum_near * self.across
            eye.frustum_top = eye.frustum_width * self.height / self.width
            eye.frustum_bottom = -eye.frustum_top
        by_hand.type = mujoco.mjtCamera.mjCAMERA_USER
        renderer.update_scene(data, by_hand)


def _renderer(layout: Layout, width: int, height: int) -> Any:
    key = (id(layout), width, height)
    if key not in _renderers:
        import mujoco

        if not _renderers:
            choose_gl()
            # MuJoCo chose its library when it was imported.
            importlib.reload(sys.modules[mujoco.Renderer.__module__.rpartition(".")[0] + ".gl_context"])
        look = layout.engine.model.vis
        look.map.zfar = 500.0  # of the size of the scene: ten times as far as usual
        look.headlight.ambient[:], look.headlight.diffuse[:] = 0.35, 0.6
        screen = look.global_
        screen.offwidth, screen.offheight = max(width, screen.offwidth), max(height, screen.offheight)
        _renderers[key] = mujoco.Renderer(layout.engine.model, height, width)
        atexit.register(_renderers[key].close)
    return _renderers[key]


def _paint(layout: Layout, env: Env) -> None:
    """Give the model, which all copies share, the colours of this environment."""
    model = layout.engine.model
    for number, (actor, names) in enumerate(zip(env.actors, layout.scene.geoms)):
        for body, name in zip(actor.asset.bodies_of_shapes(), names):
            colour = actor.colours.get(body, _COLOURS[number % len(_COLOURS)])
            model.geom_rgba[model.geom(name).id] = [*colour, 1.0]


def _numbers(layout: Layout, env: Env) -> np.ndarray:
    """What the program numbered each shape of the model, `[geoms + 1]`; the last is nothing."""
    found = np.zeros(int(layout.engine.model.ngeom) + 1, dtype=np.int32)
    for actor, names in zip(env.actors, layout.scene.geoms):
        for body, name in zip(actor.asset.bodies_of_shapes(), names):
            found[layout.engine.model.geom(name).id] = actor.numbers.get(body, actor.number)
    return found


def write_png(picture: np.ndarray, path: Path) -> None:
    """Write colours `[height, 4 * width]` to a PNG file."""
    height, width = len(picture), picture.shape[1] // 4

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 6, 0, 0, 0])
    rows: List[bytes] = [b"\0" + row.tobytes() for row in picture]
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


class CameraCalls:
    """The calls of `Gym` that concern cameras."""

    def create_camera_sensor(self, env: Env, properties: Any = None) -> int:
        """A camera of an environment; returns its number there."""
        env.cameras.append(Camera(properties or CameraProperties()))
        return len(env.cameras) - 1

    def destroy_camera_sensor(self, sim: Any, env: Env, camera: int) -> None:
        """Nothing: the others keep their numbers."""

    def set_camera_location(self, camera: int, env: Env, position: Any, target: Any) -> None:
        """Stand at a place and look at another."""
        env.cameras[camera].look(position, target)

    def set_camera_transform(self, camera: int, env: Env, transform: Any) -> None:
        """Stand at a place, looking along the x axis there."""
        env.cameras[camera].stand(transform)

    def attach_camera_to_body(self, camera: int, env: Env, body: int, transform: Any, mode: Any) -> None:
        """Follow a body of the environment."""
        env.cameras[camera].follow(int(body), transform, mode)

    def get_camera_transform(self, sim: Any, env: Env, camera: int) -> Transform:
        """Where the camera is now."""
        place: Transform = env.cameras[camera].pose(env)
        return place

    def get_camera_image(self, sim: Any, env: Env, camera: int, kind: Any) -> np.ndarray:
        """See `Camera.draw`."""
        picture: np.ndarray = env.cameras[camera].draw(env, kind)
        return picture

    def get_camera_image_gpu_tensor(self, sim: Any, env: Env, camera: int, kind: Any) -> Handle:
        """A picture as a tensor `[height, width]`, or `[height, width, 4]` for colours."""
        eye: Camera = env.cameras[camera]
        colours = kind == ImageType.IMAGE_COLOR
        form = torch.uint8 if colours else torch.float32 if kind == ImageType.IMAGE_DEPTH else torch.int32
        shape = (eye.height, eye.width, 4) if colours else (eye.height, eye.width)
        picture = torch.zeros(shape, dtype=form, device=sim.device)

        def fill() -> None:
            picture.copy_(torch.from_numpy(np.ascontiguousarray(eye.draw(env, kind))).view(picture.shape))

        sim.pictures.append(Handle(picture, fill))
        made: Handle = sim.pictures[-1]
        return made

    def start_access_image_tensors(self, sim: Any) -> None:
        """Tensors of pictures can always be read."""

    def end_access_image_tensors(self, sim: Any) -> None:
        """Nothing to end."""

    def get_camera_view_matrix(self, sim: Any, env: Env, camera: int) -> np.ndarray:
        """The view matrix `[4, 4]` for row vectors: world to camera, which looks along -z, y up."""
        place = env.cameras[camera].pose(env)
        back, found = place.r.inverse(), np.eye(4, dtype=np.float32)
        turn = np.array([tuple(back.rotate(Vec3(*axis))) for axis in np.eye(3)]) @ _TO_OPENGL
        found[:3, :3], found[3, :3] = turn, -(np.array(tuple(place.p)) + env.origin) @ turn
        return found

    def get_camera_proj_matrix(self, sim: Any, env: Env, camera: int) -> np.ndarray:
        """The projection `[4, 4]` for row vectors: camera to picture, from -1 to 1."""
        eye: Camera = env.cameras[camera]
        found = np.zeros((4, 4), dtype=np.float32)
        found[0, 0], found[1, 1] = 1.0 / eye.across, eye.width / eye.height / eye.across
        found[2, 3], found[3, 2] = -1.0, eye.near
        return found

    def write_camera_image_to_file(self, sim: Any, env: Env, camera: int, kind: Any, path: str) -> None:
        """A PNG file of the colours."""
        if kind != ImageType.IMAGE_COLOR:
            raise UnsupportedError(f"write_camera_image_to_file of {ImageType(kind).name}", "use IMAGE_COLOR")
        write_png(env.cameras[camera].draw(env, kind), Path(path))

    def set_rigid_body_segmentation_id(self, env: Env, actor: int, body: int, number: int) -> None:
        """The number of a body in pictures of IMAGE_SEGMENTATION."""
        env.actors[actor].numbers[int(body)] = int(number)

    def get_rigid_body_segmentation_id(self, env: Env, actor: int, body: int) -> int:
        """The number of a body in pictures of IMAGE_SEGMENTATION."""
        own = env.actors[actor]
        return own.numbers.get(int(body), own.number)

    def set_rigid_body_color(self, env: Env, actor: int, body: int, kind: Any, colour: Any) -> None:
        """The colour of a body in pictures."""
        env.actors[actor].colours[int(body)] = tuple(colour)

    def step_graphics(self, sim: Any) -> None:
        """Pictures are always of the state as it is."""

    def render_all_camera_sensors(self, sim: Any) -> None:
        """Draw the pictures whose tensors somebody looks at; others are drawn when they are read."""
        for picture in sim.pictures:
            if picture.seen:
                picture.fill()
