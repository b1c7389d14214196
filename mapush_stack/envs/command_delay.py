"""Robots that follow a command some time after it was given."""

from __future__ import annotations

from typing import Dict, Optional

import torch
from torch import Tensor

from ..device.rows import overwrite
from ..sim.simulator import Simulator
from ..task.config import CONTROL_DT, TaskConfig
from ..task.random import STREAM_ACTION_DELAY, uniform
from ..task.sensing_config import in_steps
from ..task.state import SimState
from .episodes import Episodes


class CommandDelay:
    """The delays of N environments, and the commands that are under way, in tensors that are changed in place."""

    joint_path: Optional[Tensor] = None
    """See `Simulator.joint_path`."""
    work_path: Optional[Tensor] = None
    """See `Simulator.work_path`."""

    def __init__(self, config: TaskConfig, episodes: Episodes, device: torch.device, simulator: Simulator) -> None:
        """No command is under way."""
        self._episodes, self._simulator = episodes, simulator
        self._delays = low, high = in_steps(config.sensing.action_delay, CONTROL_DT)
        repeat = config.action_repeat
        starts = sorted({0, *(delay % repeat for delay in range(low, high + 1))})
        self._spans = list(zip(starts, [*starts[1:], repeat]))
        """First control step of each part of a decision in which no command changes, and that after its last."""
        count, robots = episodes.here.shape
        self.delay = torch.zeros(count, dtype=torch.int64, device=device)
        """`[N]` control steps."""
        self.given = torch.zeros(-(-high // repeat), count, robots, 3, device=device)
        """`[K, N, A, 3]` the last commands that were given, the latest first."""

    def start(self, rows: Tensor, mask: Tensor) -> None:
        """Let robots of environments `rows` `[n]` stand until they get a command, where `mask` `[n]` is true."""
        ids, numbers = self._episodes.ids[rows], self._episodes.number[rows]
        low, high = self._delays
        unit = uniform(self._episodes.seed, STREAM_ACTION_DELAY, ids, numbers, 1)[:, 0]
        overwrite(self.delay, rows, mask, low + torch.floor((high - low + 1) * unit).to(torch.int64))
        for given in self.given:
            overwrite(given, rows, mask, 0)

    def step(self, commands: Tensor, repeat: int) -> SimState:
        """As `Simulator.step`, for a decision: give `commands` `[N, A, 3]`, and follow those that arrive."""
        known = torch.cat((commands.unsqueeze(0), self.given))
        rows, paths, works, joints = torch.arange(len(self.delay), device=self.delay.device), [], [], []
        for start, end in self._spans:
            back = torch.div(self.delay - start + repeat - 1, repeat, rounding_mode="floor")
            # The next call may overwrite what this one returns.
            paths.append(SimState(*(part.clone() for part in self._simulator.step(known[back, rows], end - start))))
            works += [] if self._simulator.work_path is None else [self._simulator.work_path.clone()]
            joints += [] if self._simulator.joint_path is None else [self._simulator.joint_path.clone()]
        self.given.copy_(known[:-1])
        self.work_path = torch.cat(works) if works else None
        self.joint_path = torch.cat(joints) if joints else None
        return SimState(*(torch.cat(parts) for parts in zip(*paths)))

    def state_dict(self) -> Dict[str, Tensor]:
        """What an episode needs to go on."""
        return {"delay": self.delay.clone(), "given": self.given.clone()}

    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.delay.copy_(state["delay"])
        self.given.copy_(state["given"])
