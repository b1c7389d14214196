"""Rate of `PushEnv` and of its vector environments, in one run: `python benchmarks/adapters.py [FIELD=VALUE]...`.

All step the same tasks by the same actions, in turns of a second in one process, so that other programs slow them
alike. Shows medians of the rounds, and of the ratio to `PushEnv` in the same round.
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


def rate(step, steps, seconds=1.0):
    """Environment steps a second."""
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        count += 1
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return count * steps / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
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
        rate(step, steps)
    rounds = [{name: rate(step, steps) for name, step in ways.items()} for _ in range(arguments.rounds)]
    title = f"{num_envs} environments on {envs[0].device}, {', '.join(config.team_kinds)}"
    table = Table("environment", "env-steps/s", "of PushEnv", title=title)
    for name in ways:
        share = statistics.median(rates[name] / rates["PushEnv"] for rates in rounds)
        table.add_row(name, f"{statistics.median(rates[name] for rates in rounds):,.0f}", f"{share:.1%}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
