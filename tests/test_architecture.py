"""Who may import whom."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mapush_stack"
LOW = {"errors", "settings", "registry", "plugins", "rules", "system", "device"}
ALLOWED = {
    "system": {"__version__", "errors", "settings"},
    "device": {"errors", "system"},
    "task": {"errors", "settings", "registry"},
    "locomotion": {"errors", "system"},
    "gym_api": {"errors", "__version__", "device", "locomotion", "sim", "system"},
    "presets": {"errors", "registry", "system"},
    "sim": {*LOW, "task", "locomotion", "gym_api"},
    "guidance": {"errors", "task"},
    "envs": {*LOW, "learning", "task", "sim", "locomotion", "guidance"},
    "walking": {*LOW, "task", "sim", "envs", "locomotion", "training"},
    "learning": {"errors", "settings", "registry", "system", "device"},
    "training": {*LOW, "presets", "learning", "envs", "sim", "task", "__version__"},
    "harness": {*LOW, "presets", "training", "sim", "task", "__version__"},
    "evaluation": {*LOW, "presets", "training", "learning", "envs", "sim", "task", "guidance"},
    "export": {"__version__", "errors", "system", "evaluation", "envs", "learning", "locomotion", "sim", "task"},
    "web": {"errors", "system", "evaluation", "envs", "export", "sim"},
    "analysis": {*LOW, "presets", "training", "evaluation", "__version__"},
    "sweep": {*LOW, "training", "task", "__version__"},
}
"""What of ours each folder may import."""
KERNELS = {f"sim/planar_{name}.py" for name in ("contacts", "cost", "kernel", "obstacles", "solver")}
"""Modules of Warp's own functions, which need it at module level; they are imported inside functions."""
HEAVY = {
    "mujoco": {
        "sim/mujoco.py",
        "sim/obstacles.py",
        "sim/planar_engine.py",
        "sim/warp.py",
        "sim/scene.py",
        "sim/drawing.py",
        "sim/visuals.py",
        "sim/work.py",
        "sim/robots/planar.py",
        "sim/robots/quadruped.py",
        "sim/robots/rover.py",
        "evaluation/camera.py",
        "gym_api/asset.py",
        "gym_api/camera.py",
        "gym_api/contact_calls.py",
        "gym_api/engine.py",
        "gym_api/engine_warp.py",
        "gym_api/mjcf.py",
        "gym_api/scene.py",
    },
    "onnx": {"export/onnx_file.py"},
    "onnxscript": {"export/onnx_file.py"},
    "onnxruntime": {"export/onnx_file.py", "export/run.py"},
    "glfw": {"evaluation/camera.py"},
    "imageio_ffmpeg": {"evaluation/video.py"},
    "PIL": {"evaluation/video.py"},
    "warp": {"sim/gpu.py", *KERNELS},
    "mujoco_warp": {"sim/gpu.py", "sim/planar_contacts.py"},
    "harl": set(),  # learning/harl/library.py imports it by name, where it is asked for
    "rsl_rl": {"walking/training.py"},
    "tensordict": {"walking/training.py"},
    "isaacgym": {"sim/isaacgym.py", "sim/mqe.py", "gym_api/self_test.py"},
    "mqe": {"sim/mqe.py"},
    "matplotlib": {"analysis/comparison/plots.py", "evaluation/curve.py", "harness/vram/summary.py"},
    "scipy": {"analysis/comparison/statistics.py"},
    "jinja2": {"analysis/report/page.py", "harness/vram/summary.py"},
    "ray": {"sweep/engine.py"},
    "pynvml": {"system/gpu.py"},
    "tensorboard": {"analysis/events.py", "training/log.py"},
    "openrl": {"learning/openrl/library.py"},
    "ompl": {"guidance/rrt_star.py"},
    "wandb": {"training/wandb_log.py"},
    "pettingzoo": {"envs/pettingzoo.py"},
    "gymnasium": {"learning/openrl/env.py", "envs/pettingzoo.py", "envs/gymnasium.py"},
}
"""Optional packages, and the only files that may import them, inside functions."""


def imports(path):
    """(dotted names with dots of relative imports resolved, whether at module level) of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
            stem = ".".join(part for part in (base, node.module or "") if part)
            names = [stem] if node.module else [f"{stem}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            yield name, id(node) in top


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports_follow_the_layers(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for name, _ in imports(path):
            first, _, rest = name.partition(".")
            if first == "mapush_stack":
                target = rest.split(".")[0]
                assert target == folder or target in ALLOWED[folder], f"{path} imports {name}"


def test_heavy_packages_are_imported_where_they_are_needed_and_when():
    for path in PACKAGE.rglob("*.py"):
        inside = str(path.relative_to(PACKAGE))
        for name, top in imports(path):
            first = name.split(".")[0]
            if first in HEAVY:
                assert inside in HEAVY[first] and (inside in KERNELS or not top), f"{path} imports {name}"
