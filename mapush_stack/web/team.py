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
        UserError: the goal is a pose or moves, objects are random, or the page lacks a kind of robot or a planner.

    """
    settings, around = candidate.config, candidate.config.task.obstacles
    strange = [
        kind
        for kind in settings.team_kinds
        if ROBOTS[kind].task.sense_mirror or not issubclass(ROBOTS[kind], (Sliding, Quadruped))
    ]
    unplanned = around.active and around.planner != "fast_marching"
    own = [settings.sim.of_kind(kind) for kind in settings.team_kinds]
    worse = any(getattr(section, name, 0.0) for section in own for name in ("delay", "noise"))
    reasons = {
        "task.goal must be position, not pose": settings.task.goal == "pose",
        f"task.obstacles.planner must be fast_marching, not {around.planner}": unplanned,
        "targets do not turn before narrow gaps there; record it with `mapush play --record`": around.aligned,
        "it leads another team, show that one": settings.leader is not None,
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
    kinds, where = candidate.config.team_kinds, " among obstacles" * candidate.config.task.obstacles.active
    team = kinds[0] if len(set(kinds)) == 1 else ",".join(kinds)
    return {"object": candidate.config.object.name + where, "team": team}


def mjcf(candidate: Candidate, env: PushEnv) -> str:
    """The dressed scene of a team, as MuJoCo 3.9 and newer reads it."""
    settings, team = candidate.config, vars(env.simulator)["team"]
    around = settings.task.obstacles if settings.task.obstacles.active else None
    body = settings.object.body
    spec = scene.build(body, team, settings.sim.solver_iterations, around=around, cone=settings.sim.cone)
    visuals.dress(spec, body, team, settings.task.goal_distance)
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
    starts = [
        {"qpos": place.tolist(), "qvel": speed.tolist(), "target": goal.tolist(), **course}
        for place, speed, goal, course in zip(qpos, qvel, env.goal, _courses(env))
    ]
    around = settings.task.obstacles
    return {
        "object": settings.object.name,
        "robots": robots,
        "substeps": simulator["team"].substeps,
        "decision_steps": settings.task.action_repeat,
        "success_distance": settings.task.goal_distance,
        "starts": starts,
        **({"way": around.model_dump(include={"arena", "slow", "look_ahead", "patience"})} if around.active else {}),
    }


def _courses(env: PushEnv) -> List[Dict[str, Any]]:
    """The arena's corner and the obstacles of each start: centre, yaw, half sizes, and whether round."""
    if env.obstacles is None:
        return [{}] * env.num_envs
    layout, corner = env.obstacles.layout, env.obstacles.courses.corner[env.obstacles.course]
    fields = [tensor.tolist() for tensor in layout]
    return [
        {"corner": place, "obstacles": [dict(zip(layout._fields, one)) for one in zip(*course)]}
        for place, *course in zip(corner.tolist(), *fields)
    ]


def files(candidate: Candidate, env: PushEnv) -> Tuple[str, str]:
    """The contents of scene.xml and team.json."""
    return mjcf(candidate, env), json.dumps(describe(candidate, env))
