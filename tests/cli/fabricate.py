"""Runs made by hand, as a training leaves them, without a training."""

import json

import torch

from mapush_stack.training import checkpoint
from mapush_stack.training.log import MetricsLog
from mapush_stack.training.run_directory import RunDirectory
from tests.conftest import small_config


def recent(success):
    """A checkpoint's statistics with this success rate."""
    sums = {"episodes": 100.0, "successes": 100.0 * success, "valid": 0.0, "valid_successes": 0.0, "steps": 1.0}
    sums.update({"finish_time": 1.0, "collaboration": 0.0, "reward": 5.0})
    return {"recent": {"updates": [sums], "value_errors": 0}, "processes": 1}


def save(run, steps, success=0.0):
    tensors = {"weight": torch.zeros(3)}
    checkpoint.save(run.models, checkpoint.Checkpoint(steps, tensors, {}, recent(success)))


def log(run, steps, **more):
    """Log an update at each of `steps`, as the next process that trains."""
    with MetricsLog(run.logs, 0) as metrics:
        for index, step in enumerate(steps):
            values = {"mapush/success_rate": index / len(steps), "agent0/dist_entropy": 3.0 - index, "perf/fps": 100.0}
            metrics.write({**values, "agent1/dist_entropy": 1.0 - index, "critic/value_loss": 0.5, **more}, step)


def make(results, *overrides, checkpoints=(), logged=()):
    """A run of 480 steps under `results`, with checkpoints as (steps, success) and logs at steps; nobody trains it."""
    run = RunDirectory.create(results, small_config(*overrides), ["mapush", "train"])
    if checkpoints or logged:
        run.lock()
        run.release()
    for steps, success in checkpoints:
        save(run, steps, success)
    if logged:
        log(run, logged)
    return run


def with_config(run, **changes):
    """Change fields of config.json, named as training__seed."""
    plain = json.loads((run / "config.json").read_text())
    for path, value in changes.items():
        node = plain
        *above, last = path.split("__")
        for part in above:
            node = node[part]
        node[last] = value
    (run / "config.json").write_text(json.dumps(plain))
