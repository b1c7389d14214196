"""What is exported: networks with everything around them, as functions of tensors."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from ..envs.push_env import PushEnv
from ..learning.contract import TeamPolicy
from ..locomotion import gait
from ..locomotion.policy import WalkingPolicy
from ..sim.robots.base import Joints
from ..sim.robots.planar import Sliding
from ..task import actions, observations
from ..task.config import TaskConfig
from ..task.state import SimState
from ..task.way import FAR, REACH, WayAhead

METRES = ["m", "m", "rad"]
SPEEDS = ["m/s", "m/s", "rad/s"]
WAY = (
    f"in the arena frame: a point {FAR:g} m along the way; a vector away from the obstacle nearest to the object, 1"
    f" long at its edge and 0 from {REACH:g} m on; the length of such a vector at that point; such a vector of the"
    " robot"
)


class Value(NamedTuple):
    """An input or output of a graph."""

    shape: Tuple[Any, ...]
    """Sizes by axis; "N", the number of environments or robots side by side, is free."""
    unit: Any
    """One for all numbers, or one for each."""
    meaning: str


def planar_state(robots: Tensor, thing: Tensor, senses: Optional[Tensor]) -> SimState:
    """The state in which robots `[N, A, 3]` and the object `[N, 3]` are at these x, y (m) and yaw (rad).

    `senses` `[N, A, M]` is what the robots sense of themselves. Heights, tilts and velocities are zero: no policy
    observes them.
    """
    flat, still = torch.zeros_like(robots), torch.zeros_like(thing)
    return SimState(
        robot_pos=torch.cat((robots[..., :2], flat[..., :1]), dim=-1),
        robot_rpy=torch.cat((flat[..., :2], robots[..., 2:]), dim=-1),
        robot_lin_vel=flat,
        robot_ang_vel=flat,
        object_pos=torch.cat((thing[..., :2], still[..., :1]), dim=-1),
        object_rpy=torch.cat((still[..., :2], thing[..., 2:]), dim=-1),
        object_lin_vel=still,
        object_ang_vel=still,
        senses=flat[..., :0] if senses is None else senses,
        healthy=torch.isfinite(thing[..., 0]),
    )


def target_width(config: TaskConfig) -> int:
    """How many numbers a target has: x and y, then the yaw of a pose, then how much it counts near narrow gaps."""
    return 4 if config.obstacles.aligned else 3 if config.goal == "pose" else 2


class RobotGraph(nn.Module):
    """From poses in the arena frame to one robot's velocity command: observation, network, clip and limits."""

    def __init__(self, env: PushEnv, policy: TeamPolicy, robot: int) -> None:
        """Robot number `robot` of the environment's team."""
        super().__init__()
        self.network = policy.network(robot)
        self._task, self._object, task = env.config, env.object, env.simulator.robots[robot]
        self._limit: Tensor
        self.register_buffer("_limit", torch.tensor(env.config.command_limit))
        self._outline: Tensor
        vertices = torch.tensor(env.object.vertices, dtype=torch.float32)
        self.register_buffer("_outline", observations.outline_of(env.config, vertices))
        self._columns = actions.command_columns([task], env.device)
        self._senses = len(task.sense_mirror)
        self._kind = kind_of(env, robot)

    def values(self, robots: int) -> Tuple[Dict[str, Value], Dict[str, Value]]:
        """Inputs and outputs by name, in a team of so many robots."""
        team = "x, y and yaw in the arena frame of this robot, then of those that follow it in the team, going round"
        around, units = self._task.obstacles, [*METRES, "1"]
        width = target_width(self._task)
        goal = "where the object should be, likewise"
        if around.planner != "direct":
            goal = f"the planner's next point, {around.look_ahead:g} m from the object on its way, likewise"
        if width == 4:
            goal += "; then the yaw that fits through the next gap, and from 0 to 1 how narrow that is"
        inputs = {
            "robots": Value(("N", robots, 3), METRES, team),
            "object": Value(("N", 3), METRES, "x, y and yaw of the object's frame, in the arena frame"),
            "target": Value(("N", width), units[:width], goal),
        }
        if around.observed:
            inputs["way"] = Value(("N", 7), ["m", "m", *"11111"], WAY)
        if self._senses:
            meaning = "what the robot senses of itself; a rover its speed ahead and its yaw rate"
            inputs["senses"] = Value(("N", self._senses), "as its kind", meaning)
        meaning = "velocity ahead, to the left, and yaw rate, in the robot's heading frame, within its limits"
        return inputs, {"command": Value(("N", 3), SPEEDS, meaning)}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Commands `[N, 3]`; see `values`."""
        robots, thing, target, *rest = inputs
        if self._task.obstacles.observed:
            way, *rest = rest
            far, away, narrow, own = torch.split(way, [2, 2, 1, 2], dim=-1)
            target = WayAhead(far, away, narrow, own.unsqueeze(-2).expand_as(robots[..., :2])).appended(target)
        senses = rest[0].unsqueeze(-2).expand(-1, robots.shape[-2], -1) if rest else None
        state = planar_state(robots, thing, senses)
        seen = observations.observe(self._task, self._object, state, target, outline=self._outline)
        action = self.network(seen[:, 0]).unsqueeze(-2)
        return velocities(self._kind, actions.command(self._task, self._limit, action, self._columns))[:, 0]


def kind_of(env: PushEnv, robot: int) -> Any:
    """The `RobotKind` of a robot of an environment in MuJoCo's scene."""
    team: Any = vars(env.simulator)["team"]
    return next(group.robots for group in team.groups if robot in group.members)


def velocities(kind: Any, commands: Tensor) -> Tensor:
    """What becomes of commands `[..., R, 3]`: robots that slide may scale or limit them."""
    if not isinstance(kind, Sliding):
        return commands
    nothing = torch.zeros_like(commands)
    moved: Tensor = kind.control(commands, Joints(nothing, nothing))
    return moved


class WalkerGraph(nn.Module):
    """From what a robot on legs senses, and a velocity command, to targets of its joints."""

    def __init__(self, policy: WalkingPolicy) -> None:
        """The graph of a walking policy."""
        super().__init__()
        self.net, self.view = policy.net, policy.view

    def values(self) -> Tuple[Dict[str, Value], Dict[str, Value]]:
        """Inputs and outputs by name."""
        joints = "FL, FR, RL, RR; hip, thigh, calf"
        memory = {
            "action": Value(("N", gait.NUM_JOINTS), "1", "the network's last output; zeros at the start"),
            "phase": Value(("N",), "1", "of the stride, 0 to 1; zero at the start"),
        }
        past = self.view.size - self.view.frame_size
        if past:
            memory["history"] = Value(("N", past), "1", "what it saw before, the oldest first; zeros at the start")
        velocity = Value(("N", 3), "m/s", "of the base, in its frame; a real robot has to estimate it")
        inputs = {
            **({"linear_velocity": velocity} if self.view.linear_velocity else {}),
            "angular_velocity": Value(("N", 3), "rad/s", "of the base, in its frame"),
            "gravity": Value(("N", 3), "1", "direction of gravity in the base's frame"),
            "joint_pos": Value(("N", gait.NUM_JOINTS), "rad", joints),
            "joint_vel": Value(("N", gait.NUM_JOINTS), "rad/s", joints),
            "command": Value(("N", 3), SPEEDS, "velocity ahead, to the left, and yaw rate"),
            **memory,
        }
        targets = Value(("N", gait.NUM_JOINTS), "rad", f"of the joints' position servos; {joints}")
        return inputs, {"joint_targets": targets, **{f"next_{name}": value for name, value in memory.items()}}

    def forward(self, *inputs: Tensor) -> Tuple[Tensor, ...]:
        """Joint targets `[N, 12]` and the gait after them; see `values`."""
        if not self.view.linear_velocity:
            inputs = (torch.zeros_like(inputs[0]), *inputs)
        body, (command, action, phase, *history) = gait.Proprioception(*inputs[:5]), inputs[5:]
        before = gait.Gait(action, phase, history[0] if history else action[..., :0])
        seen = gait.observe(body, command, before, self.view)
        action = self.net(seen)
        after = gait.advance(before, action, command, seen)
        return (gait.joint_targets(action), *after[: 2 + len(history)])
