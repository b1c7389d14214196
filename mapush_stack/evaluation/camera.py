"""Pictures of a performance: a camera that follows it, drawing without a display, and MuJoCo's viewer."""

from __future__ import annotations

import time
import warnings
from typing import Callable, Iterable, Iterator, Optional, Sequence, Tuple

import numpy as np

from ..errors import UserError
from ..sim.visuals import Stage
from ..task.config import CONTROL_DT
from .performance import Shot

_ELEVATION, _AZIMUTH_OFF_GOAL = np.radians(36.0), np.radians(24.0)
"""The camera looks down by the first, and past the goal by the second."""
_HALF_HEIGHT = np.tan(np.radians(22.5))
"""Half the height of the picture at distance 1; MuJoCo's free camera sees 45 degrees."""
_CAMERA_SECONDS = 0.8
"""Time constant with which the camera follows."""


class Camera:
    """A camera above that looks at object and team, towards the goal, and follows them smoothly."""

    def __init__(self, aspect: float, object_radius: float) -> None:
        """`aspect` is the picture's width over its height; `object_radius` in m."""
        self._aspect, self._object_radius = aspect, object_radius
        self._episode = -1
        self.azimuth, self.distance, self.looking_at = 0.0, 0.0, np.zeros(3)

    def follow(self, shot: Shot, thing: np.ndarray, robots: np.ndarray) -> None:
        """Move on by one control step; the object is at `thing` `[3]` and the team at `robots` `[A, 3]`, m."""
        goal = np.array([*shot.goal[:2], 0.0])
        cut = shot.episode != self._episode
        if cut:
            self._episode = shot.episode
            self.azimuth = np.arctan2(*(goal - thing)[1::-1]) + _AZIMUTH_OFF_GOAL
        middle = 0.5 * (thing + robots.mean(0))
        target = 0.6 * middle + 0.4 * goal
        target[2] = 0.1
        sizes = np.array([self._object_radius, 0.8, *[0.6] * len(robots)])
        distance = self._needed_distance(np.stack((thing, goal, *robots)) - target, sizes)
        pace = 1.0 if cut else CONTROL_DT / _CAMERA_SECONDS
        self.looking_at = self.looking_at + pace * (target - self.looking_at)
        self.distance += pace * (distance - self.distance)

    def _needed_distance(self, away: np.ndarray, sizes: np.ndarray) -> float:
        """Distance at which things of radius `sizes` `[P]` at `away` `[P, 3]` from the centre are all visible, m."""
        level = np.array([np.cos(self.azimuth), np.sin(self.azimuth), 0.0])
        right = np.array([level[1], -level[0], 0.0])
        forward = np.cos(_ELEVATION) * level - [0, 0, np.sin(_ELEVATION)]
        up = np.sin(_ELEVATION) * level + [0, 0, np.cos(_ELEVATION)]
        # Flat things are foreshortened in the vertical direction.
        across, along = np.abs(away @ right) + sizes, np.abs(away @ up) + 0.9 * sizes
        return float((np.maximum(across / self._aspect, along) / _HALF_HEIGHT - away @ forward).max())


class Film:
    """Draws shots without a display."""

    def __init__(self, stage: Stage, size: Tuple[int, int]) -> None:
        """`size` is width and height in pixels."""
        import mujoco

        self._stage, self._aspect = stage, size[0] / size[1]
        self._view = mujoco.MjvCamera()
        self._view.elevation = -np.degrees(_ELEVATION)
        self._renderer = mujoco.Renderer(stage.model, size[1], size[0])

    def frames(self, shots: Iterable[Shot], fps: float) -> Iterator[np.ndarray]:
        """Pictures `[height, width, 3]` uint8 in real time at `fps` frames a second."""
        camera, drawn = Camera(self._aspect, self._stage.object_radius), 0
        for count, shot in enumerate(shots, 1):
            _show(self._stage, camera, shot)
            while drawn < int(count * CONTROL_DT * fps + 1e-9):
                drawn += 1
                yield self._draw(camera)

    def stills(self, shots: Iterable[Shot], numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """The pictures of `frames` for the `shots` of these `numbers`, which rise from 0."""
        camera = Camera(self._aspect, self._stage.object_radius)
        for number, shot in enumerate(shots):
            _show(self._stage, camera, shot)
            if number in numbers:
                yield self._draw(camera)

    def _draw(self, camera: Camera) -> np.ndarray:
        self._view.lookat, self._view.distance = camera.looking_at, camera.distance
        self._view.azimuth = np.degrees(camera.azimuth)
        self._renderer.update_scene(self._stage.data, self._view)
        return np.asarray(self._renderer.render())

    def close(self) -> None:
        """Release the graphics library; may be called twice."""
        self._renderer.close()


def _show(stage: Stage, camera: Camera, shot: Shot) -> None:
    stage.place_goal(shot.goal)
    if shot.layout is not None:
        stage.place_obstacles(shot.layout)
    stage.set_mood(shot.mood)
    stage.pose(shot.qpos)
    camera.follow(shot, *stage.positions())
    stage.light(camera.looking_at, camera.azimuth)


def show(stage: Stage, shots: Iterable[Shot], on_key: Optional[Callable[[int], None]] = None) -> None:
    """Show `shots` in MuJoCo's viewer in real time, until they end or the user closes it.

    `on_key` is called with GLFW's number of each key that is pressed.

    Raises:
        UserError: no window can be opened.

    """
    import glfw
    import mujoco.viewer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not glfw.init():  # MuJoCo would exit the process
            raise UserError("no window can be opened on this display; use --record OUT.mp4")
    options = {"show_left_ui": False, "show_right_ui": False, "key_callback": on_key}
    viewer = mujoco.viewer.launch_passive(stage.model, stage.data, **options)
    camera, started = Camera(16 / 9, stage.object_radius), time.perf_counter()
    with viewer:
        for count, shot in enumerate(shots):
            if not viewer.is_running():
                return
            with viewer.lock():
                _show(stage, camera, shot)
                if shot.seconds == 0.0:  # later the user moves the camera
                    viewer.cam.lookat, viewer.cam.distance = camera.looking_at, camera.distance
                    viewer.cam.azimuth, viewer.cam.elevation = np.degrees(camera.azimuth), -np.degrees(_ELEVATION)
            viewer.sync()
            time.sleep(max(0.0, started + count * CONTROL_DT - time.perf_counter()))
