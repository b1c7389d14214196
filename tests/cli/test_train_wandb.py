"""`mapush train --wandb`: with the real wandb, offline; and without it."""

import importlib.util
import json
import shutil
import time
from unittest import mock

import psutil
import pytest

from tests.cli import runner
from tests.cli.runner import mapush, start, the_run
from tests.cli.test_train import LONG, checkpoints, wait_for
from tests.conftest import SMALL

HERE = importlib.util.find_spec("wandb") is not None
needs_wandb = pytest.mark.skipif(not HERE, reason="wandb is not installed: run nox -s openrl")
pytestmark = pytest.mark.usefixtures("mujoco")


@pytest.fixture
def mode(monkeypatch, tmp_path):
    """Sets WANDB_MODE of the processes that are started; nobody's account is used."""

    def set_mode(name):
        given = {"WANDB_MODE": name, "WANDB_API_KEY": "", "HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
        plain = runner.environment()
        monkeypatch.setattr(runner, "environment", lambda: {**plain, **given})

    return set_mode


def stored(run):
    """(id, history) of each of a run's offline files, in their order: what was logged, by step."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    found = []
    for file in sorted(run.glob("wandb/offline-run-*/run-*.wandb")):
        store, history, identity = DataStore(), {}, ""
        store.open_for_scan(str(file))
        while True:
            data = store.scan_data()
            if data is None:
                break
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            identity = record.run.run_id or identity
            if record.HasField("history"):
                items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                history[record.history.step.num] = items
        found.append((identity, history))
    return found


@pytest.mark.skipif(HERE, reason="wandb is installed here")
def test_without_wandb_it_says_how_to_install_it(tmp_path):
    (tmp_path / "wandb").mkdir()  # what wandb leaves behind is no package
    _, err = mapush("train", "--wandb", "--results", tmp_path / "results", *SMALL, cwd=tmp_path, code=2)
    assert err == "mapush: --wandb needs the package wandb: pip install 'mapush_stack[wandb]'\n"
    assert not (tmp_path / "results").exists()


@needs_wandb
def test_without_an_account_it_says_so_before_anything_starts(tmp_path, mode):
    mode("online")
    _, err = mapush("train", "--wandb", "--results", tmp_path / "results", *SMALL, code=2)
    assert "run wandb login, or set WANDB_MODE=offline" in err and err.count("\n") == 1
    assert not (tmp_path / "results").exists()


@needs_wandb
def test_the_metrics_are_in_the_offline_file_and_a_resumed_run_keeps_its_id(tmp_path, mode):
    mode("offline")
    out, err = mapush("train", "--wandb", "--results", tmp_path, *SMALL, "--no-evaluation")
    run = the_run(tmp_path)
    assert "wandb: " in out and err == ""
    known = json.loads((run / "wandb.json").read_text())
    for steps in (320, 480):
        shutil.rmtree(run / "models" / f"rl_model_{steps}_steps")
    mapush("train", "--wandb", "--resume", run, "--no-evaluation")
    (first, before), (second, after) = stored(run)
    assert first == second == known["id"] and known["project"] == "mapush"
    assert sorted(before) == [160, 320, 480] and sorted(after) == [320, 480]
    assert before[320]["critic/value_loss"] == after[320]["critic/value_loss"]
    from mapush_stack.analysis.run import read

    series = read(run).series
    for tag in ("critic/value_loss", "agent0/policy_loss", "rewards/progress"):
        assert [before[step][tag] for step in (160, 320, 480)] == pytest.approx(series[tag].values.tolist(), rel=1e-6)


@needs_wandb
def test_wandb_failing_does_not_stop_the_training(tmp_path, mode):
    mode("offline")
    options = ["training.total_steps=4800", "--no-evaluation"]
    process = start("train", "--wandb", "--results", tmp_path, *LONG, *options)
    wait_for(lambda: len(checkpoints(tmp_path)) >= 1, process)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0 and "trained at 4,800 steps" in out, (out, err)
    assert out.count("warning: wandb has failed, and the training goes on without it") == 1
    assert "Traceback" not in err


@needs_wandb
def test_a_broken_wandb_does_not_stop_it_either(tmp_path, mode, monkeypatch):
    """One that cannot be opened, log, or end."""
    from mapush_stack.training.wandb_log import WandbLog
    from tests.cli import fabricate

    monkeypatch.setenv("WANDB_MODE", "offline")
    run = fabricate.make(tmp_path)
    for broken in ("init", "init.return_value.log", "init.return_value.finish"):
        log, told = WandbLog(), []
        log._wandb = mock.MagicMock(**{f"{broken}.side_effect": RuntimeError("no\nroom")})
        log.begin(run, run.config(), told.append)
        log.write({"a": 1.0}, 1)
        log.write({"a": 1.0}, 2)
        log.close()
        warnings = [line for line in told if line.startswith("warning")]
        assert warnings == ["warning: wandb has failed, and the training goes on without it (RuntimeError: no room)"]


@needs_wandb
def test_handing_over_costs_next_to_nothing(tmp_path, monkeypatch):
    """Wandb's own process does the work: less than 5 ms for 60 numbers, where an update takes 100 ms and more."""
    from mapush_stack.training.wandb_log import WandbLog
    from tests.cli import fabricate

    monkeypatch.setenv("WANDB_MODE", "offline")
    run = fabricate.make(tmp_path)
    log = WandbLog().begin(run, run.config(), print)
    metrics = {f"a/{index}": 1.0 for index in range(60)}
    log.write(metrics, 0)
    begun = time.process_time()
    for step in range(1, 201):
        log.write(metrics, step)
    seconds = (time.process_time() - begun) / 200
    log.close()
    assert seconds < 5e-3, seconds
