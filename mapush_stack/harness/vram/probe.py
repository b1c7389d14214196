"""The probe: runs one trial after the other, each in its own process, until the limits are known."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

import psutil

from ...errors import UserError
from ...sim.isaacgym_import import VARIABLE as ISAACGYM_FIRST
from ...system.atomic import scratch_directory, write_json
from ...system.gpu import Card
from ...system.machine import available_memory, processor
from ...training.config import overridden
from . import model, search
from .ballast import ballast
from .folder import Machine, ProbeFolder, ProbeSettings, TrialRecord
from .measurement import Measurement, Meter, card_meter, host_meter, measure
from .outcome import Outcome, classify
from .program_watch import ProgramWatch
from .trial import TrialRequest, TrialResult

COMMAND = (sys.executable, "-m", "mapush_stack", "vram-probe", "--trial")
"""Runs a trial; the file of its request follows."""
_PAIR_MULTIPLIER = "MAPUSH_CONTACT_PAIR_MULTIPLIER"
"""The variable that MAPush reads with the patch contact-pairs."""
_ENDLESS = 10**9
"""Steps of another program; it is stopped when it is measured."""
_MIN_CAPACITY = 0.95
"""Share of the memory at the start that must be free for a probe to be resumed."""


class TrialFailedError(Exception):
    """A trial failed for a reason that is not its size; the message says which trial and why."""


def machine(settings: ProbeSettings) -> Machine:
    """This machine, and the memory that a trial may use: what is free, or the limit.

    Raises:
        UserError: there is no such GPU, or less memory is free than the limit.

    """
    if settings.device == "cpu":
        name, total, free = processor(), psutil.virtual_memory().total / 2**20, available_memory() / 2**20
    else:
        card = _card(settings)
        name, total, free = card.name, card.memory().total, card.memory().free
    limit = settings.limit_mib
    if limit is not None and limit > free:
        raise UserError(f"--limit-mib {limit} is more than the {free:.0f} MiB that are free")
    return Machine(name=name, total_mib=total, capacity_mib=limit or free)


def check_machine(folder: ProbeFolder) -> None:
    """Raise `UserError` if the probe began on another machine, or if much less memory is free now."""
    then, now = folder.file.machine, machine(folder.file.settings)
    if (now.name, round(now.total_mib)) != (then.name, round(then.total_mib)):
        raise UserError(f"{folder.path} was begun on {then.name}, this is {now.name}; start a new probe")
    if now.capacity_mib < _MIN_CAPACITY * then.capacity_mib:
        raise UserError(
            f"{now.capacity_mib:.0f} MiB are free, {then.capacity_mib:.0f} MiB were when {folder.path} was begun; end "
            "what uses the rest, or start a new probe"
        )


def run(
    folder: ProbeFolder,
    show: Callable[[TrialRecord], None],
    stop: Callable[[], bool],
    command: Sequence[str] = COMMAND,
) -> bool:
    """Run the remaining trials of a probe; returns whether it is finished, False if `stop` ended it.

    Args:
        folder: the probe, locked.
        show: called with the record of each trial that has ended.
        stop: asked again and again; true ends the probe.
        command: runs a trial; the file of its request is added.

    Raises:
        TrialFailedError: a trial ended for a reason that is not its size.
        UserError: the card is not there, or the ballast cannot be held.

    """
    settings, records = folder.file.settings, folder.records()
    with _meters(settings) as make_meter:
        while not stop():
            trial = search.next_trial(settings, records)
            if trial is None:
                return True
            record = _run_trial(folder, trial, len(records) + 1, records, make_meter(), stop, command)
            if record is None:
                return False
            if record.outcome is Outcome.FAILED:
                raise TrialFailedError(
                    f"a trial of {trial.num_envs} environments failed, and not for its size: {record.evidence} (see "
                    f"{folder.log(len(records) + 1)})"
                )
            records.append(record)
            folder.add(len(records), record)
            show(record)
    return False


def fit(records: Sequence[TrialRecord]) -> Optional[model.MemoryModel]:
    """The line through the sizes of the search that fit."""
    fitting = [one for one in records if one.purpose == "search" and one.outcome is Outcome.FITS]
    return model.fit([(record.num_envs, record.peak_mib) for record in fitting])


def _run_trial(
    folder: ProbeFolder,
    trial: search.Trial,
    number: int,
    records: List[TrialRecord],
    meter: Meter,
    stop: Callable[[], bool],
    command: Sequence[str],
) -> Optional[TrialRecord]:
    """Run one trial; None if `stop` ended it."""
    settings, capacity = folder.file.settings, folder.file.machine.capacity_mib
    on_gpu, program = settings.device != "cpu", settings.program
    watch = None if program is None else ProgramWatch(program, trial.num_envs, settings.updates)
    with scratch_directory(folder.trials_path) as scratch:
        request, result = scratch / "request.json", scratch / "result.json"
        if program is not None:
            words = program.words(trial.num_envs, _ENDLESS, trial.multiplier or 1)
        else:
            write_json(request, _request(settings, trial, result).model_dump(mode="json"))
            words = [*command, str(request)]
        measured = measure(
            words,
            _environment(settings, trial),
            folder.log(number),
            meter,
            settings.timeout,
            None if on_gpu else capacity,
            stop,
            watch,
            (program.folder or None) if program is not None else None,
        )
        if measured.stopped == "request":
            return None
        found = _result(result) if watch is None else _program_result(watch, measured)
    line = fit(records)
    outcome, evidence = classify(
        measured,
        folder.log(number).read_bytes(),
        found is not None,
        capacity,
        None if line is None else line.mib(trial.num_envs),
        on_gpu,
    )
    if watch is not None and outcome is Outcome.HUNG:
        evidence = f"{watch.missing()} in {measured.seconds:.0f} s"
        if line is None and not search.sizes(records, Outcome.FITS):
            outcome = Outcome.FAILED  # more likely a wrong expression than a wrong size
    peak = max(measured.peak_mib, (found.host_mib or 0.0) if found and not on_gpu else 0.0)
    return TrialRecord(
        **trial._asdict(),
        outcome=outcome,
        evidence=evidence,
        exit_code=measured.exit_code,
        peak_mib=round(peak, 1),
        measured_by=measured.measured_by,
        seconds=round(measured.seconds, 2),
        trace=measured.trace,
        result=found,
    )


def _request(settings: ProbeSettings, trial: search.Trial, result: Path) -> TrialRequest:
    assert settings.config is not None  # there is no other program
    config = overridden(settings.config, [f"sim.num_envs={trial.num_envs}"])
    return TrialRequest(config=config, updates=settings.updates, result=str(result))


def _result(file: Path) -> Optional[TrialResult]:
    """What a trial of `mapush train` wrote, if it came so far."""
    return TrialResult.model_validate_json(file.read_text(), strict=True) if file.exists() else None


def _program_result(watch: ProgramWatch, measured: Measurement) -> Optional[TrialResult]:
    """What was measured of another program; None if it failed, was killed for its memory, or never trained."""
    enough = measured.stopped == "measured" or (measured.stopped == "timeout" and not watch.missing())
    ended = not measured.stopped and measured.exit_code == 0
    return watch.result() if enough or ended else None


def _environment(settings: ProbeSettings, trial: search.Trial) -> Dict[str, str]:
    """The environment variables of a trial: those of the probe, and more output at a crash."""
    environment = dict(os.environ, PYTHONFAULTHANDLER="1", PYTHONUNBUFFERED="1", NO_COLOR="1", TERM="dumb")
    if settings.device != "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = _card(settings).uuid
    if trial.multiplier is not None:
        environment[_PAIR_MULTIPLIER] = str(trial.multiplier)
        if settings.program is None:
            environment[ISAACGYM_FIRST] = "1"
    return environment


def _card(settings: ProbeSettings) -> Card:
    return Card(int(settings.device[len("cuda:") :]))


@contextlib.contextmanager
def _meters(settings: ProbeSettings) -> Iterator[Callable[[], Meter]]:
    """Within the block, a maker of meters: of the host, or of the card while the ballast holds the rest."""
    if settings.device == "cpu":
        yield lambda: host_meter
        return
    card = _card(settings)
    with contextlib.nullcontext() if settings.limit_mib is None else ballast(card, settings.limit_mib):
        idle = card.memory().used
        yield lambda: card_meter(card, idle)
