"""The OpenGL library that MuJoCo draws with; tests/cli/test_play.py and tests/gym_api/test_camera.py draw."""

import subprocess
import sys

import pytest

pytest.importorskip("mujoco")

from tests.cli import runner

CHOICE = "from mapush_stack.sim import opengl; opengl._GL_LIBRARIES, opengl._GL_PROBE = ('osmesa',), ''"


@pytest.mark.parametrize(
    ("given", "program"),
    [
        ("osmesa", "from mapush_stack.sim.scene import import_mujoco; import_mujoco()"),
        ("", f"{CHOICE}; opengl.choose_gl()"),
    ],
)
def test_triton_is_imported_before_osmesa(tmp_path, given, program):
    """After it, torch's optimizers, which import triton, would crash: both have an LLVM."""
    (tmp_path / "triton.py").write_text("import sys; print('triton, OpenGL' if 'OpenGL' in sys.modules else 'triton')")
    variables = {"PYTHONPATH": f"{tmp_path}:{runner.ROOT}", "MUJOCO_GL": given}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={**runner.environment(), **variables}, capture_output=True, text=True)
    assert done.stdout == "triton\n", done.stderr
