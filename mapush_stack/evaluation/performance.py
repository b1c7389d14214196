"""Episodes as control steps to show."""

from __future__ import annotations

from typing import Callable, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from ..envs.decision import Step
from ..envs.push_env import PushEnv
from ..errors import UserError
from ..sim.scene_simulator import SceneSimulator
from ..sim.visuals import Stage
from ..task.config import CONTROL_DT
from ..task.obstacles import Layout
from ..task.terminations import CAUSES
from .policies import Candidate
from .protocol import Act

_HOLD_STEPS = 50
"""Control steps for which the end of an episode stays in the picture."""


class Shot(NamedTuple):
    """A control step to show."""

    episode: int
    """Number of the episode, from 0."""
    seconds: float
    """Age of the episode, s."""
    qpos: np.ndarray
    """`[nq]` joint positions of the scene."""
    goal: Sequence[float]
    """x and y, m; if the goal is a pose its yaw too, rad."""
    cause: str
    """How the episode ended, one of `CAUSES`; `running` before it did."""
    layout: Optional[Layout] = None
    """Obstacles `[K]`; None without."""

    @property
    def mood(self) -> str:
        """The colours of `Stage.set_mood`."""
        return {"running": "pushing", "finished": "success"}.get(self.cause, "failure")


@torch.no_grad()
def perform(act: Act, env: PushEnv, episodes: int, on_step: Optional[Callable[[Step], None]] = None) -> Iterator[Shot]:
    """Play `episodes` one after the other in environment 0; every control step, and a second of every end.

    `on_step` is given every decision's result.

    Raises:
        UserError: the simulator is not a MuJoCo scene.

    """
    observations, _ = env.reset()
    for episode in range(episodes):
        goal, age, cause = env.goal[0].tolist(), 0, CAUSES[0]
        layout = None if env.obstacles is None else env.obstacles.layout.at(0)
        qpos = _first_env(env.joint_positions)
        yield Shot(episode, 0.0, qpos, goal, cause, layout)
        while cause == CAUSES[0]:
            goal = env.goal[0].tolist()
            step = env.step(act(observations))
            if on_step is not None:
                on_step(step)
            observations, ended = step.observations, step.episode
            path = _first_env(env.joint_path)
            if ended.done[0]:
                path, cause = path[: int(ended.steps[0]) - age], CAUSES[int(ended.cause[0])]
            for qpos in path:
                age += 1
                yield Shot(episode, age * CONTROL_DT, qpos, goal, CAUSES[0], layout)
        for _ in range(_HOLD_STEPS):
            yield Shot(episode, age * CONTROL_DT, qpos, goal, cause, layout)


def _first_env(positions: Optional[Tensor]) -> np.ndarray:
    """Joint positions `[..., N, nq]` of environment 0, `[..., nq]`, on the host."""
    if positions is None:
        raise _no_scene()
    return np.asarray(positions[..., 0, :].cpu())


def make_stage(candidate: Candidate, env: PushEnv, size: Tuple[int, int]) -> Stage:
    """The scene of a policy's task, for pictures of up to `size`, width and height in pixels.

    Raises:
        UserError: the simulator is not a MuJoCo scene.

    """
    if not isinstance(env.simulator, SceneSimulator):
        raise _no_scene()
    task, body, shapes = candidate.config.task, candidate.config.object.body, env.simulator.request.shapes
    if shapes is not None:
        body = body.model_copy(update={"parts": shapes.parts(0)})  # environment 0 is shown
    around = env.simulator.request.around
    return Stage(body, env.simulator.team, task.goal_distance, size, task.goal == "pose", around)


def _no_scene() -> UserError:
    return UserError("only MuJoCo scenes can be shown; use --set sim.backend=mujoco")
