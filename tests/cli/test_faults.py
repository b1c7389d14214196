"""Full disks, lost terminals, numbers that are not finite: one sentence, and no loss."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from mapush_stack.settings import is_folder_name
from mapush_stack.training import checkpoint
from mapush_stack.training.run_directory import RunDirectory
from tests.cli import faults
from tests.cli.runner import SHORT, bytes_of, environment, mapush, start, the_run, train_small
from tests.conftest import SMALL

pytestmark = pytest.mark.usefixtures("mujoco")
FAULT = """
import errno, io, os, shutil
part, number, nth = {part!r}, {number}, {nth}
seen = []

def failing(owner, name):
    real = getattr(owner, name)
    def call(*arguments, **options):
        paths = [os.readlink(f"/proc/self/fd/{{one}}") if name == "fsync" else str(one) for one in arguments[:2]]
        if any(part in path and "plugins" not in path for path in paths):
            seen.append(name)
            if len(seen) == nth and not number:
                shutil.rmtree(os.path.dirname(paths[1]))
            elif len(seen) >= nth and number:
                raise OSError(number, os.strerror(number), *([] if name == "fsync" else [paths[0]]))
        return real(*arguments, **options)
    setattr(owner, name, call)

for owner, name in {operations!r}:
    failing({{"os": os, "io": io}}[owner], name)
"""
REPLACE, FSYNC, OPEN = [("os", "replace")], [("os", "fsync")], [("os", "open"), ("io", "open")]
CASES = {
    "a checkpoint on a full disk": ("model.safetensors", errno.ENOSPC, 2, FSYNC, "rl_model_320_steps", 160),
    "a checkpoint over the quota": ("rl_model", errno.EDQUOT, 2, [("os", "rename")], "rl_model_320_steps", 160),
    "an event file on a disk that fails": ("tfevents", errno.EIO, 1, OPEN, "events.out.tfevents", 0),
    "progress.json without permission": ("progress.json", errno.EACCES, 1, REPLACE, "progress.json", 0),
    "a lock on a read-only disk": (".lock", errno.EROFS, 1, OPEN, ".lock", 0),
}


def plugin(folder, part, number, nth, operations):
    """A plug-in that breaks file operations of its own process."""
    (folder / "fault.py").write_text(FAULT.format(part=part, number=number, nth=nth, operations=operations))
    return folder / "fault.py"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run."""
    return train_small(tmp_path_factory.mktemp("whole"), "--no-evaluation")[1]


@pytest.mark.parametrize("case", CASES)
def test_a_fault_of_the_disk_is_one_sentence_and_the_run_goes_on_later(tmp_path, whole, case):
    *fault, named, saved = CASES[case]
    options = ["--results", tmp_path / "results", *SHORT, "--no-evaluation"]
    _, err = mapush("train", *options, "--plugin", plugin(tmp_path, *fault), code=1)
    run = the_run(tmp_path / "results")
    assert err.startswith("mapush: ") and err.count("\n") == 1, err
    assert named in err and os.strerror(fault[1]) in err and f"mapush train --resume {run}" in err
    assert (f"the last checkpoint is {run}/models/rl_model_{saved}_steps" if saved else "no checkpoint yet") in err
    assert not list(run.rglob(".writing-*"))
    (tmp_path / "fault.py").write_text("")
    (run / "manifest.json").unlink()  # it names the plug-in
    if named != ".lock":
        out, _ = mapush("runs", tmp_path / "results")
        assert "failed" in out and os.strerror(fault[1]) in out.replace("\n", " ")
    mapush("train", "--resume", run, "--no-evaluation")
    assert bytes_of(run / "models/rl_model_480_steps") == bytes_of(whole / "models/rl_model_480_steps")
    assert faults.logged_steps(run) == [160, 320, 480]


def test_a_finished_run_is_rid_of_what_a_kill_at_its_end_left(tmp_path, whole):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / ".writing-1").mkdir()
    _, err = mapush("train", "--resume", run, code=2)
    assert "is finished" in err and not (run / ".writing-1").exists()


def test_a_run_that_is_deleted_while_it_trains_is_one_sentence(tmp_path):
    broken = plugin(tmp_path, "progress.json", 0, 1, REPLACE)
    options = ["--results", tmp_path / "results", *SMALL, "--no-evaluation", "--plugin", broken]
    _, err = mapush("train", *options, code=1)
    assert "it was deleted or moved" in err and "the training with it" in err and err.count("\n") == 1
    assert not list(tmp_path.glob("results/mapush/*/*/*/*"))


def test_a_run_is_resumed_from_its_start_and_with_the_clock_set_back(tmp_path, whole):
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    for _, path in RunDirectory(killed).checkpoints():
        shutil.rmtree(path)
    clock = "import time\nreal = time.time\ntime.time = lambda: real() - 86400\n"
    (tmp_path / "clock.py").write_text(clock)
    mapush("train", "--resume", killed, "--no-evaluation", "--plugin", tmp_path / "clock.py")
    assert faults.logged_steps(killed) == [160, 320, 480]
    names = sorted(path.name for path in (killed / "logs").iterdir())
    assert names[0] == next((whole / "logs").iterdir()).name and len(names) == 2
    assert bytes_of(killed / "models/rl_model_480_steps") == bytes_of(whole / "models/rl_model_480_steps")


BAD_NAMES = ["x/../../../ESCAPE", "..", "-x", "x" * 201, "a\\b", "a\nb", "a\0b", "", "/tmp/x", ".hidden", "ü" * 101]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_becomes_a_folder_stays_in_its_folder(name):
    assert not is_folder_name(name)


def test_names_of_folders_are_refused_wherever_they_come_from(tmp_path, whole):
    results = tmp_path / "results"
    bad = json.dumps("x/../../../ESCAPE")
    cylinder = (faults.ROOT / "mapush_stack/presets/objects/cylinder.yaml").read_text()
    (tmp_path / "thing.yaml").write_text(f"name: {bad}\n{cylinder}")
    shutil.copytree(whole, tmp_path / "stored")
    config = (whole / "config.json").read_text()
    (tmp_path / "stored/config.json").write_text(config.replace('"name": "cuboid"', f'"name": {bad}'))
    for arguments in (
        ["--object", tmp_path / "thing.yaml"],
        [f"object.name={bad}"],
        [f"experiment={bad}"],
        [f"learner.algorithm={bad}"],
        ["--from", tmp_path / "stored"],
    ):
        _, err = mapush("train", "--results", results, *SMALL, *arguments, code=2)
        assert "ESCAPE" in err and "use letters, digits" in err and err.count("\n") == 1, err
    assert not results.exists() and not list(tmp_path.rglob("ESCAPE*"))


def test_a_reward_that_is_not_finite_stops_before_the_checkpoint(tmp_path):
    options = ["--results", tmp_path / "results", *SMALL, "--no-evaluation"]
    _, err = mapush("train", *options, *faults.second_rollout(tmp_path, faults.NAN), code=1)
    run = the_run(tmp_path / "results")
    assert "the reward term wild is nan at" in err and err.count("\n") == 1, err
    saved = RunDirectory(run).checkpoints()
    assert saved and f"mapush train --from {saved[-1][1]}" in err
    assert all(not checkpoint.not_finite(checkpoint.load_tensors(path / "model.safetensors")) for _, path in saved)


RAN_OUT = {
    "host memory": ("bytes(10**18)", "(MemoryError): end what else uses it"),
    "torch's on the host": ("torch.empty(10**16)", "can't allocate memory"),
    "a card's": (
        "raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried it.')",
        "(CUDA out of memory. Tried it)",
    ),
}


@pytest.mark.parametrize("case", RAN_OUT)
def test_memory_that_runs_out_is_one_sentence(tmp_path, case):
    text, words = RAN_OUT[case]
    options = faults.second_rollout(tmp_path, text)
    _, err = mapush("train", "--results", tmp_path / "results", *SHORT, "--no-evaluation", *options, code=1)
    run = the_run(tmp_path / "results")
    assert err.startswith("mapush: the memory ran out (") and words in err and err.count("\n") == 1, err
    assert f"then go on with: mapush train --resume {run} (the last checkpoint is {run}/models/rl_model_160_" in err
    _, err = mapush("evaluate", run, *options[:2], code=1)
    assert err.startswith("mapush: the memory ran out (") and words in err and err.count("\n") == 1, err


def test_an_evaluation_on_a_full_disk_is_told_and_can_be_made_again(tmp_path):
    broken = plugin(tmp_path, "evaluations.json", errno.ENOSPC, 1, REPLACE)
    _, err = mapush("train", "--results", tmp_path / "results", *SHORT, "--plugin", broken, code=1)
    run = the_run(tmp_path / "results")
    told = f"mapush: warning: the evaluation is not kept: {run}/evaluations.json: No space left on device"
    assert err.startswith(told) and err.count("\n") == 1, err
    assert RunDirectory(run).checkpoints()[-1][0] == 480 and not list(run.rglob(".writing-*"))
    (tmp_path / "fault.py").write_text("")
    mapush("evaluate", run, "--plugin", broken)
    assert len(json.loads((run / "evaluations.json").read_text())["rows"]) == 3


def test_a_weight_that_overflows_stops_the_training(tmp_path):
    _, err = mapush("train", "--results", tmp_path, *SMALL, "task.rewards.approach=1e30", code=1)
    assert "critic/value_loss is" in err and "at 160 steps" in err and "there is no checkpoint yet" in err
    assert not RunDirectory(the_run(tmp_path)).checkpoints()


def test_weights_that_are_not_finite_are_not_saved_and_not_loaded(tmp_path, whole):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "models/rl_model_480_steps")
    path = run / "models/rl_model_320_steps"
    weights = checkpoint.load_tensors(path / "model.safetensors")
    weights["critic.body.0.weight" if "critic.body.0.weight" in weights else next(iter(weights))].fill_(float("nan"))
    checkpoint.save_tensors(weights, path / "model.safetensors")
    before = bytes_of(path)
    for command in (
        ["train", "--resume", run],
        ["train", "--from", path, "--results", tmp_path / "r"],
        ["evaluate", path],
    ):
        _, err = mapush(*command, code=2)
        assert "not finite" in err and str(path) in err and err.count("\n") == 1
    assert bytes_of(path) == before and not (tmp_path / "r").exists()


def test_a_learner_with_lost_weights_or_optimisers_saves_nothing(tmp_path):
    for model, training in (("nan", 0.0), (0.0, "inf"), (0.0, 0.0)):
        saved = checkpoint.Checkpoint(
            160,
            {"actor.weight": torch.tensor(float(model))},
            {"actor.moment": torch.tensor(float(training)), "env.rows": torch.tensor(float("nan"))},
            {},
        )
        if model == training == 0.0:
            checkpoint.save(tmp_path, saved)  # a simulation may diverge: its episode is then ended
            continue
        with pytest.raises(checkpoint.FaultError, match=r"actor.* not finite at 160 steps"):
            checkpoint.save(tmp_path, saved)
        assert not any(tmp_path.iterdir())


def test_a_reader_that_leaves_does_not_end_the_training(tmp_path):
    process = start("train", "--results", tmp_path, *SMALL, "training.total_steps=1600", "--no-evaluation")
    assert "HAPPO" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 0 and process.stderr.read() == ""
    process.stderr.close()
    assert RunDirectory(the_run(tmp_path)).checkpoints()[-1][0] == 1600


def test_a_training_needs_no_standard_streams(tmp_path):
    command = f'exec "{sys.executable}" -m mapush_stack train --no-evaluation --results "$0" "$@" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", command, str(tmp_path), *SMALL], env=environment(), timeout=60)
    assert done.returncode == 0
    run = the_run(tmp_path)
    assert RunDirectory(run).checkpoints()[-1][0] == 480 and faults.logged_steps(run) == [160, 320, 480]


def test_a_lost_terminal_twice_leaves_a_checkpoint(tmp_path):
    process = start("train", "--results", tmp_path, *SMALL, "training.total_steps=100000000", start_new_session=True)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("mapush/*/*/*/seed-*/models/rl_model_*")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    for _ in range(2):  # from the kernel and from the shell
        os.killpg(process.pid, signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 129 and "stopped at" in out and "mapush train --resume" in out and not err


def test_a_diverging_simulation_writes_no_file_into_the_working_folder(tmp_path, monkeypatch):
    from mapush_stack.sim.scene import import_mujoco

    monkeypatch.chdir(tmp_path)
    package = import_mujoco()
    model = package.MjModel.from_xml_string(
        "<mujoco><worldbody><body><freejoint/><geom size='1'/></body></worldbody></mujoco>"
    )
    data = package.MjData(model)
    data.qvel[:] = 1e20
    package.mj_step(model, data)
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    if faults.build(folder) is None:
        pytest.skip("there is no C compiler (cc) to build the library of faults")
    return faults.Survey(folder)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_kills_lose_nothing(survey):
    survey.kills_at_operations(15)
    survey.kills_at_instants(5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_errors_of_any_file_operation_are_one_sentence(survey):
    survey.errors(2)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_signals_in_every_phase_leave_a_run_that_goes_on(survey):
    survey.signals(1)
