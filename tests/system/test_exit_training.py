"""Whole trainings in processes that crash when they take themselves down, as those with Isaac Gym do."""

import signal
import struct
import time

import pytest

from mapush_stack.training import checkpoint
from tests.cli.runner import the_run
from tests.conftest import SMALL
from tests.system import teardown

pytestmark = pytest.mark.usefixtures("mujoco")
STARTUP = """
import sys
import simulator
{guard}
"""
GUARD = "from mapush_stack.system import closing; closing.unsafe_teardown('simulator')"
FAIL = """
from mapush_stack.training import trainer
def save(self):
    raise RuntimeError("the disk is on fire")
trainer.Trainer.save = save
"""


@pytest.fixture
def folder(tmp_path):
    """A folder whose `simulator` crashes in a C library's atexit handler."""
    teardown.build(tmp_path, "atexit")
    return tmp_path


def mapush(folder, *arguments, guard=True, extra="", **options):
    """Start `mapush ARGUMENTS` with the simulator loaded; `extra` is run before it."""
    startup = STARTUP.format(guard=GUARD if guard else "")
    program = folder / "program"
    program.mkdir(exist_ok=True)
    (program / "run.py").write_text(f"{startup}\n{extra}\nfrom mapush_stack.__main__ import run\nrun()\n")
    return teardown.python(program / "run.py", *map(str, arguments), path=[folder], cwd=str(folder), **options)


def train(folder, *arguments, **options):
    process = mapush(folder, "train", "--results", "results", *SMALL, *arguments, **options)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def events(run):
    """Every record of a run's event file; fails where the file ends within one (format: TensorFlow's TFRecord)."""
    (file,) = run.glob("logs/events*")
    data, records = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert len(data) >= 16 + length, "the file ends within a record"
        records.append(data[12 : 12 + length])
        data = data[16 + length :]
    return records


def scalars(run):
    """What TensorBoard reads: the last step of every tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(run / "logs"))
    read.Reload()
    return {tag: read.Scalars(tag)[-1].step for tag in read.Tags()["scalars"]}


def test_a_training_that_succeeded_ends_with_0_and_all_of_its_files(folder):
    code, out, err = train(folder)
    assert code == 0, err
    run = the_run(folder / "results")
    assert out.rstrip().endswith(f"run directory: {run.relative_to(folder)}")  # to the last byte
    (_, last) = checkpoint.all_in(run / "models")[-1]
    assert checkpoint.load(last).steps == 480
    assert len(events(run)) > 100
    found = scalars(run)
    assert found["critic/value_loss"] == found["perf/fps"] == 480


@pytest.mark.slow
def test_without_the_guard_it_dies_of_sigsegv(folder):
    code, out, _ = train(folder, "--no-evaluation", guard=False)
    assert code == -signal.SIGSEGV and "trained at 480 steps" in out


@pytest.mark.slow
def test_a_training_that_failed_ends_with_1(folder):
    code, _, err = train(folder, extra=FAIL)
    assert code == 1 and "RuntimeError: the disk is on fire" in err


@pytest.mark.slow
def test_a_request_that_cannot_be_met_ends_with_2(folder):
    code, _, err = train(folder, "learner.nonsense=1")
    assert code == 2 and err.count("\n") == 1 and "nonsense" in err


def signalled(process, ready, number):
    """Send a signal once `ready` holds; returns (exit code, stdout, stderr)."""
    due = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < due and process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_leaves_a_checkpoint_and_whole_logs(folder, number):
    overrides = [*SMALL, "training.total_steps=1000000000", "training.checkpoint_interval=1000000"]
    process = mapush(folder, "train", "--results", "results", *overrides)
    code, out, err = signalled(process, lambda: [*folder.glob("results/**/logs/events*")], number)
    assert code == 128 + number and "Traceback" not in err, err
    run = the_run(folder / "results")
    steps, last = checkpoint.all_in(run / "models")[-1]
    assert checkpoint.load(last).steps == steps and f"stopped at {steps:,} steps" in out
    events(run)
    assert set(scalars(run).values()) == {steps}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_verb_that_does_not_listen_for_signals_ends_likewise(folder, number):
    ready = folder / "evaluating"
    extra = f"""
from mapush_stack.evaluation import protocol
original = protocol.run_episodes
def run_episodes(*arguments):
    open({str(ready)!r}, "w").close()
    return original(*arguments)
protocol.run_episodes = run_episodes
from mapush_stack.envs.push_env import PushEnv
PushEnv.close = lambda self: print("simulation closed")
"""
    process = mapush(folder, "evaluate", "--pretrained", "cuboid-go1", "--episodes", "2000", extra=extra)
    code, out, err = signalled(process, ready.exists, number)
    assert code == 128 + number and "Traceback" not in err and out.strip() == "simulation closed"


@pytest.mark.slow
def test_ranks_end_with_their_true_codes(folder):
    """Two processes that train together, started as `--gpus 2` starts them, each with the simulator in it."""
    launch = """
import os, sys
from mapush_stack.system import exit
from mapush_stack.training.launch import launch
exit.run(lambda: launch(2, sys.argv[1:]))
"""
    # Every process of torch's launcher imports it when it starts.
    (folder / "sitecustomize.py").write_text(STARTUP.format(guard=GUARD))
    (folder / "launch.py").write_text(launch)
    for overrides, expected in (([], 0), (["learner.nonsense=1"], 2)):
        arguments = ["train", "--no-evaluation", "--results", "results", *SMALL, *overrides]
        process = teardown.python(folder / "launch.py", *arguments, path=[folder], cwd=str(folder))
        out, err = process.communicate(timeout=200)
        assert process.returncode == expected, (out, err)
    run = the_run(folder / "results")
    events(run)
    assert checkpoint.load(checkpoint.all_in(run / "models")[-1][1]).progress["processes"] == 2


def test_a_process_that_still_has_companions_does_not_wait_for_them(tmp_path):
    program = """
import atexit, torch.distributed as dist
from mapush_stack.system import exit

def main():
    dist.init_process_group("gloo", init_method="file://{folder}/rendezvous", rank=0, world_size=1)
    atexit.register(print, "the interpreter took itself down")
    raise RuntimeError("no convergence")

exit.run(main)
"""
    (tmp_path / "program.py").write_text(program.format(folder=tmp_path))
    process = teardown.python(tmp_path / "program.py")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == "" and "no convergence" in err
