"""Making a run once more: its configuration and weights, what differs between then and now, and what came of it."""

from __future__ import annotations

import contextlib
import filecmp
import re
import shlex
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import torch
import yaml

from .. import plugins, presets
from ..errors import UserError
from ..system.limits import read_json
from . import checkpoint, config
from .manifest import hardware, manifest
from .placement import as_before
from .run_directory import RunDirectory

YES, PERHAPS, NO = "yes", "perhaps", "no"
"""Whether a difference can change the numbers; perhaps: in the last digits, which training amplifies."""
_NUMERIC = ("torch", "numpy", "mujoco", "mujoco-warp", "warp-lang", "openrl")
"""Packages that compute what is learned."""
_LEARNERS = {"harl": "HARL_SRC", "openrl": "openrl"}
"""Where the code of other programs' learners comes from, by `learner.library`."""
_GPU_NUMERIC = re.compile(r"(nvidia-(cublas|cuda|cudnn|cusolver|cusparse|nccl)|triton)")
_SOFTWARE = {
    "mapush_stack": ("version of mapush_stack", YES),
    "harl_commit": ("HARL_SRC", YES),
    "python": ("Python", NO),
}
_HARDWARE = {name: (name, PERHAPS) for name in ("gpu", "driver", "cuda", "instructions", "processor")}
_HARDWARE.update(device=("device", YES), cpus=("cpus", NO))
"""What a field of a manifest, or of one of its sessions, is called, and the effect of another value."""


class Change(NamedTuple):
    """Something that is not as it was."""

    what: str
    then: str
    now: str
    effect: str
    """YES, PERHAPS or NO."""


class Match(NamedTuple):
    """A checkpoint of a run beside the same one of its reproduction."""

    steps: int
    identical: bool
    """Whether the weights are the same, byte for byte."""
    largest: Optional[float]
    """The largest difference of two weights; None where they cannot be compared."""


class Plan(NamedTuple):
    """All that a reproduction needs."""

    run: RunDirectory
    settings: config.ExperimentConfig
    """The run's, with its number of torch's threads, and its simulator if that can run here."""
    initial: Optional[Path]
    """The weights to start from."""
    processes: int


def plan(path: Path) -> Plan:
    """How to make the run at `path` once more.

    Raises:
        UserError: there is no run of this project, its configuration is damaged, or the weights are missing that it
            started from.

    """
    _refuse_others(path)
    run = RunDirectory(path)
    settings = run.config()
    plain = run.manifest()
    threads = run.torch_threads()
    if threads:
        training = settings.training.model_copy(update={"torch_threads": threads})
        settings = settings.model_copy(update={"training": training})
    saved = run.checkpoints()
    with contextlib.suppress(UserError):
        settings = as_before(settings, run, checkpoint.load(saved[-1][1])) if saved else settings
    line = list(map(str, plain["command"])) if isinstance(plain.get("command"), list) else []
    # Older manifests tell of weights only by the command.
    from_weights = {"--from", "--pretrained"} & {word.partition("=")[0] for word in line}
    if run.initial_file is None and plain.get("started_from_weights", from_weights):
        raise UserError(
            f"{path} started from weights that are not in it any more: it has no initial.safetensors; its command was: "
            f"{shlex.join(line)}"
        )
    return Plan(run, settings, run.initial_file, _processes(run))


def command(wanted: Plan) -> Optional[str]:
    """The `mapush train` line that amounts to the same, from configuration and weights; None where there is none.

    It says what differs from the run's preset, or from the preset default where that is not there any more.
    """
    for preset in dict.fromkeys((wanted.settings.preset, "default")):
        words = _train(wanted.settings, preset)
        if words is not None:
            break
    else:
        return None
    words += [] if wanted.initial is None else ["--from", str(wanted.initial)]
    words += [] if wanted.processes == 1 else ["--gpus", str(wanted.processes)]
    words += [word for plugin in plugins.recorded(wanted.run.manifest()) for word in ("--plugin", plugin.name)]
    return shlex.join(["mapush", "train", *words])


def now(device: torch.device, processes: int) -> Dict[str, Any]:
    """The manifest that a run would get here."""
    return {**manifest([]), "sessions": [hardware(device, processes)]}


def differences(then: Dict[str, Any], now: Dict[str, Any], learner: Optional[str] = None) -> List[Change]:
    """What differs between two manifests, as far as both of them tell, the important first.

    Args:
        then: the run's.
        now: the one that a run would get here.
        learner: `learner.library` of the run: another one's code computes nothing of it. None: any could be it.

    """
    others = {_LEARNERS[name] for name in _LEARNERS if learner not in (None, name)}
    changes = [
        change._replace(effect=NO) if change.what in others else change
        for change in [*_code(then, now), *_fields(then, now, _SOFTWARE), *_packages(then, now), *_machine(then, now)]
    ]
    return sorted(changes, key=lambda change: (YES, PERHAPS, NO).index(change.effect))


def not_recorded(then: Dict[str, Any]) -> List[str]:
    """What would be worth knowing and an old or damaged manifest does not tell."""
    told = {
        "versions": isinstance(then.get("packages"), dict),
        "code": bool(then.get("source") or then.get("commit")),
        "torch's threads": bool(then.get("torch_threads")),
        "hardware": bool(_sessions(then)),
    }
    return [name for name, is_told in told.items() if not is_told]


def compare(run: RunDirectory, again: RunDirectory) -> List[Match]:
    """The checkpoints that both runs have, oldest first."""
    theirs = dict(again.checkpoints())
    return [_match(steps, path, theirs[steps]) for steps, path in run.checkpoints() if steps in theirs]


def _refuse_others(path: Path) -> None:
    """Say what a folder is that is no run of this project's but looks like one."""
    walking = next(path.glob("*_walk.json"), None)
    if walking:
        raise UserError(
            f"{path} holds a walking policy, not a team's run; {walking.name} in it names the command that trained it"
        )
    if (path / "sweep.json").is_file():
        raise UserError(f"{path} is a sweep; give the run of one of its trials: {path}/trials/*/mapush/*/*/*/seed-*")
    if checkpoint.is_checkpoint(path):
        raise UserError(f"{path} is a checkpoint; give its run: {path.parent.parent}")
    try:
        plain = read_json(path / "config.json")
    except UserError:
        return  # RunDirectory says what is wrong
    if isinstance(plain, dict) and "algo_args" in plain:
        raise of_another_program(path, "HARL")


def of_another_program(path: Path, program: str) -> UserError:
    """The error that says why such a run cannot be made again."""
    return UserError(f"{path} is a run of {program}'s own program; only runs of mapush train can be reproduced")


def _processes(run: RunDirectory) -> int:
    """How many processes trained a run together."""
    saved = run.checkpoints()
    sessions = _sessions(run.manifest())
    if sessions or not saved:
        said = sessions[0].get("processes") if sessions else 1
        return said if isinstance(said, int) and said > 0 else 1
    return int(checkpoint.progress(saved[-1][1]).get("processes", 1))


def _train(settings: config.ExperimentConfig, preset: str) -> Optional[List[str]]:
    """Arguments of `mapush train` that give these settings, starting from a preset; None where that is not possible."""
    name, *parts = preset.split("+")
    known = settings.object.name if settings.object.name in presets.OBJECTS else ""
    wanted = settings.model_dump(mode="json")
    try:
        base = config.load(name, known, [], parts).model_dump(mode="json")
        overrides = [f"{path}={_yaml(value)}" for path, value in _changed(base, wanted)]
        if config.load(name, known, overrides, parts) != settings:
            return None
    except UserError:
        return None
    words = ["--preset", name] + [word for part in parts for word in ("--with", part)]
    return [*words, *(["--object", known] if known else []), *overrides]


def _changed(base: Dict[str, Any], wanted: Dict[str, Any], above: str = "") -> Iterator[Tuple[str, Any]]:
    """Paths and values of the fields of `wanted` that differ from `base`; both have the same sections."""
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            yield from _changed(base[name], value, f"{above}{name}.")
        elif name not in base or base[name] != value:
            yield f"{above}{name}", value
    if above == "task.rewards.":  # a mapping: what is not named has weight 0
        yield from ((f"{above}{name}", 0.0) for name in base if name not in wanted)


def _yaml(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True).strip()
    return re.sub(r"\n\.\.\.$", "", text)


def _fields(then: Dict[str, Any], now: Dict[str, Any], table: Dict[str, Tuple[str, str]]) -> Iterator[Change]:
    """Fields of a table of (what it is, effect) that have another value, where `then` has one."""
    for name, (what, effect) in table.items():
        if then.get(name) and then[name] != now.get(name):
            yield Change(what, str(then[name]), str(now.get(name) or "-"), effect)


def _code(then: Dict[str, Any], now: Dict[str, Any]) -> Iterator[Change]:
    """This project's own code. The hash of the files decides where there is one, else the commit without edits."""
    name = "source" if then.get("source") else "commit"
    known = str(then.get(name) or "")
    if known and (known != now[name] or known.endswith("+")):
        yield Change("code of mapush_stack", _code_name(then), _code_name(now), YES)


def _code_name(plain: Dict[str, Any]) -> str:
    """A commit, or the hash of the files where they differ from it or there is no commit."""
    commit, source = (str(plain.get(name) or "") for name in ("commit", "source"))
    if commit and not commit.endswith("+"):
        return commit[:12]
    edited = f"{commit[:12]} and edits" if commit else "no commit"
    return edited + (f" ({source[:12]})" if source else "")


def _packages(then: Dict[str, Any], now: Dict[str, Any]) -> Iterator[Change]:
    """Packages that are there in another version or not at all. An old manifest names only some of them."""
    before, after = then.get("packages"), now["packages"]
    if not isinstance(before, dict):
        return
    everything = "environment" in then
    for name in sorted({*before, *(after if everything else ())} - {"mapush-stack"}):
        if before.get(name) != after.get(name):
            effect = YES if name in _NUMERIC else PERHAPS if _GPU_NUMERIC.match(name) else NO
            yield Change(name, str(before.get(name, "-")), after.get(name, "-"), effect)


def _machine(then: Dict[str, Any], now: Dict[str, Any]) -> Iterator[Change]:
    system = str(then.get("platform") or now["platform"])
    if system != now["platform"]:
        # A kernel does not compute; the C library's functions do.
        same_library = system.rpartition("-with-")[2] == now["platform"].rpartition("-with-")[2]
        yield Change("system", system, now["platform"], NO if same_library else PERHAPS)
    sessions = _sessions(then) or [{name: then[name] for name in ("processor", "cpus") if name in then}]
    for number, session in enumerate(sessions):
        for change in _fields(session, now["sessions"][0], _HARDWARE):
            if number == 0:
                yield change
            elif session.get(change.what) != sessions[0].get(change.what):
                steps = session.get("from_steps")
                since = f"from step {steps:,} on" if isinstance(steps, int) else "later"
                yield change._replace(what=f"{change.what} {since}")


def _sessions(plain: Dict[str, Any]) -> List[Dict[str, Any]]:
    found = plain.get("sessions")
    return [session for session in found if isinstance(session, dict)] if isinstance(found, list) else []


def _match(steps: int, one: Path, other: Path) -> Match:
    files = [checkpoint.model_file(path) for path in (one, other)]
    try:
        if filecmp.cmp(str(files[0]), str(files[1]), shallow=False):
            return Match(steps, True, 0.0)
        before, after = map(checkpoint.load_model, (one, other))
        gaps = [float((before[name].double() - after[name].double()).abs().max()) for name in before]
    except (UserError, OSError, KeyError, RuntimeError):
        return Match(steps, False, None)
    return Match(steps, False, max(gaps, default=0.0))
