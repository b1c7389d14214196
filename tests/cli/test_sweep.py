import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from mapush_stack.cli.main import main
from mapush_stack.sweep import engine
from mapush_stack.training.run_directory import RunDirectory
from tests.cli.runner import bytes_of, environment, mapush, start, the_run
from tests.conftest import SMALL

with_ray = pytest.mark.skipif(find_spec("ray") is None or find_spec("mujoco") is None, reason="needs Ray and MuJoCo")

TINY = [change for change in SMALL if "threads" not in change] + ["task.episode_seconds=2.0"]
"""Three updates; the sweep says how many threads."""


def long(steps):
    """A training of some seconds or minutes, with checkpoints all along."""
    kept = [change for change in TINY if "total_steps" not in change and "checkpoint_interval" not in change]
    return [*kept, f"training.total_steps={steps}", "training.checkpoint_interval=1600"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--seeds", "3-1"], "mapush: --seeds 3-1 is not a list of seeds"),
        (["--preset", "default", "--preset", "nope"], "mapush: there is no preset called nope"),
        (
            ["--algo", "happo", "--algo", "sac"],
            "mapush: learner.algorithm must be happo or mappo with library=native, not sac",
        ),
        (["--grid", "learner.gamma=0.9,2"], "mapush: learner.gamma=2 is not allowed"),
        (["--grid", "learner.gama=0.9"], "mapush: there is no field learner.gama"),
        (["--grid", "learner.gamma"], "mapush: --grid learner.gamma is not a field with values"),
        (["--grid", "learner.gamma=0.9", "--grid", "learner.gamma=0.8"], "mapush: learner.gamma is given twice"),
        (["--algo", "happo", "learner.algorithm=mappo"], "mapush: learner.algorithm is given twice"),
        (["--steps", "many"], "mapush: training.total_steps=many is not allowed"),
        (["--name", "../elsewhere"], "mapush: --name ../elsewhere is not a folder's name"),
        (["--gpus-per-trial", "2"], "mapush: Invalid value for '--gpus-per-trial'"),
        (["--backend", "warp"], "mapush: sim.backend=warp with sim.device=auto needs a GPU"),
        (["--resume", "/nowhere"], "mapush: --resume takes the sweep as it is; leave --results out"),
    ],
)
def test_a_bad_request_is_one_sentence_and_exit_code_2(tmp_path, capsys, arguments, words):
    code = main(["sweep", "--results", str(tmp_path / "results"), *arguments])
    err = capsys.readouterr().err
    assert code == 2 and err.startswith(words) and err.count("\n") == 1, err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("option", ["--resume", "--show"])
def test_what_is_no_sweep_is_refused(tmp_path, capsys, option):
    assert main(["sweep", option, str(tmp_path)]) == 2
    assert "is not the folder of a sweep: it has no sweep.json" in capsys.readouterr().err
    (tmp_path / "sweep.json").write_text("{")
    assert main(["sweep", option, str(tmp_path)]) == 2
    assert "sweep.json is damaged or of another version" in capsys.readouterr().err
    assert main(["sweep", option, str(tmp_path), "--seeds", "1"]) == 2
    assert f"{option} takes the sweep as it is; leave --seeds out" in capsys.readouterr().err


def test_without_ray_the_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    assert main(["sweep", "--results", str(tmp_path / "results")]) == 2
    err = capsys.readouterr().err
    assert err == "mapush: Ray is not installed; sweeps need it: pip install 'mapush_stack[sweep]'\n"
    assert not (tmp_path / "results").exists()


@with_ray
@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--cpus-per-trial", "1000"], "mapush: --cpus-per-trial 1000 is more than the"),
        (["--address", "here"], "mapush: --address here is not auto or the HOST:PORT of a cluster's head"),
        (["--address", "127.0.0.1:1"], "mapush: no Ray cluster can be joined at 127.0.0.1:1: Connection refused"),
    ],
)
def test_what_ray_cannot_give_is_one_sentence_too(tmp_path, arguments, words):
    _, err = mapush("sweep", "--results", tmp_path / "results", *arguments, code=2)
    assert err.startswith(words) and err.count("\n") == 1, err
    assert not (tmp_path / "results").exists()


@with_ray
def test_a_ray_that_does_not_start_is_one_sentence(tmp_path):
    """As on a machine that is too busy to start it in 30 s."""
    busy = "import ray\n\ndef init(**_):\n    raise Exception('node timed out')\n\nray.init = init\n"
    (tmp_path / "busy.py").write_text(busy)
    sweep = ["sweep", "--plugin", tmp_path / "busy.py", "--seeds", 1, *TINY]
    _, err = mapush(*sweep, "--results", tmp_path / "results", code=1)
    assert err == "mapush: Ray did not start (node timed out); end other programs of this machine, and try again\n"


def states(folder):
    """(state, attempts) of every trial, in order."""
    files = sorted(folder.glob("trials/*/state.json"))
    return [(state["state"], state["attempts"]) for state in (json.loads(file.read_text()) for file in files)]


def run_of(folder, index):
    """The run directory of a sweep's trial."""
    trial = sorted((folder / "trials").iterdir())[index]
    return RunDirectory(trial / json.loads((trial / "state.json").read_text())["run"])


def files_of(folder):
    """Every file with its time of writing, but for the lock."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@with_ray
@pytest.mark.slow
def test_a_sweep_on_this_machine(tmp_path, capsys, monkeypatch):
    """One trial, because this test is run with every change; more of them below."""
    folder = tmp_path / "sweeps" / "tiny"
    options = ["--results", tmp_path, "--name", "tiny", "--seeds", "7", *TINY, "training.torch_threads=2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        of_a_killed_sweep, of_somebody = Path(temporary, "mapush-ray-1"), Path(temporary, "mapush-ray-2")
        of_a_killed_sweep.mkdir()
        of_somebody.mkdir()
        (of_a_killed_sweep / ".lock").touch()
        out, err = mapush("sweep", *options)
        assert list(Path(temporary).iterdir()) == [of_somebody]
        assert not list((tmp_path / "home").glob(".ray*"))  # Ray keeps a token there, if it is let
    assert err == "" and "on this machine: 1 of 1 trials to run (CPUs each: 1, GPUs each: 0)" in out
    assert "finished  0001-seed-7-default  success" in out and "tiny: 1 of 1 trials finished; means over seeds" in out
    assert states(folder) == [("finished", 1)]
    config = run_of(folder, 0).config()
    assert (config.training.torch_threads, config.sim.threads, config.training.seed) == (2, 1, 7)
    assert run_of(folder, 0).manifest()["torch_threads"] == 2

    before = files_of(folder)
    assert main(["sweep", "--show", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (row,), (trial,) = document["rows"], document["trials"]
    assert row["success_rate"] == trial["evaluation"]["success_rate"] and row["success_interval"] is None
    assert row["finished"] == row["seeds"] == 1 and row["failed"] == 0 and row["fps"] > 0
    assert trial["gpu"] == ""  # none was asked for
    assert main(["sweep", "--resume", str(folder)]) == 0
    assert "1 of 1 trials finished" in capsys.readouterr().out
    assert main(["sweep", "--results", str(tmp_path), "--name", "tiny", *TINY]) == 2
    assert "exists; go on with mapush sweep --resume" in capsys.readouterr().err
    assert files_of(folder) == before  # nothing was done again


@contextlib.contextmanager
def ray_cluster(*prefix):
    """The address of a Ray cluster of two CPUs, and of two GPUs if one believes it; `prefix` runs its command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--include-dashboard=false"]
    options = ["--port", address.rpartition(":")[2], "--num-cpus", "2", "--num-gpus", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        variables = {**environment(), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        process = subprocess.Popen([*prefix, *ray, *options, "--temp-dir", folder], env=variables, **pipes)
        try:
            said = []
            while "Ray runtime started" not in "".join(said[-1:]):
                said.append(process.stdout.readline())
                assert said[-1], said
            yield address
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as address:
        yield address


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate(timeout=60)
        time.sleep(0.05)


def trainings(folder):
    """Process ids of the trainings of a sweep's trials, by the trial's name."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "train" in words and "--resume" in words:
            run = Path(words[words.index("--resume") + 1])
            if folder in run.parents:
                found[run.relative_to(folder).parts[1]] = process.pid
    return found


@with_ray
@pytest.mark.slow
def test_a_cluster_runs_a_sweep_to_the_bytes_of_its_train_commands(tmp_path, cluster):
    options = ["--seeds", "1,2", "--algo", "happo", "--algo", "mappo", "--address", cluster, "--gpus-per-trial", "1"]
    out, _ = mapush("sweep", "--results", tmp_path, "--name", "grid", *options, *TINY)
    folder = tmp_path / "sweeps" / "grid"
    assert f"on the Ray cluster at {cluster}: 4 of 4 trials to run" in out and "4 of 4 trials finished" in out
    assert states(folder) == [("finished", 1)] * 4
    document = json.loads(mapush("sweep", "--show", folder, "--json")[0])
    rows = document["rows"]
    assert [row["point"]["algo"] for row in rows] == ["happo", "mappo"]
    assert all(row["finished"] == 2 and row["success_interval"] is not None for row in rows)
    assert {trial["gpu"] for trial in document["trials"]} == {"0", "1"}  # as Ray gave them
    trial = json.loads((sorted((folder / "trials").iterdir())[3] / "trial.json").read_text())
    assert trial["point"]["algo"] == "mappo" and trial["seed"] == 2
    mapush(*trial["train"][1:], "--results", tmp_path / "alone", "--no-evaluation")
    alone = RunDirectory(the_run(tmp_path / "alone"))
    assert bytes_of(run_of(folder, 3).checkpoints()[-1][1]) == bytes_of(alone.checkpoints()[-1][1])


@with_ray
@pytest.mark.slow
def test_a_results_folder_that_a_node_does_not_see_is_refused(tmp_path):
    """On a cluster whose processes find another, empty file system in the results folder's place."""
    private = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*private, "true"], capture_output=True).returncode:
        pytest.skip("no private mounts here")
    shell = ["sh", "-c", f'mount -t tmpfs none {tmp_path} && exec "$@"', "sh"]
    with ray_cluster(*private, *shell) as address:
        _, err = mapush("sweep", "--results", tmp_path / "results", "--name", "a", "--address", address, *TINY, code=2)
    assert f"does not see {tmp_path}/results/sweeps/a, or cannot write there; choose --results" in err
    assert err.count("\n") == 1 and not (tmp_path / "results" / "sweeps" / "a").exists()


@with_ray
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["training", "Ray's worker"])
def test_a_trial_that_is_killed_is_data(tmp_path, cluster, victim):
    options = ["--seeds", "1-3", "--address", cluster, "--max-concurrent", "2"]
    folder, name = tmp_path / "sweeps" / "killed", "0001-seed-1-default"
    process = start("sweep", "--results", tmp_path, "--name", "killed", *options, *long(32000))
    wait_for(lambda: list(folder.glob("trials/0001-*/mapush/*/*/*/*/models/rl_model_*")), process)
    training = trainings(folder)[name]
    os.kill(training if victim == "training" else psutil.Process(training).ppid(), signal.SIGKILL)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 1, err
    reason = "mapush train was killed by SIGKILL" if victim == "training" else "WorkerCrashedError: The worker died"
    assert f"failed  {name}: {reason}" in out and "2 of 3 trials finished" in out
    assert "none of the 2 GPUs will be used; --gpus-per-trial 1" in out
    assert states(folder) == [("failed", 1), ("finished", 1), ("finished", 1)]
    # It has not outlived its worker.
    assert "trained at" not in (folder / "trials" / name / "trial.log").read_text() and not trainings(folder)
    before = files_of(folder)

    out, _ = mapush("sweep", "--resume", folder, "--address", cluster)
    assert "1 of 3 trials to run" in out and "3 of 3 trials finished" in out
    assert states(folder) == [("finished", 2), ("finished", 1), ("finished", 1)]
    after = files_of(folder)
    assert all(name in str(path) for path in after if after[path] != before.get(path))


@with_ray
@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_leaves_checkpoints_and_nothing_else_and_goes_on(tmp_path, number, code):
    folder, options = tmp_path / "sweeps" / "stopped", ["--seeds", "1-3", "--max-concurrent", "2", *long(480000)]
    process = start("sweep", "--results", tmp_path, "--name", "stopped", *options, start_new_session=True)
    wait_for(lambda: len(list(folder.glob("trials/*/mapush/*/*/*/*/models/rl_model_1600_steps"))) == 2, process)
    os.killpg(process.pid, number)  # as a terminal does
    out, err = process.communicate(timeout=120)
    assert process.returncode == code and "Traceback" not in err, err
    assert "stopping: the running trials write their checkpoints" in out
    assert f"go on with: mapush sweep --resume {folder}" in out and "0 of 3 trials finished" in out
    assert states(folder) == [("interrupted", 1)] * 2 and not trainings(folder)
    steps = []
    for index in (0, 1):
        log = (run_of(folder, index).path.parents[4] / "trial.log").read_text()
        steps.append(run_of(folder, index).checkpoints()[-1][0])
        assert f"stopped at {steps[-1]:,} steps" in log

    # The same trials with little left to do.
    for request in folder.glob("trials/*/trial.json"):
        request.write_text(request.read_text().replace('"total_steps": 480000', '"total_steps": 16000'))
    for index in (0, 1):
        config = run_of(folder, index).path / "config.json"
        text = config.read_text().replace('"total_steps": 480000', f'"total_steps": {steps[index] + 1600}')
        config.write_text(text)
    out, _ = mapush("sweep", "--resume", folder)
    assert "3 of 3 trials finished" in out
    assert states(folder) == [("finished", 2), ("finished", 2), ("finished", 1)]
    assert [run_of(folder, index).checkpoints()[-1][0] - steps[index] for index in (0, 1)] == [1600, 1600]
