"""What the demo needs of one team: the scene as MJCF, where it starts, and who is who in it."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Tuple

import numpy as np

from ..envs.push_env import PushEnv
from ..errors import UserError
from ..evaluation.policies import Candidate
from ..sim import scene, visuals
from ..sim.robots import ROBOTS
from ..sim.robots.planar import Sliding
from ..sim.robots.quadruped import Quadruped

STARTS = 20


def check(candidate: Candidate) -> None:
    """Refuse teams that the page cannot show.

    Raises:
        UserError: the goal is a pose or moves, there are obstacles or random objects, or the page cannot steer a kind
            of robot.

    """
    settings = candidate.config
    strange = [
        kind
        for kind in settings.team_kinds
        if ROBOTS[kind].task.sense_mirror or not issubclass(ROBOTS[kind], (Sliding, Quadruped))
    ]
    own = [settings.sim.of_kind(kind) for kind in settings.team_kinds]
    worse = any(getattr(section, name, 0.0) for section in own for name in ("delay", "noise"))
    reasons = {
        "task.goal must be position, not pose": settings.task.goal == "pose",
        "the page plans no way around obstacles; record it with `mapush play --record`": settings.task.obstacles.active,
        "the page has one goal that stays, leave goals and goal_speed out": settings.task.goals_change,
        "it pushes random objects, name one with --object": settings.object.family is not None,
        "robots in the page have no delay and no noise, leave sim.*.delay and sim.*.noise at 0": worse,
        f"the page knows no robots of kind {', '.join(strange)}": bool(strange),
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"{candidate.path} cannot be shown in a browser: {reason}")


def label(candidate: Candidate) -> Dict[str, str]:
    """What a team pushes and who is in it, as the page lists them."""
    kinds = candidate.config.team_kinds
    return {"object": candidate.config.object.name, "team": kinds[0] if len(set(kinds)) == 1 else ",".join(kinds)}


def mjcf(candidate: Candidate, env: PushEnv) -> str:
    """The dressed scene of a team, as MuJoCo 3.9 and newer reads it."""
    settings, team = candidate.config, vars(env.simulator)["team"]
    spec = scene.build(settings.object.body, team, settings.sim.solver_iterations, cone=settings.sim.cone)
    visuals.dress(spec, settings.object.body, team, settings.task.goal_distance)
    model = spec.compile()
    for body in spec.bodies[1:]:
        if body.explicitinertial and np.isnan(body.ipos).any():
            body.ipos = model.body_ipos[body.id]  # MuJoCo leaves out inertias without a place when it writes MJCF
    for geom in spec.geoms:
        if geom.name.startswith("object"):
            geom.rgba = [*visuals.MOODS["pushing"][0], 1.0]
    spec.compile()
    return re.sub(r' input="\w+"', "", spec.to_xml())  # an attribute that only MuJoCo 4 has


def describe(candidate: Candidate, env: PushEnv) -> Dict[str, Any]:
    """What the page has to know of a team beside policy.json and the scene."""
    settings, simulator = candidate.config, vars(env.simulator)
    env.reset()
    qpos, qvel = simulator["engine"].read()
    robots: List[Dict[str, Any]] = [{}] * len(settings.team_kinds)
    control = 0
    for group in simulator["team"].groups:
        sizes = group.robots.positions, group.robots.velocities
        controls = 12 if group.robots.closed_loop else 3
        for place, number in enumerate(group.members):
            first = group.qpos.start + place * sizes[0], group.qvel.start + place * sizes[1]
            robots[number] = {"body": f"robot{number}", "qpos": first[0], "qvel": first[1], "ctrl": control}
            control += controls
    return {
        "object": settings.object.name,
        "robots": robots,
        "substeps": simulator["team"].substeps,
        "decision_steps": settings.task.action_repeat,
        "success_distance": settings.task.goal_distance,
        "starts": [
            {"qpos": place.tolist(), "qvel": speed.tolist(), "target": target.tolist()}
            for place, speed, target in zip(qpos, qvel, env.target)
        ],
    }


def files(candidate: Candidate, env: PushEnv) -> Tuple[str, str]:
    """The contents of scene.xml and team.json."""
    return mjcf(candidate, env), json.dumps(describe(candidate, env))
