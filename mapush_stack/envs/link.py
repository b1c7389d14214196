"""How robots are linked to the world: what they know of poses, and when commands reach them."""

from __future__ import annotations

from typing import Any, Dict, Optional, Union

from torch import Tensor

from ..sim.simulator import Simulator
from ..task.config import TaskConfig
from ..task.state import SimState
from .command_delay import CommandDelay
from .decision import Decision, Sight
from .episodes import Episodes
from .obstacles import Obstacles
from .sensing import Sensing


class Link:
    """The links of N environments; with a neutral `task.sensing` robots know and obey exactly and at once."""

    def __init__(
        self, config: TaskConfig, episodes: Episodes, obstacles: Optional[Obstacles], simulator: Simulator
    ) -> None:
        """Links as `config.sensing` says; `start` begins an episode's."""
        task = config, episodes, simulator.device
        self.sensing = Sensing(*task) if config.sensing.active else None
        """None: poses are known exactly and at once."""
        self.delay = CommandDelay(*task, simulator) if config.sensing.action_delay[1] > 0 else None
        """None: commands are followed at once."""
        self.driver: Union[Simulator, CommandDelay] = self.delay or simulator
        """Takes the team's commands."""
        self._obstacles = obstacles

    def start(self, rows: Tensor, mask: Tensor, state: SimState) -> None:
        """Forget what robots knew and were told in environments `rows` `[n]` where `mask` `[n]` is true.

        `state` `[N, ...]` is the present one.
        """
        if self.sensing is not None:
            self.sensing.start(rows, mask, state)
        if self.delay is not None:
            self.delay.start(rows, mask)

    def sight(self, state: SimState, target: Tensor) -> Sight:
        """What robots know of the present state `[N, ...]` and target `[N, 2]`."""
        if self.sensing is None:
            return Sight(state, target)
        return self._planned(self.sensing.seen(state), target)

    def follow(self, path: SimState, ages: Tensor, decision: Decision, target: Tensor) -> Optional[Sight]:
        """Let robots measure along a decision; what they know at its last step, or None if that is the truth.

        `path` `[T, N, ...]` are the states after its control steps, `ages` `[T, N]` those of the episodes there.
        """
        if self.sensing is None:
            return None
        seen = self.sensing.follow(path, ages, decision.last[0], decision.done, decision.final)
        return self._planned(seen, target)

    def parts(self) -> Dict[str, Any]:
        """What of them has to be stored, by name."""
        return {name: part for name, part in (("sensing", self.sensing), ("delay", self.delay)) if part is not None}

    def _planned(self, state: SimState, target: Tensor) -> Sight:
        """A planner sees the object where robots see it."""
        return Sight(state, target if self._obstacles is None else self._obstacles.target(state, remember=False))
