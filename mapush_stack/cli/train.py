"""`mapush train`: train a team, evaluate it, say where it is."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

import click
from rich.console import Console

from ..errors import UserError
from .console import make_console, say
from .given import check_fields, team_override

_FEW_FOR_A_GPU = 2048
_FOR_A_GPU = ("gpu", "heavy-gpu")
"""Parts that ask for more environments than a CPU steps well."""
_FIELDS = {
    "library": "learner.library",
    "algo": "learner.algorithm",
    "robot": "sim.robot",
    "backend": "sim.backend",
    "steps": "training.total_steps",
    "seed": "training.seed",
}
"""Options for fields of the configuration."""


@click.command(name="train")
@click.option("--preset", default=None, help="Preset or YAML file to start from.  [default: default]")
@click.option("--with", "parts", multiple=True, help="Part or YAML file to lay over the preset; repeatable.")
@click.option("--object", "object_name", default=None, help="Object to push, such as tblock, or a YAML file.")
@click.option(
    "--learner",
    "library",
    default=None,
    help="native, harl or openrl, with that library's settings unless --preset or --from is given.  [default: native]",
)
@click.option("--algo", default=None, help="happo or mappo; with --learner harl also hatrpo and haa2c.")
@click.option("--robot", default=None, help="Kind of all robots, such as go1; `mapush presets` lists them.")
@click.option("--team", default=None, help="Kind of each robot, such as go1,planar.")
@click.option("--backend", default=None, help="Simulator: auto, mujoco, warp, isaacgym.")
@click.option("--steps", default=None, help="Environment steps of 0.02 s.")
@click.option("--seed", default=None, help="Seed of the run.")
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("--resume", type=click.Path(path_type=Path), default=None, help="Run directory to go on with.")
@click.option("--continue", "goes_on", is_flag=True, help="Resume the run of this configuration in RESULTS, if any.")
@click.option(
    "--from",
    "initial",
    type=click.Path(path_type=Path),
    default=None,
    help="Run or checkpoint to start from: its configuration, unless --preset is given, and its weights; or a "
    ".safetensors file of weights.",
)
@click.option("--pretrained", default=None, help="Shipped policy to start from, likewise.")
@click.option(
    "--demonstrations",
    type=click.Path(path_type=Path),
    default=None,
    help="Episodes to imitate first: an .npz of `mapush evaluate --save-demonstrations` or `mapush play --save`.",
)
@click.option("--gpus", type=click.IntRange(1), default=None, help="NVIDIA GPUs to train on together.  [default: one]")
@click.option("--wandb", is_flag=True, help="Log to Weights & Biases too; a resumed run goes on with its own there.")
@click.option("--no-evaluation", is_flag=True, help="Leave out the evaluation at the end.")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
def command(
    preset: Optional[str],
    parts: Tuple[str, ...],
    object_name: Optional[str],
    library: Optional[str],
    algo: Optional[str],
    robot: Optional[str],
    team: Optional[str],
    backend: Optional[str],
    steps: Optional[str],
    seed: Optional[str],
    results: Path,
    resume: Optional[Path],
    goes_on: bool,
    initial: Optional[Path],
    pretrained: Optional[str],
    demonstrations: Optional[Path],
    gpus: Optional[int],
    wandb: bool,
    no_evaluation: bool,
    overrides: Tuple[str, ...],
) -> int:
    """Train a team and evaluate it under the published protocol.

    FIELD=VALUE changes any field of the preset, such as learner.gamma=0.995 or task.rewards.push=0.01; `mapush presets
    default` shows them all. If a field is given twice, the last value counts. With several GPUs, or under torchrun,
    each has sim.num_envs environments of its own.
    """
    from ..sim import isaacgym_import
    from ..training import launch, session
    from ..training.run_directory import RunDirectory
    from ..training.wandb_log import WandbLog

    check_fields({**_FIELDS, "object_name": "object", "preset": "preset", "team": "team"}, overrides)
    algo = _first_algorithm(library) if library is not None and algo is None else algo
    shorthands = {"library": library, "algo": algo, "robot": robot, "backend": backend, "steps": steps, "seed": seed}
    changes = [f"{_FIELDS[name]}={value}" for name, value in shorthands.items() if value is not None]
    changes += [*_team(robot, team), *overrides]
    initial, weights = _initial(initial, pretrained), None
    if resume is not None:
        if preset or parts or object_name or changes or initial or goes_on or demonstrations:
            raise UserError("--resume goes on with the run's own configuration; leave the other options out")
        settings = RunDirectory(resume).config()
    else:
        if preset is None and initial is None:
            parts = _with_learners_part(library, parts)
        settings, weights = _request(preset, object_name or "", changes, parts, initial)
    if settings.sim.backend == "isaacgym":
        isaacgym_import.require()  # before any process joins others, or starts them
    wandb_log = WandbLog() if wandb else None
    if gpus is not None and gpus > 1:
        launch.check(gpus)
        return launch.launch(gpus, without_gpus(sys.argv[1:]))
    command_line = ["mapush", *sys.argv[1:]]
    train: Callable[..., Any] = functools.partial(
        session.start,
        settings,
        results,
        command_line,
        initial=weights,
        goes_on=goes_on,
        demonstrations=demonstrations,
    )
    if resume is not None:
        train = functools.partial(session.resume, resume)
    train = functools.partial(train, wandb=wandb_log)
    return train_here(settings, train, functools.partial(_conclude, evaluate=not no_evaluation))


def train_here(settings: Any, train: Callable[..., Any], conclude: Callable[[Console, Any], None]) -> int:
    """Train in this process, alone or as one of several, of which the first one speaks; returns the exit code.

    Args:
        settings: the configuration.
        train: `start` or `resume` of `training.session`, which is given a display and a world.
        conclude: called at the end, where this process speaks, with what `train` returned.

    """
    from ..device import process_group as processes
    from ..training.progress import ProgressDisplay

    class Display(ProgressDisplay):
        """Says what is trained, when nothing can be refused any more."""

        def begin(self, config: Any) -> None:
            for text in _introduction(config, world.size):
                self.line(text)

    world = processes.join()
    console = make_console(quiet=not world.leads)
    with Display(console, settings.total_steps) as display:
        done = train(display=display, world=world)
    # Not where something went wrong: a process that is left alone would wait for the others for ever.
    world.close()
    if world.leads:
        conclude(console, done)
    exit_code: int = done.exit_code
    return exit_code


def _with_learners_part(library: Optional[str], parts: Tuple[str, ...]) -> Tuple[str, ...]:
    """The parts to lay over the default preset: a learner's own first, then what was asked for."""
    from ..learning.registry import LEARNERS

    own = None if library is None else LEARNERS[library].preset_part
    return parts if own is None or own in parts else (own, *parts)


def _first_algorithm(library: str) -> Optional[str]:
    """The first algorithm of a plug-in's learner; None where the preset names one that the learner has."""
    from ..learning.registry import LEARNERS

    kind = LEARNERS[library]
    return None if kind.preset_part or "happo" in kind.algorithms else kind.algorithms[0]


def without_gpus(arguments: List[str]) -> List[str]:
    """The command line of one of the processes that `--gpus` starts."""
    kept: List[str] = []
    for before, argument in zip(["", *arguments], arguments):
        if before != "--gpus" and argument != "--gpus" and not argument.startswith("--gpus="):
            kept.append(argument)
    return kept


def _team(robot: Optional[str], team: Optional[str]) -> List[str]:
    """The overrides that `--robot` and `--team` amount to, beside `sim.robot`."""
    if robot is not None and team is not None:
        raise UserError("--robot and --team both say who pushes; leave one out")
    if robot is not None:
        return ["team=[]", "object.team=[]"]  # the object's own team yields to it
    return team_override(team)


def _request(
    preset: Optional[str], object_name: str, changes: List[str], parts: Tuple[str, ...], initial: Optional[Path]
) -> Tuple[Any, Optional[Path]]:
    """The configuration of a new run, and the checkpoint or file whose weights it starts from, if any."""
    from ..training import config
    from ..training.run_directory import find_checkpoints

    if initial is None:
        return config.load(preset or "default", object_name, changes, parts), None
    if initial.suffix == ".safetensors" and initial.is_file():
        return config.load(preset or "default", object_name, changes, parts), initial
    source, found = find_checkpoints(initial)
    before = source.config()
    if before.leader is not None:
        raise UserError(f"--from {initial} is not allowed: it is a leader's run; give the run of a team")
    if preset:
        settings = config.load(preset, object_name, changes, parts)
    else:
        settings = config.overridden(before, changes, object_name, parts)
    if settings.leader is not None:
        leader = settings.leader.model_copy(update={"team": before.learner})
        settings = settings.model_copy(update={"leader": leader})
    return settings, found[-1][1]


def _conclude(console: Console, done: Any, evaluate: bool) -> None:
    """Say how the training ended and where the run is; evaluate it if it is finished and was not evaluated."""
    from ..analysis import evaluations
    from .evaluate import evaluate_paths

    outcome, run = done.outcome, done.run
    if outcome is not None:
        state = "stopped" if outcome.stopped else "trained"
        say(console, f"{state} at {outcome.steps:,} steps after {outcome.seconds:.0f} s ({outcome.fps:,.0f} FPS)")
    if outcome is not None and outcome.stopped:
        say(console, f"go on with: {done.resuming}")
    elif evaluate and not (outcome is None and (run.path / evaluations.FILE).exists()):
        evaluations.record(evaluate_paths(console, [run.checkpoints()[-1][1]], "", (), None, None))
    say(console, f"run directory: {run.path}" if outcome else f"nothing is left to do: {run.path} is finished")


def _initial(initial: Optional[Path], pretrained: Optional[str]) -> Optional[Path]:
    """What to start from, if anything."""
    from ..evaluation import pretrained as shipped

    if initial is not None and pretrained is not None:
        raise UserError("--from and --pretrained both say what to start from; leave one out")
    return shipped.path(pretrained) if pretrained is not None else initial


def _introduction(settings: Any, processes: int) -> List[str]:
    """Lines that say what is trained, and where."""
    from ..device import process_group
    from ..learning.registry import LEARNERS
    from ..presets import the_object
    from ..training.placement import place

    learner, sim = settings.learner, settings.sim
    chosen = place(settings)
    envs = f"{sim.num_envs}" if processes == 1 else f"{processes} x {sim.num_envs}"
    who = f"{_many_robots(settings.team_kinds)} push {the_object(settings.object.name)}"
    lines = [
        f"{LEARNERS[learner.library].introduction}{learner.algorithm.upper()} · "
        f"{who if settings.leader is None else f'a leader: {who}'} · "
        f"preset {settings.preset} · seed {settings.training.seed} · "
        f"{chosen.name} on {chosen.device} ({chosen.reason}), {envs} environments · "
        f"{settings.total_steps:,} steps of 0.02 s"
    ]
    update = settings.steps_per_update * processes
    if settings.total_steps % update:
        lines.append(f"trains {-(-settings.total_steps // update) * update:,} steps: whole updates of {update:,}")
    lines += _unsuitable(settings, chosen)
    if process_group.restarts_may_hang():
        lines.append(
            "warning: a restart on several nodes may hang; set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun "
            "(docs/clusters.md)"
        )
    return lines


def _unsuitable(settings: Any, chosen: Any) -> List[str]:
    """What of a configuration does not suit the simulator and the device that are chosen, a line each."""
    from ..sim.simulators import WARP

    sim, warp = settings.sim, chosen.name == "warp"
    if chosen.device.type != "cpu":
        few = warp and sim.num_envs < _FEW_FOR_A_GPU
        return [f"{sim.num_envs} environments leave a GPU idle; try --with gpu"] if few else []
    parts = [part for part in settings.preset.split("+")[1:] if part in _FOR_A_GPU]
    lines = [f"--with {part} is made for an NVIDIA GPU; leave it out to train on a CPU" for part in parts]
    if warp and not WARP.has_kernel(sim, settings.team_kinds, settings.object.body):
        lines.append("warp on a CPU is slow with this team and object; use sim.backend=mujoco")
    return lines


def _many_robots(kinds: List[str]) -> str:
    """A team in words, such as "2 go1 robots" or "1 go1 and 2 planar robots"."""
    counts = {kind: kinds.count(kind) for kind in kinds}
    if len(counts) == 1:
        return f"{len(kinds)} {kinds[0]} robot{'s' if len(kinds) > 1 else ''}"
    return " and ".join(f"{count} {kind}" for kind, count in counts.items()) + " robots"
