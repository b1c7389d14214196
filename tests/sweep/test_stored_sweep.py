"""A sweep made by e8aac1c, two trials finished, one failed, one interrupted: it is shown and resumed for ever."""

import json
import shutil

import pytest

from mapush_stack.cli.main import main
from mapush_stack.sweep import trial
from mapush_stack.sweep.folder import STATE_FILE, SWEEP_FILE, TRIAL_FILE, SweepFolder
from mapush_stack.training.run_directory import RunDirectory
from tests.cli.runner import ROOT

STORED = ROOT / "tests/data/schema-1/sweep"
NAMES = [f"000{1 + i}-seed-{1 + i // 2}-default-total_steps={steps}" for i, steps in enumerate([480, 960000] * 2)]


@pytest.fixture
def sweep(tmp_path):
    """A copy of it, to be written to."""
    shutil.copytree(str(STORED), str(tmp_path / "sweep"))
    return SweepFolder(tmp_path / "sweep")


def test_it_is_shown_as_by_the_version_that_made_it(capsys):
    assert main(["sweep", "--show", str(STORED), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("sweep") == str(STORED)
    assert shown == json.loads((STORED / "shown.json").read_text())


def test_all_of_its_files_are_read_and_written_with_a_schema_number(sweep):
    assert [one.name for one in sweep.trials] == NAMES
    assert [one.name for one in sweep.unfinished()] == [NAMES[1], NAMES[3]]
    for folder, steps in zip(sweep.trials, [480, 960000] * 2):
        request = folder.request()
        assert request.config.total_steps == steps and request.config.training.seed == request.seed
        TRIAL_FILE.write(folder.path / "trial.json", request)
        STATE_FILE.write(folder.path / "state.json", folder.state())
        assert folder.request() == request
    SWEEP_FILE.write(sweep.path / "sweep.json", sweep.file)
    files = [sweep.path / "sweep.json", *sweep.path.glob("trials/*/[ts]*.json")]
    assert len(files) == 9 and all(json.loads(file.read_text())["schema"] == 1 for file in files)
    again = SweepFolder(sweep.path)
    assert again.file == sweep.file and again.states() == SweepFolder(STORED).states()


@pytest.mark.parametrize("index", [1, 3])
@pytest.mark.slow
@pytest.mark.usefixtures("mujoco")
def test_its_failed_and_its_interrupted_trial_are_resumed(sweep, index):
    """As Ray's worker does; the interrupted one goes on from its checkpoint, the failed one's run is gone."""
    folder = sweep.trials[index]
    done, more = {1: 0, 3: 2560}[index], 160
    for file in [folder.path / "trial.json", *folder.path.glob("mapush/*/*/*/*/config.json")]:
        text = file.read_text()
        assert '"total_steps": 960000' in text
        file.write_text(text.replace('"total_steps": 960000', f'"total_steps": {done + more}'))
    trial.run(str(folder.path), sweep.file.cwd, 0)
    state = folder.state()
    assert (state.state, state.attempts, state.steps, state.message) == ("finished", 2, done + more, "")
    assert state.evaluation["episodes"] == 4 and state.fps > 0
    assert [steps for steps, _ in RunDirectory(folder.path / state.run).checkpoints()][-1] == done + more


@pytest.mark.parametrize("option", ["--show", "--resume"])
@pytest.mark.parametrize("file", ["sweep.json", f"trials/{NAMES[0]}/state.json"])
def test_a_newer_one_is_refused_in_a_sentence(sweep, capsys, option, file):
    path = sweep.path / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99, "new": True}))
    assert main(["sweep", option, str(sweep.path)]) == 2
    err = capsys.readouterr().err
    assert "written by a newer version (schema 99" in err and "upgrade mapush_stack" in err and err.count("\n") == 1


@pytest.mark.parametrize("change", [{"fps": 1e308}, {"evaluation": {"success_rate": 1e308}}])
def test_figures_that_have_no_mean_are_refused_in_a_sentence(sweep, capsys, change):
    for name in NAMES[0], NAMES[2]:
        path = sweep.path / f"trials/{name}/state.json"
        state = json.loads(path.read_text())
        if "evaluation" in change:
            change = {"evaluation": {**state["evaluation"], **change["evaluation"]}}
        path.write_text(json.dumps({**state, **change}))
    assert main(["sweep", "--show", str(sweep.path)]) == 2
    err = capsys.readouterr().err
    assert "state.json is damaged or of another version" in err and err.count("\n") == 1
