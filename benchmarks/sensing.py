"""Success over what robots know: `python benchmarks/sensing.py POLICY...` prints a table, with --plot a figure.

Each row changes one field of `task.sensing`; noise is the same for object and robots. Intervals are Wilson's, 95 %.
"""

import argparse
import json
from pathlib import Path

from mapush_stack.evaluation import policies, pretrained, protocol

POSITION, HEADING = ("object_position_noise", "robot_position_noise"), ("object_heading_noise", "robot_heading_noise")
SWEEPS = {
    "position_noise": (POSITION, (0, 0.1, 0.2, 0.4, 0.6)),
    "heading_noise": (HEADING, (0, 10, 20, 40, 60)),
    "rate": (("rate",), (50, 10, 5, 2, 1)),
    "delay": (("delay",), (0, 0.1, 0.2, 0.4, 0.8)),
    "dropout": (("dropout",), (0, 0.5, 0.8, 0.9, 0.95)),
    "action_delay": (("action_delay",), (0, 0.1, 0.2, 0.4, 0.8)),
    "all": ((), ("exact", "good", "fair", "poor")),
}
"""Fields and their values, the first of which is exact."""
LABELS = {
    "position_noise": "position noise, m",
    "heading_noise": "heading noise, degrees",
    "rate": "rate, Hz",
    "delay": "delay, s",
    "dropout": "drop-outs",
    "action_delay": "action delay, s",
    "all": "all at once",
}
EXACT = ["rate=50", *(f"{one}=0" for one in (*POSITION, *HEADING, "delay", "dropout", "action_delay"))]
ALL_AT_ONCE = {
    "exact": [],
    "good": ["rate=50", "delay=0.05", "dropout=0.01", "action_delay=0.05", *(f"{one}=0.01" for one in POSITION),
             *(f"{one}=1" for one in HEADING)],
    "fair": ["rate=20", "delay=0.15", "dropout=0.1", "action_delay=0.1", *(f"{one}=0.05" for one in POSITION),
             *(f"{one}=5" for one in HEADING)],
    "poor": ["rate=10", "delay=0.3", "dropout=0.3", "action_delay=0.2", *(f"{one}=0.2" for one in POSITION),
             *(f"{one}=20" for one in HEADING)],
}  # fmt: skip


def evaluated(path, fields, episodes, seed, others):
    """The protocol's figures of a policy that knows poses as these fields of `task.sensing` say."""
    changes = [*others, *(f"task.sensing.{field}" for field in (*EXACT, *fields))]
    candidate = policies.find(path, "", changes)[-1]
    env = policies.environment(candidate, episodes, candidate.config.evaluation.seed if seed is None else seed)
    try:
        run = protocol.run_episodes(policies.policy(candidate, env).act, env)
    finally:
        env.close()
    return protocol.summarize(run, candidate.config.task.episode_seconds, candidate.config.task.goal == "pose")


def measured(path, args):
    """A row for each value of each sweep."""
    rows, exact = [], None
    for name in args.only or SWEEPS:
        fields, values = SWEEPS[name]
        for value in values:
            if value == values[0] and exact is not None:
                found = exact
            else:
                asked = [f"{field}={value}" for field in fields] if fields else ALL_AT_ONCE[value]
                found = evaluated(path, asked, args.episodes, args.seed, args.set)
            exact = exact or found
            low, high = found.success_interval
            rows.append(
                {"sweep": name, "value": value, "success": found.success_rate, "low": low, "high": high,
                 "valid": found.valid_success_rate, "seconds": found.finished_time}
            )  # fmt: skip
            print(f"{path.name} | {name} {value}: {found.success_rate:.1%}, {found.finished_time:.2f} s", flush=True)
    return rows


def table(results):
    """Markdown: a row for each value, a column for each policy."""
    found = [{(row["sweep"], row["value"]): row for row in rows} for rows in results.values()]
    lines = [
        "| | | " + " | ".join(f"`{Path(name).name}`" for name in results) + " |",
        "|---|---|" + "---|" * len(results),
    ]
    exact = [rows[0] for rows in results.values()]
    lines.append("| exact | | " + " | ".join(map(cell, exact)) + " |")
    for name, (_, values) in SWEEPS.items():
        for value in values[1:]:
            label = LABELS[name] if value == values[1] else ""
            cells = [cell(rows.get((name, value))) for rows in found]
            if set(cells) != {"-"}:
                lines.append(f"| {label} | {value} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(row):
    """Success, its interval, and the finish time."""
    if row is None:
        return "-"
    return f"{100 * row['success']:.1f} % ({100 * row['low']:.1f} to {100 * row['high']:.1f}), {row['seconds']:.1f} s"


def draw(results, target):
    """A panel for each sweep of numbers, with the intervals as bars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    there = {row["sweep"] for rows in results.values() for row in rows}
    names = [name for name, (fields, _) in SWEEPS.items() if fields and name in there]
    shape = -(-len(names) // 3), min(3, len(names))
    figure, axes = pyplot.subplots(
        *shape, figsize=(10, 2.7 * shape[0]), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes.flat, names):
        for policy, rows in results.items():
            mine = [row for row in rows if row["sweep"] == name]
            share = [100 * row["success"] for row in mine]
            bars = [
                [100 * (row["success"] - row["low"]) for row in mine],
                [100 * (row["high"] - row["success"]) for row in mine],
            ]
            places = range(len(mine))
            axis.errorbar(places, share, yerr=bars, marker="o", markersize=4, capsize=3, label=Path(policy).name)
            axis.set_xticks(list(places), [f"{row['value']:g}" for row in mine])
        axis.set(xlabel=LABELS[name], ylim=(0, 102))
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("success, %")
    axes.flat[0].legend(fontsize=8, loc="lower left")
    figure.savefig(target)


def main():
    """Evaluate each policy along each sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policies", nargs="*", default=["cuboid-planar", "cuboid-go1"], help="names or paths")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", action="append", choices=list(SWEEPS), help="this sweep; repeatable")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--json", type=Path, help="keep the numbers here; a file that exists is drawn, not measured")
    parser.add_argument("--plot", type=Path, help="SVG or PNG")
    args = parser.parse_args()
    if args.json and args.json.exists():
        results = json.loads(args.json.read_text())
    else:
        results = {name: measured(pretrained.find(name), args) for name in args.policies}
        if args.json:
            args.json.write_text(json.dumps(results, indent=1))
    print(table(results))
    if args.plot:
        draw(results, args.plot)


if __name__ == "__main__":
    main()
