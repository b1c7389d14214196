"""Whose run a folder is, and where in it things lie."""

from __future__ import annotations

import fcntl
import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from .. import presets
from ..errors import UserError
from ..system.json_text import parse_json
from . import upstream
from .events import Series
from .text_logs import Text, openrl_console, progress

_CONFIG, _MANIFEST, _LOG, _PROGRESS = "config.json", "manifest.json", "log.txt", "progress.txt"
_MARKS = (_CONFIG, _LOG)
"""Files of which a run has one in its folder."""
_DEEPEST = 100
"""Levels of a configuration; more are no configuration, and deep enough would end in Python's recursion limit."""
_CHECKPOINT = re.compile(r"rl_model_(\d+)_steps")
_CHECKPOINT_FOLDERS = ("models", "checkpoints")
_TASK_NAMES = ("task", "scenario", "map_name", "env_name")
"""Where HARL's environments say what their task is."""


@dataclass(frozen=True)
class Layout:
    """A run's folder, its logs not yet read."""

    path: Path
    library: str
    name: str
    task: Optional[str] = None
    algorithm: Optional[str] = None
    seed: Optional[int] = None
    robots: Optional[int] = None
    config: Dict[str, Any] = field(default_factory=dict)
    manifest: Dict[str, Any] = field(default_factory=dict)
    total_steps: Optional[int] = None
    event_files: Dict[Path, List[Path]] = field(default_factory=dict)
    """By the folder that they are in."""
    texts: List[Callable[[Dict[str, Series]], Text]] = field(default_factory=list)
    """What else holds numbers; each is given what the event files hold."""
    checkpoints: List[Tuple[int, Path]] = field(default_factory=list)
    problems: List[str] = field(default_factory=list)


class _Values:
    """What a configuration says, each value of the kind that it has to be; one of another kind is a problem."""

    def __init__(self, plain: Dict[str, Any]) -> None:
        self._plain = plain
        self.problems: List[str] = []

    def get(self, *names: str) -> Any:
        """The value under these names, one inside the other; None where there is none."""
        found: Any = self._plain
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def whole(self, *names: str, least: Optional[int] = None) -> Optional[int]:
        """A whole number, also one that was written as 1e6 or in quotes."""
        value = self.get(*names)
        written_so = isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII)
        number = int(value) if written_so or (isinstance(value, float) and value.is_integer()) else value
        if value is None or (type(number) is int and (least is None or number >= least)):
            return number
        return self.refuse(names, value, "a whole number" + ("" if least is None else f" from {least} on"))

    def word(self, *names: str) -> Optional[str]:
        """A name; a number is one too."""
        value = self.get(*names)
        if value is None or isinstance(value, (str, int, float)):
            return None if value is None else str(value)
        return self.refuse(names, value, "a name")

    def refuse(self, names: Sequence[str], value: Any, wanted: str) -> None:
        """Note that a value is not what is wanted there."""
        shown = json.dumps(value)
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        self.problems.append(f"{_CONFIG} has {'.'.join(names)}={shown}, which is not {wanted}; it is left out")


def find(path: Path) -> Layout:
    """The layout of the run that `path` is, or is the logs of.

    Raises:
        UserError: there is nothing, or several runs.

    """
    if not path.exists():
        raise UserError(f"{path} does not exist; give the folder of a run")
    if path.is_file():
        if not is_event_file(path.name):
            raise UserError(f"{path} is neither a run's folder nor an event file of TensorBoard; give the run's folder")
        return Layout(path, "tensorboard", path.parent.name, event_files={path.parent: [path]})
    folder = _run_folder(path)
    event_files = _event_files(folder)
    if not event_files and not any((folder / name).is_file() for name in _MARKS):
        content = "is empty" if not any(folder.iterdir()) else "holds no logs of a training"
        raise UserError(f"{path} {content}; give the folder of a run, with its TensorBoard logs or its {_CONFIG}")
    layout = Layout(folder, "tensorboard", folder.name, event_files=event_files, checkpoints=_checkpoints(folder))
    config, problems = _json(folder / _CONFIG)
    manifest, more = _json(folder / _MANIFEST)
    layout = replace(layout, manifest=manifest, problems=[*problems, *more])
    if "main_args" in config or "algo_args" in config:
        return _harl(layout, config)
    if "learner" in config or "mapush_stack" in manifest:
        return _mapush(layout, config)
    # HARL's first: its folders of what belongs to no robot look like OpenRL's.
    if _has_agent_folders(folder, event_files):
        return _harl(layout, config)
    if (folder / _LOG).is_file() or _has_bare_tags(folder, event_files):
        return _openrl(layout)
    return replace(layout, config=config)


def is_locked(folder: Path) -> Optional[bool]:
    """Whether a process trains the run of this project in `folder`; None where there is no lock to tell by."""
    try:
        descriptor = os.open(str(folder / ".lock"), os.O_RDONLY)
    except OSError:
        return None
    try:
        # A trainer holds the file exclusively (filelock); readers do not disturb each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def changed(folder: Path) -> Tuple[Tuple[Path, int], ...]:
    """The sizes of a run's logs: the same while nothing is added."""
    files = [file for found in _event_files(folder).values() for file in found]
    files += [folder / name for name in (_LOG, _PROGRESS)]
    found = ((file, status(file)) for file in sorted(files))
    return tuple((file, known.st_size) for file, known in found if known is not None)


def status(file: Path) -> Optional[os.stat_result]:
    """Size and times of a file; None where it is gone meanwhile, or is a link to nothing."""
    try:
        return file.stat()
    except OSError:
        return None


def _mapush(layout: Layout, config: Dict[str, Any]) -> Layout:
    values = _Values(config)
    folder = layout.path
    experiment, thing = values.word("experiment"), values.word("object", "name")
    return replace(
        layout,
        library="mapush",
        name=folder.name if experiment is None else f"{experiment}/{folder.name}",
        task=None if thing is None else f"go1push_mid-{thing}",
        algorithm=values.word("learner", "algorithm"),
        seed=values.whole("training", "seed"),
        robots=values.whole("object", "task", "num_robots", least=1),
        config=config,
        total_steps=_mapush_steps(values),
        texts=[_text(progress, folder / _PROGRESS, "train_episode_rewards")],
        problems=[*layout.problems, *values.problems],
    )


def _mapush_steps(values: _Values) -> Optional[int]:
    """Environment steps that a run of this project was to have: those of its stages, where it has some."""
    stages = values.get("training", "stages")
    if not stages:
        return values.whole("training", "total_steps", least=1)
    if not isinstance(stages, list):
        return values.refuse(("training", "stages"), stages, "a list of stages")
    steps = [_Values(stage).whole("steps", least=1) if isinstance(stage, dict) else None for stage in stages]
    if None in steps:
        return values.refuse(("training", "stages"), stages, "a list of stages with their steps")
    return sum(steps)


def _harl(layout: Layout, config: Dict[str, Any]) -> Layout:
    values = _Values(config)
    tasks = (values.word("env_args", name) for name in _TASK_NAMES)
    task = next((name for name in tasks if name is not None), None)
    world, experiment = values.word("main_args", "env"), values.word("main_args", "exp_name")
    return replace(
        layout,
        library="harl",
        name=layout.path.name if experiment is None else f"{experiment}/{layout.path.name}",
        task=task if task is None or world is None else f"{world}-{task}",
        algorithm=values.word("main_args", "algo"),
        seed=values.whole("algo_args", "seed", "seed"),
        config=config,
        total_steps=values.whole("algo_args", "train", "num_env_steps", least=1),
        texts=[_text(progress, layout.path / _PROGRESS, "eval_average_episode_rewards")],
        problems=[*layout.problems, *values.problems],
    )


def _openrl(layout: Layout) -> Layout:
    """MAPush's runs keep their task's configuration as Python and their command as a shell script."""
    folder = layout.path
    config, problems = upstream.task_config(folder / "task" / "config.py")
    script = upstream.train_script(folder / "task" / "train.sh")
    thing = upstream.object_name(config, folder, presets.OBJECTS.names())
    robots = upstream.num_robots(config)
    if robots is None and thing is not None:
        robots = presets.load_object(thing).content["task"]["num_robots"]
    return replace(
        layout,
        library="openrl",
        task=f"go1push_mid-{thing}" if thing else script.get("task"),
        algorithm={"ppo": "mappo"}.get(script.get("algo", ""), script.get("algo")),
        seed=script.get("seed"),
        robots=robots,
        config={**({"train": script} if script else {}), **config},
        total_steps=script.get("num_steps"),
        texts=[_text(openrl_console, folder / _LOG, script.get("num_steps"))],
        problems=[*layout.problems, *problems],
    )


def _text(source: Callable[..., Text], file: Path, detail: Any) -> Callable[[Dict[str, Series]], Text]:
    return lambda series: source(file, detail, series)


def _run_folder(path: Path) -> Path:
    """The run's folder for itself, its logs, or a folder that it is alone in.

    Raises:
        UserError: there are several runs in it.

    """

    def marked(folder: Path) -> bool:
        return any((folder / name).is_file() for name in _MARKS)

    if marked(path):
        return path
    if path.name == "logs" and marked(path.resolve().parent):
        return path.parent if path.parent.name else path.resolve().parent
    runs = [Path(folder) for folder, _, names in os.walk(str(path)) if any(name in names for name in _MARKS)]
    if len(runs) > 1:
        shown = ", ".join(str(run.relative_to(path)) for run in sorted(runs)[:3])
        raise UserError(f"{path} holds {len(runs)} runs; name those that are meant, such as {shown}")
    return runs[0] if runs else path


def is_event_file(name: str) -> bool:
    """Whether TensorBoard takes a file of this name for one of its own."""
    return "tfevents" in name or name.startswith("events")


def _event_files(folder: Path) -> Dict[Path, List[Path]]:
    found: Dict[Path, List[Path]] = {}
    for name, folders, files in os.walk(str(folder)):
        folders[:] = [one for one in folders if one not in _CHECKPOINT_FOLDERS and not one.startswith(".")]
        events = sorted(Path(name) / file for file in files if is_event_file(file))
        if events:
            found[Path(name)] = events
    return found


def _checkpoints(folder: Path) -> List[Tuple[int, Path]]:
    found = []
    for parent in _CHECKPOINT_FOLDERS:
        for path in (folder / parent).glob("rl_model_*_steps"):
            match = _CHECKPOINT.fullmatch(path.name)
            if match:
                found.append((int(match.group(1)), path))
    return sorted(found)


def _json(file: Path) -> Tuple[Dict[str, Any], List[str]]:
    """A file's JSON object, empty where there is none, and what is wrong with it."""
    if not file.is_file():
        return {}, []
    try:
        plain = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"{file.name} cannot be read: {' '.join(str(error).split())}"]
    if not isinstance(plain, dict):
        return {}, [f"{file.name} does not hold a JSON object"]
    if _depth(plain) > _DEEPEST:
        return {}, [f"{file.name} cannot be read: it is nested more than {_DEEPEST} deep"]
    # Half of a surrogate pair, which JSON may hold, is no text that could be shown or written anywhere.
    return json.loads(json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace")), []


def _depth(plain: Any) -> int:
    """How many objects and lists lie inside one another."""
    depth, level = 0, [plain]
    while level:
        nested = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        depth, level = depth + 1, [inner for one in nested for inner in one]
    return depth


def _has_bare_tags(folder: Path, event_files: Dict[Path, List[Path]]) -> bool:
    """Whether the folders are OpenRL's: logs/<tag>/<tag>."""
    return _any_folder(folder, event_files, r"(logs/)?(\w+)/\2")


def _has_agent_folders(folder: Path, event_files: Dict[Path, List[Path]]) -> bool:
    """Whether the folders are HARL's: logs/agent0/<name>/agent0/<name>."""
    return _any_folder(folder, event_files, r"(logs/)?(agent\d+/\w+)/\2")


def _any_folder(folder: Path, event_files: Dict[Path, List[Path]], pattern: str) -> bool:
    return any(re.fullmatch(pattern, one.relative_to(folder).as_posix()) for one in event_files)
