"""Runs to diagnose: recorded ones of this project, and synthetic ones, as folders on the disk."""

import functools
import json
import math
from pathlib import Path

import numpy as np

from mapush_stack.analysis.run import LoggedRun, Series
from mapush_stack.training import config as configuration
from mapush_stack.training.log import MetricsLog

DATA = Path(__file__).parent / "data"
RECORDED = ("happo-cuboid", "mappo-cylinder", "openrl-cuboid", "harl-cuboid")
"""Scalars and configuration of 2 M steps each: preset default (seed 1), and OpenRL's and HARL's own learners."""
POINTS, TOTAL = 200, 8_000_000


def write_run(folder, config, series):
    """A run's folder with event files; `series` maps tags to (steps, values)."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "models").mkdir()
    by_step = {}
    for tag, (steps, values) in series.items():
        for step, value in zip(steps, values):
            by_step.setdefault(int(step), {})[tag] = float(value)
    with MetricsLog(folder / "logs", 0) as log:
        for step in sorted(by_step):
            log.write(by_step[step], step)
    return folder


def recorded(name, folder):
    """One of `RECORDED` as a run's folder."""
    with np.load(str(DATA / f"{name}.npz")) as file:
        series = {tag.replace("__", "/"): (file[tag][0], file[tag][2]) for tag in file.files if tag != "config"}
        return write_run(folder / name, json.loads(str(file["config"])), series)


def in_memory(config, series, **changes):
    """What reading a folder with `series` would give, without the folder."""
    found = {tag: Series(np.asarray(x).astype(int), 10.0 * np.arange(len(x)), y) for tag, (x, y) in series.items()}
    terms = [one for tag, one in found.items() if tag.startswith("rewards/")]
    if terms:
        found["average_step_reward"] = terms[0]._replace(values=sum(one.values for one in terms))
    known = {"path": Path("run"), "library": "mapush", "name": "run", "config": config, "series": found}
    return LoggedRun(**{**known, **changes})


def healthy(total=TOTAL, points=POINTS, seed=0, noise=0.02):
    """(configuration, series) of a synthetic run that learns well."""
    progress = np.linspace(1 / points, 1, points)
    learned = 1 - np.exp(-5 * progress)
    rows = np.random.default_rng(seed).normal(size=(40, points))
    values = {
        "critic/value_loss": 0.05 + 0.4 * (1 - learned),
        "critic/explained_variance": 0.9 * learned,
        "critic/critic_grad_norm": 0.2 + 0.1 * (1 - learned),
        "train_episode_rewards": -3 + 6 * learned,
        "mapush/success_rate": 0.93 * learned,
        "mapush/value_errors": np.zeros(points),
        "mapush/cause/value_error": np.zeros(points),
        "rewards/success": 0.004 * learned,
        "rewards/exception": -0.0002 * np.ones(points),
        "rewards/progress": 0.003 * learned,
        "rewards/approach": -0.003 * np.ones(points),
        "perf/fps": 60_000 * np.ones(points),
        "perf/rss_mib": 900 * np.ones(points),
    }
    for agent in ("agent0", "agent1"):
        std = 0.8 - 0.3 * learned
        values[f"{agent}/action_std"] = std
        values[f"{agent}/dist_entropy"] = 3 * (np.log(std) + 0.5 * math.log(2 * math.pi * math.e))
        values[f"{agent}/actor_grad_norm"] = 0.3 * np.ones(points)
        values[f"{agent}/actor_grad_norm_clipped_max"] = 0.6 * np.ones(points)
        values[f"{agent}/approx_kl"] = 0.005 * np.ones(points)
        values[f"{agent}/clip_fraction"] = 0.06 * np.ones(points)
    smooth = ("mapush/value_errors", "mapush/cause/value_error")
    for row, (tag, value) in zip(rows, values.items()):
        values[tag] = value if tag in smooth else value * (1 + noise * row)
    steps = (progress * total).round()
    return _config(total).model_dump(mode="json"), {tag: (steps, value) for tag, value in values.items()}


@functools.lru_cache(maxsize=None)
def _config(total):
    return configuration.load("default", overrides=[f"training.total_steps={total}"])


def entropy_of(std):
    """Entropy of a Gaussian of three dimensions."""
    return 3 * (np.log(std) + 0.5 * math.log(2 * math.pi * math.e))


def _quarters(*means):
    return np.repeat(means, POINTS // 4) + np.random.default_rng(1).normal(scale=0.5, size=POINTS)


_RISE = np.linspace(0, 1, POINTS)
_LATE = np.clip(2 * _RISE - 1, 0, 1)
DISEASES = {
    "policy-std-exploding": {"action_std": None, "dist_entropy": np.linspace(4.26, 17.45, POINTS)},
    "entropy-rising": {"action_std": 0.5 * np.exp(0.5 * _RISE), "dist_entropy": entropy_of(0.5 * np.exp(0.5 * _RISE))},
    "entropy-out-of-range": {"action_std": 1.8 + 0 * _RISE, "dist_entropy": entropy_of(1.8 + 0 * _RISE)},
    "gradient-unclipped": {"actor_grad_norm_clipped_max": 1 + 3 * _LATE},
    "gradient-large": {"actor_grad_norm": 0.3 * np.exp(5 * _RISE)},
    "value-loss-growing": {
        "critic/value_loss": 0.1 * np.exp(3 * _RISE),
        "critic/explained_variance": 0.5 + 0 * _RISE,
    },
    "explained-variance-low": {"critic/explained_variance": 0.05 + 0 * _RISE},
    "kl-high": {"approx_kl": 0.2 + 0 * _RISE},
    "clip-fraction-high": {"clip_fraction": 0.6 + 0 * _RISE},
    "reward-scales-lopsided": {"rewards/push": 2e-5 + 0 * _RISE},
    "reward-term-idle": {"rewards/ocb_progress": 1e-9 + 0 * _RISE},
    # The lab's run, by quarters; this project's rewards of single steps are not logged.
    "degradation": {
        "train_episode_rewards": _quarters(-14.65, -15.31, -17.08, -19.55),
        **{f"rewards/{term}": None for term in ("success", "exception", "progress", "approach")},
        "mapush/success_rate": None,
    },
    "learning-stalled": {
        "train_episode_rewards": -3 + 0.01 * _RISE,
        **{f"rewards/{term}": None for term in ("success", "exception", "progress", "approach")},
        "mapush/success_rate": 0 * _RISE,
    },
    "memory-growing": {"perf/rss_mib": 900 + 4000 * _RISE},
    "fps-falling": {"perf/fps": 60_000 * np.exp(-2 * _RISE)},
    "value-errors": {"mapush/value_errors": np.cumsum(_RISE > 0.5), "mapush/cause/value_error": 0.01 * (_RISE > 0.5)},
    "not-finite": {"critic/value_loss": np.where(np.arange(POINTS) == 150, np.nan, 0.1)},
}
"""What a run with one disease logs other than a healthy one, by the rule that should find it; None: not at all."""
REMARKS = {"reward-term-idle", "fps-falling"}


def diseased(rule):
    """(configuration, series) of a run with one disease."""
    config, series = healthy()
    steps = series["perf/fps"][0]
    for name, values in DISEASES[rule].items():
        shared = "/" in name or name == "train_episode_rewards"
        for tag in [name] if shared else [f"agent0/{name}", f"agent1/{name}"]:
            series.pop(tag, None)
            if values is not None:
                series[tag] = (steps, values)
    return config, series
