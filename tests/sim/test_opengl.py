"""The OpenGL library that MuJoCo draws with; tests/cli/test_play.py and tests/gym_api/test_camera.py draw."""

import sys

import pytest

from mapush_stack.errors import UserError
from mapush_stack.sim import opengl
from mapush_stack.sim.scene import import_mujoco


@pytest.fixture(autouse=True)
def triton(tmp_path, monkeypatch):
    """A stand-in for triton, which nobody has imported."""
    (tmp_path / "triton.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    yield
    sys.modules.pop("triton", None)


@pytest.mark.parametrize("given", ["osmesa", "egl"])
def test_triton_is_imported_before_osmesa(monkeypatch, given):
    """After it, torch's optimizers, which import triton, would crash: both have an LLVM."""
    monkeypatch.setenv("MUJOCO_GL", given)
    monkeypatch.setitem(sys.modules, "mujoco", None)  # it would load OSMesa
    with pytest.raises(UserError):
        import_mujoco()
    assert ("triton" in sys.modules) == (given == "osmesa")


def test_it_is_so_too_if_osmesa_is_chosen(monkeypatch):
    pytest.importorskip("mujoco")
    monkeypatch.setenv("MUJOCO_GL", "")  # what is chosen now is forgotten after the test
    monkeypatch.setattr(opengl, "_GL_LIBRARIES", ("osmesa",))
    monkeypatch.setattr(opengl, "_GL_PROBE", "")
    opengl.choose_gl()
    assert "triton" in sys.modules
