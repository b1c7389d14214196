"""Episodes as pictures: a recording, still frames, or MuJoCo's interactive viewer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from ..envs.push_env import PushEnv
from ..errors import UserError
from ..sim.visuals import Stage
from ..system.atomic import TEMPORARY_PREFIX
from ..task.config import CONTROL_DT
from ..task.terminations import CAUSES
from .policies import Candidate
from .protocol import Act

_HOLD_STEPS = 50
"""Control steps for which the end of an episode stays in the picture."""
_VIDEO_PACKAGES = "pip install 'mapush_stack[video]'"
_GL_LIBRARIES = ("egl", "osmesa")
"""What MuJoCo draws with where there is no display: EGL uses a GPU where there is one."""
_GL_PROBE = "import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 16, 16).render()"
_ELEVATION, _AZIMUTH_OFF_GOAL = np.radians(36.0), np.radians(24.0)
"""The camera looks down by the first, and past the goal by the second."""
_HALF_HEIGHT = np.tan(np.radians(22.5))
"""Half the picture's height at distance 1; MuJoCo's free camera sees 45 degrees."""
_CAMERA_SECONDS = 0.8
"""Time constant with which the camera follows."""


class Shot(NamedTuple):
    """A control step to show."""

    episode: int
    """Number of the episode, from 0."""
    seconds: float
    """Age of the episode, s."""
    qpos: np.ndarray
    """`[nq]` joint positions of the scene."""
    goal: Sequence[float]
    """x and y, m."""
    cause: str
    """How the episode ended, one of `CAUSES`; `running` before it did."""

    @property
    def mood(self) -> str:
        """The colours of `Stage.set_mood`."""
        return {"running": "pushing", "finished": "success"}.get(self.cause, "failure")


@torch.no_grad()
def perform(act: Act, env: PushEnv, episodes: int) -> Iterator[Shot]:
    """Play `episodes` one after the other in environment 0; every control step, and a second of every end."""
    tape = _tape(env)
    observations, _ = env.reset()
    for episode in range(episodes):
        goal, age, cause = env.state_dict()["target"][0].tolist(), 0, CAUSES[0]
        qpos = env.simulator.engine.read()[0][0].cpu().numpy()
        yield Shot(episode, 0.0, qpos, goal, cause)
        while cause == CAUSES[0]:
            tape.clear()
            step = env.step(act(observations))
            observations, ended = step.observations, step.episode
            path = np.concatenate(tape)
            if ended.done[0]:
                path, cause = path[: int(ended.steps[0]) - age], CAUSES[int(ended.cause[0])]
            for qpos in path:
                age += 1
                yield Shot(episode, age * CONTROL_DT, qpos, goal, CAUSES[0])
        for _ in range(_HOLD_STEPS):
            yield Shot(episode, age * CONTROL_DT, qpos, goal, cause)


def _tape(env: PushEnv) -> List[np.ndarray]:
    """A list to which the engine from now on adds environment 0's joint positions `[T, nq]`, call by call.

    The environment itself keeps only the state after a decision, which is several control steps.
    """
    tape: List[np.ndarray] = []
    engine = env.simulator.engine
    advance = engine.advance

    def taped(*arguments: Any) -> Any:
        path = advance(*arguments)
        tape.append(path.qpos[:, 0].cpu().numpy())
        return path

    engine.advance = taped
    return tape


def make_stage(candidate: Candidate, env: PushEnv, size: Tuple[int, int]) -> Stage:
    """The scene of a policy's task, for pictures of up to `size`, width and height in pixels."""
    settings = candidate.config
    radius = settings.task.success_distance
    return Stage(settings.object.body, env.simulator.team, radius, size)


class Camera:
    """Looks from above at the midpoint of object and team, towards the goal, and follows smoothly."""

    def __init__(self, aspect: float, object_radius: float) -> None:
        """`aspect` is the picture's width over its height; `object_radius` in m."""
        self._aspect, self._object_radius = aspect, object_radius
        self._episode = -1
        self.azimuth, self.distance, self.looking_at = 0.0, 0.0, np.zeros(3)

    def follow(self, shot: Shot, thing: np.ndarray, robots: np.ndarray) -> None:
        """Go on by one control step; the object is at `thing` `[3]` and the team at `robots` `[A, 3]`, m."""
        goal = np.array([*shot.goal, 0.0])
        cut = shot.episode != self._episode
        if cut:
            self._episode = shot.episode
            self.azimuth = np.arctan2(*(goal - thing)[1::-1]) + _AZIMUTH_OFF_GOAL
        middle = 0.5 * (thing + robots.mean(0))
        target = 0.6 * middle + 0.4 * goal
        target[2] = 0.1
        sizes = np.array([self._object_radius, 0.8, *[0.6] * len(robots)])
        distance = self._room(np.stack((thing, goal, *robots)) - target, sizes)
        pace = 1.0 if cut else CONTROL_DT / _CAMERA_SECONDS
        self.looking_at = self.looking_at + pace * (target - self.looking_at)
        self.distance += pace * (distance - self.distance)

    def _room(self, away: np.ndarray, sizes: np.ndarray) -> float:
        """Distance from which things of radius `sizes` `[P]` at `away` `[P, 3]` from the middle are all seen, m."""
        level = np.array([np.cos(self.azimuth), np.sin(self.azimuth), 0.0])
        right = np.array([level[1], -level[0], 0.0])
        forward = np.cos(_ELEVATION) * level - [0, 0, np.sin(_ELEVATION)]
        up = np.sin(_ELEVATION) * level + [0, 0, np.cos(_ELEVATION)]
        # What lies flat is foreshortened upwards.
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
        """The pictures of `frames` for some of the `shots`, which `numbers` from 0 name in rising order."""
        camera = Camera(self._aspect, self._stage.object_radius)
        for number, shot in enumerate(shots):
            _show(self._stage, camera, shot)
            if number in numbers:
                yield self._draw(camera)

    def _draw(self, camera: Camera) -> np.ndarray:
        self._view.lookat, self._view.distance = camera.looking_at, camera.distance
        self._view.azimuth = np.degrees(camera.azimuth)
        self._renderer.update_scene(self._stage.data, self._view)
        return self._renderer.render()

    def close(self) -> None:
        """Release the graphics library; may be called twice."""
        self._renderer.close()


def _show(stage: Stage, camera: Camera, shot: Shot) -> None:
    stage.place_goal(shot.goal)
    stage.set_mood(shot.mood)
    stage.pose(shot.qpos)
    camera.follow(shot, *stage.positions())
    stage.light(camera.looking_at, camera.azimuth)


def watch(stage: Stage, shots: Iterable[Shot]) -> None:
    """Show `shots` in MuJoCo's viewer in real time, until they or the user's patience end.

    Raises:
        UserError: no window can be opened.

    """
    import glfw
    import mujoco.viewer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not glfw.init():  # MuJoCo would end the process
            raise UserError("no window can be opened on this display; use --record OUT.mp4")
    viewer = mujoco.viewer.launch_passive(stage.model, stage.data, show_left_ui=False, show_right_ui=False)
    camera, started = Camera(16 / 9, stage.object_radius), time.perf_counter()
    with viewer:
        for count, shot in enumerate(shots):
            if not viewer.is_running():
                return
            with viewer.lock():
                _show(stage, camera, shot)
                if shot.seconds == 0.0:  # from then on the view is the user's
                    viewer.cam.lookat, viewer.cam.distance = camera.looking_at, camera.distance
                    viewer.cam.azimuth, viewer.cam.elevation = np.degrees(camera.azimuth), -np.degrees(_ELEVATION)
            viewer.sync()
            time.sleep(max(0.0, started + count * CONTROL_DT - time.perf_counter()))


def check_output(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written.

    Raises:
        UserError: another suffix, its folder is missing or closed to us, or a package is missing.

    """
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{path} must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: {path.parent} is not a folder")
    if path.is_dir() or not os.access(str(path.parent), os.W_OK):
        raise UserError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'permission denied'}")
    if path.suffix.lower() == ".mp4":
        _ffmpeg()
    else:
        _pillow()


def choose_gl() -> None:
    """Choose what MuJoCo draws with, unless MUJOCO_GL says it; to be called before mujoco is imported.

    Tried in another process, because a library that fails cannot be exchanged for another in the same.

    Raises:
        UserError: nothing can draw here.

    """
    if find_spec("mujoco") is None:
        return  # the simulator says so, and which extra has it
    wanted = os.environ.get("MUJOCO_GL")
    for name in [wanted] if wanted else _GL_LIBRARIES:
        probe = [sys.executable, "-c", _GL_PROBE]
        if subprocess.run(probe, env={**os.environ, "MUJOCO_GL": name}, capture_output=True).returncode == 0:
            os.environ["MUJOCO_GL"] = name
            return
    if wanted:
        raise UserError(f"MuJoCo cannot draw with MUJOCO_GL={wanted} here; unset it to have one chosen")
    raise UserError(
        "no OpenGL library can draw here: apt-get install libosmesa6 (or libegl1 libopengl0 libgl1-mesa-dri)"
    )


def record(film: Film, shots: List[Shot], path: Path, fps: int, size: Tuple[int, int], frames_done: Any) -> None:
    """Write `shots` to an .mp4 or .gif of `size`, width and height in pixels; `path` appears when it is complete.

    `frames_done` passes the frames on, one by one, and may show how far they are.

    Raises:
        UserError: the file cannot be written.

    """
    with _finished_file(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(frames_done(film.frames(shots, fps)), temporary, fps, size)
        else:
            hundredths = max(2, round(100 / fps))  # what the format counts in; browsers slow down below 2
            palette = _palette(film.stills(shots, range(len(shots) // 10, len(shots), max(1, len(shots) // 6))))
            _write_gif(frames_done(film.frames(shots, 100 / hundredths)), temporary, 10 * hundredths, palette)


def save_stills(film: Film, shots: List[Shot], paths: Sequence[Path]) -> None:
    """Write three PNGs of the first episode: its start, its middle, and its end.

    Raises:
        UserError: a file cannot be written.

    """
    first = [shot for shot in shots if shot.episode == 0]
    running = sum(shot.mood == "pushing" for shot in first)
    image = _pillow()
    for path, frame in zip(paths, film.stills(first, (0, int(0.6 * running), len(first) - 1))):
        with _finished_file(path) as temporary:
            image.fromarray(frame).save(str(temporary), optimize=True)


def _write_mp4(frames: Iterator[np.ndarray], path: Path, fps: int, size: Tuple[int, int]) -> None:
    """H.264 with 4:2:0 chroma and its index in front: what every browser plays."""
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-"]
    codec = ["-an", "-c:v", "libx264", "-preset", "fast", "-crf", "20", "-pix_fmt", "yuv420p"]
    colours = ["-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709"]
    command = [_ffmpeg(), "-v", "error", "-y", *source, *codec, *colours, "-movflags", "+faststart", str(path)]
    with (path.parent / "log").open("w+") as log:
        # In a session of its own, so that Ctrl-C reaches this process alone, which then ends the other.
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        try:
            with encoder.stdin:  # type: ignore[union-attr]
                for frame in frames:
                    encoder.stdin.write(frame.data)  # type: ignore[union-attr]
            code: Optional[int] = encoder.wait()
        except BrokenPipeError:
            code = encoder.wait()
        except BaseException:
            encoder.kill()
            encoder.wait()
            raise
        log.seek(0)
        if code:
            raise UserError(f"ffmpeg failed: {log.read().strip() or f'exit code {code}'}")


def _palette(frames: Iterable[np.ndarray]) -> Any:
    """256 colours for all `frames`, as an image that has them."""
    return _pillow().fromarray(np.concatenate([frame[::2, ::2] for frame in frames])).quantize(256)


def _write_gif(frames: Iterable[np.ndarray], path: Path, milliseconds: int, palette: Any) -> None:
    """A GIF that repeats; one palette for all frames, so that resting parts of the picture do not flicker."""
    image = _pillow()
    pictures = (image.fromarray(frame).quantize(palette=palette, dither=image.Dither.NONE) for frame in frames)
    first = next(pictures)
    first.save(str(path), save_all=True, append_images=pictures, duration=milliseconds, loop=0, optimize=False)


def _ffmpeg() -> str:
    """The ffmpeg that comes with imageio-ffmpeg.

    Raises:
        UserError: it is not installed.

    """
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise UserError(f"an .mp4 needs imageio-ffmpeg: {_VIDEO_PACKAGES}") from None


def _pillow() -> Any:
    """The module `PIL.Image`.

    Raises:
        UserError: it is not installed.

    """
    try:
        from PIL import Image
    except ImportError:
        raise UserError(f"a .gif or .png needs Pillow: {_VIDEO_PACKAGES}") from None
    return Image


@contextmanager
def _finished_file(path: Path) -> Iterator[Path]:
    """A file elsewhere that becomes `path` when the block ends well.

    It grows in the system's temporary folder: even a process killed outright leaves nothing beside `path`.

    Raises:
        UserError: it cannot be written.

    """
    try:
        with tempfile.TemporaryDirectory(prefix="mapush-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=str(path.parent))
            os.close(handle)
            try:
                shutil.copyfile(str(temporary), name)
                Path(name).chmod(0o644)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink()
                raise
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
