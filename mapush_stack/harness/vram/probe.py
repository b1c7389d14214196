"""The probe: trial after trial, each in a process of its own, until the limits are known."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Union

import psutil

from ... import presets
from ...errors import UserError
from ...sim.isaacgym_import import VARIABLE as ISAACGYM_FIRST
from ...system.atomic import TEMPORARY_PREFIX, write_json
from ...system.gpu import Card
from ...system.machine import available_memory, processor
from . import model, search
from .ballast import ballast
from .folder import Machine, ProbeFolder, ProbeSettings, TrialRecord
from .outcome import Outcome, classify
from .trial import TrialRequest, TrialResult
from .watch import CardMeter, HostMeter, watch

COMMAND = (sys.executable, "-m", "mapush_stack", "vram-probe", "--trial")
"""Runs a trial; the file of its request follows."""
_PAIR_MULTIPLIER = "MAPUSH_CONTACT_PAIR_MULTIPLIER"
"""Read by MAPush with the patch contact-pairs."""
_LESS = 0.95
"""A machine that has less than this share of the memory that it had is another one."""


class TrialFailedError(Exception):
    """A trial ended for a reason that is not its size; the message says which and why."""


class Event(NamedTuple):
    """A trial has ended."""

    number: int
    record: TrialRecord


def machine(settings: ProbeSettings) -> Machine:
    """The machine that this process is on, with what is free of the memory in question, or its limit.

    Raises:
        UserError: there is no such GPU, or less memory than the limit.

    """
    if settings.device == "cpu":
        name, total, free = processor(), psutil.virtual_memory().total / 2**20, (available_memory() or 0) / 2**20
    else:
        with _card(settings) as card:
            name, memory = card.name, card.memory()
            total, free = memory.total, memory.free
    limit = settings.limit_mib
    if limit is not None and limit > free:
        raise UserError(f"--limit-mib {limit} is more than the {free:.0f} MiB that are free")
    return Machine(name=name, total_mib=total, capacity_mib=limit or free)


def check_machine(folder: ProbeFolder) -> None:
    """Refuse to go on with a probe on another machine than it began on, or with less memory.

    Raises:
        UserError: it is.

    """
    then, now = folder.file.machine, machine(folder.file.settings)
    if (now.name, round(now.total_mib)) != (then.name, round(then.total_mib)):
        raise UserError(f"{folder.path} was begun on {then.name}, this is {now.name}; start a new probe")
    if now.capacity_mib < _LESS * then.capacity_mib:
        raise UserError(
            f"{now.capacity_mib:.0f} MiB are free, {then.capacity_mib:.0f} MiB were when {folder.path} was begun; end "
            "what uses the rest, or start a new probe"
        )


def run(
    folder: ProbeFolder,
    tell: Callable[[Event], None],
    stop: Callable[[], bool],
    command: Sequence[str] = COMMAND,
) -> bool:
    """Run what is left of a probe; returns whether it is finished, False where `stop` ended it.

    Args:
        folder: the probe, locked.
        tell: called with each trial that has ended.
        stop: asked all the time.
        command: what runs a trial.

    Raises:
        TrialFailedError: a trial ended for a reason that is not its size.
        UserError: the card or the ballast is not to be had.

    """
    settings, records = folder.file.settings, folder.records()
    with _watched(settings) as make_meter:
        while not stop():
            trial = search.next_trial(settings, records)
            if trial is None:
                return True
            record = _try(folder, trial, len(records) + 1, records, make_meter(), stop, command)
            if record is None:
                return False
            if record.outcome is Outcome.FAILED:
                raise TrialFailedError(
                    f"a trial of {trial.num_envs} environments failed, and not for its size: {record.evidence} (see "
                    f"{folder.log(len(records) + 1)})"
                )
            records.append(record)
            folder.add(len(records), record)
            tell(Event(len(records), record))
    return False


def fit(records: Sequence[TrialRecord]) -> Optional[model.MemoryModel]:
    """The line through the searched sizes that fit."""
    return model.fit([(record.num_envs, record.peak_mib) for record in records if _counts(record)])


def _counts(record: TrialRecord) -> bool:
    return record.purpose == "search" and record.outcome is Outcome.FITS


def _try(
    folder: ProbeFolder,
    trial: search.Trial,
    number: int,
    records: List[TrialRecord],
    meter: Union[HostMeter, CardMeter],
    stop: Callable[[], bool],
    command: Sequence[str],
) -> Optional[TrialRecord]:
    """Run one trial; None where it was stopped on request."""
    settings, capacity = folder.file.settings, folder.file.machine.capacity_mib
    on_gpu = settings.device != "cpu"
    request, result = (folder.log(number).with_name(TEMPORARY_PREFIX + name) for name in ("request", "result"))
    for left in (request, result):
        if left.exists():
            left.unlink()
    config = presets.merge(settings.config, {"sim": {"num_envs": trial.num_envs}})
    asked = TrialRequest(config=config, updates=settings.updates, result=str(result))
    write_json(request, asked.model_dump(mode="json"))
    watched = watch(
        [*command, str(request)],
        _environment(settings, trial),
        folder.log(number),
        meter,
        settings.timeout,
        None if on_gpu else capacity,
        stop,
    )
    if watched.stopped == "request":
        return None
    found = TrialResult.model_validate_json(result.read_text(), strict=True) if result.exists() else None
    line = fit(records)
    ended = classify(
        watched,
        folder.log(number).read_bytes(),
        found is not None,
        capacity,
        None if line is None else line.mib(trial.num_envs),
        on_gpu,
    )
    for file in (request, result):
        if file.exists():
            file.unlink()
    peak = max(watched.peak_mib, (found.host_mib or 0.0) if found and not on_gpu else 0.0)
    return TrialRecord(
        purpose=trial.purpose,
        num_envs=trial.num_envs,
        multiplier=trial.multiplier,
        outcome=ended.outcome,
        evidence=ended.evidence,
        exit_code=watched.exit_code,
        peak_mib=round(peak, 1),
        measured_by=watched.measured_by,
        seconds=round(watched.seconds, 2),
        trace=watched.trace,
        result=found,
    )


def _environment(settings: ProbeSettings, trial: search.Trial) -> Dict[str, str]:
    """A trial's environment: the probe's, a little noisier at a crash."""
    environment = dict(os.environ, PYTHONFAULTHANDLER="1", PYTHONUNBUFFERED="1", NO_COLOR="1", TERM="dumb")
    if settings.device != "cpu":
        with _card(settings) as card:
            environment["CUDA_VISIBLE_DEVICES"] = card.uuid
    if trial.multiplier is not None:
        environment[_PAIR_MULTIPLIER] = str(trial.multiplier)
        environment[ISAACGYM_FIRST] = "1"
    return environment


def _card(settings: ProbeSettings) -> Card:
    return Card(int(settings.device[len("cuda:") :]))


@contextlib.contextmanager
def _watched(settings: ProbeSettings) -> Iterator[Callable[[], Union[HostMeter, CardMeter]]]:
    """Makers of meters, over a card with its ballast or over the host."""
    if settings.device == "cpu":
        yield HostMeter
        return
    with contextlib.ExitStack() as stack:
        card = stack.enter_context(_card(settings))
        if settings.limit_mib is not None:
            stack.enter_context(ballast(card, settings.limit_mib))
        idle = card.memory().used
        yield lambda: CardMeter(card, idle)
