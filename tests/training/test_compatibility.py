"""Saved runs can be read for ever: those of schema 1 were made by commit e8aac1c, whose configuration had no number."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import torch

from mapush_stack.errors import UserError
from mapush_stack.settings import NamesOf, Settings
from mapush_stack.training import checkpoint, config, upgrades
from mapush_stack.training.manifest import vector_instructions
from mapush_stack.training.run_directory import RunDirectory
from tests.cli.runner import ROOT, environment, mapush

DATA = ROOT / "tests/data"
OLD = DATA / "schema-1"
FIELDS = DATA / f"fields-{upgrades.SCHEMA}.json"
PRETRAINED = ["cuboid-planar", "tblock-planar", "cylinder-planar", "cuboid-go1", "tblock-go1", "cylinder-go1"]
SOME = ["tblock-planar", "cylinder-go1"]
"""Each object and each kind of robot, but for the cuboid, which the stored run has."""


def stored_run(folder):
    """A copy of the stored run that was stopped before its last checkpoint."""
    run = folder / "run"
    shutil.copytree(OLD / "run", run)
    shutil.rmtree(run / "models/rl_model_25600_steps")
    return run


def same_arithmetic():
    """Whether torch computes to the bits of the machine on which the stored run was made."""
    recorded = RunDirectory(OLD / "run").manifest()
    return (
        recorded["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
        and recorded["sessions"][0]["instructions"] == vector_instructions()
    )


@pytest.mark.parametrize("file", sorted((OLD / "configs").glob("*.json")), ids=lambda file: file.stem)
def test_a_configuration_of_schema_1_loads(file):
    plain = json.loads(file.read_text())
    loaded = config.validated(upgrades.upgraded(plain))
    # Nothing that it says is lost or changed, but for reward terms of weight 0, which are not named any more.
    plain["task"]["rewards"] = {name: weight for name, weight in plain["task"]["rewards"].items() if weight}
    now = loaded.model_dump(mode="json")
    assert leaves(plain).items() <= leaves(now).items()
    assert upgrades.upgraded(upgrades.stamped(now)) == now


def test_schema_1_names_every_term_that_counts():
    old = json.loads((OLD / "configs/paper-cylinder.json").read_text())["task"]["rewards"]
    now = upgrades.upgraded({"task": {"rewards": old}})["task"]["rewards"]
    assert now == {name: weight for name, weight in old.items() if weight} and 0 < len(now) < len(old)


@pytest.mark.parametrize("names", [SOME, pytest.param(PRETRAINED, marks=pytest.mark.slow)], ids=["some", "all"])
def test_old_policies_evaluate_to_the_same_numbers(mujoco, names):
    options = [f"--pretrained={name}" for name in names]
    out, _ = mapush(
        "evaluate", OLD / "run/models/rl_model_20480_steps", *options, "--episodes=16", "--seed=77", "--json"
    )
    rows = json.loads(out)
    expected = json.loads((OLD / "evaluations.json").read_text())
    chosen = [expected[0], *(expected[1 + PRETRAINED.index(name)] for name in names)]
    exact = expected[0].keys() - {"policy"} if same_arithmetic() else {"steps", "object", "robot", "seed", "episodes"}
    for row, then in zip(rows, chosen):
        assert {name: row[name] for name in exact} == {name: then[name] for name in exact}
        # Where torch adds up in another order, an episode may take another course.
        assert abs(row["successes"] - then["successes"]) <= 1
        assert row["finished_time"] == pytest.approx(then["finished_time"], rel=0.1)
    assert len(rows) == len(chosen)


def test_an_old_run_goes_on_to_the_same_bytes(mujoco, tmp_path):
    run = stored_run(tmp_path)
    mapush("train", "--resume", run, "--no-evaluation")
    last = "models/rl_model_25600_steps"
    for name in ("model.safetensors", "training.safetensors") if same_arithmetic() else ():
        assert (run / last / name).read_bytes() == (OLD / "run" / last / name).read_bytes(), name
    now, then = (checkpoint.load_model(folder / last) for folder in (run, OLD / "run"))
    for name, tensor in then.items():
        assert torch.allclose(tensor, now[name], atol=1e-3), name


def test_every_model_can_get_a_new_field(mujoco, tmp_path):
    package = tmp_path / "source/mapush_stack"
    shutil.copytree(ROOT / "mapush_stack", package, ignore=shutil.ignore_patterns("__pycache__"))
    grown = 0
    for file in package.rglob("*.py"):
        text = file.read_text()
        pattern = r'(^class \w+\((?:Settings|RobotSettings)\):\n    """(?:[^"]|"(?!""))*"""\n)'
        text, count = re.subn(pattern, r"\1\n    throw_away: int = 7\n", text, flags=re.M)
        grown += count
        file.write_text(text)
    assert grown >= 15, "the models are not found any more"

    copy = stored_run(tmp_path)
    commands = [
        ["presets", "paper", "--object", "cylinder"],
        ["train", "--resume", str(copy), "--no-evaluation"],
        ["evaluate", *(f"--pretrained={name}" for name in SOME), "--episodes=1", "--json"],
    ]
    code = f"import sys\nfrom mapush_stack.cli.main import main\nsys.exit(any(main(one) for one in {commands}))"
    env = {**environment(), "PYTHONPATH": str(tmp_path / "source")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, cwd=str(tmp_path), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "throw_away: 7" in done.stdout
    assert (copy / "models/rl_model_25600_steps").is_dir()
    assert len(json.loads(done.stdout[done.stdout.rindex("\n[") :])) == len(SOME)


def test_a_newer_schema_is_one_sentence(tmp_path):
    run = stored_run(tmp_path)
    plain = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({"schema": 99, "version": "7.0", **plain, "new": 1}))
    for command in (["evaluate", run], ["train", "--resume", run], ["reproduce", run]):
        _, err = mapush(*command, code=2)
        assert "written by mapush_stack 7.0 (schema 99)" in err and "upgrade with" in err
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [0, -1, "2", None, True, 1.5])
def test_a_damaged_number_of_the_schema_is_refused(number):
    with pytest.raises(UserError, match="schema"):
        upgrades.upgraded({"schema": number})


def test_a_field_that_goes_needs_an_upgrade():
    """Red: a field was removed, renamed or added.

    Added: give it a neutral default and run `python -m tests.training.test_compatibility`, which writes the list anew.
    Removed or renamed: raise `upgrades.SCHEMA`, write the upgrade, store a run as its test, and write a new list.
    """
    assert json.loads(FIELDS.read_text()) == fields(config.ExperimentConfig)


def fields(model, prefix=""):
    """Every field by its path; of mappings the names that they may hold."""
    found = []
    for name, child in model.children().items():
        path = f"{prefix}{name}"
        found.append(path)
        if isinstance(child, NamesOf):
            found += [f"{path}.{term}" for term in child.registry().names()]
        elif isinstance(child, type) and issubclass(child, Settings):
            found += fields(child, f"{path}.")
    return sorted(found)


def leaves(plain, prefix=""):
    """Nested mappings, and lists of them, as one by path."""
    found = {}
    for name, value in plain.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            value = dict(enumerate(value))
        inner = leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
        found.update(inner)
    return found


if __name__ == "__main__":
    FIELDS.write_text(json.dumps(fields(config.ExperimentConfig), indent=0) + "\n")
