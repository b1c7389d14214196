"""`mapush play`: watch a policy, or record it."""

from __future__ import annotations

import os
import re
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import click
from rich.console import Console
from rich.progress import track

from ..errors import UserError
from ..system import closing
from ..task.config import CONTROL_DT
from . import play_web
from .console import make_console
from .given import check_fields, goals_override, other_team

if TYPE_CHECKING:
    from ..evaluation.performance import Shot
    from ..evaluation.policies import Candidate
    from ..evaluation.video import Frames
    from ..sim.visuals import Stage

_SIZES = {".mp4": (1280, 720), ".gif": (640, 360)}
_FPS = {".mp4": 50, ".gif": 25}
_ON_THE_CPU = ["sim.backend=mujoco", "sim.device=cpu"]
"""A GPU would not help with one environment."""


def _parse_size(context: click.Context, parameter: click.Parameter, value: Optional[str]) -> Optional[Tuple[int, int]]:
    if value is None:
        return None
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", value)
    size = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    if any(length % 2 or not 64 <= length <= 3840 for length in size):
        raise click.BadParameter(f"{value} is not WIDTHxHEIGHT in even numbers of pixels from 64 to 3840")
    return size


@click.command(name="play")
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[PATH]")
@click.option("--pretrained", default=None, metavar="NAME", help="Policy that comes with the project.")
@click.option("--object", "object_name", default="", help="Object, where the policy takes others.  [default: its own]")
@click.option("--team", default=None, help="Kind of each robot, such as planar,planar,planar.  [default: the run's]")
@click.option("--episodes", type=click.IntRange(1, 1000), default=3, show_default=True, help="Number of episodes.")
@click.option("--seed", type=click.IntRange(0), default=None, help="Seed of the starts.  [default: the run's]")
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field of the configuration.")
@click.option(
    "--goals", type=click.Path(path_type=Path), metavar="FILE", help="Goals to reach one after the other, as JSON."
)
@click.option(
    "--record", type=click.Path(path_type=Path), metavar="OUT", help="Record to an .mp4 or .gif; needs no display."
)
@click.option("--stills", metavar="PREFIX", help="Write PREFIX-1.png to -3.png: start, pushing and end of episode 1.")
@click.option("--scripted", is_flag=True, help="The team that pushes by rule, in the preset `default`.")
@click.option("--drive", type=click.IntRange(0), metavar="ROBOT", help="Steer this robot, counted from 0, by keys.")
@click.option(
    "--keys", type=click.Path(path_type=Path), metavar="FILE", help="Presses to drive by: SECONDS KEY a line."
)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Keep the episodes as demonstrations: .npz."
)
@click.option("--size", callback=_parse_size, metavar="WxH", help="Pixels.  [default: 1280x720; .gif: 640x360]")
@click.option("--fps", type=click.IntRange(1, 60), default=None, help="Frames a second.  [default: 50; .gif: 25]")
@click.option("--web", is_flag=True, help="In a browser, with PATH, --pretrained or all shipped teams; needs npm.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="--web: write a static folder and end.")
def command(
    path: Optional[Path],
    pretrained: Optional[str],
    object_name: str,
    team: Optional[str],
    episodes: int,
    seed: Optional[int],
    overrides: Tuple[str, ...],
    goals: Optional[Path],
    record: Optional[Path],
    stills: Optional[str],
    scripted: bool,
    drive: Optional[int],
    keys: Optional[Path],
    save: Optional[Path],
    size: Optional[Tuple[int, int]],
    fps: Optional[int],
    web: bool,
    out: Optional[Path],
) -> None:
    """Watch a policy in MuJoCo's viewer, or record it where there is no display.

    PATH is a run, a checkpoint or a policy of another program, as for `mapush evaluate`; of a run the last checkpoint
    is played. Object and goal turn green when an episode succeeds and red when it fails.

    With --drive you steer one robot with the arrow keys, comma and period; the policy steers the others. --save keeps
    the episodes that ended, for `mapush train --demonstrations`.
    """
    changes = [*_ON_THE_CPU, *other_team(team), *goals_override(goals), *overrides]
    if web or out is not None:
        play_web.check(web)
        chosen = _source(path, pretrained, scripted) if path or pretrained else None
        play_web.show(chosen, object_name, changes, out)
        return
    from ..evaluation import driving, policies
    from ..training import demonstrations
    from ..training.session import set_torch_threads

    check_fields({"seed": "evaluation.seed", "object_name": "object", "team": "team", "goals": "task.goals"}, overrides)
    pictures = [Path(f"{stills}-{number}.png") for number in (1, 2, 3)] if stills else []
    if keys is not None and drive is None:
        raise UserError("--keys says how a robot is driven; add --drive ROBOT")
    script = driving.read_script(keys) if keys is not None else []
    _check(record, pictures, shown=keys is None)
    source = _source(path, pretrained, scripted)
    candidate = policies.find(source, object_name, changes)[-1]
    if save is not None:
        demonstrations.check_file(save, candidate.config, episodes)
    set_torch_threads(candidate.config.training.torch_threads)
    kind = record.suffix.lower() if record else ".mp4"
    showing = _Showing(record, pictures, size or _SIZES[kind], fps or _FPS[kind], keys is None)
    _play(candidate, episodes, seed, drive, script, save, showing)


class _Showing(NamedTuple):
    """How episodes are shown."""

    record: Optional[Path]
    pictures: List[Path]
    size: Tuple[int, int]
    fps: int
    viewer: bool
    """In a window, if there are no files to write."""


def _play(
    candidate: Candidate,
    episodes: int,
    seed: Optional[int],
    drive: Optional[int],
    script: Sequence[Tuple[float, str]],
    save: Optional[Path],
    showing: _Showing,
) -> None:
    """Play the episodes, and keep them in the file `save`; robot `drive` is steered, by the presses in `script` too."""
    from ..evaluation import driving, performance, policies
    from ..sim.opengl import choose_gl
    from ..training import demonstrations

    if showing.record or showing.pictures:
        choose_gl()
    settings, console = candidate.config, make_console()
    env = policies.environment(candidate, 1, settings.evaluation.seed if seed is None else seed)
    with closing.ensured("the simulation", env.close):
        act, on_key = policies.policy(candidate, env).act, None
        if drive is not None:
            driver = driving.Driver(act, env, drive, script)
            act, on_key = driver.act, driver.press_code
            console.print(f"you drive robot {drive}. {driving.HELP}", highlight=False, soft_wrap=True)
        recorder = demonstrations.Recorder(act, env, episodes)
        shots = _announced(console, performance.perform(recorder.act, env, episodes, recorder.on_step))
        try:
            _show(console, performance.make_stage(candidate, env, showing.size), shots, on_key, showing)
        finally:  # also after Ctrl-C
            if save is not None and recorder.episodes:
                demonstrations.save(recorder.demonstrations(settings), save)
                console.print(f"{save}: {recorder.episodes} episodes", highlight=False, soft_wrap=True)
        if save is not None and not recorder.episodes:
            raise UserError(f"{save} is not written: no episode ended")


def _show(
    console: Console, stage: Stage, shots: Iterator[Shot], on_key: Optional[Callable[[int], None]], showing: _Showing
) -> None:
    """Play to files, in a window, or to nobody."""
    from ..evaluation import camera

    if showing.record or showing.pictures:
        _draw(console, stage, list(shots), showing)
    elif showing.viewer:
        camera.show(stage, shots, on_key)
    else:
        deque(shots, maxlen=0)


def _draw(console: Console, stage: Stage, shots: List[Shot], showing: _Showing) -> None:
    """Draw what was played to files, and name these."""
    from ..evaluation import camera, video

    record, pictures, fps = showing.record, showing.pictures, showing.fps
    film = camera.Film(stage, showing.size)
    if pictures:
        video.save_stills(film, shots, pictures)
    if record:
        progress = partial(_progress, console, round(len(shots) * CONTROL_DT * fps))
        video.record(film, shots, record, fps, showing.size, progress)
    film.close()
    for file in [*pictures, *([record] if record else [])]:
        console.print(f"{file} ({file.stat().st_size / 1e6:.2f} MB)", highlight=False, soft_wrap=True)


def _source(path: Optional[Path], pretrained: Optional[str], scripted: bool) -> Path:
    """The path of the policy, from PATH, --pretrained or --scripted; exactly one must be given."""
    from ..evaluation import policies
    from ..evaluation import pretrained as shipped

    if (path is not None) + (pretrained is not None) + scripted != 1:
        names = ", ".join(shipped.names())
        raise UserError(f"give a PATH to play, --scripted, or --pretrained with one of: {names}")
    return policies.SCRIPTED if scripted else path or shipped.path(str(pretrained))


def _check(record: Optional[Path], pictures: List[Path], shown: bool) -> None:
    """Raise an error early if the episodes cannot be written, or shown where they are to be `shown`."""
    from ..evaluation import video

    if record:
        video.check_output(record, (".mp4", ".gif"))
    for picture in pictures:
        video.check_output(picture, (".png",))
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if shown and not (record or pictures or display):
        raise UserError("there is no display to show the viewer on; use --record OUT.mp4")


def _announced(console: Console, shots: Iterable[Shot]) -> Iterator[Shot]:
    """`shots` unchanged; prints a line at the end of every episode."""
    announced = -1
    for shot in shots:
        if shot.episode > announced and shot.cause != "running":
            announced = shot.episode
            cause = shot.cause.replace("_", " ")
            console.print(f"episode {announced + 1}: {cause} after {shot.seconds:.2f} s", highlight=False)
        yield shot


def _progress(console: Console, total: int, frames: Frames) -> Frames:
    """`frames` unchanged; shows a progress bar on a terminal."""
    return track(frames, "drawing", total, console=console, transient=True, disable=not console.is_terminal)
