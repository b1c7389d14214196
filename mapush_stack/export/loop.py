"""The control loop that would run on robots, against the simulator in real time."""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from pathlib import Path
from typing import Any, Deque, Dict, List, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..envs.push_env import PushEnv
from ..locomotion import gait
from ..task.config import CONTROL_DT
from ..task.geometry import measure
from ..task.state import SimState
from .check import runner

PARTS = ("sense", "decide", "walk", "simulate", "tick", "late")
"""What is timed: reading the simulator, the team's graphs (every `action_repeat` ticks), the walking policies, the
physics with what `task.sensing` does to poses, all of these together, and how late a tick begins."""


class Outcome(NamedTuple):
    """What a loop did."""

    seconds: Dict[str, np.ndarray]
    """Durations by part, s; one number a tick, or a decision."""
    missed: int
    """Ticks that ended after the next one should have begun."""
    succeeded_after: float
    """Seconds until the object was at the target; infinite if it never was."""


class Loop:
    """Exported graphs in place of the robots' own control, tick by tick."""

    def __init__(self, folder: Path, env: PushEnv, robots: List[Dict[str, Any]]) -> None:
        """`robots` are those of policy.json; the environment has been reset."""
        program, parts = runner(folder), vars(env.simulator)
        self._env, self._engine, self._layout = env, parts["engine"], parts["team"]
        self._team = program.Team(folder)
        self._walkers: List[Any] = []
        for group in self._layout.groups:
            name = robots[group.members[0]]["walker"]
            self._walkers.append(program.Graph(folder, name) if name else None)
        self._commands = np.zeros((1, len(robots), 3), np.float32)
        late = 0 if env.link.delay is None else int(env.link.delay.delay[0])
        self._under_way: Deque[np.ndarray] = deque([self._commands] * late)
        self.spent: Dict[str, List[float]] = {part: [] for part in PARTS}

    def tick(self, number: int) -> None:
        """Sense, decide, walk and simulate one control step, and note how long each took."""
        times = [time.perf_counter()]
        qpos, qvel = self._engine.read()
        _, senses = self._layout.bodies(qpos, qvel)
        times.append(time.perf_counter())
        if number % self._env.config.action_repeat == 0:
            self._decide(senses)
            self.spent["decide"].append(time.perf_counter() - times[-1])
        times.append(time.perf_counter())
        self._under_way.append(self._commands)
        control = self._control(self._under_way.popleft(), qpos, qvel)
        times.append(time.perf_counter())
        self._engine.advance(control, 1, self._layout.substeps)
        self._measure(number + 1)
        times.append(time.perf_counter())
        for part, place in (("sense", 0), ("walk", 2), ("simulate", 3)):
            self.spent[part].append(times[place + 1] - times[place])
        self.spent["tick"].append(times[-1] - times[0])

    def at_target(self) -> bool:
        """Whether the object is where it should be."""
        env = self._env
        vertices = torch.tensor(env.object.vertices)
        now = measure(env.config, vertices, env.simulator.state(), env.target, env.object.symmetry_fold)
        near = bool(now.target_distance[0] < env.config.goal_distance)
        if env.config.goal == "pose":
            near = near and bool(now.angle_error[0] < np.radians(env.config.pose_angle))
        return near

    def _measure(self, age: int) -> None:
        """Let the robots know what is measured of a control step's end, where that is not the truth."""
        sensing, state = self._env.link.sensing, self._env.simulator.state()
        if sensing is not None:
            none = torch.zeros(1, dtype=torch.int64)
            sensing.follow(SimState.stack([state]), torch.full((1, 1), age), none, none > 0, state)

    def _decide(self, senses: Tensor) -> None:
        state, goal = self._env.link.sight(self._env.simulator.state(), self._env.target)
        poses = torch.cat((state.robot_pos[..., :2], state.robot_rpy[..., 2:]), dim=-1)
        thing = torch.cat((state.object_pos[..., :2], state.object_rpy[..., 2:]), dim=-1)
        sizes = [len(task.sense_mirror) for task in self._env.simulator.robots]
        own = {f"senses{number}": senses[:, number, :size].numpy() for number, size in enumerate(sizes)}
        given = {"robots": poses.numpy(), "object": thing.numpy(), "target": goal.numpy()}
        self._commands = self._team.step(**given, **own)["commands"]

    def _control(self, commands: np.ndarray, qpos: Tensor, qvel: Tensor) -> Tensor:
        controls = []
        for group, walker in zip(self._layout.groups, self._walkers):
            own = commands[0, group.members]
            if walker is not None:
                robots: Any = group.robots
                sensed = robots.sense(group.joints(qpos, qvel))._asdict()
                given = {name: value[0].numpy() for name, value in sensed.items()}
                targets = torch.from_numpy(walker.step(**given, command=own)["joint_targets"])
                own = robots.follow(gait.action_of(targets).unsqueeze(0)).numpy()
            controls.append(torch.from_numpy(own.reshape(1, -1)))
        return torch.cat(controls, dim=-1)


def run(loop: Loop, seconds: float) -> Outcome:
    """Tick 50 times a second on one core, until `seconds` are over or the object has arrived."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    gc.collect()
    gc.disable()  # as a control loop would: a collection takes longer than a tick may
    missed, arrived, begun = 0, float("inf"), time.perf_counter()
    try:
        for number in range(round(seconds / CONTROL_DT)):
            due = begun + number * CONTROL_DT
            time.sleep(max(0.0, due - time.perf_counter()))
            loop.spent["late"].append(time.perf_counter() - due)
            loop.tick(number)
            missed += time.perf_counter() > due + CONTROL_DT
            if loop.at_target():
                arrived = (number + 1) * CONTROL_DT
                break
    finally:
        gc.enable()
        os.sched_setaffinity(0, cores)
    return Outcome({part: np.array(values) for part, values in loop.spent.items()}, missed, arrived)
