import io
import itertools

import pytest
import torch
from rich.console import Console

from mapush_stack.errors import UserError
from mapush_stack.system.signals import StopRequest
from mapush_stack.training import checkpoint
from mapush_stack.training.log import MetricsLog
from mapush_stack.training.progress import ProgressDisplay
from mapush_stack.training.run_directory import RunDirectory
from mapush_stack.training.trainer import Trainer
from tests.conftest import kinematic_env, small_config
from tests.learning.teams import native

_folders = itertools.count()


class StopAfter(StopRequest):
    """A stop request that comes after some updates."""

    def __init__(self, updates):
        self.left = updates
        super().__init__()

    @property
    def signal_number(self):
        self.left -= 1
        return 15 if self.left <= 0 else None

    @signal_number.setter
    def signal_number(self, value):
        pass


def make_trainer(config, run, make=None):
    """A trainer over the torch-only simulator; `make` makes the learner, else it is this project's own."""
    env = kinematic_env(config, config.training.seed)
    learner = make(env) if make else native(config.learner, env, config.training.rollout_length)
    return Trainer(config, run, env, learner)


def run_training(config, folder, stop=None, make=None):
    """Train or go on with the run in `folder` until done or stopped; returns the run."""
    folder = folder / str(next(_folders)) if not isinstance(folder, RunDirectory) else folder
    run = folder if isinstance(folder, RunDirectory) else RunDirectory.create(folder, config, ["test"])
    trainer = make_trainer(config, run, make)
    saved = run.checkpoints()
    if saved:
        trainer.restore(checkpoint.load(saved[-1][1]))
    display = ProgressDisplay(Console(file=io.StringIO()), config.total_steps)
    with display, MetricsLog(run.logs, trainer.steps) as log:
        trainer.train(display, log, stop or StopRequest())
    return run


def iterate(trainer):
    """One update; what it logs."""
    return trainer._finish(trainer._launch(StopRequest()))[0]


def bytes_of(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


ALGORITHMS = [
    ["learner.algorithm=happo"],
    ["learner.algorithm=mappo"],
    ["learner.algorithm=mappo", "learner.share_actor=true"],
    ["learner.algorithm=mappo", "task.global_state=observation"],
]


@pytest.mark.parametrize("overrides", ALGORITHMS)
def test_the_same_seed_gives_the_same_bytes(tmp_path, overrides):
    config = small_config(*overrides)
    one, two = (run_training(config, tmp_path) for _ in range(2))
    assert [steps for steps, _ in one.checkpoints()] == [160, 320, 480]
    for (_, a), (_, b) in zip(one.checkpoints(), two.checkpoints()):
        assert bytes_of(a) == bytes_of(b)
    other = run_training(
        config.model_copy(update={"training": config.training.model_copy(update={"seed": 2})}), tmp_path
    )
    assert bytes_of(other.checkpoints()[-1][1]) != bytes_of(one.checkpoints()[-1][1])


@pytest.mark.parametrize("overrides", ALGORITHMS)
def test_a_stopped_and_resumed_run_ends_with_the_same_bytes(tmp_path, overrides):
    config = small_config("training.total_steps=960", "training.checkpoint_interval=10000", *overrides)
    whole = run_training(config, tmp_path)
    parts = run_training(config, tmp_path, StopAfter(2))
    assert [steps for steps, _ in parts.checkpoints()] == [320]
    run_training(config, parts, StopAfter(1))
    run_training(config, parts)
    assert [steps for steps, _ in parts.checkpoints()] == [320, 480, 960]
    assert bytes_of(whole.checkpoints()[-1][1]) == bytes_of(parts.checkpoints()[-1][1])


def test_training_changes_every_network(tmp_path):
    config = small_config()
    trainer = make_trainer(config, RunDirectory.create(tmp_path, config, []))
    before = {name: tensor.clone() for name, tensor in trainer.learner.model_state().items()}
    iterate(trainer)
    after = trainer.learner.model_state()
    assert {name for name in before if torch.equal(before[name], after[name])} == set()


def test_what_is_logged(tmp_path):
    config = small_config("training.total_steps=3200", "task.episode_seconds=1.0", "training.random_initial_ages=false")
    trainer = make_trainer(config, RunDirectory.create(tmp_path, config, []))
    for _ in range(8):
        metrics = iterate(trainer)
    wanted = {
        "agent0/policy_loss",
        "agent1/policy_loss",
        "agent0/dist_entropy",
        "agent0/actor_grad_norm",
        "agent0/actor_grad_norm_clipped",
        "agent0/approx_kl",
        "agent0/clip_fraction",
        "agent0/action_std",
        "critic/value_loss",
        "critic/critic_grad_norm",
        "critic/explained_variance",
        "train_episode_rewards",
        "mapush/success_rate",
        "mapush/cause/time_limit",
        "mapush/value_errors",
        "rewards/progress",
        "rewards/separation",
        "perf/fps",
    }
    assert wanted <= set(metrics)
    assert all(isinstance(value, (int, float)) for value in metrics.values())
    assert metrics["agent0/actor_grad_norm_clipped_max"] <= config.learner.actor_max_grad_norm * (1 + 1e-5)


def test_the_logs_hold_the_tags_over_steps(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = run_training(small_config(), tmp_path)
    events = accumulator.EventAccumulator(str(run.logs))
    events.Reload()
    assert [point.step for point in events.Scalars("agent0/policy_loss")] == [160, 320, 480]


def test_numbers_that_are_not_finite_are_counted_and_training_goes_on(tmp_path):
    config = small_config()
    trainer = make_trainer(config, RunDirectory.create(tmp_path, config, []))
    trainer.env.simulator.break_down(torch.tensor([0, 3]))
    metrics = iterate(trainer)
    assert metrics["mapush/value_errors"] == 2
    assert all(tensor.isfinite().all() for tensor in trainer.learner.model_state().values())
    assert iterate(trainer)["mapush/value_errors"] == 2


def test_full_contact_buffers_are_reported_once(tmp_path, monkeypatch):
    config = small_config()
    trainer = make_trainer(config, RunDirectory.create(tmp_path, config, []))
    monkeypatch.setattr(trainer.env.simulator, "overflows", lambda: torch.tensor(3), raising=False)
    said = io.StringIO()
    display = ProgressDisplay(Console(file=said, width=1000), config.total_steps)
    with display, MetricsLog(None, 0) as log:
        trainer.train(display, log, StopRequest())
    assert said.getvalue().count("found no room for all contacts") == 1


def test_epochs_stop_above_the_kl_limit(tmp_path):
    counts = {}
    for limit in ("1e-9", "null"):
        config = small_config(f"learner.target_kl={limit}", "learner.epochs=3")
        trainer = make_trainer(config, RunDirectory.create(tmp_path / limit, config, []))
        counts[limit] = iterate(trainer)["agent0/epochs"]
    assert counts == {"1e-9": 1, "null": 3}


def test_the_learning_rate_falls_linearly():
    config = small_config("learner.lr_final_fraction=0.1", "learner.actor_lr=0.01")
    env = kinematic_env(config)
    learner = native(config.learner, env)
    rates = []
    for progress in (0.0, 0.5, 1.0):
        learner._schedule(progress)
        rates.append(float(learner._actor_optimizers[0]._rate))
    assert rates == pytest.approx([0.01, 0.0055, 0.001])


def test_stages_follow_each_other_with_their_own_rewards(tmp_path):
    stages = (
        "training.stages=[{name: one, steps: 320, changes: {task: {rewards: {success: 7.0}}}},"
        " {name: two, steps: 160, changes: {learner: {actor_lr: 0.5}}}]"
    )
    config = small_config(stages, "training.total_steps=null")
    trainer = make_trainer(config, RunDirectory.create(tmp_path, config, []))
    seen = []
    while trainer.steps < config.total_steps:
        trainer._enter_stage()
        seen.append((trainer.env.config.rewards["success"], trainer.learner.config.actor_lr, trainer._stage_progress()))
        iterate(trainer)
    assert seen == [(7.0, 2e-3, 0.0), (7.0, 2e-3, 0.5), (2.0, 0.5, 0.0)]


def test_a_resumed_curriculum_goes_on_in_its_stage(tmp_path):
    one, two = "{name: one, steps: 160, changes: {}}", "{name: two, steps: 480, changes: {learner: {gamma: 0.5}}}"
    stages = f"training.stages=[{one}, {two}]"
    config = small_config(stages, "training.total_steps=null")
    whole = run_training(config, tmp_path)
    parts = run_training(config, tmp_path, StopAfter(2))
    run_training(config, parts)
    assert bytes_of(whole.checkpoints()[-1][1]) == bytes_of(parts.checkpoints()[-1][1])


def test_statistics_do_not_grow(tmp_path):
    config = small_config("task.episode_seconds=0.2")
    trainer = make_trainer(config, RunDirectory.create(tmp_path, config, []))
    for _ in range(25):
        iterate(trainer)
    assert len(trainer.window.to_json()["updates"]) == 10


def test_two_processes_cannot_train_one_run(tmp_path):
    config = small_config()
    run = RunDirectory.create(tmp_path, config, [])
    run.lock()
    with pytest.raises(UserError, match="is being trained by another process"):
        RunDirectory(run.path).lock()
    run.release()
    again = RunDirectory(run.path)
    again.lock()
    again.release()


def test_a_run_directory_brings_its_configuration(tmp_path):
    config = small_config(object_name="tblock")
    run = RunDirectory.create(tmp_path, config, ["mapush", "train"])
    assert run.config() == config
    assert run.manifest()["command"] == ["mapush", "train"]
    parts = run.path.relative_to(tmp_path).parts
    assert parts[:4] == ("mapush", "go1push_mid-tblock", "happo", "default") and parts[4].startswith("seed-00001-2")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"preset": 3}'])
def test_a_damaged_run_configuration_is_refused(tmp_path, content):
    run = RunDirectory.create(tmp_path, small_config(), [])
    (run.path / "config.json").write_text(content)
    with pytest.raises(UserError) as caught:
        run.config()
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not a run directory"):
        RunDirectory(tmp_path)
