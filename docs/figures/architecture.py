"""Draw the layers of the package: `python docs/figures/architecture.py` (needs the extra `report`)."""

import sys
from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

HERE = Path(__file__).resolve().parent
LAYERS = (
    ("#dfe7ef", (("cli", "one command a file: train, evaluate, play, compare …"),)),
    (
        "#d3e8df",
        (
            ("training", "configuration, loop,\ncheckpoints, resuming"),
            ("evaluation, export, web", "protocol, video, ONNX,\nthe demo in a browser"),
            ("analysis, sweep", "compare, diagnose,\nmany runs"),
            ("harness", "doctor, triage,\nsmoke test, memory"),
        ),
    ),
    (
        "#f3e6cf",
        (
            ("learning", "the contract of a learner;\nnative, HARL, OpenRL"),
            ("envs", "PushEnv: the task over a simulator;\nGymnasium, PettingZoo"),
            ("walking", "how walking policies\nare trained"),
        ),
    ),
    (
        "#efdcdc",
        (
            ("task", "resets, observations, rewards,\nends: tensor functions"),
            ("sim", "scene, robots, objects on MuJoCo,\nMuJoCo Warp, Isaac Gym"),
            ("locomotion, gym_api", "legs; Isaac Gym's\nnames over MuJoCo"),
            ("guidance", "ways around\nobstacles"),
        ),
    ),
    (
        "#e8e4ee",
        (
            ("system, device", "processes, files, exit;\nCUDA graphs"),
            ("registry, plugins", "your own parts,\nby name"),
            ("presets, pretrained", "configurations, objects,\ntrained teams"),
        ),
    ),
)
"""From the top to the bottom: colour, and the folders with what they hold."""
WIDTH, HEIGHT, GAP = 10.0, 1.0, 0.12


def main(folder=HERE):
    """Write architecture.svg into `folder`."""
    rcParams["svg.hashsalt"] = "mapush_stack"
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.05, WIDTH + 0.05), ylim=(-0.05, len(LAYERS) * (HEIGHT + GAP)))
    axes.set_axis_off()
    for row, (colour, boxes) in enumerate(reversed(LAYERS)):
        width = (WIDTH - GAP * (len(boxes) - 1)) / len(boxes)
        y = row * (HEIGHT + GAP)
        for column, (name, words) in enumerate(boxes):
            x = column * (width + GAP)
            looks = {"facecolor": colour, "edgecolor": "#999999", "lw": 0.8}
            axes.add_patch(FancyBboxPatch((x, y), width, HEIGHT, "round,pad=0,rounding_size=0.08", **looks))
            axes.text(x + width / 2, y + 0.76 * HEIGHT, name, ha="center", va="center", weight="bold", fontsize=9)
            axes.text(x + width / 2, y + 0.34 * HEIGHT, words, ha="center", va="center", fontsize=8, color="#333333")
    figure.savefig(Path(folder) / "architecture.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
