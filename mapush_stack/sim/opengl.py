"""The OpenGL library that MuJoCo draws with where there is no display."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec

from ..errors import UserError

_GL_LIBRARIES = ("egl", "osmesa")
"""What MuJoCo can draw with if there is no display; EGL uses a GPU if there is one."""
_GL_PROBE = "import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 16, 16).render()"


def choose_gl() -> None:
    """Choose the OpenGL library that MuJoCo draws with, unless MUJOCO_GL names it; call it before mujoco is imported.

    Each is tried in another process: once a library has failed, the same process cannot load another.

    Raises:
        UserError: nothing can draw here.

    """
    if find_spec("mujoco") is None:
        return  # the simulator names the extra to install
    wanted = os.environ.get("MUJOCO_GL")
    for name in [wanted] if wanted else _GL_LIBRARIES:
        probe = [sys.executable, "-c", _GL_PROBE]
        if subprocess.run(probe, env={**os.environ, "MUJOCO_GL": name}, capture_output=True).returncode == 0:
            os.environ["MUJOCO_GL"] = name
            triton_before_osmesa()
            return
    if wanted:
        raise UserError(f"MuJoCo cannot draw with MUJOCO_GL={wanted} here; unset it to have one chosen")
    raise UserError(
        "no OpenGL library can draw here: apt-get install libosmesa6 (or libegl1 libopengl0 libgl1-mesa-dri)"
    )


def triton_before_osmesa() -> None:
    """Import triton, if it is there, where MuJoCo is about to load OSMesa.

    OSMesa makes the names of its LLVM known to all: triton, which has another LLVM and which any optimizer of torch
    imports, would crash if it came second.
    """
    if os.environ.get("MUJOCO_GL", "").lower() == "osmesa" and find_spec("triton"):
        importlib.import_module("triton")
