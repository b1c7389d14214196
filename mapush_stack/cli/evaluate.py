"""`mapush evaluate`: the published protocol, for one policy or for a run's every checkpoint."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import click
from rich.console import Console
from rich.status import Status
from rich.table import Table

from ..errors import UserError
from ..system import closing
from .console import make_console, right, say
from .given import check_fields, goals_override, other_team


@click.command(name="evaluate")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--pretrained", "names", multiple=True, help="Policy that comes with the project; repeatable.")
@click.option("--scripted", is_flag=True, help="Also a team that pushes by rule, in the preset `default`.")
@click.option("--object", "object_name", default="", help="Object, where the policy takes others.  [default: its own]")
@click.option("--team", default=None, help="Kind of each robot, such as planar,planar,planar.  [default: the run's]")
@click.option("--episodes", type=click.IntRange(1, 1_000_000), default=None, help="First episodes.  [default: 1000]")
@click.option("--seed", type=click.IntRange(0), default=None, help="Seed of the starts.  [default: the run's]")
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field of the configuration.")
@click.option(
    "--goals", type=click.Path(path_type=Path), metavar="FILE", help="Goals to reach one after the other, as JSON."
)
@click.option("--absent", multiple=True, type=click.IntRange(0), metavar="ROBOT", help="Take a robot away; repeatable.")
@click.option("--frozen", multiple=True, type=click.IntRange(0), metavar="ROBOT", help="Let it stand; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option(
    "--save-demonstrations",
    "demonstrations",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="Keep the episodes for `mapush train --demonstrations`: an .npz.",
)
@click.option("--plot", type=click.Path(path_type=Path), default=None, help="PNG for the success curve of a run.")
def command(
    paths: Tuple[Path, ...],
    names: Tuple[str, ...],
    scripted: bool,
    object_name: str,
    team: Optional[str],
    episodes: Optional[int],
    seed: Optional[int],
    overrides: Tuple[str, ...],
    goals: Optional[Path],
    absent: Tuple[int, ...],
    frozen: Tuple[int, ...],
    as_json: bool,
    demonstrations: Optional[Path],
    plot: Optional[Path],
) -> None:
    """Evaluate policies under the published protocol: first episodes, deterministic actions.

    PATH is a run directory (every checkpoint, with a success curve), a checkpoint, an .npz of a published actor's
    arrays, or a module.pt of OpenRL, which is read without running what is pickled in it. What a run's checkpoints
    reach is kept in its evaluations.json, for `mapush compare`.

    A policy that reads sets of things (learner.policy.encoder) takes any --object, and with one actor for all robots a
    --team of any size.

    --scripted is a team that pushes by rule: what a task allows without learning (docs/teams.md).

    --goals holds goals in m from the object's start, such as [[2, 0], [2, 2]], or a list of such sequences, which the
    episodes go through; an episode succeeds at the last goal (docs/task.md, section 15).

    --save-demonstrations keeps what one policy did, successful or not.

    --absent and --frozen show whether the team needs a robot, by its number from 0. An absent robot starts further
    away than any target; a frozen one stands where it starts.
    """
    from ..analysis import evaluations
    from ..evaluation import policies, pretrained

    fields = {"episodes": "evaluation.episodes", "seed": "evaluation.seed", "object_name": "object", "team": "team"}
    check_fields({**fields, "goals": "task.goals"}, overrides)
    overrides = (*other_team(team), *goals_override(goals), *overrides)
    console = make_console(stderr=as_json)
    paths = (*paths, *(pretrained.path(name) for name in names), *([policies.SCRIPTED] if scripted else []))
    if not paths:
        raise UserError(
            f"give a PATH to evaluate, --scripted, or --pretrained with one of: {', '.join(pretrained.names())}"
        )
    if plot is not None and (scripted or names):
        raise UserError("--plot draws the checkpoints of runs; leave --scripted and --pretrained out")
    rows = evaluate_paths(
        console, paths, object_name, overrides, episodes, seed, not as_json, absent, frozen, demonstrations
    )
    if not (overrides or object_name or names or scripted):
        evaluations.record(rows)
    if as_json:
        print(json.dumps(rows, indent=2))
    curves = [row for row in rows if row["steps"] >= 0]
    runs = [path for path in paths if (path / "config.json").is_file()]
    if plot is None and len(runs) == 1 and len(curves) > 1:
        plot = runs[0] / "success_curve.png"
    if plot is not None:
        from ..evaluation.curve import draw

        draw(curves, plot)
        say(console, f"success curve: {plot}")


def evaluate_paths(
    console: Console,
    paths: Sequence[Path],
    object_name: str,
    overrides: Sequence[str],
    episodes: Optional[int],
    seed: Optional[int],
    show: bool = True,
    absent: Sequence[int] = (),
    frozen: Sequence[int] = (),
    demonstrations: Optional[Path] = None,
) -> List[Dict[str, Any]]:
    """Evaluate everything at `paths`; returns a row each and prints them as a table if `show`.

    Robots that are `absent` or `frozen` do not take part. The file `demonstrations` keeps the episodes of one policy.
    """
    from ..evaluation import policies, protocol
    from ..sim import isaacgym
    from ..training.demonstrations import check_file

    candidates = [found for path in paths for found in policies.find(path, object_name, list(overrides))]
    idle = {"absent": sorted(set(absent)), "frozen": sorted(set(frozen))}
    if demonstrations is not None and len(candidates) > 1:
        raise UserError(f"--save-demonstrations keeps what one policy does; give one, not {len(candidates)}")
    for candidate in candidates:
        _check_idle(idle, candidate)
        if demonstrations is not None:
            check_file(demonstrations, candidate.config, episodes or candidate.config.evaluation.episodes)
    rows = []
    for number, candidate in enumerate(candidates, 1):
        settings = candidate.config
        chosen_seed = settings.evaluation.seed if seed is None else seed
        size = episodes or settings.evaluation.episodes
        if settings.sim.backend == "isaacgym" and (isaacgym.spent() or len(candidates) > 1):
            rows.append(_evaluate_apart(candidate.path, object_name, overrides, size, chosen_seed, idle))
            continue
        what = f"evaluating {candidate.path.name}" + (f" ({number} of {len(candidates)})" if candidates[1:] else "")
        with console.status(what) as status:
            tell = functools.partial(_tell, status, what, settings.task)
            episodes_run, kept = _run(candidate, size, chosen_seed, idle, demonstrations, tell)
        if kept and show:
            say(console, kept)
        task = settings.task
        result = protocol.summarize(episodes_run, task.episode_seconds, task.goal == "pose")
        rows.append(
            {
                "path": str(candidate.path),
                "steps": candidate.steps,
                "object": settings.object.name,
                "robot": "+".join(dict.fromkeys(settings.team_kinds)),
                "seed": chosen_seed,
                **{name: robots for name, robots in idle.items() if robots},
                **result._asdict(),
            }
        )
    if show:
        console.print(_table(rows))
    return rows


def _tell(status: Status, what: str, task: Any, decisions: int) -> None:
    """Say in `status` how far the episodes of a task are after so many decisions."""
    from ..task.config import CONTROL_DT

    seconds = decisions * task.action_repeat * CONTROL_DT
    status.update(f"{what}: {seconds:.0f} of at most {task.episode_seconds:.0f} s of the episodes")


def _run(
    candidate: Any,
    size: int,
    seed: int,
    idle: Dict[str, List[int]],
    demonstrations: Optional[Path],
    tell: Callable[[int], None],
) -> Tuple[Any, str]:
    """Run `size` episodes of a policy, and write them to the file `demonstrations`, if any.

    Args:
        candidate: the policy, see `policies.find`.
        size: how many episodes.
        seed: of their starts.
        idle: robots that are absent or frozen.
        demonstrations: the file.
        tell: is called before every decision with its number, from 0.

    Returns:
        The episodes, and what the file holds in words.

    """
    from ..evaluation import policies, protocol
    from ..training.demonstrations import Recorder, save
    from ..training.session import set_torch_threads

    settings = candidate.config
    set_torch_threads(settings.training.torch_threads)
    env = policies.environment(candidate, size, seed)
    env.absent = idle["absent"]
    with closing.ensured("the simulation", env.close):
        # A leader's one action is no robot's.
        still = [*idle["absent"], *idle["frozen"]] if settings.leader is None else []
        decide, decisions = protocol.without(policies.policy(candidate, env).act, still), itertools.count()

        def act(observations: Any) -> Any:
            tell(next(decisions))
            return decide(observations)

        if demonstrations is None:
            return protocol.run_episodes(act, env), ""
        recorder = Recorder(act, env, each=1)
        episodes = protocol.run_episodes(recorder.act, env, recorder.on_step)
        shown = recorder.demonstrations(settings)
        save(shown, demonstrations)
        return episodes, f"{demonstrations}: {len(shown.success)} episodes, {int(shown.success.sum())} successful"


def _check_idle(idle: Dict[str, List[int]], candidate: Any) -> None:
    """Raise `UserError` if the team of a policy cannot do without these robots."""
    num_robots = len(candidate.config.team_kinds)
    for name, robots in idle.items():
        if robots and robots[-1] >= num_robots:
            raise UserError(f"--{name} {robots[-1]} is not allowed: the team has robots 0 to {num_robots - 1}")
    if len(idle["absent"]) == num_robots:
        raise UserError(f"--absent takes all {num_robots} robots away; leave one of them out")
    both = sorted({*idle["absent"]} & {*idle["frozen"]})
    if both:
        raise UserError(f"robot {both[0]} cannot be absent and frozen; give --absent or --frozen")
    frozen = idle["frozen"]
    if frozen and candidate.config.leader is not None:
        raise UserError(f"--frozen {frozen[0]} is for a team, and {candidate.path} is a leader's; give its team")


def _evaluate_apart(
    path: Path, object_name: str, overrides: Sequence[str], episodes: int, seed: int, idle: Dict[str, List[int]]
) -> Dict[str, Any]:
    """The row of one policy from a process of its own: Isaac Gym has one simulation in a process.

    Raises:
        click.exceptions.Exit: it failed, and has said why.

    """
    command = [sys.executable, "-m", "mapush_stack", "evaluate", str(path), "--json"]
    command += [f"--episodes={episodes}", f"--seed={seed}", f"--object={object_name}"]
    command += [f"--set={override}" for override in overrides]
    command += [f"--{name}={robot}" for name, robots in idle.items() for robot in robots]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise click.exceptions.Exit(done.returncode)
    row: Dict[str, Any] = json.loads(done.stdout)[0]
    return row


def _table(rows: List[Dict[str, Any]]) -> Table:
    from ..presets import the_object

    first = rows[0]
    objects = ", ".join(dict.fromkeys(the_object(row["object"]) for row in rows))
    title = f"{first['episodes']} first episodes of {objects}, deterministic, seed {first['seed']}"
    title += "".join(f", robot {robot} {name}" for name in ("absent", "frozen") for robot in first.get(name, ()))
    posed = any(row["angle_error"] is not None for row in rows)
    around = any(row["contact_free"] is not None for row in rows)
    headings = ["success", "95 % interval", "of valid resets", "finish time", "collaboration"]
    headings += ["contact-free"] * around
    numbers = right(*headings, "work %", "even", *(["angle"] if posed else []))
    table = Table("policy", *numbers, "not finished", title=title)
    one_run = len({Path(row["path"]).parent.parent for row in rows}) == 1
    for row in rows:
        low, high = row["success_interval"]
        others = [f"{name} {count}" for name, count in row["causes"].items() if name != "finished"]
        table.add_row(
            _label(row, one_run),
            f"{row['success_rate']:.1%}",
            f"{low:.1%} - {high:.1%}",
            f"{row['valid_success_rate']:.1%}",
            f"{row['finished_time']:.2f} s",
            f"{row['collaboration_degree']:.3f}",
            *([f"{row['contact_free']:.1%}" if row["contact_free"] is not None else "-"] if around else []),
            *_work(row),
            *([_degrees(row["angle_error"])] if posed else []),
            ", ".join(others).replace("_", " "),
        )
    return table


def _work(row: Dict[str, Any]) -> Tuple[str, str]:
    """Shares of the work by robot, and their evenness."""
    if row["work_share"] is None:
        return "-", "-"
    return " ".join(f"{100 * share:.0f}" for share in row["work_share"]), f"{row['work_evenness']:.2f}"


def _degrees(angle: Optional[float]) -> str:
    return "-" if angle is None else f"{angle:.1f}°"


def _label(row: Dict[str, Any], one_run: bool) -> str:
    """A row's first cell: a checkpoint's steps, with its run's name where there are several; else the file's name."""
    path = Path(row["path"])
    if row["steps"] < 0:
        return path.name
    steps = f"{row['steps']:,} steps"
    return steps if one_run else f"{path.parents[1].name}, {steps}"
