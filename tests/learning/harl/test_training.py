"""`mapush train --learner harl`, with the real HARL where it is (`nox -s harl`, or HARL_SRC)."""

import contextlib
import importlib
import importlib.metadata
import io
import json
import math
import signal
from unittest import mock

import pytest
import torch
from rich.console import Console

from mapush_stack.errors import UserError
from mapush_stack.learning.harl import arguments, library, progress
from mapush_stack.learning.harl.env import HarlEnv
from mapush_stack.learning.harl.learner import HarlLearner
from mapush_stack.learning.registry import LEARNERS
from mapush_stack.training import checkpoint
from mapush_stack.training import config as configuration
from mapush_stack.training.log import MetricsLog
from mapush_stack.training.progress import ProgressDisplay
from mapush_stack.training.run_directory import RunDirectory
from mapush_stack.training.trainer import Trainer
from tests.cli import faults
from tests.cli.runner import bytes_of, mapush, start, the_run, train_small
from tests.cli.test_train import checkpoints, wait_for
from tests.conftest import SMALL, kinematic_env
from tests.learning.teams import plan_of
from tests.training.test_trainer import StopAfter, iterate

HARL = ["--learner", "harl"]
FILES = {"actor_agent0.pt", "actor_agent1.pt", "critic_agent.pt", "value_normalizer.pt"}


def load(*overrides, parts=("harl",)):
    return configuration.load("default", "", [*SMALL, *overrides], parts)


# Through the command line, with the real HARL


def test_happo_trains_stops_resumes_and_evaluates(harl, mujoco, tmp_path):
    options = [*HARL, "training.total_steps=4800", "training.checkpoint_interval=480", "task.episode_seconds=2.0"]
    process = start("train", "--results", tmp_path / "parts", *SMALL, *options)
    wait_for(lambda: len(checkpoints(tmp_path / "parts")) >= 2, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in err and "mapush train --resume" in out
    assert out.startswith("HARL's HAPPO ·") and "preset default+harl" in out
    run = RunDirectory(the_run(tmp_path / "parts"))
    assert 0 < run.checkpoints()[-1][0] < 4800
    out, _ = mapush("train", "--resume", run.path)
    assert "trained at 4,800 steps" in out and "4 first episodes of the cuboid" in out
    assert "Algo happo Exp harl updates 30/30 episodes, total num timesteps 4800/4800, FPS" in out

    # A run that was not stopped ends with the same bytes, HARL's own files included.
    whole = RunDirectory(train_small(tmp_path / "whole", *options, "--no-evaluation")[1])
    last = [found.checkpoints()[-1][1] for found in (run, whole)]
    assert bytes_of(last[0]) == bytes_of(last[1]) and set(bytes_of(last[0])) >= FILES
    assert (run.path / "progress.txt").read_text() == (whole.path / "progress.txt").read_text()
    steps = [int(line.split(",")[0]) for line in (run.path / "progress.txt").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == 4800
    _, err = mapush("train", "--resume", run.path, code=2)
    assert "is finished" in err
    found = json.loads(mapush("evaluate", run.path, "--json")[0])
    assert [row["steps"] for row in found][-1] == 4800 and found[-1]["episodes"] == 4
    assert_logged(run, "agent0/policy_loss", "agent1/actor_grad_norm", "agent0/dist_entropy")


@pytest.mark.parametrize(
    "algorithm, told",
    [
        ("mappo", ["agent0/policy_loss"]),
        ("hatrpo", ["agent0/kl", "agent1/loss_improve"]),
        ("haa2c", ["agent0/policy_loss"]),
    ],
)
def test_the_other_algorithms_train(harl, mujoco, tmp_path, algorithm, told):
    out, run = train_small(tmp_path, *HARL, "--algo", algorithm)
    assert f"Algo {algorithm} Exp harl updates 3/3 episodes" in out and "4 first episodes" in out
    assert ("do not use" in out) is (algorithm != "mappo")
    run = RunDirectory(run)
    assert [steps for steps, _ in run.checkpoints()] == [160, 320, 480]
    first, *_, last = (checkpoint.load_model(path) for _, path in run.checkpoints())
    assert all(tensor.isfinite().all() for tensor in last.values())
    assert not torch.equal(first["actor0.log_std"], last["actor0.log_std"])
    assert_logged(run, *told)


@pytest.mark.parametrize("algorithm", ["happo", "hatrpo", "mappo"])
def test_unlike_robots_have_networks_of_their_own_sizes(harl, mujoco, tmp_path, algorithm):
    options = [*HARL, "--algo", algorithm, "--team", "planar,rover", "task.episode_seconds=2.0"]
    out, run = train_small(tmp_path, *options, "learner.share_actor=false")
    assert "4 first episodes of the cuboid" in out
    saved = RunDirectory(run).checkpoints()
    first, last = (checkpoint.load_model(saved[place][1]) for place in (0, -1))
    heads = sorted(tuple(last[f"actor{robot}.log_std"].shape) for robot in range(2))
    assert heads == [(2,), (3,)] and any(not torch.equal(first[name], last[name]) for name in first if "actor1" in name)
    out, _ = mapush("train", "--from", run, "--steps", 320, "--results", tmp_path / "more", "--no-evaluation")
    assert "trained at 320 steps" in out


def test_a_team_goes_on_with_the_other_library(harl, mujoco, tmp_path):
    """HARL's weights are ours under other names: from HARL to the native learner and back."""
    _, first = train_small(tmp_path / "one", *HARL, "--no-evaluation")
    for place, (name, library_name) in enumerate([("two", "native"), ("three", "harl")]):
        options = ["--from", first, "--learner", library_name, "--no-evaluation", "learner.actor_lr=0"]
        mapush("train", "--results", tmp_path / name, *options)
        run = the_run(tmp_path / name)
        before, after = (checkpoint.load_model(RunDirectory(path).checkpoints()[-1][1]) for path in (first, run))
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("actor")), place
        first = run


def assert_logged(run, *wanted):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run.logs))
    events.Reload()
    wanted = {*wanted, "critic/value_loss", "critic/critic_grad_norm", "critic/average_step_rewards", "perf/fps"}
    assert wanted | {"rewards/progress", "mapush/value_errors"} <= set(events.Tags()["scalars"])
    steps = [point.step for point in events.Scalars("critic/value_loss")]
    assert steps == sorted(set(steps)) and steps[-1] == run.checkpoints()[-1][0]


# HARL itself


def made(config, run):
    """A trainer over the torch-only simulator."""
    env = kinematic_env(config, config.training.seed)
    return Trainer(config, run, env, HarlLearner(config.learner, plan_of(config, env), env))


def train(config, run, updates=100):
    """Go on with a run for so many updates; returns its last checkpoint."""
    trainer = made(config, run)
    if run.checkpoints():
        trainer.restore(checkpoint.load(run.checkpoints()[-1][1]))
    stop = StopAfter(updates)
    with MetricsLog(run.logs, trainer.steps) as log:
        trainer.train(ProgressDisplay(Console(file=io.StringIO()), config.total_steps), log, stop)
    return run.checkpoints()[-1][1]


SHARED = ["learner.algorithm=mappo", "learner.share_actor=true", "task.global_state=observation"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["learner.algorithm=happo", "learner.value_norm=false"],
        ["learner.algorithm=hatrpo"],
        ["learner.algorithm=haa2c", "task.global_state=observation"],
        [*SHARED, "learner.lr_schedule=linear"],
    ],
)
def test_a_stopped_and_resumed_run_ends_with_the_same_bytes(harl, tmp_path, overrides):
    config = load("training.checkpoint_interval=10000", "task.episode_seconds=0.5", *overrides)
    whole, parts = (RunDirectory.create(tmp_path / name, config, []) for name in ("whole", "parts"))
    assert bytes_of(train(config, parts, updates=2)) != bytes_of(train(config, whole))
    assert parts.checkpoints()[-1][0] == 320
    assert bytes_of(train(config, parts)) == bytes_of(whole.checkpoints()[-1][1])


def test_each_agents_numbers_carry_its_own_name(harl, tmp_path, monkeypatch):
    """HARL trains agents in random order, and tells of them in that order."""
    config = load()
    trainer = made(config, RunDirectory.create(tmp_path, config, []))
    trained, orders = [], set()
    for agent, actor in enumerate(trainer.learner.runner.actor):
        monkeypatch.setattr(actor, "train", lambda *ignored, agent=agent: trained.append(agent) or {"agent": agent})
    for _ in range(12):
        trained.clear()
        metrics = iterate(trainer)
        assert metrics["agent0/agent"] == 0 and metrics["agent1/agent"] == 1
        orders.add(tuple(trained))
    assert orders == {(0, 1), (1, 0)}


def without(mapping, name):
    return {key: value for key, value in mapping.items() if key != name}


def test_nothing_of_harl_stays_changed(harl):
    base, envs = (importlib.import_module(name) for name in ("harl.runners.on_policy_base_runner", "harl.envs"))
    names = ("make_train_env", "get_num_agents", "init_dir", "save_config")
    before, loggers = [getattr(base, name) for name in names], dict(envs.LOGGER_REGISTRY)
    config = load()
    given = arguments.algo_args(config.learner, plan_of(config), 1, False)
    with pytest.raises(KeyError, match="gain"):  # in the middle of HARL's constructor
        library.make_runner(
            harl, "happo", {**given, "model": without(given["model"], "gain")}, HarlEnv(kinematic_env(load()))
        )
    assert [getattr(base, name) for name in names] == before and loggers == envs.LOGGER_REGISTRY


# Without HARL


@pytest.fixture
def no_harl(monkeypatch):
    monkeypatch.delenv("HARL_SRC", raising=False)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        pytest.skip(f"HARL {importlib.metadata.version('harl')} is installed")


def test_without_harl_it_is_one_sentence_and_nothing_is_written(no_harl, mujoco, tmp_path):
    _, err = mapush("train", "--results", tmp_path / "results", *SMALL, "--learner", "harl", code=2)
    assert err.startswith("mapush: HARL is not installed: clone https://github.com/PKU-MARL/HARL") and "HARL_SRC" in err
    assert err.count("\n") == 1 and not (tmp_path / "results").exists()


def test_a_folder_that_is_not_harls_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HARL_SRC", str(tmp_path))
    with pytest.raises(UserError, match=r"^HARL_SRC=.* is not HARL's source tree"):
        library.find()


@pytest.mark.parametrize(
    "missing, words",
    [
        ("harl.runners", "HARL is not installed"),
        ("setproctitle", "HARL needs setproctitle, which is not installed: pip install"),
        ("uu", "which Python has dropped with 3.13"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, missing, words):
    monkeypatch.delenv("HARL_SRC", raising=False)
    error = ModuleNotFoundError(f"No module named '{missing}'", name=missing)
    with mock.patch.object(library.importlib, "import_module", side_effect=error):
        with pytest.raises(UserError, match=words):
            library.find()


def test_another_version_of_harl_is_refused(monkeypatch):
    monkeypatch.delenv("HARL_SRC", raising=False)
    with mock.patch.object(library.importlib, "import_module", return_value=mock.Mock(spec=["__name__"])):
        with pytest.raises(UserError, match="this is not HARL's version d539bad"):
            library.find()


# This project's configuration by HARL's names


def test_the_part_is_what_harl_publishes():
    """The values of harl/configs/algos_cfgs/happo.yaml at d539bad."""
    config = configuration.load("default", "", [], ["harl"])
    given = arguments.algo_args(config.learner, plan_of(config), 1, False)
    published = {
        "model": {
            "hidden_sizes": [128, 128],
            "activation_func": "relu",
            "use_feature_normalization": True,
            "initialization_method": "orthogonal_",
            "gain": 0.01,
            "lr": 0.0005,
            "critic_lr": 0.0005,
            "opti_eps": 0.00001,
            "weight_decay": 0,
            "std_x_coef": 1,
            "std_y_coef": pytest.approx(0.5, abs=1e-6),
        },
        "algo": {
            "ppo_epoch": 5,
            "critic_epoch": 5,
            "use_clipped_value_loss": True,
            "clip_param": 0.2,
            "actor_num_mini_batch": 1,
            "critic_num_mini_batch": 1,
            "entropy_coef": 0.01,
            "value_loss_coef": 1,
            "use_max_grad_norm": True,
            "max_grad_norm": 10.0,
            "use_gae": True,
            "gamma": 0.99,
            "gae_lambda": 0.95,
            "use_huber_loss": True,
            "huber_delta": 10.0,
            "kl_threshold": 0.01,
        },
        "train": {"use_valuenorm": True, "use_linear_lr_decay": False, "use_proper_time_limits": True},
    }
    for section, values in published.items():
        assert {name: given[section][name] for name in values} == values
    json.dumps(given)
    init = configuration.load("default", "", [], ["harl"]).learner.policy.log_std_init
    assert math.exp(init) == pytest.approx(0.5 / (1 + math.exp(-1)), abs=1e-6)


def test_what_harl_cannot_do_is_named_at_once():
    with pytest.raises(UserError) as caught:
        arguments.check(load("learner.library=harl", parts=()).learner)
    for change in (
        "learner.policy.squash=false",
        "learner.policy.mirror=false",
        "learner.policy.std=sigmoid",
        "learner.policy.network.layer_norm=true",
        "learner.target_kl=null",
        "learner.value_norm_per=minibatch",
        "learner.value_norm_beta=0.99999",
        "learner.lr_final_fraction=0.0",
    ):
        assert change in str(caught.value)
    assert "--with harl" in str(caught.value) and "\n" not in str(caught.value)


def test_the_changes_that_it_names_are_enough():
    with pytest.raises(UserError) as caught:
        arguments.check(load("learner.library=harl", parts=()).learner)
    named = str(caught.value).split("HARL needs ")[1].split("; name these")[0]
    changes = named.replace(", learner.", "\nlearner.").split("\n")
    arguments.check(load("learner.library=harl", *changes, parts=()).learner)


@pytest.mark.parametrize(
    "override, words",
    [
        ("learner.policy.network.activation=elu", "learner.policy.network.activation=relu"),
        ("learner.critic.hidden=[8]", "learner.critic.hidden=[16]"),
        ("learner.actor_max_grad_norm=1", "learner.actor_max_grad_norm=10.0"),
        ("learner.value_clip=0.1", "learner.value_clip=0.2"),
        ("learner.target_kl=0.02", "learner.target_kl=null"),
        ("learner.policy.log_std_min=-3", "learner.policy.log_std_min=-20.0"),
    ],
)
def test_each_thing_that_harl_cannot_do(override, words):
    arguments.check(load().learner)
    with pytest.raises(UserError) as caught:
        arguments.check(load(override).learner)
    assert words in str(caught.value)


def test_a_curriculum_is_refused():
    stages = ["training.stages=[{name: one, steps: 320, changes: {}}]", "training.total_steps=null"]
    config = load(*stages)
    with pytest.raises(UserError, match=r"training\.stages must be empty with learner\.library=harl"):
        LEARNERS["harl"].check(config.learner, plan_of(config))


def test_hatrpos_trust_region_is_what_stops_the_others():
    config = load("learner.algorithm=hatrpo", "learner.target_kl=0.02")
    arguments.check(config.learner)
    assert arguments.algo_args(config.learner, plan_of(config), 1, False)["algo"]["kl_threshold"] == 0.02
    assert "learner.epochs" in arguments.unused(config.learner)
    assert arguments.unused(load().learner) == ""


# progress.txt


def test_progress_goes_on_where_the_checkpoint_is(tmp_path):
    (tmp_path / "progress.txt").write_text("800,-1.5\n1600,-1.25\n2400,-1.0\n32")
    text = progress.ProgressText(plan_of(load("training.total_steps=4000")), "happo")
    assert text.add(tmp_path, 1760, 0.5) == []
    first, second = text.add(tmp_path, 2400, 0.5)
    assert first.startswith("Env mapush Task go1push_mid-cuboid Algo happo Exp harl updates 15/25 episodes, total num")
    assert "timesteps 2400/4000, FPS" in first and second == "Some episodes done, average episode reward is 0.5."
    assert len(text.add(tmp_path, 3200, None)) == 1  # no episode has ended
    assert (tmp_path / "progress.txt").read_text() == "800,-1.5\n1600,-1.25\n2400,0.5\n"


def test_a_reward_that_is_not_finite_stops_before_the_checkpoint(harl, mujoco, tmp_path):
    _, err = mapush("train", "--results", tmp_path, *SMALL, *HARL, *faults.second_rollout(tmp_path, faults.NAN), code=1)
    assert "the reward term wild is nan at" in err and err.count("\n") == 1
    for _, path in checkpoint.all_in(the_run(tmp_path) / "models"):
        assert not checkpoint.not_finite(checkpoint.load_model(path))
