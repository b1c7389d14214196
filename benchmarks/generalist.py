"""One policy, twenty objects that it has never seen, teams of two to eight: `python benchmarks/generalist.py RUN`.

The objects are the first twenty of a family with a seed of their own. All are pushed at once, by one team size after
the other. A team has no object with more than `task.load_per_robot` kilograms a robot: nobody could move it.
"""

import argparse
import json
from pathlib import Path

import torch

from mapush_stack.envs.factory import make_env
from mapush_stack.evaluation import policies, protocol
from mapush_stack.sim.family import Shapes, draw_shapes
from mapush_stack.training import config

OBJECTS, SEED = 20, 20_001
"""Held-out objects, and the seed of their family: training seeds are small numbers."""


def held_out(family):
    """The objects, and a name for each."""
    shapes = draw_shapes(family, SEED, torch.arange(OBJECTS))
    extent = torch.cdist(shapes.outline, shapes.outline).amax((-2, -1)).tolist()
    names = []
    for index in range(OBJECTS):
        parts = shapes.parts(index)
        kind = "cylinder" if parts[0].shape == "cylinder" else f"{len(parts)} box{'es' * (len(parts) > 1)}"
        names.append(f"{kind}, {extent[index]:.1f} m, {float(shapes.weight[index].sum()):.0f} kg")
    return shapes, names


def evaluate(candidate, shapes, robots, episodes, seed, load):
    """Success and finish time by object `[20]`, NaN where the object is too heavy for `robots` robots."""
    able = (shapes.weight.sum(-1) <= load * robots).nonzero().squeeze(-1)
    rows = able.repeat_interleave(episodes)
    settings = candidate.config
    env = make_env(
        settings.task.model_copy(update={"team_size": None, "placement": "apart"}),
        settings.object,
        settings.sim.model_copy(update={"num_envs": len(rows)}),
        seed,
        team=[settings.team_kinds[0]] * robots,
        shapes=Shapes(*(part[rows] for part in shapes)),
    )
    ended = protocol.run_episodes(policies.policy(candidate, env).act, env)
    env.close()
    success = torch.full((OBJECTS,), float("nan"))
    seconds = success.clone()
    limit = torch.full_like(ended.seconds, settings.task.episode_seconds)
    success[able] = ended.success.view(-1, episodes).float().mean(-1)
    seconds[able] = torch.where(ended.success, ended.seconds, limit).view(-1, episodes).mean(-1)
    print(
        f"{robots} robots: {success.nanmean():.1%} of {len(able)} objects, {int((~ended.valid).sum())} invalid resets"
    )
    return success, seconds


def main():
    """Evaluate the last checkpoint and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run directory or checkpoint of a policy with an encoder; or scripted")
    parser.add_argument("--episodes", type=int, default=100, help="of each object and team size")
    parser.add_argument("--sizes", default="2,3,4,5,6,7,8")
    parser.add_argument("--seed", type=int, default=1_000_003, help="of the starts")
    parser.add_argument("--load", type=float, default=10.0, help="most kilograms a robot")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--json", type=Path, help="write success and finish time here too")
    options = parser.parse_args()
    if options.run == policies.SCRIPTED:
        candidate = policies.Candidate(policies.SCRIPTED, -1, config.load("generalist", "random", options.set))
    else:
        candidate = policies.find(options.run, "random", options.set)[-1]
    shapes, names = held_out(candidate.config.object.family)
    sizes = [int(size) for size in options.sizes.split(",")]
    found = {size: evaluate(candidate, shapes, size, options.episodes, options.seed, options.load) for size in sizes}
    print(f"\n| success, finish time | {' | '.join(f'{size} robots' for size in sizes)} |")
    print("|---|" + "---|" * len(sizes))
    for index, name in enumerate(names):
        cells = ((float(success[index]), float(seconds[index])) for success, seconds in found.values())
        print(
            f"| {name} | {' | '.join('-' if rate != rate else f'{rate:.0%}, {time:.1f} s' for rate, time in cells)} |"
        )
    means = (f"{success.nanmean():.1%}, {seconds.nanmean():.1f} s" for success, seconds in found.values())
    print(f"| **all** | {' | '.join(means)} |")
    if options.json:
        rows = {size: {"success": a.tolist(), "seconds": b.tolist()} for size, (a, b) in found.items()}
        options.json.write_text(json.dumps({"run": str(options.run), "objects": names, "robots": rows}, indent=1))


if __name__ == "__main__":
    main()
