"""`mapush smoke` as its users run it."""

import json
import subprocess
import sys

import pytest

from tests.cli.runner import environment, mapush

STEPS = [
    "doctor",
    *(f"{name} {step}" for name in ("HAPPO", "MAPPO") for step in ("train", "load", "evaluate")),
    "clean exit",
]


def broken(tmp_path, program):
    """`mapush smoke` of a Python in which a program runs when it starts; returns (exit code, its JSON)."""
    (tmp_path / "sitecustomize.py").write_text(program)
    variables = environment()
    variables["PYTHONPATH"] = f"{tmp_path}:{variables['PYTHONPATH']}"
    command = [sys.executable, "-m", "mapush_stack", "smoke", "--backend", "mujoco", "--json"]
    done = subprocess.run(command, env=variables, cwd=str(tmp_path), capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_all_passes(tmp_path, mujoco):
    out, _ = mapush("smoke", "--backend", "mujoco", "--results", tmp_path, "--json")
    report = json.loads(out)
    assert report["passed"] and report["backend"] == "mujoco" and report["reason"] == "asked for"
    assert [row["step"] for row in report["steps"]] == STEPS and all(row["passed"] for row in report["steps"])
    assert "10,000 steps" in report["steps"][1]["told"] and "32 episodes" in report["steps"][3]["told"]
    (kept,) = tmp_path.glob("smoke/*/smoke.json")
    assert json.loads(kept.read_text()) == report


@pytest.mark.slow
def test_a_crash_is_explained_and_what_comes_after_it_is_left_out(tmp_path, mujoco):
    """Isaac Gym's best known crash, at the end of the first evaluation and in the training of its own process."""
    program = """
import os, sys
def crash(*_):
    print("+++ Using GPU PhysX\\nGPU Pipeline: enabled", flush=True)
    os.kill(os.getpid(), 11)
class Crash:
    def find_spec(self, name, path=None, target=None):
        if name == "mapush_stack.evaluation.protocol":
            crash()
sys.meta_path.insert(0, Crash())
if "train" in sys.orig_argv:
    crash()
"""
    code, report = broken(tmp_path, program)
    rows = {row["step"]: row for row in report["steps"]}
    assert code == 1 and not report["passed"] and list(rows) == STEPS
    assert rows["doctor"]["passed"] and rows["HAPPO train"]["passed"] and rows["HAPPO load"]["passed"]
    for step in ("HAPPO evaluate", "clean exit"):
        assert rows[step]["passed"] is False and "exit code 139" in rows[step]["told"]
        assert "GPU" in rows[step]["told"] and "unknown" not in rows[step]["told"]
    assert all(rows[f"MAPPO {step}"]["passed"] is None for step in ("train", "load", "evaluate"))


@pytest.mark.slow
def test_what_is_left_behind_is_no_clean_exit(tmp_path, mujoco):
    program = """
import subprocess, sys
if "mapush_stack.cli.smoke_learning" in sys.orig_argv:
    # Not a child of the process that ends, so that only who looks for it finds it.
    subprocess.run(["sh", "-c", "sleep 300 > /dev/null 2>&1 &"])
"""
    code, report = broken(tmp_path, program)
    rows = {row["step"]: row for row in report["steps"]}
    assert code == 1 and rows["clean exit"]["passed"] and rows["MAPPO evaluate"]["passed"]
    assert "left processes behind" in rows["end of these"]["told"] and "sleep" in rows["end of these"]["told"]


@pytest.mark.slow
def test_a_step_that_fails_does_not_stop_those_after_it(tmp_path, mujoco):
    program = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "mapush_stack.evaluation.protocol":
            raise ImportError("no evaluation today")
sys.meta_path.insert(0, Refuse())
"""
    code, report = broken(tmp_path, program)
    rows = {row["step"]: row for row in report["steps"]}
    assert code == 1 and list(rows) == STEPS and rows["MAPPO load"]["passed"] and rows["clean exit"]["passed"]
    assert rows["HAPPO evaluate"]["passed"] is False and "no evaluation today" in rows["HAPPO evaluate"]["told"]


def test_a_simulator_that_is_not_there_is_no_crash_of_smoke(tmp_path):
    code = "from mapush_stack.harness.smoke import steps; steps.choose_backend({'packages': {}, 'isaacgym': None})"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert "UserError: no simulator was found" in done.stderr


@pytest.mark.parametrize(
    ("facts", "backend"),
    [
        ({"isaacgym": "", "nvidia": {"gpus": [{"name": "T4"}]}}, "isaacgym"),
        ({"isaacgym": "ImportError", "nvidia": {"gpus": [{"name": "H100"}]}, "torch": {"sees_gpu": True}}, "warp"),
        ({"isaacgym": None, "nvidia": {"gpus": [{"name": "H100"}]}, "torch": {"sees_gpu": False}}, "mujoco"),
        ({"isaacgym": None, "nvidia": {"gpus": []}, "torch": {"sees_gpu": False}}, "mujoco"),
    ],
)
def test_the_simulator_that_the_machine_has(facts, backend):
    from mapush_stack.harness.smoke.steps import choose_backend

    assert choose_backend({"packages": {"mujoco": "4", "mujoco-warp": "4"}, **facts})[0] == backend


def test_a_results_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    _, err = mapush("smoke", "--results", tmp_path / "file", code=2)
    assert "nothing can be written to" in err
