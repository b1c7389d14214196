"""What a training tells programs and people of how far it is."""

import io
import json

import pytest
from rich.console import Console

from mapush_stack.device.process_group import World
from mapush_stack.system.signals import StopRequest
from mapush_stack.training import progress
from mapush_stack.training.log import MetricsLog
from mapush_stack.training.progress import ProgressDisplay, ProgressFile
from mapush_stack.training.run_directory import RunDirectory, find_checkpoints
from mapush_stack.training.trainer import Trainer
from tests.conftest import kinematic_env, small_config
from tests.learning.teams import native
from tests.training.test_trainer import StopAfter, run_training


@pytest.fixture
def clock(monkeypatch):
    """The time that `progress` sees; set its only item."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def read(run):
    return json.loads((run / "progress.json").read_text())


def test_the_file_says_where_the_run_stands(tmp_path, clock):
    file = ProgressFile(tmp_path, 1000, 9000)
    started = {"schema": 1, "steps": 1000, "total_steps": 9000, "fps": 0.0, "success_rate": None, "seconds": 0.0}
    assert read(tmp_path) == {**started, "state": "training"}
    clock[0] += 2.0
    file.update(1600, {"mapush/success_rate": 0.25})
    assert read(tmp_path) == {
        **started,
        "steps": 1600,
        "fps": 300.0,
        "success_rate": 0.25,
        "seconds": 2.0,
        "state": "training",
    }
    clock[0] += 0.9
    file.update(2000, {})
    assert read(tmp_path)["steps"] == 1600  # a file is a second old before it is replaced
    file.end("stopped")
    assert (read(tmp_path)["steps"], read(tmp_path)["state"], read(tmp_path)["success_rate"]) == (2000, "stopped", None)
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_a_training_ends_as_stopped_or_finished(tmp_path):
    config = small_config("task.episode_seconds=0.2")
    run = run_training(config, tmp_path, StopAfter(2))
    assert (read(run.path)["state"], read(run.path)["steps"], read(run.path)["total_steps"]) == ("stopped", 320, 480)
    run_training(config, run)
    ended = read(run.path)
    assert (ended["state"], ended["steps"]) == ("finished", 480) and ended["fps"] > 0 and ended["seconds"] > 0
    assert 0.0 <= ended["success_rate"] <= 1.0


class Follower(World):
    rank = 1


def test_only_the_first_process_writes(tmp_path):
    config = small_config()
    run, env = RunDirectory.create(tmp_path, config, []), kinematic_env(config)
    trainer = Trainer(config, run, env, native(config.learner, env), Follower())
    with MetricsLog(None, 0) as log:
        trainer.train(ProgressDisplay(Console(file=io.StringIO()), 480), log, StopRequest())
    assert trainer.steps == 480 and not (run.path / "progress.json").exists() and not run.checkpoints()


def test_a_run_with_such_a_file_is_not_taken_for_a_checkpoint(tmp_path):
    run = run_training(small_config(), tmp_path)
    assert [steps for steps, _ in find_checkpoints(run.path)[1]] == [160, 320, 480]
    assert [steps for steps, _ in find_checkpoints(run.models / "rl_model_320_steps")[1]] == [320]
