"""`mapush gym`: programs that import isaacgym run over MuJoCo in processes of their own, or are refused."""

import signal
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("mujoco")

from mapush_stack.gym_api.support import INSTEAD
from tests.cli import runner

PYTHON = sys.executable


def gym_run(*words, code=0, **variables):
    return runner.mapush("gym", "run", "--", *words, code=code, **variables)


def program(tmp_path, text, name="program.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return path


def test_a_program_gets_isaac_gym_and_keeps_its_exit_code(tmp_path):
    path = program(
        tmp_path,
        """
        import sys
        import isaacgym
        from isaacgym import gymapi, gymtorch, gymutil, terrain_utils
        from isaacgym.torch_utils import *
        import isaacgym.gymapi
        print(isaacgym.gymapi is gymapi, quat_apply(to_torch([0, 0, 0, 1.0]), to_torch([1, 2, 3.0])).tolist(), sys.argv)
        sys.exit(7)
        """,
    )
    out, err = gym_run(PYTHON, path, "--num_envs", 3, code=7)
    assert out.splitlines() == [f"True [1.0, 2.0, 3.0] {[str(path), '--num_envs', '3']}"]
    assert err.startswith("isaacgym: Isaac Gym's names over MuJoCo ") and err.count("\n") == 1
    assert "not NVIDIA's (docs/gym_api.md)" in err


def test_below_the_guard_the_exit_code_is_the_programs(tmp_path):
    path = program(tmp_path, "import isaacgym, sys; print('done'); sys.exit(3)")
    mapush = [PYTHON, "-m", "mapush_stack"]
    out, _ = runner.mapush("guard", "--", *mapush, "gym", "run", "--", PYTHON, path, code=3)
    assert out == "done\n"
    out, _ = gym_run(*mapush, "guard", "--", PYTHON, path, code=3)
    assert out == "done\n"


def test_signals_reach_the_program(tmp_path):
    path = program(tmp_path, "import isaacgym, time; print('ready', flush=True); time.sleep(100)")
    process = runner.start("gym", "run", "--", PYTHON, path)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM


def importing(**variables):
    """What `import isaacgym` prints, and its exit code."""
    from mapush_stack.gym_api import activation

    environment = {**runner.environment(), "PYTHONPATH": f"{activation.NAMES}:{runner.ROOT}", **variables}
    done = subprocess.run([PYTHON, "-c", "import isaacgym"], env=environment, capture_output=True, text=True)
    return done.stderr, done.returncode


def test_torchs_idle_threads_sleep_unless_asked_to_spin(monkeypatch):
    words = (PYTHON, "-c", "import os; print(os.environ['OMP_WAIT_POLICY'])")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert gym_run(*words)[0] == "PASSIVE\n" and gym_run(*words, OMP_WAIT_POLICY="ACTIVE")[0] == "ACTIVE\n"


def test_it_is_off_unless_asked_for():
    err, code = importing(MAPUSH_GYM="")
    assert code == 1 and "is not asked for" in err.splitlines()[-1]
    assert subprocess.run([PYTHON, "-c", "import isaacgym"], env=runner.environment(), capture_output=True).returncode


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAPUSH_GYM", "physx"), *(("MAPUSH_GYM_CONTACTS", value) for value in ("abc", "-3", "0", "1.5")),
     ("MUJOCO_GL", "abc")],
)  # fmt: skip
def test_wrong_values_of_environment_variables_are_one_sentence(name, value):
    err, code = importing(**{"MAPUSH_GYM": "warp", name: value})
    assert code == 2 and err.count("\n") == 1 and name in err and value in err, err


def test_the_first_line_says_so_if_there_is_no_gpu_for_warp():
    err, code = importing(MAPUSH_GYM="warp", CUDA_VISIBLE_DEVICES="")
    assert code == 0 and "on the CPU by MuJoCo Warp, because torch sees no NVIDIA GPU" in err and err.count("\n") == 1


def test_it_never_stands_before_the_real_one(tmp_path, monkeypatch):
    (tmp_path / "isaacgym").mkdir()
    (tmp_path / "isaacgym" / "__init__.py").write_text("print('the real one')")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        _, err = gym_run(PYTHON, "-c", "import isaacgym", code=2)
    assert f"has NVIDIA's Isaac Gym ({tmp_path}" in err and err.count("\n") == 1
    # A program that finds it later than the check could know.
    program_ = f"import sys; sys.path.append({str(tmp_path)!r}); import isaacgym"
    done = subprocess.run(
        [PYTHON, "-m", "mapush_stack", "gym", "run", "--", PYTHON, "-c", program_],
        env=runner.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert "the real one" not in done.stdout and "does not stand in for it" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "needs a program, as in: mapush gym run -- python train.py"),
        (["no-such-program"], "no-such-program cannot be run: No such file or directory"),
        (["python9", "x.py"], "python9 cannot be run"),
        ([PYTHON, "-E", "-c", "1"], "ignores PYTHONPATH, by which it would find isaacgym; leave -E and -I out"),
    ],
)
def test_what_cannot_run_is_refused_in_a_sentence(words, said):
    out, err = gym_run(*words, code=2)
    assert said in err and err.count("\n") == 1 and not out


def test_a_python_without_mujoco_is_named(tmp_path):
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec {PYTHON} -S "$@"\n')
    bare.chmod(0o755)
    _, err = gym_run(bare, "-c", "1", code=2)
    assert f"{bare} lacks mujoco and torch: install mapush_stack[mujoco] into it" in err


def test_the_scene_works():
    out, _ = runner.mapush("gym", "test")
    assert out.count("ok ") == 4 and "FAIL" not in out


def test_check_lists_what_is_refused_and_what_is_ignored(tmp_path):
    (tmp_path / "task").mkdir()
    program(
        tmp_path,
        """
        import gym
        from isaacgym import gymapi as api, gymutil, rlgpu, no_such_module
        from isaacgym.torch_utils import quat_mul, no_such_name
        class physx:
            num_position_iterations = 4
            contact_offset = 0.5
        class Task(gym.Wrapper):
            def __init__(self):
                self.gym = api.acquire_gym()
                self.gym.simulate(None)
                self.gym.get_camera_images_of_the_moon(None)
                options = api.AssetOptions()
                options.thickness = 0.001
                options.thickness = 0.002
                options.armature = 0.001
                options.no_such_field = 1
                api.no_such_constant
                gymutil.draw_lines(None, self.gym, None, None, None)
        """,
        "task/base.py",
    )
    path = program(tmp_path, "import isaacgym\nfrom task.base import Task\n", "train.py")
    base = tmp_path / "task" / "base.py"
    expected = [
        f"{base}:3: isaacgym.no_such_module is not supported",
        f"{base}:4: torch_utils.no_such_name is not supported",
        f"{base}:12: gym.get_camera_images_of_the_moon is not supported",
        f"{base}:17: AssetOptions.no_such_field is not supported",
        f"{base}:18: gymapi.no_such_constant is not supported",
        f"{base}:7: PhysXParams.contact_offset has no effect: MuJoCo finds contacts when shapes touch",
        f"{base}:14: AssetOptions.thickness has no effect: MuJoCo's shapes have no shell",
        f"{base}:19: draw_lines has no effect: nothing is drawn into pictures",
    ]
    for asked in (path, tmp_path):
        out, _ = runner.mapush("gym", "check", asked, code=1)
        lines = out.splitlines()
        assert sorted(lines[:-1]) == sorted(expected)
        assert lines[-1] == "2 files read: 5 uses refused, 3 settings and calls without effect"
    good = program(tmp_path, "from isaacgym import gymapi\ngymapi.acquire_gym().simulate(None)\n", "good.py")
    assert runner.mapush("gym", "check", good)[0].startswith("1 files read: 0 uses refused")


def test_check_says_what_to_do_instead_and_leaves_a_configuration_alone(tmp_path):
    text = """
        from isaacgym import gymapi
        from isaacgym.gymutil import check_buckets
        def play(gym, env_cfg):
            env_cfg.sim.max_gpu_contact_pairs = 2**10
            gym.create_force_sensor(None, 0)
    """
    path = program(tmp_path, text)
    lines = runner.mapush("gym", "check", path, code=1)[0].splitlines()[:-1]
    names = ("gymutil.check_buckets", "gym.create_force_sensor")
    assert lines == [f"{path}:{at}: {name} is not supported: {INSTEAD[name]}" for at, name in zip((3, 6), names)]


def test_check_refuses_what_is_no_program(tmp_path):
    bad = program(tmp_path, "print 'python 2'", "bad.py")
    for asked, said in (
        ([], "needs a program or its folder"),
        ([tmp_path / "none.py"], "none.py is not there"),
        ([bad], "bad.py is not Python that this version reads"),
        ([(tmp_path / "empty")], "empty has no Python file in it"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        _, err = runner.mapush("gym", "check", *asked, code=2)
        assert said in err and err.count("\n") == 1
