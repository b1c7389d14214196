"""The trials of a sweep: every combination of its axes with every seed, all checked before the first starts."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import UserError
from ..settings import FolderName, Settings
from ..system.limits import parse_yaml
from ..training import config
from ..training.config import MOST_TORCH_THREADS, ExperimentConfig
from ..training.upgrades import StoredConfig

MOST_TRIALS = 10_000
FIELDS = {"algo": "learner.algorithm", "robot": "sim.robot"}
"""Fields that have a command-line option, and a column in tables, of their own."""
_SEED = "training.seed"


class TrialName(Settings):
    """What distinguishes a trial from the others of its sweep."""

    name: FolderName
    """The name of its folder."""
    point: Dict[str, str]
    """`preset`, `object`, `algo`, `robot` and the fields of the grid: the same for all seeds of a combination."""
    seed: int


class Trial(TrialName):
    """One training of a sweep."""

    train: List[str]
    """The `mapush train` command that repeats it without the sweep."""
    config: StoredConfig


class _Point(NamedTuple):
    """One combination of a preset, an object and values of fields."""

    name: str
    columns: Dict[str, str]
    options: List[str]
    """Of `mapush train`."""
    config: ExperimentConfig


class SweepRequest(NamedTuple):
    """The axes of a sweep, and what all of its trials share."""

    presets: Sequence[str]
    """Names or YAML files."""
    objects: Sequence[str]
    """Names or YAML files; an empty name is the preset's own object."""
    axes: Dict[str, List[str]]
    """Fields and their values, written as in an override."""
    seeds: Sequence[int]
    parts: Sequence[str]
    """Laid over every preset."""
    overrides: Sequence[str]
    """`path.to.field=value`, applied to every trial."""
    cpus_per_trial: int
    """Also the threads of torch (at most `MOST_TORCH_THREADS`) and the physics, if the configuration has 0 for them."""
    gpus_per_trial: float
    """0, or a share of one GPU."""

    def trials(self) -> List[Trial]:
        """All trials; the first seed of every combination comes before the second seed of any.

        Raises:
            UserError: a value is not allowed, or is given twice.

        """
        self._refuse_repetitions()
        combinations = list(itertools.product(self.presets, self.objects, *self.axes.values()))
        count = len(combinations) * len(self.seeds)
        if count > MOST_TRIALS:
            raise UserError(f"the sweep has {count:,} trials, more than {MOST_TRIALS:,}; leave out some of its values")
        points = [self._point(preset, name, values) for preset, name, *values in combinations]
        pairs = itertools.product(self.seeds, points)
        return [self._trial(index, seed, point) for index, (seed, point) in enumerate(pairs, start=1)]

    def _refuse_repetitions(self) -> None:
        listed = {"--preset": self.presets, "--object": self.objects, "--seeds": self.seeds, **self.axes}
        for name, values in listed.items():
            twice = _repeated(values)
            if twice is not None:
                raise UserError(f"{name} has {twice} twice; a sweep takes every value once")
        fields = [*self.axes, *(override.partition("=")[0].strip() for override in self.overrides)]
        if _SEED in fields:
            raise UserError(f"{_SEED} is what --seeds is for; leave it out")
        twice = _repeated(fields)
        if twice is not None:
            raise UserError(f"{twice} is given twice; name a field once, with all of its values")

    def _point(self, preset: str, object_name: str, values: Sequence[str]) -> _Point:
        """A combination with its checked configuration."""
        chosen = dict(zip(self.axes, values))
        words = [Path(preset).stem, *([Path(object_name).stem] if len(self.objects) > 1 else [])]
        words += [value if field == FIELDS["algo"] else f"{field.rpartition('.')[2]}={value}"
                  for field, value in chosen.items()]  # fmt: skip
        name = re.sub(r"[^A-Za-z0-9._=+-]+", "_", "-".join(words))[:80]
        changes = [f"{field}={value}" for field, value in chosen.items()] + list(self.overrides)
        try:
            settings = config.load(preset, object_name, changes, self.parts)
            check_device(settings, self.gpus_per_trial)
        except UserError as error:
            raise UserError(f"{error} (in the trials {name})") from None
        threads = self._threads(settings)
        train = ["--preset", preset, *(word for part in self.parts for word in ("--with", part))]
        train += ["--object", object_name] if object_name else []
        columns = {
            "preset": settings.preset,
            "object": settings.object.name,
            "algo": settings.learner.algorithm,
            "robot": settings.sim.robot,
            **{field: value for field, value in chosen.items() if field not in FIELDS.values()},
        }
        return _Point(name, columns, [*train, *changes, *threads], config.overridden(settings, threads))

    def _trial(self, index: int, seed: int, point: _Point) -> Trial:
        seeded = f"{_SEED}={seed}"
        return Trial(
            name=f"{index:04d}-seed-{seed}-{point.name}",
            point=point.columns,
            seed=seed,
            train=["mapush", "train", *point.options, seeded],
            config=config.overridden(point.config, [seeded]),
        )

    def _threads(self, settings: ExperimentConfig) -> List[str]:
        """Overrides for the numbers of threads, so that concurrent trials do not share CPUs."""
        changes = []
        if not settings.training.torch_threads:
            changes.append(f"training.torch_threads={min(self.cpus_per_trial, MOST_TORCH_THREADS)}")
        if not settings.sim.threads:
            changes.append(f"sim.threads={self.cpus_per_trial}")
        return changes


def parse_seeds(text: str) -> List[int]:
    """The seeds in a list such as `1-3,7`: [1, 2, 3, 7].

    Raises:
        UserError: it is not a list of seeds, or has too many.

    """
    seeds: List[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})(?:\s*-\s*(\d{1,19}))?\s*", part)
        first, last = (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (1, 0)
        if last < first:
            raise UserError(f"--seeds {text} is not a list of seeds; write it as 1-5 or 1,3,7-9")
        if len(seeds) + last - first >= MOST_TRIALS:
            raise UserError(f"--seeds {text} has more than {MOST_TRIALS:,} seeds")
        seeds += range(first, last + 1)
    return seeds


def parse_axis(text: str) -> Tuple[str, List[str]]:
    """The field and the values of `path.to.field=value,value`; commas within brackets belong to a value.

    Raises:
        UserError: the field or the values are missing, or are not valid YAML.

    """
    field, _, values = text.partition("=")
    try:
        parsed = parse_yaml(f"[{values}]")
    except ValueError:
        parsed = None
    if not field.strip() or not isinstance(parsed, list) or not parsed:
        raise UserError(f"--grid {text} is not a field with values; write it as path.to.field=value,value")
    return field.strip(), [_written(value) for value in parsed]


def _written(value: Any) -> str:
    """A value as it is written in an override."""
    with contextlib.suppress(ValueError):
        if isinstance(value, str) and parse_yaml(value) == value:
            return value
    return json.dumps(value)


def _repeated(values: Sequence[Any]) -> Optional[Any]:
    """The first value that occurs twice; None if each occurs once."""
    return next((value for value, count in Counter(values).items() if count > 1), None)


def check_device(settings: ExperimentConfig, gpus: float) -> None:
    """Raise `UserError` for a device that no trial can have: Ray chooses each trial's GPU."""
    sim = settings.sim
    if sim.device.startswith("cuda:") and sim.device != "cuda:0":
        raise UserError(f"sim.device={sim.device} is not allowed in a sweep: Ray chooses the GPU; leave it at auto")
    on_gpu = sim.device.startswith("cuda") or (sim.backend == "warp" and sim.device != "cpu")
    if on_gpu and not gpus:
        raise UserError(f"sim.backend={sim.backend} with sim.device={sim.device} needs a GPU; add --gpus-per-trial 1")
