"""Programs exchange data: a line that is printed for people can be worded otherwise."""

import functools

import pytest

from mapush_stack.harness.smoke import steps
from mapush_stack.harness.smoke.runner import StepRunner, mapush
from mapush_stack.sweep import display, trial
from mapush_stack.sweep.folder import SweepFile, SweepFolder, write_trials
from mapush_stack.sweep.request import SweepRequest
from tests.cli.runner import ROOT, SHORT
from tests.conftest import SMALL

REWORDED = """
import io
import sys


class Reworded(io.TextIOWrapper):
    def write(self, text):
        return super().write(text.replace("FPS", "ticks each second").replace(" steps", " ticks"))


sys.stdout = Reworded(sys.stdout.detach(), encoding="utf-8", line_buffering=True)
"""


@pytest.fixture
def reworded(tmp_path, monkeypatch):
    """In new processes lines for people name their numbers otherwise."""
    (tmp_path / "sitecustomize.py").write_text(REWORDED)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")


@pytest.mark.usefixtures("mujoco", "reworded")
def test_a_sweep_does_not_read_them(tmp_path):
    shared = {"presets": ["default"], "objects": [""], "parts": [], "axes": {}, "seeds": [1], "overrides": SHORT}
    (one,) = trials = SweepRequest(**shared, cpus_per_trial=1, gpus_per_trial=0).trials()
    asked = {"mapush_stack": "", "started": "", "command": [], "cwd": str(tmp_path), "max_concurrent": None}
    file = SweepFile(**asked, cpus_per_trial=1, gpus_per_trial=0, trials=[])
    SweepFolder.create(tmp_path / "sweep", file, functools.partial(write_trials, trials))
    folder = trial.TrialFolder(tmp_path / "sweep/trials" / one.name)
    trial.run(str(folder.path), str(tmp_path), 0)
    assert "ticks each second" in folder.log.read_text() and "FPS" not in folder.log.read_text()
    state, total = folder.state(), one.config.total_steps
    assert state.state == "finished" and state.steps == total and state.fps > 0
    done, rate, _ = display._figures(folder)
    assert done == f"{total:,} / {total:,}" and float(rate.replace(",", "")) == pytest.approx(state.fps, abs=1)


@pytest.mark.slow
@pytest.mark.usefixtures("mujoco", "reworded")
def test_the_smoke_test_does_not_read_them(tmp_path, monkeypatch):
    class TrainOnly(StepRunner):
        def step(self, name, work):
            return name == "HAPPO train" and super().step(name, work)

        def leave_out(self, *names):
            pass

    monkeypatch.setattr(steps, "STEPS", 480)
    monkeypatch.setattr(steps, "_UPDATE", [word for word in SMALL if "total_steps" not in word])
    runner = TrainOnly(tmp_path, lambda step: None)
    steps.learn(runner, ["--backend", "mujoco", "--robot", "planar", "--seed", "1"], mapush)
    (result,) = runner.results
    output = (tmp_path / "happo-train.log").read_text()
    assert "ticks each second" in output and "FPS" not in output
    assert result.passed and result.told.startswith("480 steps, ") and not result.told.endswith(" 0 steps/s")
