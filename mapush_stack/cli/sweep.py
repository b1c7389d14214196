"""`mapush sweep`: trains over seeds, presets and fields, and prints a table of the results."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..errors import UserError
from ..settings import FOLDER_NAME, is_folder_name
from ..sweep import engine, summary
from ..sweep.display import SweepDisplay
from ..sweep.folder import SweepFile, SweepFolder, TrialState, write_trials
from ..sweep.request import FIELDS, SweepRequest, Trial, TrialName, check_device, parse_axis, parse_seeds
from ..system.signals import StopRequest
from .console import make_console, right, say
from .given import FiniteRange, check_fields

_KEPT = {"show": {"show", "as_json"}, "resume": {"resume", "as_json", "address", "gpus_per_trial", "max_concurrent"}}
"""Options that may be given with --show and with --resume."""


@click.command(name="sweep")
@click.option("--preset", "presets", multiple=True, default=["default"], help="Preset or YAML file; repeatable.")
@click.option("--with", "parts", multiple=True, help="Part or YAML file to lay over every preset; repeatable.")
@click.option("--object", "objects", multiple=True, default=[""], help="Object to push; repeatable.")
@click.option("--algo", "algorithms", multiple=True, help="happo or mappo; repeatable.")
@click.option("--robot", "robots", multiple=True, help="planar or go1; repeatable.")
@click.option("--backend", default=None, help="mujoco, warp or auto.")
@click.option("--steps", default=None, help="Environment steps of 0.02 s of each trial.")
@click.option("--seeds", default="1-5", show_default=True, metavar="LIST", help="Such as 1-5 or 1,3,7-9.")
@click.option("--grid", "grid", multiple=True, metavar="FIELD=V,V", help="Values to try of a field; repeatable.")
@click.option("--cpus-per-trial", type=click.IntRange(1, 1024), default=1, show_default=True, help="Also its threads.")
@click.option("--gpus-per-trial", type=FiniteRange(0, 1), default=0, show_default=True, help="1, 0.5, or 0.")
@click.option("--max-concurrent", type=click.IntRange(1), default=None, help="Trials at a time.  [default: what fits]")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="On a cluster a folder that its machines share.",
)
@click.option("--name", default=None, help="The sweep's folder is RESULTS/sweeps/NAME.  [default: date and time]")
@click.option(
    "--address",
    envvar="RAY_ADDRESS",
    default=engine.LOCAL,
    help="Ray cluster: HOST:PORT of its head, or auto on one of its machines; or RAY_ADDRESS.  [default: this machine]",
)
@click.option("--resume", type=click.Path(path_type=Path), default=None, help="Folder of a sweep to go on with.")
@click.option("--show", type=click.Path(path_type=Path), default=None, help="Folder of a sweep whose table to print.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table; progress goes to stderr.")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.pass_context
def command(
    context: click.Context,
    presets: Tuple[str, ...],
    parts: Tuple[str, ...],
    objects: Tuple[str, ...],
    algorithms: Tuple[str, ...],
    robots: Tuple[str, ...],
    backend: Optional[str],
    steps: Optional[str],
    seeds: str,
    grid: Tuple[str, ...],
    cpus_per_trial: int,
    gpus_per_trial: float,
    max_concurrent: Optional[int],
    results: Path,
    name: Optional[str],
    address: str,
    resume: Optional[Path],
    show: Optional[Path],
    as_json: bool,
    overrides: Tuple[str, ...],
) -> int:
    """Train and evaluate every combination of presets, objects, algorithms, robots and --grid, with every seed.

    A trial is a `mapush train` and a `mapush evaluate`, run by Ray on this machine or a cluster; one that fails does
    not end the others. --resume goes on after Ctrl-C: finished trials are kept, the others continue from their
    checkpoints. FIELD=VALUE changes a field of every trial. Exit code 0: all trials are finished; 1: some are not.
    """
    console = make_console(stderr=as_json)
    given = _given(context)
    if show is not None or resume is not None:
        mode = "resume" if show is None else "show"
        _refuse(given - _KEPT[mode], mode, context)
    if show is not None:
        _print_results(console, SweepFolder(show), as_json)
        return 0
    if resume is not None:
        sweep = SweepFolder(resume)
        gpus = gpus_per_trial if "gpus_per_trial" in given else sweep.file.gpus_per_trial
        resources = engine.Resources(sweep.file.cpus_per_trial, gpus)
        code = _resume(console, sweep, resources, max_concurrent or sweep.file.max_concurrent, address)
    else:
        check_fields({"backend": "sim.backend", "steps": "training.total_steps"}, overrides)
        common = {"sim.backend": backend, "training.total_steps": steps}
        request = SweepRequest(
            presets=presets,
            objects=objects,
            axes=_axes({"algo": algorithms, "robot": robots}, grid),
            seeds=parse_seeds(seeds),
            parts=parts,
            overrides=[f"{field}={value}" for field, value in common.items() if value is not None] + list(overrides),
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
        )
        path = results / "sweeps" / _checked(name or time.strftime("%Y-%m-%d-%H-%M-%S"))
        sweep, code = _start(console, request, path, max_concurrent, address)
    finished = _print_results(console, sweep, as_json)
    return code or (0 if finished else 1)


def _given(context: click.Context) -> Set[str]:
    """Names of the options on the command line, and of the overrides if there are any."""
    return {
        name
        for name, value in context.params.items()
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE and value != ()
    }


def _refuse(names: Set[str], mode: str, context: click.Context) -> None:
    """Raise `UserError` for options that would change an existing sweep."""
    for parameter in context.command.params:
        if parameter.name in names:
            called = parameter.opts[0] if isinstance(parameter, click.Option) else "FIELD=VALUE"
            raise UserError(f"--{mode} takes the sweep as it is; leave {called} out")


def _checked(name: str) -> str:
    if not is_folder_name(name):
        raise UserError(f"--name {name} is not a folder's name: {FOLDER_NAME}")
    return name


def _axes(options: Dict[str, Sequence[str]], grid: Sequence[str]) -> Dict[str, List[str]]:
    """Fields and their values, from --algo, --robot and --grid."""
    axes = {FIELDS[name]: list(values) for name, values in options.items() if values}
    for field, values in map(parse_axis, grid):
        if field in axes:
            raise UserError(f"{field} is given twice; name a field once, with all of its values")
        axes[field] = values
    return axes


def _start(
    console: Console, request: SweepRequest, path: Path, most: Optional[int], address: str
) -> Tuple[SweepFolder, int]:
    """Run a new sweep; returns it and the exit code for the signal that stopped it, 0 without one."""
    trials = request.trials()
    engine.check_installed()
    resources = engine.Resources(request.cpus_per_trial, request.gpus_per_trial)
    _introduce(console, path, len(trials), len(trials), resources, address)
    with engine.connected(address, resources, min(len(trials), most or len(trials))):
        sweep = SweepFolder.create(path, _file(request, trials, most), functools.partial(write_trials, trials))
        try:
            engine.check_nodes(sweep, resources)
        except BaseException:
            shutil.rmtree(str(path))
            raise
        with sweep.locked():
            return sweep, _run(console, sweep, resources, most)


def _resume(
    console: Console, sweep: SweepFolder, resources: engine.Resources, most: Optional[int], address: str
) -> int:
    """Run the unfinished trials; returns the exit code for the signal that stopped the sweep, 0 without one."""
    with sweep.locked():
        left = sweep.unfinished()
        for trial in left:
            check_device(trial.request().config, resources.gpus)
        if not left:
            return 0
        engine.check_installed()
        _introduce(console, sweep.path, len(left), len(sweep.trials), resources, address)
        with engine.connected(address, resources, min(len(left), most or len(left))):
            engine.check_nodes(sweep, resources)
            return _run(console, sweep, resources, most)


def _introduce(console: Console, path: Path, left: int, total: int, resources: engine.Resources, address: str) -> None:
    where = "this machine" if address == engine.LOCAL else f"the Ray cluster at {address}"
    each = f"(CPUs each: {resources.cpus}, GPUs each: {resources.gpus:g})"
    say(console, f"sweep {path} on {where}: {left} of {total} trials to run {each}")


def _run(console: Console, sweep: SweepFolder, resources: engine.Resources, most: Optional[int]) -> int:
    with StopRequest() as stop, SweepDisplay(console, stop) as display:
        if not resources.gpus and engine.gpus():
            display.line(f"none of the {engine.gpus()} GPUs will be used; --gpus-per-trial 1 gives each trial one")
        if not engine.nodes(resources):
            display.line("no node of the cluster is large enough for a trial; waiting for one")
        engine.run(sweep, sweep.unfinished(), resources, most, stop, display.update)
    if stop.signal_number:
        say(console, f"go on with: mapush sweep --resume {sweep.path}")
    return stop.exit_code


def _file(request: SweepRequest, trials: List[Trial], most: Optional[int]) -> SweepFile:
    return SweepFile(
        mapush_stack=__version__,
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        command=["mapush", *sys.argv[1:]],
        cwd=str(Path.cwd()),
        cpus_per_trial=request.cpus_per_trial,
        gpus_per_trial=request.gpus_per_trial,
        max_concurrent=most,
        trials=[TrialName(name=trial.name, point=trial.point, seed=trial.seed) for trial in trials],
    )


def _print_results(console: Console, sweep: SweepFolder, as_json: bool) -> bool:
    """Print a sweep's results; returns whether all of its trials are finished."""
    states = sweep.states()
    rows = summary.rows(sweep, states)
    if as_json:
        trials = [{**trial.model_dump(), **state.model_dump()} for trial, state in zip(sweep.file.trials, states)]
        print(json.dumps({"sweep": str(sweep.path), "rows": rows, "trials": trials}, indent=2))
    else:
        console.print(_table(sweep, states, rows))
        for trial, state in zip(sweep.trials, states):
            if state.state == "failed":
                say(console, f"failed: {trial.name}: {state.message}; see {trial.log}")
    return all(state.state == "finished" for state in states)


def _table(sweep: SweepFolder, states: Sequence[TrialState], rows: List[Dict[str, Any]]) -> Table:
    finished = sum(state.state == "finished" for state in states)
    # No column for an object or a robot that is the same in all trials.
    names = [
        name for name in rows[0]["point"] if name in ("preset", "algo") or len({row["point"][name] for row in rows}) > 1
    ]
    columns = right("seeds", "success", "95 % interval", "of valid resets", "finish time", "steps/s", "failed")
    title = f"{sweep.path.name}: {finished} of {len(states)} trials finished; means over seeds"
    table = Table(*names, *columns, title=title)
    for row in rows:
        interval = row["success_interval"]
        table.add_row(
            *(row["point"][name] for name in names),
            f"{row['finished']}/{row['seeds']}",
            _shown("{:.1%}", row["success_rate"]),
            "-" if interval is None else "{:.1%} - {:.1%}".format(*interval),
            _shown("{:.1%}", row["valid_success_rate"]),
            _shown("{:.2f} s", row["finished_time"]),
            _shown("{:,.0f}", row["fps"]),
            str(row["failed"] or ""),
        )
    return table


def _shown(form: str, value: Optional[float]) -> str:
    return "-" if value is None else form.format(value)
