"""The README's picture: `python benchmarks/overview.py RUN`, where RUN is a run directory.

Left: success of the run's checkpoints over environment steps. Right: the first six evaluation episodes of the last
checkpoint from above, successful or not. The committed picture shows the run

    mapush train --seed 2 --results results/overview training.checkpoint_interval=250000
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Polygon
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from mapush_stack.evaluation import policies, protocol, trajectories

OUT = Path(__file__).parent.parent / "docs" / "overview.png"
ROWS, COLUMNS = 2, 3
ROBOT_COLOURS = ("#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999", "#F0E442")
OBJECT_COLOUR, TARGET_COLOUR, CURVE_COLOUR = "#555555", "#009E73", "#0072B2"
HALF_LENGTH, HALF_WIDTH = 0.28, 0.13
"""Half the length and width of a robot's trunk as it is drawn, m."""


def success_curve(candidates, episodes):
    """Evaluate every checkpoint: `[(steps, evaluation)]`."""
    curve = []
    for candidate in candidates:
        env = policies.environment(candidate, episodes, candidate.config.evaluation.seed)
        ended = protocol.run_episodes(policies.policy(candidate, env).act, env)
        env.close()
        curve.append((candidate.steps, protocol.summarize(ended, candidate.config.task.episode_seconds)))
    return curve


def placed(outline, pose):
    """An outline `[K, 2]` (m) moved to a pose (x, y, yaw)."""
    x, y, yaw = pose
    cos, sin = np.cos(yaw), np.sin(yaw)
    return outline @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def part_outline(part):
    """The outline of a part of the object from above, `[K, 2]` in the object's frame, m."""
    if part.shape == "cylinder":
        angle = np.linspace(0, 2 * np.pi, 60)
        corners = part.size[0] * np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    else:
        corners = 0.5 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * part.size[:2]
    return corners + np.array(part.position[:2])


def robot_outline():
    """The outline of a robot from above, `[K, 2]` (m): a rectangle with a pointed head."""
    length, width = HALF_LENGTH, HALF_WIDTH
    return np.array([[-length, -width], [0.6 * length, -width], [length, 0], [0.6 * length, width], [-length, width]])


def draw_curve(axes, curve, settings):
    """Draw success over environment steps: of all resets with its interval, and of the valid ones."""
    steps = [at / 1e6 for at, _ in curve]
    found = [evaluation for _, evaluation in curve]
    axes.fill_between(steps, *zip(*(one.success_interval for one in found)), color=CURVE_COLOUR, alpha=0.2, lw=0)
    last = found[-1]
    rates = [one.success_rate for one in found]
    axes.plot(steps, rates, "o-", ms=3.5, color=CURVE_COLOUR, label=f"all resets (last {last.success_rate:.1%})")
    rates = [one.valid_success_rate for one in found]
    label = f"valid resets (last {last.valid_success_rate:.1%})"
    axes.plot(steps, rates, "--", lw=1.2, color="0.35", label=label)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    axes.set(xlabel="environment steps of 0.02 s (millions)", ylim=(0, 1.03), xlim=(0, steps[-1] * 1.03))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"Success rate of one {settings.learner.algorithm.upper()} run\n"
        f"({settings.object.name}, {last.episodes} episodes a checkpoint, 95 % interval)",
        fontsize=10,
    )


def draw_episode(axes, episode, settings):
    """Draw one episode from above."""
    distance, poses, cause, seconds = episode.target, episode.poses, episode.cause.replace("_", " "), episode.seconds
    axes.add_patch(
        Circle((distance, 0), settings.task.success_distance, fc=TARGET_COLOUR, ec="none", alpha=0.08, zorder=0)
    )
    axes.add_patch(
        Circle((distance, 0), settings.task.success_distance, fc="none", ec=TARGET_COLOUR, ls="--", lw=1.2, zorder=5)
    )
    axes.plot(distance, 0, "+", color=TARGET_COLOUR, ms=7, zorder=5)
    for moment, strength in ((0, 0.12), (len(poses) // 2, 0.25), (-1, 0.5)):
        for part in settings.object.body.parts:
            corners = placed(part_outline(part), poses[moment, 0])
            axes.add_patch(Polygon(corners, fc=(*_rgb(OBJECT_COLOUR), strength), ec=OBJECT_COLOUR, lw=0.8, zorder=1))
    for robot, colour in zip(range(1, poses.shape[1]), ROBOT_COLOURS):
        axes.plot(*poses[:, robot, :2].T, color=colour, lw=1.4, zorder=3)
        for moment, filled in ((0, "white"), (-1, colour)):
            corners = placed(robot_outline(), poses[moment, robot])
            axes.add_patch(Polygon(corners, fc=filled, ec=colour, lw=1, zorder=4))
    axes.plot(*poses[:, 0, :2].T, color="black", lw=0.9, ls=":", zorder=2)
    axes.set_title(f"{cause}, {seconds:.1f} s", fontsize=9, pad=3)
    axes.set_aspect("equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.8")


def _rgb(colour):
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def set_limits(panels, episodes, settings):
    """Show the same piece of floor in every panel, large enough for all episodes."""
    reach = settings.task.success_distance
    low = np.min([np.minimum(one.poses[..., :2].min((0, 1)), -0.85) for one in episodes], axis=0) - 0.35
    high = np.max([np.maximum(one.poses[..., :2].max((0, 1)), (one.target + reach, reach)) for one in episodes], axis=0)
    for axes in panels:
        axes.set(xlim=(low[0], high[0] + 0.15), ylim=(low[1], high[1] + 0.35))
    bar = AnchoredSizeBar(
        panels[0].transData, 1.0, "1 m", "lower left", frameon=False, borderpad=0.4, fontproperties={"size": 8}
    )
    panels[0].add_artist(bar)


def add_legend(figure, settings):
    """Explain the marks of the episodes."""
    marks = [
        Patch(fc=(*_rgb(OBJECT_COLOUR), 0.3), ec=OBJECT_COLOUR, label="object: start, middle, end (darker later)"),
        Line2D([], [], color=TARGET_COLOUR, ls="--", label=f"target, {settings.task.success_distance:g} m"),
    ]
    for number in range(settings.object.task.num_robots):
        marks.append(Line2D([], [], color=ROBOT_COLOURS[number], label=f"robot {number} (white: start)"))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=8, frameon=False)


def draw(curve, episodes, settings, out):
    """Write the picture as a PNG."""
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subfigures(1, 2, width_ratios=(4, 8), wspace=0.02)
    draw_curve(left.subplots(), curve, settings)
    panels = right.subplots(ROWS, COLUMNS).ravel()
    for axes, episode in zip(panels, episodes):
        draw_episode(axes, episode, settings)
    set_limits(panels, episodes, settings)
    right.suptitle("The first six evaluation episodes, turned so that the target lies to the right", fontsize=10)
    add_legend(right, settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(str(out), dpi=120, metadata={"Software": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("--episodes", type=int, default=300, help="episodes a checkpoint")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    candidates = policies.find(arguments.run, "", [])
    settings = candidates[-1].config
    curve = success_curve(candidates, arguments.episodes)
    played = trajectories.play(candidates[-1], ROWS * COLUMNS, settings.evaluation.seed)
    draw(curve, played.trajectories, settings, arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
