"""Data parallelism, with processes on the CPU where a cluster has one for each GPU."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from mapush_stack.device.process_group import ProcessGroup, World, join, restarts_may_hang
from mapush_stack.envs.push_env import PushEnv
from mapush_stack.errors import FaultError, UserError
from mapush_stack.learning.native.rollout_buffer import RolloutBuffer
from mapush_stack.learning.vec_env import AgentSpec, EnvSpec
from mapush_stack.training import checkpoint
from mapush_stack.training.session import _resuming
from tests.cli import faults
from tests.cli.runner import mapush, the_run
from tests.conftest import SMALL, small_config
from tests.kinematic import KinematicSimulator
from tests.learning.teams import Team, native

LENGTH, ENVS, SPEC = 3, 8, EnvSpec((AgentSpec(6, 3),) * 2, (1, 5))
LAUNCH = "import sys; from mapush_stack.training.launch import launch; sys.exit(launch(2, sys.argv[1:]))"


def processes(*command):
    """Start a command in a session of its own; its output is kept."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONUNBUFFERED="1", PYTHONPATH=str(Path.cwd()))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, *command], text=True, env=environment, start_new_session=True, **pipes)


def filled_buffer(envs):
    """A rollout of 8 environments, or the part of it that belongs to `envs`."""
    generator = torch.Generator().manual_seed(0)
    whole = RolloutBuffer(LENGTH, ENVS, SPEC, torch.device("cpu"))
    for tensor in vars(whole).values():
        if isinstance(tensor, torch.Tensor):
            drawn = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(drawn > 1 if tensor.dtype == torch.bool else drawn)
    part = RolloutBuffer(LENGTH, len(range(ENVS)[envs]), SPEC, torch.device("cpu"))
    for name, tensor in vars(part).items():
        if isinstance(tensor, torch.Tensor):
            tensor.copy_(getattr(whole, name)[:, envs])
    return part


def updated(envs, world):
    """A learner after one update, with all samples of a process in one minibatch; what it measured."""
    changes = ["learner.actor_minibatches=1", "learner.critic_minibatches=1", "learner.policy.mirror=false"]
    # A large epsilon keeps Adam from making a full step of a gradient that is nothing but rounding.
    changes += ["learner.target_kl=0.5", "learner.epochs=2", "learner.adam_eps=1.0", "learner.actor_lr=0.01"]
    config = small_config(*changes).learner
    learner = native(config, Team(SPEC), LENGTH, 3, world)
    learner._shuffle = torch.Generator()  # a single process would draw the order of agents from it too
    buffer = filled_buffer(envs)
    with torch.no_grad():
        for agent, actor in enumerate(learner.actors):
            mean = actor(buffer.observations[:, :, agent])
            buffer.log_probs[:, :, agent] = actor.log_prob(mean, buffer.actions[:, :, agent])
    learner.buffer = buffer
    metrics = learner.update(0, 0.0)
    return learner.model_state(), metrics


def learn_a_half(rank, port, folder):
    """What each process of the test below runs."""
    os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    torch.set_num_threads(1)
    world = join()
    half = ENVS // world.size
    model, metrics = updated(slice(world.rank * half, (world.rank + 1) * half), world)
    torch.save({"model": model, "metrics": metrics}, f"{folder}/{world.rank}.pt")
    world.close()


def test_two_processes_learn_what_one_learns_with_all_environments(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = "import sys; from tests.training.test_several_processes import learn_a_half; learn_a_half(*sys.argv[1:])"
    halves = [processes("-c", script, rank, port, str(tmp_path)) for rank in ("0", "1")]
    for half in halves:
        assert half.wait(120) == 0, half.stdout.read()
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    model, metrics = updated(slice(None), join())
    for name, tensor in model.items():
        assert torch.equal(parts[0]["model"][name], parts[1]["model"][name]), name
        assert torch.allclose(parts[0]["model"][name], tensor, atol=2e-5), name
    for name in ("agent0/approx_kl", "agent1/epochs", "critic/value_loss", "critic/critic_grad_norm"):
        assert float(parts[0]["metrics"][name]) == pytest.approx(float(metrics[name]), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE=x is not what torchrun sets"),
        ({"RANK": ""}, "RANK= is not what torchrun sets"),
        ({"RANK": "2"}, "RANK=2 must be less than WORLD_SIZE=2"),
        ({"MASTER_PORT": "0"}, "MASTER_PORT=0 is not what torchrun sets"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR= is not what torchrun sets"),
    ],
)
def test_variables_of_torchrun_that_do_not_fit_are_refused(monkeypatch, change, words):
    whole = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in {**whole, **change}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=words):
        join()


def test_others_that_cannot_be_reached_are_one_sentence(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("Connection refused\nframe #0")

    monkeypatch.setattr(torch.distributed, "rendezvous", fail)
    with pytest.raises(FaultError, match=r"^the processes .* each other \(Connection refused\): check MASTER_ADDR"):
        ProcessGroup()


def test_a_process_that_waits_for_the_others_can_be_stopped():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    script = f"import os; os.environ.update({where}); from mapush_stack.device.process_group import join\n"
    script += "import signal; signal.signal(signal.SIGTERM, lambda *_: None); print('waits'); join()"
    waiting = processes("-c", script)
    assert waiting.stdout.readline() == "waits\n"
    time.sleep(2)
    waiting.terminate()
    assert waiting.wait(20) == -signal.SIGTERM


def test_the_second_process_has_the_following_environments():
    config = small_config()

    def environment(size, first_env):
        simulator = KinematicSimulator(size, 2)
        return PushEnv(config.task, config.object.task, simulator, 5, first_env)

    whole, second = environment(8, 0).reset(random_ages=True)[0], environment(4, 4).reset(random_ages=True)[0]
    assert torch.equal(whole[4:], second)


@pytest.mark.usefixtures("mujoco")
class TestLauncher:
    def train(self, folder, *arguments):
        return processes("-c", LAUNCH, "train", "--results", str(folder), "--no-evaluation", *arguments)

    def wait_for_training(self, started):
        """Read until both processes train; returns the run directory."""
        for line in started.stdout:
            found = re.match(r"run directory: (.*)", line)
            if found:
                path = Path(found.group(1))
            if "FPS" in line:
                return path
        raise AssertionError("the training ended before it began")

    def stopped(self, folder):
        """A run of two processes that SIGTERM has stopped."""
        started = self.train(folder, *SMALL, "training.total_steps=100000000", "training.checkpoint_interval=1000000")
        run = self.wait_for_training(started)
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 143, started.stdout.read()
        launcher = "mapush train --gpus 2" if torch.cuda.is_available() else "torchrun --nproc_per_node 2 -m"
        assert re.search(f"go on with: {launcher}.* --resume {run}", started.stdout.read())
        (saved,) = run.glob("models/*")
        assert checkpoint.load(saved).training["env.age"].shape == (16,)
        assert checkpoint.load(saved).progress["processes"] == 2
        return run

    def resumed(self, run):
        started = processes("-c", LAUNCH, "train", "--resume", str(run), "--no-evaluation")
        assert self.wait_for_training(started) == run
        return started

    def test_a_run_of_two_is_stopped_and_not_resumed_by_one(self, tmp_path):
        _, err = mapush("train", "--resume", self.stopped(tmp_path), code=2)
        assert "trained by 2 processes, not 1; resume it with --gpus 2" in err
        assert "or on CPUs with torchrun --nproc_per_node 2 -m mapush_stack train --resume RUN" in err

    @pytest.mark.slow
    def test_a_process_that_dies_ends_a_resumed_run_with_one_sentence(self, tmp_path):
        started = self.resumed(self.stopped(tmp_path))
        workers = [child for child in psutil.Process(started.pid).children() if "mapush_stack" in child.cmdline()]
        assert len(workers) == 2
        workers[1].kill()
        begun = time.monotonic()
        assert started.wait(60) == 1
        assert time.monotonic() - begun < 45
        said = started.stdout.read()
        assert re.search(r"process \d of 2 ended with", said) and "--from" not in said, said
        assert not any(worker.is_running() for worker in workers)

    @pytest.mark.slow
    def test_a_reward_that_is_not_finite_stops_both_before_the_checkpoint(self, tmp_path):
        started = self.train(tmp_path, *SMALL, *map(str, faults.second_rollout(tmp_path, faults.NAN)))
        told, _ = started.communicate(timeout=120)
        assert started.returncode == 1 and "Traceback" not in told
        assert told.count("the reward term wild is nan at") == 1, told
        for _, path in checkpoint.all_in(the_run(tmp_path) / "models"):
            assert not checkpoint.not_finite(checkpoint.load_model(path))

    @pytest.mark.slow
    def test_ctrl_c_stops_a_resumed_run(self, tmp_path):
        run = self.stopped(tmp_path)
        started = self.resumed(run)
        started.send_signal(signal.SIGINT)
        assert started.wait(60) == 130
        assert len(list(run.glob("models/*"))) == 2


@pytest.mark.usefixtures("mujoco")
def test_the_same_command_starts_a_run_and_goes_on_with_it(tmp_path):
    train = ["train", "--continue", "--results", tmp_path, "--no-evaluation", *SMALL]
    longer = [*train, "training.total_steps=640"]
    mapush(*train)
    mapush(*longer)  # another configuration is another run
    out, _ = mapush(*train)
    assert "nothing is left to do" in out
    runs = list(tmp_path.glob("mapush/*/*/*/seed-*"))
    assert len(runs) == 2
    half = next(run for run in runs if len(list((run / "models").iterdir())) > 3)
    shutil.rmtree(max((half / "models").iterdir(), key=lambda path: int(path.name.split("_")[2])))
    mapush(*longer)
    sessions = json.loads((half / "manifest.json").read_text())["sessions"]
    assert [one["from_steps"] for one in sessions] == [0, 480]
    assert "leave the other options out" in mapush(*train, "--resume", half, code=2)[1]
    (half / "config.json").write_text("{")
    out, _ = mapush(*[word for word in train if word != "--no-evaluation"])
    assert "left alone: " in out and "nothing is left to do" in out  # and the evaluation that was missing is made
    (other,) = (run for run in runs if run != half)
    assert (other / "evaluations.json").exists() and len(list(tmp_path.glob("mapush/*/*/*/seed-*"))) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("mujoco")
def test_two_nodes_go_on_when_a_process_of_one_is_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=2", "--rdzv-backend=c10d", f"--rdzv-id={port}"]
    where += [f"--rdzv-endpoint=localhost:{port}", "-m", "mapush_stack", "train", "--continue", "--no-evaluation"]
    sizes = ["--results", str(tmp_path), *SMALL, "training.total_steps=40000", "training.checkpoint_interval=4000"]
    nodes = [processes("-m", "torch.distributed.run", *where, *sizes) for _ in range(2)]
    due = time.monotonic() + 120
    while not list(tmp_path.glob("mapush/*/*/*/seed-*/models/*/progress.json")):
        assert time.monotonic() < due
        time.sleep(0.5)
    psutil.Process(nodes[0].pid).children()[0].kill()
    said = [node.communicate(timeout=180)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert not any("may hang" in text for text in said)
    (run,) = tmp_path.glob("mapush/*/*/*/seed-*")
    starts = [one["from_steps"] for one in json.loads((run / "manifest.json").read_text())["sessions"]]
    assert starts[0] == 0 and starts[1] >= 4000


def join_and_die(last):
    """What each process of the test below runs: of every start but the last one, a process dies that joined late."""
    start = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    dies = int(os.environ["RANK"]) == start % 2
    if start and dies:
        time.sleep(1.5)  # meanwhile the other looks for it, where the one before it has left its address
    world = join()
    print(f"start {start}: {world.say('joined')}")
    if start < last:
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    world.close()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["--master_port={port}", "--standalone"])
def test_processes_of_one_node_find_each_other_after_each_restart(where):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = where.format(port=free.getsockname()[1])
    script = "from tests.training.test_several_processes import join_and_die; join_and_die(3)"
    # torch 1.13 does not know the names with hyphens.
    options = ["--nproc_per_node=2", "--max_restarts=3", "--no_python", where]
    started = processes("-m", "torch.distributed.run", *options, sys.executable, "-c", script)
    try:
        said, _ = started.communicate(timeout=120)
    finally:
        started.terminate()  # torch's launcher stops its processes
    assert started.returncode == 0, said
    assert re.findall(r"start \d: joined", said) == [f"start {start}: joined" for start in range(4) for _ in range(2)]


def test_a_restart_that_may_hang_is_known(monkeypatch):
    several = {"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    for name, value in several.items():
        monkeypatch.setenv(name, value)
    assert restarts_may_hang()
    for name, harmless in (("GROUP_WORLD_SIZE", "1"), ("TORCHELASTIC_USE_AGENT_STORE", "False")):
        monkeypatch.setenv(name, harmless)
        assert not restarts_may_hang()
        monkeypatch.setenv(name, several[name])


def test_advice_to_resume_on_several_nodes_names_the_launcher_of_each(monkeypatch):
    world = World()
    world.size = 4
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    advice = _resuming(SimpleNamespace(path="RUN"), world)
    assert advice == "mapush train --resume RUN, with torchrun on each node as before"
