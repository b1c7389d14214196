"""Runs of any other program: its configuration file, and what the names of its folders say."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import yaml

from ...errors import UserError
from ...system.limits import check_plain, parse_json, read_text
from .layout import Layout
from .search import INNER

_CONFIGS = (
    ("params/agent.yaml", "params/env.yaml"),  # Isaac Lab
    (".hydra/config.yaml",),
    ("config.yaml",),
    ("config.yml",),
    ("args.yml", "config.yml"),  # RL Baselines3 Zoo
    ("args.yaml",),
    ("hparams.yaml",),
    ("params.json",),  # RLlib
    ("args.json",),
)
_MOST_BYTES = 2**18
"""Of a configuration file."""
_TASK = ("env_id", "env_name", "env", "task_name", "task", "map_name", "scenario")
_ALGORITHM = ("algo", "algorithm", "algo_name", "algorithm_name", "alg")
_CLEANRL = re.compile(r"(?P<task>.+)__(?P<algorithm>.+)__(?P<seed>\d+)__[\d_:.-]{8,}")
_DATE = (
    r"\d{4}-\d\d-\d\d(?:[T_ -]+\d\d[-:.h]?\d\d(?:[-:.m]?\d\d)?(?:\.\d+)?)?"  # 2024-01-31_10-30-00
    r"|(?:20)?\d{6}[T_-]\d{4,6}"  # 20240131-103000
    r"|\d\d-\d\d-\d\d[T_]\d\d-\d\d-\d\d(?:-\d+)?"  # skrl
    r"|(?:[0-9a-f]{8}_)?\d\d_\d\d_\d\d-\d\d_\d\d_\d\d"  # BenchMARL
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\d\d_\d\d-\d\d-\d\d"  # legged_gym, torch
    r"|\d\d-\d\d-\d\d-\d\d(?:-\d\d)?"  # rl_games
    r"|[0-9a-f]{5,8}_\d{5}(?:_\d+)?"  # RLlib's trials
    r"|1[5-9]\d{8}(?:\.\d+)?"  # unix seconds
)
_STAMP = re.compile(rf"(?:^|[_.-]+)(?:{_DATE})(?=$|[_.-])")
_TIME = re.compile(r"\d\d-\d\d-\d\d")
"""Hydra's folder for a time, in a folder for a date."""
_SEED = re.compile(r"(?:^|[_.-]+)(?:seed|rng)[_=-]?(\d+)(?=$|[_.-])|(?:^|[_.-]+)s[_=-]?(\d+)$", re.IGNORECASE)
_COUNTER = re.compile(
    r"^(?P<base>|.*?[_.-])(?P<word>run|trial|rep|repeat|version)?[_-]?(?P<number>\d{1,3})$", re.IGNORECASE
)
_SETTINGS = re.compile(
    r"(?:^|[_.-])\d*(?:lr|gamma|lambda|lam|tau|alpha|beta|eps|epsilon|clip|ent|coef|batch|size|bs|hidden|layers?|units?|dim|width|"
    r"depth|steps?|envs?|epochs?|horizon|noise|robots?|agents?|level|stage|k|n|v|weight|scale|reward|ratio|num|\d+)[_.-]*$",
    re.IGNORECASE,
)
"""Ends of names whose number is a setting, as in `hidden_64`."""


class Named(NamedTuple):
    """What the names of a run's folders say."""

    experiment: str
    """The folders without seeds, dates and repetitions; the same for runs that are named as repetitions."""
    title: str
    """The end of `experiment`, for people."""
    seed: Optional[int] = None
    task: Optional[str] = None
    algorithm: Optional[str] = None


def named(path: Path) -> Named:
    """What the names of the folders say; every part of a name that is no seed, date or repetition counts."""
    parts = list((path if path.is_dir() else path.parent).resolve().parts)
    while len(parts) > 1 and parts[-1] in INNER:
        parts.pop()
    found = _CLEANRL.fullmatch(parts[-1])
    if found:
        title = f"{found['task']}__{found['algorithm']}"
        return Named("/".join([*parts[:-1], title]), title, int(found["seed"]), found["task"], found["algorithm"])
    seeds = [match for part in parts for match in _SEED.finditer(part)]
    kept = [_STAMP.sub("", _SEED.sub("", part)) for part in parts]
    for at in range(1, len(parts)):
        if _TIME.fullmatch(parts[at]) and not kept[at - 1]:
            kept[at] = ""
    last = max((at for at, part in enumerate(kept) if part), default=0)
    if not seeds and kept[last] == parts[last]:
        kept[last] = _without_counter(Path(*parts[: last + 1]))
    title = next((part.strip("_.-") for part in reversed(kept) if part.strip("/_.-")), parts[-1])
    return Named("/".join(kept), title, int(seeds[0].group(1) or seeds[0].group(2)) if len(seeds) == 1 else None)


def _without_counter(folder: Path) -> str:
    """A folder's name without the number of a repetition: `PPO` for `PPO_2`, if there is a `PPO_1` beside it."""
    found = _COUNTER.match(folder.name)
    if not found:
        return folder.name
    base = found["base"]
    if not found["word"]:
        before = [
            folder.with_name(f"{folder.name[: found.start('number')]}{number}")
            for number in range(1, int(found["number"]))
        ]
        if _SETTINGS.search(base) or not all(other.is_dir() for other in before):
            return folder.name
    return base.rstrip("_.-")


def describe(layout: Layout) -> Layout:
    """A run of any program, by its configuration file if there is one and by its names."""
    config, problems = (layout.config, []) if layout.config else _read_config(layout.path)
    return _with_config(replace(layout, problems=[*layout.problems, *problems]), config)


def with_texts(layout: Layout, texts: List[str]) -> Layout:
    """The run with the hyperparameters among its logged texts, if there is no configuration file."""
    found: Dict[str, Any] = {}
    for text in texts if not layout.config else []:
        rows = re.findall(r"^\|([^|\n]+)\|([^\n]*)\|\s*$", text, re.MULTILINE)  # CleanRL's table
        rows = [row for row in rows if row != ("param", "value") and not set("".join(row)) <= set("-:| ")]
        found.update(
            rows or re.findall(r"(\w+)=('[^']*'|[^,()]+)", text) if text.startswith(("|", "Namespace(")) else ()
        )
    return _with_config(layout, {name.strip(): _literal(text) for name, text in found.items()}) if found else layout


def _literal(text: str) -> Any:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text.strip()
    return value if isinstance(value, (bool, int, float, str)) or value is None else text.strip()


def _with_config(layout: Layout, config: Dict[str, Any]) -> Layout:
    """The run with task, algorithm and seed of its configuration, else of its names."""
    names = named(layout.path)
    if names.title != layout.path.name:
        config = _without_name(config, layout.path.name)
    seeds = set(_seeds(config))
    return replace(
        layout,
        config=config,
        name=layout.name if names.title in layout.name else f"{names.title}/{layout.name}",
        task=names.task or _word(config, _TASK),
        algorithm=names.algorithm or _word(config, _ALGORITHM),
        seed=seeds.pop() if len(seeds) == 1 else names.seed,
    )


def _without_name(config: Dict[str, Any], name: str) -> Dict[str, Any]:
    """The configuration without fields that only repeat the name of the run's folder, which differ between seeds."""
    kept = {key: value for key, value in config.items() if not (isinstance(value, str) and Path(value).name == name)}
    return {key: _without_name(value, name) if isinstance(value, dict) else value for key, value in kept.items()}


def _seeds(config: Dict[str, Any]) -> Iterator[int]:
    """Every seed at any depth."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _seeds(value)
        elif name == "seed" and type(value) is int and value >= 0:
            yield value


def _word(config: Dict[str, Any], names: Sequence[str]) -> Optional[str]:
    """The first of some fields that holds a name, at the top or one level below."""
    for section in [config, *(value for value in config.values() if isinstance(value, dict))]:
        for name in names:
            value = section.get(name)
            value = (
                next((value[key] for key in ("name", "id", "class_name") if key in value), None)
                if isinstance(value, dict)
                else value
            )
            if isinstance(value, str) and value:
                return value
    return None


def _read_config(folder: Path) -> Tuple[Dict[str, Any], List[str]]:
    """The first configuration of `_CONFIGS` in a folder, and what cannot be read."""
    for names in _CONFIGS:
        files = [folder / name for name in names if (folder / name).is_file()]
        found: Dict[str, Any] = {}
        problems = []
        for file in files:
            try:
                content = _parse(file)
            except (UserError, ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
                problems.append(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}")
                continue
            found.update(content if len(names) == 1 else {file.stem: content})
        if files:
            return found, problems
    return {}, []


def _parse(file: Path) -> Dict[str, Any]:
    """A configuration as plain JSON.

    Raises:
        UserError, ValueError, TypeError, yaml.YAMLError, RecursionError: it cannot be read.

    """
    text = read_text(file, _MOST_BYTES, errors="replace")
    content = parse_json(text) if file.suffix == ".json" else yaml.load(text, _Loader)
    if isinstance(content, list):  # RL Baselines3 Zoo: pairs of an OrderedDict
        content = dict(pair for pair in content if isinstance(pair, list) and len(pair) == 2)
    if not isinstance(content, dict):
        raise ValueError("it does not hold named values")
    check_plain(content)
    return dict(json.loads(json.dumps(content, default=str)))


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is ten times as fast, and may be missing


class _Loader(_Base):  # type: ignore[misc]
    """Reads YAML without making Python's objects: their content stays plain."""


def _content(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        items = loader.construct_sequence(node, deep=True)
        return items[0] if "OrderedDict" in suffix and len(items) == 1 else items
    return str(node.value)


_Loader.add_multi_constructor("", _content)
