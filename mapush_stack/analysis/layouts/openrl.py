"""Runs of OpenRL, and the files that MAPush leaves beside them.

These are the configuration as Python and the command as a shell script. Both are only read, never run.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ... import presets
from ...errors import UserError
from ...system.limits import check_plain, read_head, read_text
from ..text_logs import openrl_console
from .files import LOG
from .layout import Layout, Program

_SCRIPT = {
    "num_envs": r"^\s*num_envs=(\d{1,15})\b",
    "num_steps": r"^\s*num_steps=(\d{1,15})\b",
    "algo": r"^\s*algo=\"?(\w+)",
    "seed": r"--seed (\d{1,15})\b",
    "task": r"--task (\w+)",
}
_MOST_BYTES = 2**17
"""Of a file of MAPush."""
_MOST_ROBOTS = 1000


_LINE = re.compile(rb"\[INFO\] Episode: \d+/\d+")
_HEAD = 1 << 16
_TAGS = (
    r"average_step_reward|distance_to_target_reward|\w+_punishment|(?:approach_to_box|reach_target|push|ocb)_reward|FPS"
)
"""Tags of MAPush, and one of OpenRL."""


def _wrote(layout: Layout) -> bool:
    """True for lines of OpenRL in the log, or for folders logs/<tag>/<tag> of MAPush's tags."""
    with contextlib.suppress(UserError):
        if _LINE.search(read_head(layout.path / LOG, _HEAD)):
            return True
    folders = [folder.name for folder in layout.event_files if folder.name == folder.parent.name]
    return any(re.fullmatch(_TAGS, name) for name in folders)


def _describe(layout: Layout) -> Layout:
    folder = layout.path
    config, problems = _task_config(folder / "task" / "config.py")
    script = _train_script(folder / "task" / "train.sh")
    target = _object_name(config, folder, presets.OBJECTS.names())
    robots = _num_robots(config)
    if robots is None and target is not None:
        robots = presets.load_object(target).content["task"]["num_robots"]
    return replace(
        layout,
        task=f"go1push_mid-{target}" if target else script.get("task"),
        algorithm={"ppo": "mappo"}.get(script.get("algo", ""), script.get("algo")),
        seed=script.get("seed"),
        robots=robots,
        config={**({"train": script} if script else {}), **config},
        total_steps=script.get("num_steps"),
        text_logs=[partial(openrl_console, folder / LOG, script.get("num_steps"))],
        problems=[*layout.problems, *problems],
    )


def _task_config(file: Path) -> Tuple[Dict[str, Any], List[str]]:
    """The literal values of the classes in `task/config.py`, nested by class, and problems."""
    if not file.exists():
        return {}, []
    try:
        tree = ast.parse(read_text(file, _MOST_BYTES))
    except (UserError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        return {}, [f"task/{file.name} cannot be read: {error}"]
    found = _literals(tree.body)
    # The file holds one class, whose name does not matter.
    (inner,) = found.values() if len(found) == 1 else (found,)
    return inner if isinstance(inner, dict) else found, []


def _literals(body: Sequence[ast.stmt]) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = _literals(node.body)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                value = ast.literal_eval(node.value)
                check_plain(value)
                found[node.targets[0].id] = json.loads(json.dumps(value))
            except (ValueError, TypeError, RecursionError):
                continue  # computed, or not a valid value
    return found


def _train_script(file: Path) -> Dict[str, Any]:
    """Environments, steps, algorithm, seed and task of `task/train.sh`, if it names them."""
    try:
        text = read_text(file, _MOST_BYTES, errors="replace")
    except UserError:
        return {}
    matches = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in _SCRIPT.items()}
    texts = {name: match.group(1) for name, match in matches.items() if match}
    return {name: int(text) if text.isdigit() else text for name, text in texts.items()}


def _object_name(config: Dict[str, Any], folder: Path, known: Sequence[str]) -> Optional[str]:
    """The object that is pushed, by the configuration, else by the folder's name."""
    asset = config.get("asset", {})
    for text in (str(asset.get("file_npc", "")) if isinstance(asset, dict) else "", folder.name):
        for name in known:
            if name in text.lower():
                return name
    return None


def _num_robots(config: Dict[str, Any]) -> Optional[int]:
    """The number of robots, None if the configuration does not say."""
    env = config.get("env", {})
    found = env.get("num_agents") if isinstance(env, dict) else None
    return found if isinstance(found, int) and 0 < found <= _MOST_ROBOTS else None


PROGRAM = Program("openrl", _wrote, _describe)
