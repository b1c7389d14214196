"""`mapush pretrained`: the policies that come with the project, and their model cards."""

from __future__ import annotations

import json
import shlex
from typing import Any, Dict, List, Optional

import click
from rich.table import Table

from .console import make_console, right, say


@click.command(name="pretrained")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(name: Optional[str], as_json: bool) -> None:
    """List the policies that come with the project; with NAME, show how one was trained, what it reaches, its limits.

    The figures are those of `mapush evaluate --pretrained NAME`.
    """
    from ..evaluation import pretrained

    cards = [_card(one) for one in ([name] if name is not None else pretrained.names())]
    if as_json:
        print(json.dumps(cards if name is None else cards[0], indent=2))
    elif name is not None:
        _show(cards[0])
    else:
        table = Table("policy", "object", "team", *right("steps", "success", "of valid resets", "finish time"))
        for card in cards:
            numbers = ["-"] * 3
            if card["evaluation"] is not None:
                reached = card["evaluation"]
                numbers = [f"{reached[key]:.1%}" for key in ("success_rate", "valid_success_rate")]
                numbers.append(f"{reached['finished_time']:.2f} s")
            table.add_row(card["name"], card["object"], " ".join(card["team"]), f"{card['steps']:,}", *numbers)
        make_console().print(table)


def _card(name: str) -> Dict[str, Any]:
    """All that is known of a shipped policy, from the files of its run."""
    from ..analysis import evaluations
    from ..evaluation import pretrained
    from ..training.run_directory import RunDirectory

    path = pretrained.path(name)
    run = RunDirectory(path)
    settings, manifest = run.config(), run.manifest()
    figures = [one.model_dump() for one in evaluations.read(path, None)[0]]
    introduction, _, limits = pretrained.prose(name).partition("\n\n")
    return {
        "name": name,
        "what": introduction,
        "limits": [line[2:] for line in limits.splitlines()],
        "object": settings.object.name,
        "any_object": settings.object.family is not None,
        "team": list(settings.team_kinds),
        "steps": run.checkpoints()[-1][0],
        "learner": f"{settings.learner.library} {settings.learner.algorithm}",
        "preset": settings.preset,
        "observation": settings.task.observation,
        "obstacles": settings.task.obstacles.active,
        "decisions_per_second": 50 / settings.task.action_repeat,
        "command_limit": list(settings.task.command_limit),
        "command": shlex.join(manifest.get("command", [])),
        "started": manifest.get("started"),
        "made_by": {"mapush_stack": manifest.get("mapush_stack"), **manifest.get("packages", {})},
        "processor": manifest.get("gpu") or f"{manifest.get('cpus')} x {manifest.get('processor')}",
        "evaluation": {"seed": settings.evaluation.seed, **figures[-1]} if figures else None,
        "evaluation_command": f"mapush evaluate --pretrained {name}",
    }


def _figures(reached: Optional[Dict[str, Any]]) -> List[str]:
    """What an evaluation gave, in two lines."""
    if reached is None:
        return ["           no figures are kept"]
    low, high = reached["success_interval"]
    causes = ", ".join(f"{cause.replace('_', ' ')} {count}" for cause, count in reached["causes"].items())
    return [
        f"           {reached['episodes']} first episodes, seed {reached['seed']}: "
        f"success {reached['success_rate']:.1%} ({low:.1%} - {high:.1%}), "
        f"{reached['valid_success_rate']:.1%} of valid resets",
        f"           finish time {reached['finished_time']:.2f} s, collaboration "
        f"{reached['collaboration_degree']:.3f}; ends: {causes}",
    ]


def _export(card: Dict[str, Any]) -> List[str]:
    """How to export it, unless a planner leads the team, which has no graph."""
    command = f"mapush export {card['name']} --onnx DIR{' --object NAME' if card['any_object'] else ''}"
    return [] if card["obstacles"] else [f"           {command}"]


def _show(card: Dict[str, Any]) -> None:
    packages = " ".join(f"{name} {version}" for name, version in card["made_by"].items())
    lines = [
        f"{card['name']}: {card['what']}",
        "",
        f"Team       {' '.join(card['team'])}; observes `{card['observation']}`, decides "
        f"{card['decisions_per_second']:g} times a second; at most {card['command_limit']} m/s, m/s, rad/s",
        f"Trained    {card['command']}",
        f"           {card['steps']:,} steps, {card['learner']}, preset {card['preset']}, {card['started']}",
        f"           on {card['processor']}; {packages}",
        f"Evaluated  {card['evaluation_command']}",
        *_figures(card["evaluation"]),
        f"Use        mapush play --pretrained {card['name']} --record out.mp4",
        *_export(card),
        "Limits",
        *(f"  - {limit}" for limit in card["limits"]),
    ]
    say(make_console(), "\n".join(lines))
