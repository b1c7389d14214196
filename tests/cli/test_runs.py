"""`mapush runs`: where each run stands."""

import json
import os
import platform
import signal

import pytest

from mapush_stack.analysis.events import last_step, read_folder
from mapush_stack.cli.main import main
from mapush_stack.training.run_directory import RunDirectory
from tests.cli import fabricate
from tests.cli.runner import start, the_run
from tests.cli.test_train import LONG, checkpoints, wait_for


def rows_of(folder, capsys, *options):
    """What `mapush runs --json` says, by the runs' paths."""
    capsys.readouterr()
    assert main(["runs", str(folder), "--json", *options]) == 0
    rows = json.loads(capsys.readouterr().out)
    return {row["path"]: row for row in rows}


def test_each_state_is_told_by_lock_checkpoints_and_logs(tmp_path, capsys):
    every = [(160, 0.25), (320, 0.75), (480, 0.5)]
    finished = fabricate.make(tmp_path / "finished", checkpoints=every, logged=[160, 320, 480])
    stopped = fabricate.make(tmp_path / "stopped", checkpoints=every[:1], logged=[160])
    failed = fabricate.make(tmp_path / "failed", checkpoints=every[:1], logged=[160, 240])
    waiting = fabricate.make(tmp_path / "sweeps" / "a" / "trials" / "b")
    killed = fabricate.make(tmp_path / "killed", checkpoints=every[:1], logged=[160])
    (killed.path / ".lock").write_text('{"pid": 17, "host": "far"}')
    running = fabricate.make(tmp_path / "running", checkpoints=every[:1], logged=[160, 240])
    running.lock()
    rows = rows_of(tmp_path, capsys)
    running.release()
    runs = (finished, stopped, failed, waiting, killed, running)
    found = [(rows[str(run.path)]["state"], rows[str(run.path)]["steps"], rows[str(run.path)]["how"]) for run in runs]
    assert found == [
        ("finished", 480, "its last checkpoint has all steps"),
        ("stopped", 160, "its last checkpoint is where its logs end"),
        ("killed", 160, "it logged up to 240 steps, past its last checkpoint"),
        ("waiting", 0, "nobody has trained it yet"),
        ("killed", 160, "process 17 on far ended without releasing its lock"),
        ("running", 240, f"process {os.getpid()} on {platform.node()} holds its lock"),
    ]
    best = rows[str(finished.path)]
    assert (best["best_success"], best["best_steps"], best["total_steps"]) == (0.75, 320, 480)
    assert best["task"] == "go1push_mid-cuboid" and best["algorithm"] == "happo" and best["seed"] == 1
    assert best["disk"] > 1000 and not best["problems"]


@pytest.mark.usefixtures("mujoco")
def test_a_training_is_seen_and_so_is_its_end(tmp_path, capsys):
    process = start("train", "--results", tmp_path, *LONG)
    wait_for(lambda: len(checkpoints(tmp_path)) >= 1, process)
    path = str(the_run(tmp_path))
    row = rows_of(tmp_path, capsys)[path]
    assert row["state"] == "running" and f"process {process.pid} on" in row["how"]
    assert main(["watch", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "running: process" in out and "16,000 steps" in out and "ETA" in out and "value loss" in out
    process.send_signal(signal.SIGKILL)
    process.communicate()
    row = rows_of(tmp_path, capsys)[path]
    assert row["state"] == "killed" and f"process {process.pid} on" in row["how"]


def test_looking_does_not_keep_a_training_from_starting(tmp_path):
    """Whoever looks holds the lock for an instant, shared."""
    import fcntl
    import threading

    run = fabricate.make(tmp_path, checkpoints=[(160, 0.0)])
    descriptor = os.open(str(run.path / ".lock"), os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    threading.Timer(0.1, lambda: os.close(descriptor)).start()
    run.lock()
    run.release()


def truncate(run):
    (run.path / "config.json").write_text('{"task": ')


def of_another_kind(run):
    (run.path / "config.json").write_text('{"learner": 3, "training": [], "object": null}')


def without_steps(run):
    plain = json.loads((run.path / "config.json").read_text())
    plain["training"]["total_steps"] = None
    (run.path / "config.json").write_text(json.dumps(plain))


def odd_progress(run):
    (run.checkpoints()[-1][1] / "progress.json").write_text('{"recent": {"updates": 4}}')


def odd_manifest(run):
    (run.path / "manifest.json").write_text("[")


@pytest.mark.parametrize(
    "damage, words",
    [
        (truncate, "config.json cannot be read"),
        (of_another_kind, "config.json does not say how many steps"),
        (without_steps, "config.json does not say how many steps"),
        (odd_progress, "rl_model_480_steps/progress.json is damaged"),
        (odd_manifest, "manifest.json cannot be read"),
    ],
)
def test_a_damaged_run_is_a_row_with_its_problem(tmp_path, capsys, damage, words):
    run = fabricate.make(tmp_path / "bad", checkpoints=[(480, 0.5)], logged=[480])
    good = fabricate.make(tmp_path / "good", checkpoints=[(480, 0.5)], logged=[480])
    damage(run)
    rows = rows_of(tmp_path, capsys)
    assert rows[str(run.path)]["state"] == "damaged" and words in rows[str(run.path)]["how"]
    assert rows[str(good.path)]["state"] == "finished"
    assert main(["runs", str(tmp_path)]) == 0
    assert f"damaged: {run.path}: " in capsys.readouterr().out


def test_the_table_is_sorted_as_wished(tmp_path, capsys):
    one = fabricate.make(tmp_path / "a", checkpoints=[(160, 0.9)], logged=[160])
    two = fabricate.make(tmp_path / "b", checkpoints=[(160, 0.1), (480, 0.2)], logged=[480])
    for key, order in (("success", [one, two]), ("steps", [two, one]), ("name", [one, two]), ("disk", [two, one])):
        assert list(rows_of(tmp_path, capsys, "--sort", key)) == [str(run.path) for run in order], key
        reverse = list(rows_of(tmp_path, capsys, "--sort", key, "--reverse"))
        assert reverse == [str(run.path) for run in reversed(order)]
    (one.path / "evaluations.json").write_text("[]")
    assert main(["runs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "90.0%" in out and "160 / 480" in out and "evaluated" not in out and f"stopped: {one.path}: " in out


def test_a_folder_without_runs(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 0
    assert f"there is no run in {tmp_path}" in " ".join(capsys.readouterr().out.split())
    assert main(["runs", str(tmp_path / "nowhere")]) == 2
    assert "nowhere does not exist; give the folder that the runs are in" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["runs", str(tmp_path / "file")]) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [0, 1, 30, 100, 10**9])
def test_the_last_step_is_read_from_the_end_of_a_file(tmp_path, cut):
    run = fabricate.make(tmp_path, logged=range(160, 80_000, 160))
    file = next(run.logs.iterdir())
    data = file.read_bytes()
    file.write_bytes(data[: max(len(data) - cut, 0)])
    found = read_folder([file]).series
    assert last_step(file) == max((int(one.steps[-1]) for one in found.values()), default=None)


def test_the_lock_tells_who_trains_only_while_someone_does(tmp_path):
    run = fabricate.make(tmp_path)
    run.lock()
    assert json.loads((run.path / ".lock").read_text())["pid"] == os.getpid()
    run.release()
    assert (run.path / ".lock").read_text() == ""
    RunDirectory(run.path).lock()
