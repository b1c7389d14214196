"""Goals that come one after the other, and goals that move (docs/task.md, section 15)."""

from __future__ import annotations

import math
from typing import Dict

import torch
from torch import Tensor

from ..device.rows import overwrite
from ..task.config import CONTROL_DT, ObjectTask, TaskConfig
from ..task.geometry import Measures, angle_between, rotate
from ..task.random import STREAM_GOALS, uniform
from ..task.state import SimState
from .episodes import Beginning

_SAVED = ("drawn", "sequence", "stage", "offset", "velocity")


class Goals:
    """The present goals of N environments. All state is in tensors that are changed in place."""

    def __init__(self, config: TaskConfig, target_object: ObjectTask, num_envs: int, device: torch.device) -> None:
        """From `config.goals` and `config.goal_speed`."""
        self._config, self._fold = config, target_object.symmetry_fold
        self._width = 3 if config.goal == "pose" else 2
        lists = config.goals or [[[0.0] * self._width]]
        most = max(map(len, lists))
        padded = [[*points, *points[-1:] * (most - len(points))] for points in lists]
        self._points = torch.tensor(padded, dtype=torch.float32, device=device)
        self._last = torch.tensor([len(points) - 1 for points in lists], device=device)
        self.drawn = torch.zeros(num_envs, self._width, device=device)
        """`[N, 2]` what the goals are relative to: the object's start, or the drawn target; of poses with a yaw."""
        self.sequence = torch.zeros(num_envs, dtype=torch.int64, device=device)
        self.stage = torch.zeros_like(self.sequence)
        """`[N]` number of the present goal in its sequence."""
        self.offset, self.velocity = torch.zeros(num_envs, 2, device=device), torch.zeros(num_envs, 2, device=device)
        """`[N, 2]` how far the goals have moved (m), and how fast they do (m/s)."""

    def start(self, rows: Tensor, begun: Beginning, mask: Tensor) -> None:
        """Begin with the first goal in environments `rows` `[n]` where `mask` `[n]` is true."""
        drawn = begun.target[:, : self._width]
        overwrite(self.drawn, rows, mask, torch.zeros_like(drawn) if self._config.goals else drawn)
        overwrite(self.sequence, rows, mask, (begun.ids + begun.numbers) % len(self._points))
        overwrite(self.stage, rows, mask, 0)
        overwrite(self.offset, rows, mask, 0)
        angle = 2 * math.pi * uniform(begun.seed, STREAM_GOALS, begun.ids, begun.numbers, 1)[:, 0]
        ahead = torch.stack((torch.ones_like(angle), torch.zeros_like(angle)), dim=-1)
        overwrite(self.velocity, rows, mask, self._config.goal_speed * rotate(ahead, angle))

    def target(self) -> Tensor:
        """`[N, 2]` the present goals, m; of poses `[N, 3]`."""
        goal = self.drawn + self._points[self.sequence, self.stage]
        return torch.cat((goal[:, :2] + self.offset, goal[:, 2:]), dim=-1)

    def reached(self, now: Measures) -> Measures:
        """The measures `now` `[..., N]` for the end of an episode: only the last goal of a sequence counts."""
        last = (self.stage == self._last[self.sequence]).expand_as(now.target_distance)
        return now._replace(target_distance=now.target_distance.masked_fill(~last, math.inf))

    def follow(self, final: SimState) -> None:
        """Go on to the next goal where the object has reached one, after a decision that ended in this state."""
        goal = self.target()
        near = torch.linalg.vector_norm(final.object_pos[:, :2] - goal[:, :2], dim=-1) < self._config.goal_distance
        if self._width == 3:
            error = angle_between(self._fold, goal[:, 2] - final.object_rpy[:, 2])
            near = near & (error < math.radians(self._config.pose_angle))
        self.stage.copy_(torch.minimum(self.stage + near, self._last[self.sequence]))
        self.offset += CONTROL_DT * self._config.action_repeat * self.velocity

    def state_dict(self) -> Dict[str, Tensor]:
        """What an episode needs to go on."""
        return {name: getattr(self, name).clone() for name in _SAVED}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name in _SAVED:
            getattr(self, name).copy_(state[name])
