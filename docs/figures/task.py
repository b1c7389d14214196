"""Draw the figures of docs/task.md and docs/concepts.md: `python docs/figures/task.py` (needs the extra `report`).

Lengths, outlines and start ranges come from `mapush_stack/presets`, the occlusion term from `mapush_stack/task`.
Writes setting.svg, world.svg, objects.svg, observation.svg and occlusion.svg into this folder, or into the one that is
named.
"""

import math
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch
import yaml
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Arc, Circle, FancyArrowPatch, Patch, Polygon, Wedge

from mapush_stack.task.geometry import nearest_edge_normal

HERE = Path(__file__).resolve().parent
PRESETS = HERE.parents[1] / "mapush_stack" / "presets"
TASK = yaml.safe_load((PRESETS / "default.yaml").read_text())["task"]
TITLES = {"cuboid": "cuboid", "tblock": "T-block", "cylinder": "cylinder"}
OBJECTS = {name: yaml.safe_load((PRESETS / "objects" / f"{name}.yaml").read_text()) for name in TITLES}
INK, GREY, OBJECT, TARGET = "#222222", "#777777", "#8a6d3b", "#007a5a"
ROBOTS = ("#0072b2", "#d55e00", "#a6468a")
BEHIND_TO_FRONT = LinearSegmentedColormap.from_list("", ["#d98c7a", "#f5f5f5", "#7fa8d1"])
"""Colours of n . u from -1 to +1."""
ROBOT_LENGTH, ROBOT_WIDTH = 0.56, 0.26
"""Of a robot's body as it is drawn, m."""


def turn(points, yaw, origin=(0.0, 0.0)):
    """Points `[K, 2]` turned by `yaw` (rad) and moved to `origin`."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(origin)


def polar(radius, degrees):
    """The point at a radius (m) and a direction (degrees)."""
    return np.array([radius * math.cos(math.radians(degrees)), radius * math.sin(math.radians(degrees))])


def arrow(axes, start, end, colour=INK, style="-|>", **looks):
    """An arrow between two points."""
    looks = {"mutation_scale": 10, "lw": 1.3, "zorder": 6, **looks}
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle=style, color=colour, shrinkA=0, shrinkB=0, **looks))


def text(axes, at, words, colour=INK, shift=(0.0, 0.0), **looks):
    """Words at a point moved by `shift`, on a white ground so that they stay readable over lines."""
    looks = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 9, **looks}
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
    axes.text(at[0] + shift[0], at[1] + shift[1], words, color=colour, bbox=ground, **looks)


def draw_robot(axes, position, yaw, colour, label=""):
    """A robot from above: a body with a pointed head."""
    length, width = ROBOT_LENGTH / 2, ROBOT_WIDTH / 2
    body = [[-length, -width], [0.5 * length, -width], [length, 0], [0.5 * length, width], [-length, width]]
    axes.add_patch(Polygon(turn(body, yaw, position), facecolor=colour, edgecolor="white", lw=0.8, zorder=5))
    if label:
        axes.text(*position, label, color="white", fontsize=8, ha="center", va="center", zorder=7, weight="bold")


def draw_object(axes, name, yaw=0.0, origin=(0.0, 0.0), alpha=0.45):
    """The parts of an object from above."""
    for part in OBJECTS[name]["body"]["parts"]:
        centre = turn([part["position"][:2]], yaw, origin)[0]
        looks = {"facecolor": OBJECT, "edgecolor": OBJECT, "alpha": alpha, "lw": 1, "zorder": 2}
        if part["shape"] == "cylinder":
            axes.add_patch(Circle(centre, part["size"][0], **looks))
        else:
            x, y = 0.5 * part["size"][0], 0.5 * part["size"][1]
            axes.add_patch(Polygon(turn([[-x, -y], [x, -y], [x, y], [-x, y]], yaw, centre), **looks))


def panel(axes, half, title="", centre=(0.0, 0.0)):
    """A square piece of floor without ticks; `half` is half its side, m."""
    axes.set_aspect("equal")
    axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")
    axes.set_title(title, fontsize=10, color=INK, pad=5)


def scale_bar(axes, length=1.0):
    """A bar of `length` metres in the lower left corner."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x, y = left + 0.05 * (right - left), low + 0.06 * (high - low)
    axes.plot([x, x + length], [y, y], color=INK, lw=2, zorder=9, solid_capstyle="butt")
    axes.text(x + length / 2, y + 0.015 * (high - low), f"{length:g} m", ha="center", va="bottom", fontsize=8)


def draw_world():
    """How an episode begins, from above, for two robots and for three."""
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    cases = (
        (left, "cuboid", 25, [(100, 20), (215, 160)]),
        (right, "cylinder", 0, [(75, 300), (150, 190), (265, 40)]),
    )
    for axes, name, yaw, robots in cases:
        task = OBJECTS[name]["task"]
        near, far = task["robot_start_radius"]
        closest, furthest = TASK["target_distance"]
        panel(axes, 4.15, f"{TITLES[name]}, {task['num_robots']} robots")
        axes.add_patch(Wedge((0, 0), furthest, 0, 360, width=furthest - closest, fc=TARGET, alpha=0.10, zorder=0))
        for radius in (closest, furthest):
            axes.add_patch(Circle((0, 0), radius, fill=False, ec=TARGET, lw=0.8, ls=":", zorder=1))
        axes.add_patch(Wedge((0, 0), far, 0, 360, width=far - near, fc=ROBOTS[0], alpha=0.35, lw=0, zorder=1))
        draw_object(axes, name, math.radians(yaw), alpha=0.35)
        target = polar(2.6, -20)
        axes.add_patch(Circle(target, TASK["success_distance"], fc="none", ec=TARGET, ls="--", lw=1.4, zorder=4))
        axes.plot(*target, "x", color=TARGET, ms=8, mew=2, zorder=6)
        axes.plot(0, 0, "o", color=INK, ms=3.5, zorder=6)
        arrow(axes, (0, 0), target, INK, "<|-|>", lw=1.0)
        text(axes, 0.55 * target, "d", shift=(0.05, 0.25))
        text(axes, target, "target", TARGET, shift=(0.1, -0.42))
        text(axes, target, f"success: d < {TASK['success_distance']:g} m", TARGET, shift=(0.0, -1.27), fontsize=8.5)
        for number, (angle, heading) in enumerate(robots):
            draw_robot(axes, polar(0.5 * (near + far), angle), math.radians(heading), ROBOTS[number], str(number))
        text(axes, (0.1, 3.8), f"target starts {closest:g} to {furthest:g} m from the object", TARGET, fontsize=8.5)
        text(axes, (-2.6, 3.1), f"robots start\n{near:g} to {far:g} m away", ROBOTS[0], fontsize=8.5)
        scale_bar(axes)
    return figure


def draw_objects():
    """The three objects: parts, the outline that the task uses, the frame and the centre of mass."""
    figure = Figure(figsize=(7.2, 3.35), layout="constrained")
    for axes, (name, thing) in zip(figure.subplots(1, 3), OBJECTS.items()):
        task, parts = thing["task"], thing["body"]["parts"]
        panel(axes, 1.75, TITLES[name], (0, 0.1))
        draw_object(axes, name, alpha=0.3)
        axes.add_patch(Polygon(task["vertices"], fill=False, ec=INK, ls="--", lw=1.3, zorder=3))
        axes.plot(*np.array(task["vertices"]).T, "o", color=INK, ms=3, zorder=4)
        arrow(axes, (0, 0), (0.55, 0), "#c0392b")
        arrow(axes, (0, 0), (0, 0.55), "#007a5a")
        text(axes, (0.68, 0.0), "x", "#c0392b")
        text(axes, (0.0, 0.68), "y", "#007a5a")
        mass = sum(part["mass"] for part in parts)
        centre = sum(part["mass"] * np.array(part["position"][:2]) for part in parts) / mass
        axes.plot(*centre, "D", color="white", mec=INK, ms=5, zorder=8)
        low, high = thing["body"]["friction"]
        words = f"{mass:g} kg, friction {low:g} to {high:g}\n{task['num_robots']} robots"
        axes.set_xlabel(words, fontsize=8.5, color=INK)
        scale_bar(axes, 0.5)
    marks = [
        Patch(fc=OBJECT, alpha=0.3, label="body that collides"),
        Line2D([], [], color=INK, ls="--", marker="o", ms=3, label="outline in `vertices`"),
        Line2D([], [], color=INK, mfc="white", marker="D", ms=5, ls="", label="centre of mass"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=8.5, frameon=False)
    return figure


def draw_observation():
    """What robot 0 observes, in its heading frame."""
    figure = Figure(figsize=(7.2, 4.3), layout="constrained")
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.set(xlim=(-1.3, 5.6), ylim=(-1.6, 2.5), xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")
    thing, other, target = np.array([1.45, 0.65]), np.array([0.95, -1.05]), np.array([3.75, 1.35])
    object_yaw, other_yaw = math.radians(35), math.radians(70)
    draw_object(axes, "cuboid", object_yaw, thing, alpha=0.3)
    draw_robot(axes, (0, 0), 0, ROBOTS[0], "0")
    draw_robot(axes, other, other_yaw, ROBOTS[1], "1")
    axes.add_patch(Circle(target, TASK["success_distance"], fill=False, ec=TARGET, ls="--", lw=1.2))
    axes.plot(*target, "x", color=TARGET, ms=9, mew=2, zorder=6)
    arrow(axes, (0, 0), (5.2, 0), GREY, lw=1.0)
    arrow(axes, (0, 0), (0, 1.9), GREY, lw=1.0)
    text(axes, (4.75, -0.2), "x: where robot 0 looks", GREY, fontsize=8.5)
    text(axes, (-0.12, 2.08), "y: its left", GREY, fontsize=8.5)
    for end, colour in ((target, TARGET), (thing, OBJECT), (other, ROBOTS[1])):
        arrow(axes, (0, 0), end, colour)
    for origin, yaw, colour in ((thing, object_yaw, OBJECT), (other, other_yaw, ROBOTS[1])):
        axes.plot([origin[0], origin[0] + 0.85], [origin[1]] * 2, color=colour, lw=0.9, ls=":", zorder=6)
        arrow(axes, origin, origin + 0.8 * np.array([math.cos(yaw), math.sin(yaw)]), colour, lw=1.1)
        axes.add_patch(Arc(origin, 1.0, 1.0, theta1=0, theta2=math.degrees(yaw), color=colour, lw=1.2, zorder=6))
    text(axes, target, "0, 1: target", TARGET, shift=(0.62, 0.28))
    text(axes, (0.62, 1.62), "2, 3: object", OBJECT)
    axes.plot([0.72, 0.80], [1.50, 0.42], color=OBJECT, lw=0.7, zorder=5)
    text(axes, thing, "4: its yaw", OBJECT, shift=(1.02, 0.16))
    text(axes, (-0.32, -0.95), "5, 6: robot 1", ROBOTS[1])
    axes.plot([0.22, 0.52], [-0.85, -0.60], color=ROBOTS[1], lw=0.7, zorder=5)
    text(axes, other, "7: its yaw", ROBOTS[1], shift=(0.98, 0.36))
    text(axes, (3.9, -1.25), "a third robot would be numbers 8, 9 and 10", INK, fontsize=8.5)
    return figure


def draw_setting():
    """The task in one picture: who pushes what where, what a robot sees, and what it commands."""
    figure = Figure(figsize=(7.6, 3.7), layout="constrained")
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.set(xlim=(-2.2, 5.3), ylim=(-1.7, 1.9), xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")
    robot, other, target, thing = np.array([-0.9, 0.45]), np.array([-0.75, -0.75]), np.array([3.6, 0.1]), np.zeros(2)
    draw_object(axes, "cuboid", math.radians(8), alpha=0.45)
    draw_robot(axes, robot, math.radians(-5), ROBOTS[0], "0")
    draw_robot(axes, other, math.radians(12), ROBOTS[1], "1")
    axes.add_patch(Circle(target, TASK["success_distance"], fc=TARGET, alpha=0.12, zorder=0))
    axes.add_patch(Circle(target, TASK["success_distance"], fill=False, ec=TARGET, ls="--", lw=1.2))
    axes.plot(*target, "x", color=TARGET, ms=9, mew=2, zorder=6)
    axes.plot(*thing, "o", color=INK, ms=3.5, zorder=8)
    for seen in (target, thing, other):
        arrow(axes, robot, seen, GREY, lw=1.0, ls=":")
    small = {"fontsize": 8.5, "ha": "left"}
    text(axes, (-0.35, -1.2), "robot 0 sees target, object and robot 1 in its own frame", GREY, **small)
    arrow(axes, (0.75, 0.0), (2.3, 0.0), INK, lw=1.2)
    text(axes, (1.55, -0.22), "push", INK, fontsize=8.5)
    text(axes, target, "success: the object's\ncentre is in here", TARGET, shift=(0, -0.5), fontsize=8.5)
    corner = np.array([-1.85, 1.1])
    for way in ((0.6, 0.0), (0.0, 0.6)):
        arrow(axes, corner, corner + way, ROBOTS[0], lw=1.4)
    axes.add_patch(Arc(corner, 0.6, 0.6, theta1=10, theta2=80, color=ROBOTS[0], lw=1.4, zorder=6))
    text(axes, (-1.15, 1.1), "it commands a velocity ahead, one to its left, and a turning rate", ROBOTS[0], **small)
    scale_bar(axes)
    return figure


def occlusion_at(name, points):
    """The occlusion term n . u of robots at `points` `[..., 2]` (m); the target is far away in the direction of x."""
    vertices = torch.tensor(OBJECTS[name]["task"]["vertices"], dtype=torch.float64)
    return nearest_edge_normal(vertices, torch.as_tensor(points, dtype=torch.float64))[..., 0].numpy()


def draw_occlusion_example(axes):
    """One robot, the edge nearest to it, and the two unit vectors."""
    panel(axes, 2.3, "how it is made", (0.35, 0))
    yaw, target = math.radians(-25), np.array([2.25, 0.0])
    normal, along = turn([[1, 0], [0, -1]], yaw)
    corners = turn(OBJECTS["cuboid"]["task"]["vertices"], yaw)
    foot = 0.5 * (corners[3] + corners[0]) + 0.3 * along
    robot = foot - 0.75 * normal
    draw_object(axes, "cuboid", yaw, alpha=0.25)
    axes.plot(*corners[[3, 0]].T, color=INK, lw=3, zorder=4)
    draw_robot(axes, robot, math.radians(-5), ROBOTS[0])
    axes.plot(*np.stack((robot, foot)).T, color=ROBOTS[0], lw=1.2, ls=":", zorder=4)
    axes.plot(*target, "x", color=TARGET, ms=9, mew=2, zorder=6)
    arrow(axes, foot, foot + normal, ROBOTS[0], lw=2)
    arrow(axes, (0, 0), (1, 0), TARGET, lw=2)
    axes.plot([1, target[0]], [0, 0], color=TARGET, lw=0.9, ls=":")
    text(axes, foot + normal, "n", ROBOTS[0], shift=(0.14, -0.1), weight="bold")
    text(axes, (1.0, 0.22), "u", TARGET, weight="bold")
    text(axes, target, "target", TARGET, shift=(0, -0.28))
    text(axes, (-1.1, 1.35), "nearest edge")
    axes.plot([-1.0, -0.42], [1.2, 0.62], color=INK, lw=0.7)
    text(axes, (0.35, -1.9), f"here n . u = cos 25\N{DEGREE SIGN} = {normal[0]:.2f}", ROBOTS[0])


def draw_occlusion():
    """How the occlusion term is made, and its value around each object."""
    figure = Figure(figsize=(7.2, 6.6), layout="constrained")
    grid = figure.subplots(2, 2).ravel()
    draw_occlusion_example(grid[0])
    half = 2.3
    side = np.linspace(-half, half, 400)
    marks = {
        "cuboid": [(-1.5, 0), (0, 1.4), (0, -1.4), (1.5, 0), (1.5, 1.4), (-1.5, 1.4), (-1.5, -1.4), (1.5, -1.4)],
        "tblock": [(-1.4, 0.5), (0, 1.6), (0, -1.2), (1.4, 0.5)],
        "cylinder": [(-1.75, 0.9), (-1.75, -0.9), (0, 1.8), (0, -1.8), (1.75, 0.9), (1.75, -0.9)],
    }
    for axes, (name, points) in zip(grid[1:], marks.items()):
        panel(axes, half, f"n . u around the {TITLES[name]}")
        values = occlusion_at(name, np.stack(np.meshgrid(side, side), axis=-1))
        looks = {"cmap": BEHIND_TO_FRONT, "vmin": -1, "vmax": 1, "zorder": 0, "interpolation": "nearest"}
        axes.imshow(values, origin="lower", extent=(-half, half, -half, half), **looks)
        axes.add_patch(Polygon(OBJECTS[name]["task"]["vertices"], fc="white", ec=INK, lw=1.5, zorder=3))
        arrow(axes, (0, 0), (0.95, 0), TARGET, lw=2)
        axes.text(1.0, 0.12, "u", color=TARGET, weight="bold", zorder=8)
        for point, value in zip(points, occlusion_at(name, points)):
            axes.text(*point, f"{round(value, 2):+g}" if abs(value) > 1e-9 else "0", ha="center", va="center")
        scale_bar(axes)
    return figure


FIGURES = {
    "setting": draw_setting,
    "world": draw_world,
    "objects": draw_objects,
    "observation": draw_observation,
    "occlusion": draw_occlusion,
}


def main(folder=HERE):
    """Write every figure into `folder`; the same matplotlib writes the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "mapush", "font.family": "DejaVu Sans"}):
        for name, draw in FIGURES.items():
            draw().savefig(Path(folder) / f"{name}.svg", metadata={"Date": None, "Creator": None}, facecolor="white")


if __name__ == "__main__":
    main(*sys.argv[1:])
