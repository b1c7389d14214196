"""A person who steers one robot of a team, by key presses."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from ..envs.push_env import PushEnv
from ..errors import UserError
from ..system.limits import read_text
from ..task.config import CONTROL_DT
from .protocol import Act

_STEP = 0.5
"""Share of the largest command that a press adds."""
_VX, _VY, _YAW = range(3)
KEYS: Dict[str, Tuple[int, float]] = {
    "up": (_VX, _STEP),
    "down": (_VX, -_STEP),
    "left": (_YAW, _STEP),
    "right": (_YAW, -_STEP),
    "comma": (_VY, _STEP),
    "period": (_VY, -_STEP),
}
"""What a press adds to which part of the command; `enter` stops the robot."""
HELP = "arrow keys: forward, back, turn; comma and period: sideways; Enter: stop. A press adds half of the full speed"
_CODES = {265: "up", 264: "down", 263: "left", 262: "right", 44: "comma", 46: "period", 257: "enter"}
"""GLFW's numbers of the keys."""


class Driver:
    """Acts for a team of which one robot goes as the last key presses say; at the start of an episode it stands."""

    def __init__(self, act: Act, env: PushEnv, robot: int, script: Sequence[Tuple[float, str]] = ()) -> None:
        """Steer robot `robot` of environment 0, by `press` and by the presses (seconds, key) in `script`.

        Raises:
            UserError: there is no such robot.

        """
        if robot >= env.spec.num_agents:
            raise UserError(f"--drive {robot} is not allowed: the team has robots 0 to {env.spec.num_agents - 1}")
        self._act, self._env, self._robot = act, env, robot
        self._axes = env.simulator.robots[robot].command_axes
        self._script, self._seconds = list(script), 0.0
        self._command, self._episode = [0.0, 0.0, 0.0], 0

    def press(self, key: str) -> None:
        """Take a key press; unknown keys are ignored."""
        if key == "enter":
            self._command = [0.0, 0.0, 0.0]
        elif key in KEYS:
            axis, change = KEYS[key]
            self._command[axis] = min(max(self._command[axis] + change, -1.0), 1.0)

    def press_code(self, code: int) -> None:
        """Take a key press by GLFW's number."""
        self.press(_CODES.get(code, ""))

    def act(self, observations: Tensor) -> Tensor:
        """Actions `[N, A, K]`: the team's, with the driven robot's command in the place of its own."""
        if self._env.next_episode != self._episode:
            self._episode = self._env.next_episode
            self.press("enter")
        while self._script and self._script[0][0] <= self._seconds + 1e-9:
            self.press(self._script.pop(0)[1])
        self._seconds += self._env.config.action_repeat * CONTROL_DT
        action = self._act(observations).clone()
        steered = torch.tensor([self._command[axis] for axis in self._axes], device=action.device)
        action[:, self._robot, : len(self._axes)] = steered / self._env.config.action_gain
        return action


def read_script(path: Path) -> List[Tuple[float, str]]:
    """Key presses from a text file: a line for each, with its seconds from the start and the key.

    Raises:
        UserError: the file cannot be read, or a line is something else.

    """
    presses = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            seconds, key = words
            presses.append((float(seconds), key))
            if key not in (*KEYS, "enter") or not 0.0 <= float(seconds) < float("inf"):
                raise ValueError
        except ValueError:
            keys = ", ".join((*KEYS, "enter"))
            raise UserError(f"{path}, line {number}: {line[:60]!r} is not SECONDS KEY, with a key of {keys}") from None
    return sorted(presses, key=lambda press: press[0])
