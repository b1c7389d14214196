"""The real OpenRL trains: `nox -s openrl` installs it. Python 3.8, which has no MuJoCo, has the torch-only tasks."""

import json
import shutil
import signal
import subprocess
import sys
from importlib import metadata

import pytest
import torch
from rich.console import Console

from mapush_stack.device.process_group import ALONE
from mapush_stack.errors import FaultError, UserError
from mapush_stack.evaluation import policies, protocol
from mapush_stack.learning.openrl.actor import read_module
from mapush_stack.learning.registry import LEARNERS
from mapush_stack.training import checkpoint, session
from mapush_stack.training import config as configuration
from mapush_stack.training.progress import ProgressDisplay
from mapush_stack.training.run_directory import RunDirectory
from tests.cli import faults
from tests.cli.runner import ROOT, bytes_of, environment, mapush, start, the_run
from tests.cli.test_train import checkpoints, wait_for
from tests.conftest import SMALL, kinematic_env
from tests.learning.teams import plan_of

try:
    metadata.distribution("openrl")
except metadata.PackageNotFoundError:
    pytest.skip("OpenRL is not installed here; `nox -s openrl` has it", allow_module_level=True)

NARROW = ["learner.policy.network.hidden=[16,16]", "learner.critic.hidden=[16,16]"]
QUICK = ["--learner", "openrl", *SMALL, *NARROW]
LONG = [*QUICK, "training.total_steps=16000", "training.checkpoint_interval=480", "--no-evaluation"]
"""A hundred updates with a checkpoint after every third."""
LEARN = ["training.total_steps=400000", "sim.num_envs=128", "training.torch_threads=1"]


@pytest.fixture
def kinematic(monkeypatch):
    """Trainings run over the torch-only tasks."""

    def make(task, thing, sim, seed, first_env=0, **_):
        config = configuration.load("default", "", [f"sim.num_envs={sim.num_envs}"])
        return kinematic_env(config.model_copy(update={"task": task}), seed)

    monkeypatch.setattr(session, "make_env", make)


def train(results, *overrides, initial=None):
    """A training in this process; returns what it amounts to."""
    config = configuration.load("default", "", [*SMALL, *NARROW, *overrides], ["openrl"])
    with ProgressDisplay(Console(quiet=True), config.total_steps) as display:
        return session.start(config, results, [], display, initial)


def resume(run):
    with ProgressDisplay(Console(quiet=True), 1) as display:
        return session.resume(run, display)


def contents(folder):
    """A checkpoint's files, module.pt as the tensors of its actor: it also holds dictionaries, in any order."""
    files = bytes_of(folder)
    files["module.pt"] = [value.tolist() for value in read_module(folder / "module.pt").state_dict().values()]
    return files


def success(run, index=-1, episodes=300):
    """Share of first episodes that a checkpoint of a run in the torch-only tasks brings to an end."""
    candidate = policies.find(run.path, "", [])[index]
    sim = candidate.config.sim.model_copy(update={"num_envs": episodes})
    env = kinematic_env(candidate.config.model_copy(update={"sim": sim}), seed=777)
    return protocol.summarize(protocol.run_episodes(policies.policy(candidate, env).act, env), 20.0).success_rate


def test_it_learns(tmp_path, kinematic):
    untrained = train(tmp_path / "untrained", *LEARN, "training.total_steps=1", "learner.actor_lr=0")
    trained = train(tmp_path / "trained", *LEARN)
    assert success(trained.run) > success(untrained.run) + 0.2


def test_a_run_is_what_the_tools_expect(tmp_path, kinematic):
    done = train(tmp_path)
    assert (done.exit_code, done.outcome.steps, done.outcome.stopped) == (0, 480, False)
    assert done.run.path.parts[-4:-1] == ("go1push_mid-cuboid", "mappo", "openrl")
    saved = done.run.checkpoints()
    assert [steps for steps, _ in saved] == [160, 320, 480]
    names = ["model.safetensors", "module.pt", "progress.json", "training.safetensors"]
    assert all(sorted(path.name for path in folder.iterdir()) == names for _, folder in saved)
    assert done.run.manifest()["packages"]["openrl"] == "0.2.0"

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(done.run.logs))
    log.Reload()
    tags = set(log.Tags()["scalars"])
    agent = {f"agent0/{name}" for name in ("policy_loss", "dist_entropy", "actor_grad_norm")}
    assert agent | {"critic/value_loss", "perf/fps", "rewards/progress", "mapush/value_errors"} <= tags
    assert [event.step for event in log.Scalars("critic/value_loss")] == [160, 320, 480]


def test_the_policy_in_module_pt_is_the_one_that_openrl_acts_with(tmp_path, kinematic):
    done = train(tmp_path)
    model = checkpoint.load_model(done.run.checkpoints()[-1][1])
    actor = read_module(done.run.checkpoints()[-1][1] / "module.pt")
    config = done.run.config()
    env = kinematic_env(config)
    kind = LEARNERS["openrl"]
    learner = kind.make(config.learner, plan_of(config), env, ALONE)
    learner.load_model_state(model)
    observations, _ = env.reset()
    learner.agent.net.reset()
    actions, _ = learner.agent.act({"policy": observations.numpy()}, deterministic=True)
    assert torch.allclose(torch.from_numpy(actions), actor.act(observations), atol=1e-6)
    policy = kind.policy(config.learner, env.spec, env.device, model)
    assert torch.equal(policy.act(observations), actor.act(observations))


@pytest.mark.parametrize("overrides", [[], ["learner.value_norm=false", "task.global_state=observation"]])
def test_a_resumed_run_ends_as_if_nothing_had_happened(tmp_path, kinematic, overrides):
    whole, cut = (train(tmp_path / name, *overrides).run for name in ("whole", "cut"))
    for remaining in (2, 1, 0):
        for _, folder in cut.checkpoints()[remaining:]:
            shutil.rmtree(str(folder))
        resumed = resume(cut.path)
        assert resumed.outcome.steps == 480
        for (_, one), (_, other) in zip(whole.checkpoints(), cut.checkpoints()):
            assert contents(one) == contents(other)
    with pytest.raises(UserError, match="is finished"):
        resume(cut.path)


def test_a_run_can_start_from_another_ones_weights_and_not_from_others(tmp_path, kinematic):
    source = train(tmp_path / "source").run.checkpoints()[-1][1]
    first = train(tmp_path / "first", "training.total_steps=160", "learner.actor_lr=0", initial=source)
    before, after = (checkpoint.load_model(folder) for folder in (source, first.run.checkpoints()[-1][1]))
    policy = [name for name in before if name.startswith("policy.")]
    assert len(policy) > 5 and all(torch.equal(before[name], after[name]) for name in policy)
    # Killed before its first checkpoint, it starts from them again.
    shutil.rmtree(str(first.run.checkpoints()[-1][1]))
    again = checkpoint.load_model(resume(first.run.path).run.checkpoints()[-1][1])
    assert all(torch.equal(after[name], again[name]) for name in after)

    with pytest.raises(UserError, match="do not fit the configuration's networks"):
        train(tmp_path / "wide", *(name.replace("16,16", "17,17") for name in NARROW), initial=source)
    assert not (tmp_path / "wide").exists()


def test_every_checkpoint_is_there_whole_or_not_at_all(tmp_path, kinematic, monkeypatch):
    """What fails while OpenRL writes its own file leaves nothing of the checkpoint."""
    monkeypatch.setattr(torch, "save", lambda *ignored: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(FaultError, match=r"rl_model_160_steps: disk full; then go on"):
        train(tmp_path)
    assert not list(tmp_path.glob("mapush/*/*/*/seed-*/models/*"))


def test_it_runs_beside_a_published_openrl(tmp_path, kinematic):
    """No patch is needed: what is imported, and in which order, has no circle. Both states of the files do."""
    import_ = "from mapush_stack.learning.openrl.library import import_openrl; import_openrl()"
    site = tmp_path / "published"
    installed = metadata.distribution("openrl").locate_file("")
    for name in ("openrl", "openrl-0.2.0.dist-info"):
        shutil.copytree(str(installed / name), str(site / name), ignore=shutil.ignore_patterns("__pycache__"))
    for verb in ("apply", "revert"):
        mapush("patches", verb, "--target", site)
        paths = dict(environment(), PYTHONPATH=f"{site}:{ROOT}")
        done = subprocess.run([sys.executable, "-c", import_], env=paths, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def whole(mujoco, tmp_path_factory):
    """A run of `LONG` that nobody stopped."""
    results = tmp_path_factory.mktemp("whole")
    mapush("train", "--results", results, *LONG)
    return RunDirectory(the_run(results))


@pytest.mark.usefixtures("mujoco")
class TestFromTheFrontDoor:
    def test_it_trains_evaluates_and_learns_to_push(self, tmp_path):
        learn = ["--learner", "openrl", "--no-evaluation", "sim.threads=2", "training.torch_threads=1"]
        mapush("train", "--results", tmp_path / "0", *learn, "--steps", "1", "learner.actor_lr=0")
        mapush("train", "--results", tmp_path / "1", *learn, "--steps", "600000")
        runs = [the_run(tmp_path / name) for name in "01"]
        evaluated = [json.loads(mapush("evaluate", run, "--episodes", 500, "--json")[0])[-1] for run in runs]
        untrained, trained = (row["success_rate"] for row in evaluated)
        assert trained > untrained + 0.1, (untrained, trained)  # 0.27 and 0.21 with two seeds, from 0

    def test_evaluation_needs_no_openrl(self, tmp_path):
        out, _ = mapush("train", "--results", tmp_path, *QUICK)
        assert out.startswith("OpenRL's MAPPO ·") and "480 / 480 steps" in out and "95 % interval" in out
        hidden = "import sys; sys.modules['openrl'] = None; from mapush_stack.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", hidden, "evaluate", str(the_run(tmp_path)), "--episodes", "4", "--json"]
        done = subprocess.run(command, env=environment(), cwd=str(ROOT), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [row["steps"] for row in json.loads(done.stdout)] == [160, 320, 480]

    @pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
    def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been(self, tmp_path, whole, number, code):
        process = start("train", "--results", tmp_path, *LONG)
        wait_for(lambda: len(checkpoints(tmp_path)) >= 2, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code and "Traceback" not in err
        run = RunDirectory(the_run(tmp_path))
        last = checkpoint.load(run.checkpoints()[-1][1])
        assert last.steps < 16000
        if code > 0:
            assert f"stopped at {last.steps:,} steps" in out and "mapush train --resume" in out
        out, _ = mapush("train", "--resume", run.path, "--no-evaluation")
        assert "trained at 16,000 steps" in out and not list(run.path.glob("**/.writing-*"))
        assert contents(run.checkpoints()[-1][1]) == contents(whole.checkpoints()[-1][1])


def test_preset_paper_trains(tmp_path, kinematic):
    """Upstream's training in small: its observations for the critic too, and its reward's quirks."""
    config = configuration.load(
        "paper",
        "",
        ["learner.library=openrl", "sim.num_envs=4", "training.total_steps=800", "training.torch_threads=1"],
    )
    with ProgressDisplay(Console(quiet=True), config.total_steps) as display:
        done = session.start(config, tmp_path, [], display)
    arrays = read_module(done.run.checkpoints()[-1][1] / "module.pt").state_dict()
    assert [list(value.shape) for name, value in arrays.items() if name.endswith("weight")] == [
        [64, 8], [64], [64, 64], [64], [3, 64],
    ]  # fmt: skip


def test_a_reward_that_is_not_finite_stops_before_the_checkpoint(mujoco, tmp_path):
    _, err = mapush("train", "--results", tmp_path, *QUICK, *faults.second_rollout(tmp_path, faults.NAN), code=1)
    assert "the reward term wild is nan at" in err and err.count("\n") == 1
    for _, path in checkpoint.all_in(the_run(tmp_path) / "models"):
        assert not checkpoint.not_finite(checkpoint.load_model(path))


def test_weights_that_are_not_finite_are_refused(mujoco, tmp_path):
    mapush("train", "--results", tmp_path, *QUICK, "--no-evaluation")
    run = the_run(tmp_path)
    path = checkpoint.model_file(run / "models/rl_model_480_steps")
    weights = checkpoint.load_tensors(path)
    next(iter(weights.values())).fill_(float("nan"))
    checkpoint.save_tensors(weights, path)
    _, err = mapush("train", "--resume", run, code=2)
    assert "not finite" in err and str(path.parent) in err and err.count("\n") == 1
