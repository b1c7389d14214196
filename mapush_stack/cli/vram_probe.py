"""`mapush vram-probe`: measures how many environments fit into memory, and what each costs."""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List, Optional

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..errors import UserError
from ..harness import programs
from ..harness.programs import Program
from ..harness.vram import probe, summary
from ..harness.vram.folder import ProbeFile, ProbeFolder, ProbeSettings, TrialRecord
from ..harness.vram.summary import ProbeSummary
from ..harness.vram.trial import run as run_trial
from ..system import gpu
from ..system.signals import StopRequest
from ..training import config as configuration
from ..training.config import ExperimentConfig
from .console import make_console, right, say
from .given import FiniteRange, check_fields

_DEFAULTS = {"cpu": {"start": 64, "max_envs": 2048}, "cuda": {"start": 512, "max_envs": 65_536}}
_SHORTHANDS = {
    "library": "learner.library",
    "algo": "learner.algorithm",
    "robot": "sim.robot",
    "backend": "sim.backend",
}
"""Options for fields of the configuration."""
_ASKED = {"preset", "parts", "object_name", "overrides", *_SHORTHANDS}
"""Parameters that the configuration is made of."""
_OF_PROGRAMS = ("run", "ready", "rate", "settle")
"""Parameters that are fields of a `Program`."""


@click.command(name="vram-probe")
@click.option("--preset", default=None, help="Preset or YAML file to start from.  [default: default]")
@click.option("--with", "parts", multiple=True, help="Part or YAML file to lay over the preset; repeatable.")
@click.option("--object", "object_name", default=None, help="Object to push: cuboid, tblock, cylinder, or a YAML file.")
@click.option("--learner", "library", default=None, help="native, harl or openrl.  [default: native]")
@click.option("--algo", default=None, help="happo or mappo; with --learner harl also hatrpo and haa2c.")
@click.option("--robot", default=None, help="planar or go1.")
@click.option("--backend", default=None, help="mujoco, warp, isaacgym or auto.")
@click.option("--run", metavar="CMD", default=None, help="Probe this command instead; it holds {num_envs}.")
@click.option("--command", "program_name", metavar="NAME", default=None, help=programs.HELP)
@click.option("--ready", metavar="REGEX", default=None, help="Line of CMD that says that it trains.")
@click.option("--rate", metavar="REGEX", default=None, help="Lines of CMD with its rate, in a group.")
@click.option("--settle", type=FiniteRange(0.1), default=None, help="Seconds without growth of CMD's memory.  [10]")
@click.option("--device", default="auto", help="cuda, cuda:N, or cpu to measure host memory.  [default: a GPU if any]")
@click.option(
    "--limit-mib", type=click.IntRange(1), default=None, help="Act as a card (or host) with only so much memory."
)
@click.option("--start", type=click.IntRange(1), default=None, help="First size.  [default: 512; cpu: 64]")
@click.option("--max-envs", type=click.IntRange(1), default=None, help="Last size.  [default: 65536; cpu: 2048]")
@click.option("--growth", type=FiniteRange(1.5, 64), default=4.0, show_default=True, help="From size to size.")
@click.option(
    "--resolution", type=FiniteRange(0.001, 1), default=0.05, show_default=True, help="Where bisection stops."
)
@click.option("--updates", type=click.IntRange(1, 500), default=2, show_default=True, help="Timed updates a trial.")
@click.option("--timeout", type=FiniteRange(1), default=300.0, show_default=True, help="Seconds a trial may take.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="New folder for all of it.  [default: results/vram-probe/DATE-TIME]",
)
@click.option("--resume", type=click.Path(path_type=Path), default=None, help="Folder of a probe to go on with.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables; progress goes to stderr.")
@click.option("--trial", type=click.Path(path_type=Path), default=None, hidden=True)
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.pass_context
def command(
    context: click.Context,
    /,
    out: Optional[Path],
    resume: Optional[Path],
    as_json: bool,
    trial: Optional[Path],
    **_: Any,
) -> int:
    """Measure how many environments fit into memory, what each costs, and how fast they are.

    Trains each size for a few updates in its own process: more and more environments, then bisection, up to --max-envs
    or the end of the memory. With --run or --command it starts that command, which need not be ours, and follows its
    memory and its lines (docs/vram.md). FIELD=VALUE changes any field of the preset, as in `mapush train`. Finished
    trials are kept, and --resume goes on. Exit code 1: a trial failed for another reason than its size.
    """
    if trial is not None:
        run_trial(trial)
        return 0
    console = make_console(stderr=as_json)
    if resume is not None:
        if out is not None:
            raise UserError("--resume goes on in the probe's own folder; leave --out out")
        folder = ProbeFolder(resume)
        _check_same(context, folder.file.settings)
        probe.check_machine(folder)
    else:
        settings = _settings(context.params)
        file = ProbeFile(
            mapush_stack=__version__,
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            command=["mapush", *sys.argv[1:]],
            settings=settings,
            machine=probe.machine(settings),
        )
        folder = ProbeFolder.create(out or Path("results/vram-probe") / time.strftime("%Y-%m-%d-%H-%M-%S"), file)
    return _run(console, folder, as_json)


def _settings(given: Dict[str, Any]) -> ProbeSettings:
    """The checked settings of the command line."""
    program = _program(given)
    config = None if program is not None else _config(given)
    device = _device(given["device"], config)
    chosen = {name: given[name] or value for name, value in _DEFAULTS[_kind(device)].items()}
    if chosen["start"] > chosen["max_envs"]:
        raise UserError(f"--start {chosen['start']} is more than --max-envs {chosen['max_envs']}; raise the second")
    same = {name: given[name] for name in ("growth", "resolution", "limit_mib", "updates", "timeout")}
    return ProbeSettings(
        config=None if config is None else _on(config, device), program=program, device=device, **chosen, **same
    )


def _program(given: Dict[str, Any]) -> Optional[Program]:
    """The command to probe instead of `mapush train`, if one is given."""
    fields = {name: given[name] for name in _OF_PROGRAMS if given[name] is not None}
    if given["run"] is None and given["program_name"] is None:
        if fields:
            raise UserError(f"--{next(iter(fields))} goes with --run or --command, which is missing")
        return None
    ours = sorted(name for name in _ASKED if given[name])
    if ours:
        raise UserError(f"a command says all about its training; leave out {ours[0]}={given[ours[0]]}, or --run")
    program = programs.load(given["program_name"] or "", fields)
    if "{num_envs}" not in program.run:
        raise UserError(f"--run {program.run} needs {{num_envs}} where the number of environments belongs")
    return program if "{contact_pairs}" not in program.run else program.model_copy(update={"contact_pairs": True})


def _kind(device: str) -> str:
    return "cpu" if device == "cpu" else "cuda"


def _on(config: ExperimentConfig, device: str) -> ExperimentConfig:
    """The configuration for this device; with Isaac Gym if that is the only simulator for GPUs here."""
    changes = [f"sim.device={_kind(device)}"]
    only_isaacgym = find_spec("mujoco_warp") is None and find_spec("isaacgym") is not None
    if device != "cpu" and config.sim.backend == "auto" and only_isaacgym:
        changes += ["sim.backend=isaacgym", "sim.robot=go1"]
    return configuration.overridden(config, changes)


def _config(given: Dict[str, Any]) -> ExperimentConfig:
    check_fields({**_SHORTHANDS, "object_name": "object"}, given["overrides"])
    changes = [f"{field}={given[name]}" for name, field in _SHORTHANDS.items() if given[name] is not None]
    changes += given["overrides"]
    return configuration.load(given["preset"] or "default", given["object_name"] or "", changes, given["parts"])


def _device(wanted: str, config: Optional[ExperimentConfig]) -> str:
    """The device: `cpu` or `cuda:N`."""
    on_cpu = config is not None and config.sim.backend == "mujoco"
    if wanted == "auto" and config is not None:
        wanted = config.sim.device
    if wanted == "auto":
        wanted = "cuda" if not on_cpu and gpu.look().gpus else "cpu"
    if wanted == "cuda":
        wanted = "cuda:0"
    if wanted != "cpu" and not (wanted[:5] == "cuda:" and wanted[5:].isdigit()):
        raise UserError(f"--device {wanted} is not auto, cpu, cuda or cuda:N")
    if wanted != "cpu" and on_cpu:
        raise UserError(f"--device {wanted} does not go with sim.backend=mujoco, which needs none")
    return wanted


def _check_same(context: click.Context, settings: ProbeSettings) -> None:
    """Raise `UserError` for options that would change an existing probe."""
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE and context.params[name] != ()
    }
    options = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    changed = [
        name for name in given & {*_OF_PROGRAMS} if context.params[name] != getattr(settings.program, name, None)
    ]
    if changed or ("program_name" in given and _program(context.params) != settings.program):
        raise UserError("--resume goes on with the probe's own command, which is another; leave it out")
    if given & _ASKED and (settings.config is None or _on(_config(context.params), settings.device) != settings.config):
        raise UserError("--resume goes on with the probe's own configuration, which is another; leave it out")
    for name in given & {*type(settings).model_fields, "device"} - {"config"}:
        mine, asked = getattr(settings, name), context.params[name]
        if asked != mine and not (name == "device" and f"{asked}:0" == mine):
            raise UserError(f"the probe was begun with {options[name]} {mine}, not {asked}; leave it out with --resume")


def _run(console: Console, folder: ProbeFolder, as_json: bool) -> int:
    failure = ""
    with folder.locked(), StopRequest() as stop:
        _introduce(console, folder)
        try:
            finished = probe.run(
                folder, lambda record: _print_trial(console, record), lambda: stop.signal_number is not None
            )
        except probe.TrialFailedError as error:
            finished, failure = False, str(error)
        results = summary.summarise(folder, finished)
        missing = summary.write(results, folder.path)
    if as_json:
        print(json.dumps(summary.plain(results), indent=2))
    else:
        _print_tables(console, results)
    if missing:
        say(console, f"not drawn for want of {', '.join(sorted(set(missing)))}: pip install 'mapush_stack[report]'")
    say(console, f"probe: {folder.path}")
    if not finished:
        say(console, f"go on with: mapush vram-probe --resume {folder.path}")
    if failure:
        print(f"mapush: {failure}", file=sys.stderr)
        return 1
    return stop.exit_code


def _introduce(console: Console, folder: ProbeFolder) -> None:
    settings, machine = folder.file.settings, folder.file.machine
    config, kept = settings.config, len(folder.records())
    simulator = "" if config is None or config.sim.backend == "auto" else f"{config.sim.backend} on "
    limited = f" (--limit-mib, of {machine.total_mib:,.0f})" if settings.limit_mib else ""
    already = f" · {kept} trials are there already" if kept else ""
    memory = f"{machine.capacity_mib:,.0f} MiB for a trial{limited}"
    say(console, f"{settings.subject} · {simulator}{machine.name}, {memory}{already}")


def _print_trial(console: Console, record: TrialRecord) -> None:
    """Print a line about a trial that has ended."""
    rate = f"{_rate(record):>12} FPS" if record.result else f"{record.outcome.value:>16}"
    measured = f"{record.num_envs:>9,} environments {record.peak_mib:>9,.0f} MiB {rate} {record.seconds:>6.1f} s"
    say(console, ", ".join(filter(None, [measured, _purpose(record), record.evidence])))


def _rate(record: TrialRecord) -> str:
    return f"{record.result.fps:,.0f}" if record.result and record.result.fps is not None else "-"


def _purpose(record: TrialRecord) -> str:
    """What a trial was for, if not for the search."""
    pairs = f"contact pairs x {record.multiplier}"
    return {"search": "", "held-out": "held out of the fit", "contact-pairs": pairs}[record.purpose]


def _print_tables(console: Console, results: ProbeSummary) -> None:
    if not results.trials:
        return
    console.print(_measured(results))
    for line in _sentences(results):
        say(console, line)
    if results.predictions:
        console.print(_predicted(results))
    if any(record.purpose == "contact-pairs" for record in results.trials):
        console.print(_pairs(results))


def _measured(results: ProbeSummary) -> Table:
    columns = right("environments", "MiB", "of the memory", "env-steps/s")
    table = Table(*columns, "outcome", title=f"measured on {results.machine.name}")
    for record in sorted(results.trials, key=lambda one: (one.multiplier or 1, one.num_envs)):
        marks = [record.outcome.value, _purpose(record)]
        if record.num_envs == results.recommended and record.purpose != "contact-pairs":
            marks.append("[bold]recommended[/]")
        table.add_row(
            f"{record.num_envs:,}",
            f"{record.peak_mib:,.0f}",
            f"{record.peak_mib / results.machine.capacity_mib:.0%}",
            _rate(record),
            ", ".join(filter(None, marks)),
        )
    return table


def _sentences(results: ProbeSummary) -> List[str]:
    """Sentences on the limit, the fitted line, its error at the held out size, and the recommendation."""
    said = []
    if results.largest is None:
        said.append("No size fits.")
    elif results.too_many is not None:
        said.append(f"{results.largest:,} environments fit, {results.too_many:,} do not.")
    line, held_out = results.line, results.held_out
    if line is not None:
        said.append(
            f"{line.fixed_mib:,.0f} MiB + {line.kib_per_env:,.1f} KiB an environment (least squares over {line.points} "
            f"sizes, residual {line.residual:.1%})"
        )
    if held_out is not None:
        said.append(
            f"At {held_out.num_envs:,}, held out of the fit: {held_out.predicted_mib:,.0f} MiB predicted, "
            f"{held_out.measured_mib:,.0f} measured, error {held_out.error:+.1%}"
        )
    if results.recommended is not None:
        number = f"sim.num_envs={results.recommended}" if results.settings.program is None else results.recommended
        said.append(
            f"Recommended: {number}, the smallest size within 3 % of the highest rate that leaves a tenth of the memory"
        )
    return said


def _predicted(results: ProbeSummary) -> Table:
    on_cpu = results.settings.device == "cpu"
    title = "predicted for a computer's memory, not a GPU's" if on_cpu else "predicted from the line"
    table = Table(*right("memory" if on_cpu else "card", "environments", "leaving a tenth free"), "", title=title)
    for row in results.predictions:
        basis = "beyond what was measured" if row.extrapolated else "within what was measured"
        table.add_row(f"{row.card_gb} GB", f"{row.num_envs:,}", f"{row.with_spare:,}", basis)
    return table


def _pairs(results: ProbeSummary) -> Table:
    """Memory of Isaac Gym's room for contact pairs at the largest size, and how much of the room is used."""
    columns = right("multiplier", "MiB", "pairs available", "pairs used", "share")
    table = Table(*columns, "outcome", title=f"contact pairs at {results.largest:,} environments")
    for record in results.trials:
        if record.num_envs != results.largest or record.multiplier is None:
            continue
        cells, pairs = ["-"] * 3, record.result and record.result.contact_pairs
        if pairs:
            used = f"{pairs.used:,}" if pairs.exact else f"at least {pairs.used:,}"
            cells = [f"{pairs.available:,}", used, f"{100 * pairs.used / pairs.available:.2g} %"]
        table.add_row(str(record.multiplier), f"{record.peak_mib:,.0f}", *cells, record.outcome.value)
    return table
