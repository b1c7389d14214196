"""What robots know of where things are: poses that are measured now and then, late, with noise and gaps."""

from __future__ import annotations

import math
from typing import Dict, Tuple

import torch
from torch import Tensor

from ..device.rows import overwrite
from ..task.config import CONTROL_DT, TaskConfig
from ..task.random import STREAM_MEASUREMENT, STREAM_SENSING, uniform
from ..task.sensing_config import FASTEST, in_steps
from ..task.state import SimState
from .episodes import Episodes

_RANGES = (
    "rate",
    "dropout",
    "object_position_noise",
    "object_heading_noise",
    "robot_position_noise",
    "robot_heading_noise",
)
"""Fields of `task.sensing` that an episode draws, in the order of `Sensing.drawn`; then come phase and delay."""


class Sensing:
    """The measurements of N environments, in tensors that are changed in place.

    A body is the object or a robot; poses `[..., 1 + A, 3]` are x and y (m) and yaw (rad), the object's first. All
    robots get the same measurements. Noise belongs to (seed, environment, episode, control step).
    """

    def __init__(self, config: TaskConfig, episodes: Episodes, device: torch.device) -> None:
        """Know nothing yet; `start` makes the first measurements."""
        self._config, self._episodes = config.sensing, episodes
        self._delays = in_steps(config.sensing.delay, CONTROL_DT)
        bounds = torch.tensor([getattr(config.sensing, name) for name in _RANGES], device=device)
        # Degrees to rad.
        scale = torch.tensor([math.pi / 180 if "heading" in name else 1.0 for name in _RANGES], device=device)
        self._low, self._high = scale * bounds[:, 0], scale * bounds[:, 1]
        count, robots = episodes.here.shape
        self.drawn = torch.zeros(count, len(_RANGES) + 2, device=device)
        """`[N, 8]` what the present episode has drawn."""
        self.history = torch.zeros(count, self._delays[1] + 1, 1 + robots, 3, device=device)
        """`[N, L, 1 + A, 3]` what was known at the last control steps, the latest one last."""

    def start(self, rows: Tensor, mask: Tensor, state: SimState) -> None:
        """Make the first measurement of environments `rows` `[n]` where `mask` `[n]` is true, in this state `[N, ...]`.

        It is never lost, and as old as any delay: at a start nothing has moved for long.
        """
        ids, numbers = self._episodes.ids[rows], self._episodes.number[rows]
        draws = uniform(self._episodes.seed, STREAM_SENSING, ids, numbers, len(_RANGES) + 2)
        low, high = self._delays
        ranged = self._low + (self._high - self._low) * draws[:, :-2]
        delay = low + torch.floor((high - low + 1) * draws[:, -1:])
        drawn = torch.cat((ranged, draws[:, -2:-1], delay), dim=-1)
        overwrite(self.drawn, rows, mask, drawn)
        poses = _poses(state.at(rows))
        if self._config.noisy:
            poses = poses + self._noise(drawn, ids, numbers, torch.zeros_like(ids))[0]
        overwrite(self.history, rows, mask, poses.unsqueeze(1).expand(-1, self.history.shape[1], -1, -1))

    def follow(self, path: SimState, ages: Tensor, last: Tensor, done: Tensor, final: SimState) -> SimState:
        """Measure along a decision; returns `final` as robots know it.

        Args:
            path: `[T, N, ...]` the states after its control steps.
            ages: `[T, N]` control steps of the episodes.
            last: `[N]` the last of the T control steps that counts.
            done: `[N]` bool: the episode ended there, and nothing more is measured.
            final: `[N, ...]` the states there.

        """
        measured, known = self._measured(path, ages)
        past = [*self.history.unbind(1)]
        for poses, new in zip(measured, known):
            past.append(torch.where(new.unsqueeze(-1), poses, past[-1]))
        whole = torch.stack(past, dim=1)
        length = self.history.shape[1]
        rows = torch.arange(len(last), device=last.device)
        ended = whole[rows, length + last - self.drawn[:, -1].to(torch.int64)]
        kept = whole[:, len(past) - length :]
        self.history.copy_(torch.where(done.view(-1, 1, 1, 1), ended.unsqueeze(1), kept))
        return _with(final, ended)

    def seen(self, state: SimState) -> SimState:
        """The present state `[N, ...]` as robots know it."""
        rows = torch.arange(len(self.drawn), device=self.drawn.device)
        return _with(state, self.history[rows, -1 - self.drawn[:, -1].to(torch.int64)])

    def state_dict(self) -> Dict[str, Tensor]:
        """What an episode needs to go on."""
        return {"drawn": self.drawn.clone(), "history": self.history.clone()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.drawn.copy_(state["drawn"])
        self.history.copy_(state["history"])

    def _measured(self, path: SimState, ages: Tensor) -> Tuple[Tensor, Tensor]:
        """Measurements `[T, N, 1 + A, 3]`, and which bodies have one `[T, N, 1 + A]` bool."""
        poses = _poses(path)
        beats = ages * (CONTROL_DT * self.drawn[:, 0]) + self.drawn[:, -2]
        before = (ages - 1) * (CONTROL_DT * self.drawn[:, 0]) + self.drawn[:, -2]
        due = beats.floor() > before.floor() if self._config.rate[0] < FASTEST else torch.ones_like(beats).bool()
        known = due.unsqueeze(-1).expand(poses.shape[:-1])
        if self._config.noisy or self._config.dropout[1] > 0:
            steps, (ids, numbers) = len(ages), (self._episodes.ids, self._episodes.number)
            noise, got = self._noise(
                self.drawn.repeat(steps, 1), ids.repeat(steps), numbers.repeat(steps), ages.flatten()
            )
            poses, known = poses + noise.view_as(poses), known & got.view(known.shape)
        return poses, known

    def _noise(self, drawn: Tensor, ids: Tensor, numbers: Tensor, ages: Tensor) -> Tuple[Tensor, Tensor]:
        """Noise `[M, 1 + A, 3]` of measurements, and which are not lost `[M, 1 + A]` bool.

        Args:
            drawn: `[M, 8]` what their episodes have drawn.
            ids: `[M]` numbers of the environments in a larger set.
            numbers: `[M]` of the episodes.
            ages: `[M]` of the control steps in them.

        """
        bodies = self.history.shape[2]
        pairs = -(-3 * bodies // 2)
        draws = uniform(self._episodes.seed, STREAM_MEASUREMENT, ids, numbers, bodies + 2 * pairs, ages)
        got = draws[:, :bodies] >= drawn[:, 1:2]
        size, turn = draws[:, bodies : bodies + pairs], draws[:, bodies + pairs :]
        # Two normal numbers from two uniform ones (Box and Muller, 1958).
        length, angle = (-2 * torch.log1p(-size)).sqrt(), 2 * math.pi * turn
        normal = torch.cat((length * angle.cos(), length * angle.sin()), dim=-1)[:, : 3 * bodies]
        # No list of columns: it would be a tensor of the host, which a CUDA graph cannot take.
        of_object, of_robots = (torch.cat((drawn[:, n : n + 1], drawn[:, n : n + 2]), -1).unsqueeze(1) for n in (2, 4))
        deviation = torch.cat((of_object, of_robots.expand(-1, bodies - 1, -1)), dim=1)
        return deviation * normal.view(-1, bodies, 3), got


def _poses(state: SimState) -> Tensor:
    """Poses `[..., 1 + A, 3]` of a state."""
    thing = torch.cat((state.object_pos[..., :2], state.object_rpy[..., 2:]), dim=-1)
    robots = torch.cat((state.robot_pos[..., :2], state.robot_rpy[..., 2:]), dim=-1)
    return torch.cat((thing.unsqueeze(-2), robots), dim=-2)


def _with(state: SimState, poses: Tensor) -> SimState:
    """A state with these poses `[..., 1 + A, 3]`; heights, tilts and velocities stay."""
    thing, robots = poses[..., 0, :], poses[..., 1:, :]
    return state._replace(
        robot_pos=torch.cat((robots[..., :2], state.robot_pos[..., 2:]), dim=-1),
        robot_rpy=torch.cat((state.robot_rpy[..., :2], robots[..., 2:]), dim=-1),
        object_pos=torch.cat((thing[..., :2], state.object_pos[..., 2:]), dim=-1),
        object_rpy=torch.cat((state.object_rpy[..., :2], thing[..., 2:]), dim=-1),
    )
