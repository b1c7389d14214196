"""Robots that differ: every scene's friction, masses and motors, and every robot's sensors, drawn once."""

from __future__ import annotations

from typing import Callable, NamedTuple

import torch
from torch import Tensor

from ..locomotion.gait import NUM_JOINTS
from ..sim.engine import Engine
from ..sim.team import Team

FIELDS = ("geom_friction", "body_mass", "body_inertia", "body_ipos", "actuator_gainprm", "actuator_biasprm")
"""Model fields that every scene has of its own."""
SHIFT = (0.04, 0.02, 0.02)
"""Largest shift of the trunk's centre of mass, m."""
STIFFNESS, DAMPING = (0.9, 1.1), (0.7, 1.3)
"""Ranges of factors of a servo's gains."""
OFFSET = 0.02
"""Largest error of a joint sensor's zero, rad."""

Uniform = Callable[..., Tensor]
"""Random numbers between `low` and `high`, of a shape."""


class Hardware(NamedTuple):
    """What is wrong with the robots of N scenes, A in each."""

    noise: Tensor
    """`[N, A]` of the sensors, see `locomotion.hardware.noisy`."""
    delay: Tensor
    """`[N, A]` of the motors, s."""
    offset: Tensor
    """`[N, A, 12]` that the joint sensors read too much, rad."""


def draw_hardware(uniform: Uniform, scenes: int, robots: int, perfect: bool, longest_delay: float) -> Hardware:
    """Every robot's sensors and motors; nothing is wrong with `perfect` ones."""
    share = 0.0 if perfect else 1.0
    noise, delay = (uniform(0.0, share * most, scenes, robots) for most in (1.0, longest_delay))
    return Hardware(noise, delay, uniform(-share * OFFSET, share * OFFSET, scenes, robots, NUM_JOINTS))


def randomize(engine: Engine, team: Team, uniform: Uniform, widely: bool) -> None:
    """Give every scene friction, masses and motor strengths; `widely`: centres of mass and servo gains too."""
    model, scenes, robots = engine.model, engine.num_envs, len(team)
    fields = {}
    for name in FIELDS:
        value = torch.tensor(getattr(model, name), dtype=torch.float32, device=engine.device)
        fields[name] = value.repeat(scenes, *[1] * value.dim())
    feet = team.own_friction()
    for geom in range(model.ngeom):
        name = model.geom(geom).name
        if name in feet:
            fields["geom_friction"][:, geom, 0] = uniform(0.3, 1.0, scenes)
        elif name.startswith("object"):
            fields["geom_friction"][:, geom, 0] = uniform(0.15, 0.5, scenes)
    bodies = [("object", (0.4, 3.0)), *((f"robot{robot}", (0.85, 1.25)) for robot in range(robots))]
    for name, scale in bodies:
        factor = uniform(*scale, scenes)
        fields["body_mass"][:, model.body(name).id] *= factor
        fields["body_inertia"][:, model.body(name).id] *= factor.unsqueeze(-1)
    gain, bias = fields["actuator_gainprm"], fields["actuator_biasprm"]
    strength = uniform(0.85, 1.15, scenes, robots, 1).expand(-1, -1, NUM_JOINTS).flatten(1).unsqueeze(-1)
    gain *= strength
    bias *= strength
    if widely:
        for robot in range(robots):
            shift = uniform(-1.0, 1.0, scenes, 3) * torch.tensor(SHIFT, device=engine.device)
            fields["body_ipos"][:, model.body(f"robot{robot}").id] += shift
        stiffness, damping = (uniform(*scale, scenes, robots * NUM_JOINTS) for scale in (STIFFNESS, DAMPING))
        gain[..., 0] *= stiffness
        bias[..., 1] *= stiffness
        bias[..., 2] *= damping
    for name, values in fields.items():
        engine.set_field(name, values)
