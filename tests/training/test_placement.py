"""A run goes on with the simulator that it began with, whatever another machine has."""

import json
import shutil

import pytest

from mapush_stack.errors import UserError
from mapush_stack.sim import warp
from mapush_stack.training import checkpoint, placement
from mapush_stack.training.run_directory import RunDirectory
from tests.cli.runner import mapush, train_small

pytestmark = pytest.mark.usefixtures("mujoco")
AUTO = ["sim.backend=auto", "sim.device=cpu", "training.checkpoint_interval=320", "--no-evaluation"]
KERNEL, MUJOCO = "training.kernel_from=100", "training.kernel_from=null"


def begun(results, setting):
    """A run whose last checkpoint is taken away, and the weights that were in it."""
    run = RunDirectory(train_small(results, *AUTO, setting)[1])
    last = run.checkpoints()[-1][1]
    weights = checkpoint.model_file(last).read_bytes()
    shutil.rmtree(last)
    return run, weights


def edit(file, change):
    plain = json.loads(file.read_text())
    change(plain)
    file.write_text(json.dumps(plain))


@pytest.mark.parametrize(("first", "elsewhere", "name"), [(MUJOCO, 100, "mujoco"), (KERNEL, None, "warp")])
def test_a_run_goes_on_where_auto_means_another_simulator(tmp_path, first, elsewhere, name):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    run, weights = begun(tmp_path, first)
    edit(run.path / "config.json", lambda plain: plain["training"].update(kernel_from=elsewhere))
    out, _ = mapush("train", "--resume", run.path, "--no-evaluation")
    assert f"{name} on cpu" in out and "as the run began" in out
    assert checkpoint.model_file(run.checkpoints()[-1][1]).read_bytes() == weights


def test_a_run_of_a_simulator_that_is_not_here_is_refused_in_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    run, _ = begun(tmp_path, KERNEL)
    before = sorted(run.path.rglob("*"))
    monkeypatch.setattr(warp, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"cannot be resumed here: .* is not installed .* mapush train --from"):
        placement.as_before(run.config(), run, checkpoint.load(run.checkpoints()[-1][1]))
    edit(run.path / "manifest.json", lambda plain: plain["sessions"][0].update(device="cuda"))
    _, err = mapush("train", "--resume", run.path, code=2)
    assert "cannot be resumed here: sim.backend=warp is not possible here: torch sees no NVIDIA GPU" in err
    assert err.count("\n") == 1 and sorted(run.path.rglob("*")) == before
    mapush("reproduce", run.path, "--dry-run")


def test_a_run_is_made_once_more_with_the_simulator_that_it_had(tmp_path):
    pytest.importorskip("mujoco_warp", reason="MuJoCo Warp is not installed")
    run, _ = begun(tmp_path, MUJOCO)
    edit(run.path / "config.json", lambda plain: plain["training"].update(kernel_from=100))
    out, _ = mapush("reproduce", run.path, "--dry-run")
    assert "sim.backend=mujoco" in out
