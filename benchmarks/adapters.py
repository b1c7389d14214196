"""Rate of `PushEnv` and of its vector environments, in one run: `python benchmarks/adapters.py [FIELD=VALUE]...`.

All step the same tasks by the same actions and take turns after every decision, so that other programs slow them
alike. Rates are those of the median decision.
"""

import argparse
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

import mapush_stack
from mapush_stack.envs.gymnasium import PushVectorEnv


def stepper(env, actions):
    """A function that takes one decision, of an environment that has been reset."""
    env.reset()
    return lambda: env.step(actions)


def seconds(step):
    """Time of one decision; a GPU has finished it by then."""
    begun = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=400)
    parser.add_argument("overrides", nargs="*", metavar="FIELD=VALUE")
    arguments = parser.parse_args()
    config = mapush_stack.load_config("default", "", arguments.overrides)
    envs = [mapush_stack.make_env(config) for _ in range(3)]
    num_envs, spec, steps = envs[0].num_envs, envs[0].spec, envs[0].num_envs * config.task.action_repeat
    actions = torch.rand(num_envs, spec.num_agents, spec.action_size) - 0.5
    ways = {
        "PushEnv": stepper(envs[0], actions.to(envs[0].device)),
        "PushVectorEnv, a row a team": stepper(PushVectorEnv(envs[1]), actions.view(num_envs, -1).numpy()),
        "PushVectorEnv, a row a robot": stepper(
            PushVectorEnv(envs[2], per_robot=True), actions.view(-1, spec.action_size).numpy()
        ),
    }
    for step in ways.values():
        for _ in range(5):
            step()
    took = {name: [] for name in ways}
    for _ in range(arguments.decisions):
        for name, step in ways.items():
            took[name].append(seconds(step))
    median = {name: statistics.median(times) for name, times in took.items()}
    title = f"{num_envs} environments on {envs[0].device}, {', '.join(config.team_kinds)}"
    table = Table("environment", "env-steps/s", "of PushEnv", title=title)
    for name in ways:
        table.add_row(name, f"{steps / median[name]:,.0f}", f"{median['PushEnv'] / median[name]:.1%}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
