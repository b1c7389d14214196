"""`mapush walk`: train the walking policy of a legged robot, and measure how well it follows commands."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import click
from rich.table import Table

from ..errors import UserError
from .console import make_console, right, say
from .given import FiniteRange, check_fields

if TYPE_CHECKING:
    from ..locomotion.gait import View
    from ..locomotion.policy import WalkingPolicy


@click.group(name="walk")
def command() -> None:
    """Train or test the walking policy of a legged robot."""


_robot = click.option("--robot", default="go1", show_default=True, help="go1, go2 or a plug-in's kind with legs.")


@command.command(name="train")
@_robot
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the policy and its record.")
@click.option("--iterations", type=click.IntRange(1), default=700, show_default=True)
@click.option("--scenes", type=click.IntRange(1), default=4096, show_default=True, help="Pairs of robots.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--backend", type=click.Choice(["auto", "warp", "mujoco"]), default="auto", show_default=True)
@click.option("--blind", is_flag=True, help="A policy that is not told its velocity; noise, delays and worse bodies.")
@click.option("--frames", type=click.IntRange(1, 50), default=None, help="That a blind policy sees.  [default: 6]")
@click.option(
    "--imitate", metavar="POLICY", help="With --blind: learn from one that is told its velocity: shipped or a file."
)
@click.option(
    "--start", metavar="POLICY", help="With --imitate: begin as this one, and stand as it does: blind or a file."
)
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field of the configuration.")
def train(
    robot: str,
    out: Path,
    iterations: int,
    scenes: int,
    seed: int,
    backend: str,
    blind: bool,
    frames: Optional[int],
    imitate: Optional[str],
    start: Optional[str],
    overrides: Tuple[str, ...],
) -> int:
    """Train it with rsl_rl's PPO: minutes on a GPU, hours on a CPU. Ctrl-C saves what it has learned.

    With --imitate it learns what another policy does: minutes on a CPU too, with 256 scenes.
    """
    from ..locomotion import hardware
    from ..locomotion.gait import SIGHTED, View
    from ..training import config
    from ..walking import imitation
    from ..walking import training as walking
    from ..walking.env import check_legs, make_walking_env

    check_fields({"robot": "sim.robot", "scenes": "sim.num_envs", "backend": "sim.backend"}, overrides)
    walker = check_legs(robot).walker
    for option, value in (("--frames", frames), ("--imitate", imitate)):
        if value and not blind:
            raise UserError(f"{option} {value} is for policies that are not told their velocity; add --blind")
    given = [f"sim.robot={robot}", f"sim.num_envs={scenes}", f"sim.backend={backend}"]
    settings = config.load("default", "cuboid", [f"sim.{robot}.walking_policy=none", *given, *overrides])
    view = View(frames or 6, linear_velocity=False) if blind else SIGHTED
    weights = walking.weights_file(out, robot, view)
    if weights.exists():
        raise UserError(f"--out {out} holds a policy already, {weights.name}; give another folder, or move that file")
    teachers = _teachers(robot, walker, imitate, start, view)
    delay = imitation.LONGEST_DELAY if teachers else hardware.LONGEST_DELAY
    env = make_walking_env(settings.sim, settings.object.body, seed, view, delay)
    learner: walking.Learner = imitation.Imitation(env, *teachers) if teachers else walking.Ppo(env)
    console, begun = make_console(), time.monotonic()
    if env.device.type == "cpu":
        lasts = "minutes with 256 scenes or fewer" if teachers else "hours; on a GPU it takes minutes"
        say(console, f"MuJoCo on the CPU, {scenes} scenes of two robots: this takes {lasts}")

    def report(iteration: int, means: Dict[str, float]) -> None:
        if iteration % 10 == 0 or iteration == iterations:
            steps = iteration * walking.STEPS_PER_ITERATION * env.num_walkers
            say(
                console,
                f"{iteration:>6} / {iterations} iterations  {steps / (time.monotonic() - begun):,.0f} walker-steps/s  "
                f"reward {means['tracking/reward']:.3f}/s  velocity error {means['tracking/velocity_error']:.3f} m/s  "
                f"falls {means['reward/fall'] / -100.0:.4f}/step",
            )

    weights, record, code = walking.train(env, learner, out, robot, iterations, seed, ["mapush", *sys.argv[1:]], report)
    say(console, f"policy: {weights}\nrecord: {record}")
    return code


def _teachers(
    robot: str, walker: str, imitate: Optional[str], start: Optional[str], view: View
) -> Optional[Tuple[WalkingPolicy, Optional[WalkingPolicy], Dict[str, str]]]:
    """The policies to learn from and to begin as, and their sums, where one is to be imitated.

    Raises:
        UserError: one cannot be read, or does not see what it must.

    """
    from ..locomotion import policy
    from ..locomotion.gait import SIGHTED

    if not imitate:
        if start:
            raise UserError(f"--start {start} is for imitation; add --imitate, such as --imitate shipped")
        return None
    teacher = policy.load(imitate, robot, walker)
    if teacher.view != SIGHTED:
        raise UserError(f"--imitate {imitate} is not told its velocity; give one that is, such as shipped")
    student = policy.load(start, robot, walker) if start else None
    if student and student.view != view:
        raise UserError(
            f"--start {start} does not see {view.frames} frames without its velocity; give another policy or --frames"
        )
    given = (("teacher", imitate), ("start", start))
    files = {part: policy.find(name, robot, walker) for part, name in given if name}
    return teacher, student, {part: hashlib.sha256(file.read_bytes()).hexdigest() for part, file in files.items()}


@command.command(name="test")
@_robot
@click.option(
    "--policy", "policy_path", default="shipped", show_default=True, help="shipped, blind, or a .safetensors file."
)
@click.option("--robots", type=click.IntRange(2), default=64, show_default=True)
@click.option("--minutes", type=FiniteRange(0), default=10.0, show_default=True, help="Of random commands.")
@click.option("--dt", default=None, help="Physics step, s.  [default: 0.01]")
@click.option(
    "--hard", is_flag=True, help="Noisy sensors, a delay of 20 ms, elliptic friction cones, steps of 0.005 s."
)
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field of the configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def test(
    robot: str,
    policy_path: str,
    robots: int,
    minutes: float,
    dt: Optional[str],
    hard: bool,
    overrides: Tuple[str, ...],
    as_json: bool,
) -> None:
    """Print how well it follows commands, alone and while pushing the box, and how often it falls."""
    import torch

    from ..envs.factory import make_simulator
    from ..training import config
    from ..training.session import set_torch_threads
    from ..walking import tracking
    from ..walking.env import check_legs

    section = f"sim.{robot}"
    check_fields({"policy_path": f"{section}.walking_policy", "dt": f"{section}.physics_dt"}, overrides)
    check_legs(robot)
    scenes = robots // 2
    changes = [
        f"{section}.walking_policy={policy_path}",
        f"sim.num_envs={scenes}",
        f"{section}.physics_dt={dt or 0.01}",
    ]
    if hard:
        changes += ["sim.cone=elliptic", f"{section}.noise=1", f"{section}.delay=0.02"]
        changes += [] if dt else [f"{section}.physics_dt=0.005"]
    settings = config.load("default", "cuboid", [f"sim.robot={robot}", *changes, *overrides])
    set_torch_threads(settings.training.torch_threads)
    friction = torch.full((scenes,), 0.55)
    simulator = make_simulator(settings.sim, settings.object.body, [robot] * 2, friction, 0)
    rows = [tracking.track(simulator, name, wanted) for name, wanted in tracking.COMMANDS]
    rows.append(tracking.push_object(simulator))
    falls = tracking.endurance(simulator, 60.0 * minutes, seed=0)
    machine: Any = settings.sim.of_kind(robot)
    under = {"delay": machine.delay, "noise": machine.noise, "cone": settings.sim.cone, "step": machine.physics_dt}
    if as_json:
        print(json.dumps({"under": under, "tracking": [row._asdict() for row in rows], "endurance": falls}, indent=2))
        return
    console = make_console()
    told = f"delay {machine.delay:g} s, noise {machine.noise:g}, {under['cone']} cones, steps of {under['step']:g} s"
    console.print(_table(rows, f"{robot} on flat ground, {2 * scenes} robots, {told}"))
    pushed = f"{minutes:g} minutes of random commands and pushes of {tracking.PUSH_FORCE:.0f} N"
    say(console, f"{falls['robots']:.0f} robots, {pushed}: {falls['falls']:.0f} falls")


def _table(rows: List[Any], title: str) -> Table:
    numbers = right("vx m/s", "vy m/s", "yaw rate rad/s", "worst robot's error", "moved m", "most m", "fallen")
    table = Table("command", *numbers, title=f"{title}, means over 5 s after 2 s")
    for row in rows:
        measured = [f"{value:.3f}" for value in (*row.measured, row.worst, row.moved, row.most_moved)]
        table.add_row(row.name, *measured, str(row.fallen))
    return table
