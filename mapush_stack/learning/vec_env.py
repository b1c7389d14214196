"""The environment as learners see it: tensors of a team, without robots or a simulator."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..errors import UserError


class Mirror(NamedTuple):
    """How a robot's observation and action change when the world is reflected about its heading."""

    observation: Tuple[float, ...]
    """Sign of each number of the observation."""
    action: Tuple[float, ...]
    """Sign of each number of the action."""


@dataclass(frozen=True)
class TokenSet:
    """Some numbers of an observation that describe several things of one kind, in no order."""

    name: str
    """What they describe, such as robots."""
    first: int
    """Where the first thing's numbers begin in the observation."""
    count: int
    """Things; their numbers follow each other."""
    size: int
    """Numbers of each thing: a token."""
    present: Optional[int] = None
    """Which of these is 1 where the thing is there and 0 where it is not; None where all always are."""


class AgentSpec(NamedTuple):
    """What a learner has to know of one robot."""

    observation_size: int
    """Numbers that the robot observes."""
    action_size: int
    """Numbers of its action."""
    mirror: Optional[Mirror] = None
    """None where observation or action has no linear reflection."""
    action_bound: float = math.inf
    """Largest size of a number of the action; more counts as this."""
    sets: Tuple[TokenSet, ...] = ()
    """What in the observation describes things in no order; the other numbers are the robot's own."""
    present: Optional[int] = None
    """Which number of the observation is 1 where the robot is here and 0 where it is not; None if it always is."""


class EnvSpec(NamedTuple):
    """What a learner has to know of an environment."""

    agents: Tuple[AgentSpec, ...]
    """The robots, A of them."""
    state_shape: Tuple[int, int]
    """(V, S): V values of S numbers each; V is 1 for a team value or A for one value a robot."""
    state_is_observation: bool = False
    """Whether the state holds for each robot what that robot observes."""
    measured: bool = False
    """Whether observations are measured, with errors that the state does not have."""

    @property
    def num_agents(self) -> int:
        """Robots in the team, A."""
        return len(self.agents)

    @property
    def observation_size(self) -> int:
        """The widest observation, D."""
        return max(agent.observation_size for agent in self.agents)

    @property
    def action_size(self) -> int:
        """The widest action, K."""
        return max(agent.action_size for agent in self.agents)

    @property
    def alike(self) -> bool:
        """Whether all robots observe and do the same."""
        return all(agent == self.agents[0] for agent in self.agents)


@dataclass
class TeamStep:
    """What a decision led to."""

    observations: Tensor
    """`[N, A, D]` after the decision, of the new episode where one ended."""
    state: Tensor
    """`[N, V, S]` likewise, for the critic."""
    rewards: Tensor
    """`[N, A]` of the decision, up to the end of the episode."""
    terminated: Tensor
    """`[N]` bool: ended by success or by a rule; nothing follows."""
    truncated: Tensor
    """`[N]` bool: ended by the time limit; what would have followed is worth the value of `final_state`."""
    final_state: Tensor
    """`[N, V, S]` before any reset: the last state of an episode that ended, else the same as `state`."""


class TeamEnv(ABC):
    """N tasks of one team side by side; an episode that ends is followed by the next one.

    A robot whose observation has fewer than D numbers has them first, then zeros; likewise its action among K.
    On a GPU the next step may overwrite the tensors that the last one returned.
    """

    num_envs: int
    """Tasks side by side, N."""
    device: torch.device
    """Where all tensors are."""
    spec: EnvSpec
    """Sizes of observations, states and actions."""

    @abstractmethod
    def reset(self, random_ages: bool = False) -> Tuple[Tensor, Tensor]:
        """Start the first episode everywhere; returns observations `[N, A, D]` and state `[N, V, S]`.

        With `random_ages` these episodes begin at random ages, so that their time limits do not fall together.
        """

    @abstractmethod
    def observe(self) -> Tuple[Tensor, Tensor]:
        """Observations `[N, A, D]` and state `[N, V, S]` as they stand."""

    @abstractmethod
    def step(self, action: Tensor) -> TeamStep:
        """Hold `action` `[N, A, K]` for one decision."""

    def final_observations(self, step: TeamStep) -> Tensor:
        """What each robot observed last `[N, A, D]`: at the end of an episode that ended, else `step.observations`.

        For learners that bootstrap from observations. Must be called before the next step.
        """
        raise NotImplementedError("this environment does not keep what was observed at the end of an episode")

    @abstractmethod
    def state_dict(self) -> Dict[str, Tensor]:
        """Everything that the next step depends on."""

    @abstractmethod
    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned; `observe` then gives the observations to go on with."""

    @abstractmethod
    def close(self) -> None:
        """Release what the environment holds; may be called twice."""


def checked(name: str, axes: str, given: Any, shape: Tuple[int, ...], device: torch.device) -> Tensor:
    """A tensor that was given by a user, without its gradient.

    Whether its numbers are finite is looked at on a CPU only: on a GPU that would wait for the device.

    Args:
        name: what messages call it.
        axes: what its axes mean, such as "[num_envs, num_robots]".
        given: what was given.
        shape: what its shape must be.
        device: where it must be.

    Raises:
        UserError: it is no float32 tensor of this shape on this device, or not finite.

    """
    found = type(given).__name__
    if isinstance(given, Tensor):
        if (given.dtype, given.device, given.layout) == (torch.float32, device, torch.strided):
            if given.shape != shape:
                raise UserError(f"{name} must have the shape {list(shape)}, not {list(given.shape)}: {axes}")
            if device.type == "cpu" and not bool(given.isfinite().all()):
                env, robot = (~given.isfinite()).nonzero()[0].tolist()[:2]
                numbers = given[env, robot].tolist()
                raise UserError(f"{name}[{env}, {robot}]={numbers} is not allowed: its numbers must be finite")
            return given.detach()
        sparse = "" if given.layout == torch.strided else "sparse "
        found = f"{sparse}{str(given.dtype)[6:]} on {given.device}"
    if hasattr(given, "shape"):
        found += f" of shape {list(given.shape)}"
    wanted = f"a float32 torch tensor on {device} of shape {list(shape)}"
    raise UserError(f"{name} must be {wanted}, not {found}: {axes}")
