"""What learners have to know of an environment, from its task and its team."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..learning.vec_env import AgentSpec, EnvSpec, Mirror, TokenSet
from ..task import actions, observations
from ..task.config import ObjectTask, TaskConfig
from ..task.global_state import global_state
from ..task.resets import draw_start
from ..task.robot import RobotTask
from ..task.state import SimState


def team_spec(config: TaskConfig, target_object: ObjectTask, robots: Sequence[RobotTask]) -> EnvSpec:
    """What a learner has to know of the environments of a task and a team."""
    state, target = start_of(config, target_object, robots)
    observed = observations.observe(config, target_object, state, target).shape[-1] - state.senses.shape[-1]
    values, numbers = global_state(config, target_object, state, target).shape[-2:]
    signs = observations.mirror_signs(config, target_object, robots)
    sets, present = _token_sets(config, target_object, len(robots))
    agents = tuple(
        AgentSpec(
            observation_size=observed + len(robot.sense_mirror),
            action_size=len(robot.command_axes),
            mirror=None if signs is None else Mirror(signs[index], actions.mirror_signs(robot)),
            action_bound=1.0 / config.action_gain,
            sets=sets,
            present=present,
        )
        for index, robot in enumerate(robots)
    )
    return EnvSpec(agents, (values, numbers), config.global_state == "observation", config.sensing.active)


def start_of(config: TaskConfig, target_object: ObjectTask, robots: Sequence[RobotTask]) -> Tuple[SimState, Tensor]:
    """State and target `[1, ...]` of some start, to see what is observed there."""
    zero = torch.zeros(1, dtype=torch.int64)
    start = draw_start(config, target_object, 0, zero, zero, torch.zeros(len(robots)))
    return with_senses(start.state, robots), start.target


def _token_sets(
    config: TaskConfig, target_object: ObjectTask, robots: int
) -> Tuple[Tuple[TokenSet, ...], Optional[int]]:
    """The sets in an observation, and which number of it says whether the robot itself is here."""
    first, sets, present = 0, [], None
    for field in observations.fields_of(config, target_object, robots):
        width = field.values.shape[-1]
        if field.tokens is not None:
            name, members, marked = field.tokens
            sets.append(TokenSet(name, first, members, width // members, marked))
        present = first if field.present else present
        first += width
    return tuple(sets), present


def with_senses(start: SimState, robots: Sequence[RobotTask]) -> SimState:
    """A state with room for what the robots sense of themselves."""
    width = max(len(robot.sense_mirror) for robot in robots)
    return start._replace(senses=start.robot_pos.new_zeros(*start.robot_pos.shape[:-1], width))
