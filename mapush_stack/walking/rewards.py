"""Reward terms of the walking policy. A new one is a function and a weight in `WEIGHTS`.

Every term is a function of one control step and returns `[...]`, one number a robot, before weighting. Weights are
per second; a step of 0.02 s counts a fiftieth of them.
"""

from __future__ import annotations

import math
from typing import Callable, Dict, NamedTuple

import torch
from torch import Tensor

from ..locomotion.gait import STANCE, TROT_OFFSETS, Proprioception, is_standing

HEIGHT = 0.30
"""Of the trunk's centre while walking, m."""
SWING_HEIGHT = 0.07
"""Of a foot above the floor in the middle of its swing, m."""


class WalkingStep(NamedTuple):
    """A control step as the reward terms see it; leading dimensions `...`."""

    body: Proprioception
    """After the step."""
    command: Tensor
    """`[..., 3]` m/s, m/s, rad/s."""
    phase: Tensor
    """`[...]` of the stride during the step."""
    height: Tensor
    """`[...]` of the base, m."""
    foot_height: Tensor
    """`[..., 4]` of the soles above the floor, m."""
    foot_speed: Tensor
    """`[..., 4]` of the feet over the floor, m/s."""
    foot_drift: Tensor
    """`[..., 4]` of the feet from where they were when the robot came to stand, m; 0 until then."""
    mean_error: Tensor
    """`[..., 3]` of the velocity, mean over some time, m/s, m/s, rad/s; 0 just after a new command."""
    torque: Tensor
    """`[..., 12]` of the servos, N m."""
    action: Tensor
    """`[..., 12]`"""
    last_action: Tensor
    """`[..., 12]`"""
    fallen: Tensor
    """`[...]` bool"""

    @property
    def standing(self) -> Tensor:
        """`[...]` 1 where the command is to stand, else 0."""
        return is_standing(self.command).to(self.height.dtype)


def _velocity_error(step: WalkingStep) -> Tensor:
    return ((step.body.linear_velocity[..., :2] - step.command[..., :2]) ** 2).sum(-1)


def _yaw_error(step: WalkingStep) -> Tensor:
    return (step.body.angular_velocity[..., 2] - step.command[..., 2]) ** 2


def velocity(step: WalkingStep) -> Tensor:
    """exp(-|v - v*|^2 / 0.25): near the commanded velocity.

    Rudin et al., "Learning to walk in minutes", CoRL 2022.
    """
    return torch.exp(-_velocity_error(step) / 0.25)


def velocity_fine(step: WalkingStep) -> Tensor:
    """The same with a kernel of 0.02 m^2/s^2: at the commanded velocity."""
    return torch.exp(-_velocity_error(step) / 0.02)


def yaw_rate(step: WalkingStep) -> Tensor:
    """exp(-(w - w*)^2 / 0.25)."""
    return torch.exp(-_yaw_error(step) / 0.25)


def yaw_rate_fine(step: WalkingStep) -> Tensor:
    """exp(-(w - w*)^2 / 0.02)."""
    return torch.exp(-_yaw_error(step) / 0.02)


def velocity_mean(step: WalkingStep) -> Tensor:
    """exp(-e / 0.05), where e is the norm of the mean error of the velocity; turning counts half.

    The velocity swings with every stride; this sees what is wrong with its mean.
    """
    planar = torch.linalg.vector_norm(step.mean_error[..., :2], dim=-1)
    return torch.exp(-(planar + 0.5 * step.mean_error[..., 2].abs()) / 0.05)


def bounce(step: WalkingStep) -> Tensor:
    """Squared vertical velocity."""
    return step.body.linear_velocity[..., 2] ** 2


def rocking(step: WalkingStep) -> Tensor:
    """Squared roll and pitch rates."""
    return (step.body.angular_velocity[..., :2] ** 2).sum(-1)


def tilt(step: WalkingStep) -> Tensor:
    """Squared sine of the angle between the trunk and the vertical."""
    return (step.body.gravity[..., :2] ** 2).sum(-1)


def height(step: WalkingStep) -> Tensor:
    """Squared deviation of the trunk's height, in units of 0.1 m."""
    return ((step.height - HEIGHT) / 0.1) ** 2


def trot(step: WalkingStep) -> Tensor:
    """Squared deviation of foot heights from the trot's, in swing heights, mean of the feet.

    A foot swings in the first half of its phase along half a sine, and stands in the other; all stand without a
    command.
    """
    offsets = torch.tensor(TROT_OFFSETS, device=step.phase.device)
    wave = torch.sin(2 * math.pi * (step.phase.unsqueeze(-1) + offsets)).clamp_min(0.0)
    wanted = SWING_HEIGHT * wave * (1.0 - step.standing).unsqueeze(-1)
    return (((step.foot_height - wanted) / SWING_HEIGHT) ** 2).clamp_max(4.0).mean(-1)


def slip(step: WalkingStep) -> Tensor:
    """Squared speed of the feet that touch the floor, sum of the feet."""
    touching = (step.foot_height < 0.01).to(step.foot_speed.dtype)
    return (step.foot_speed**2 * touching).sum(-1).clamp_max(4.0)


def effort(step: WalkingStep) -> Tensor:
    """Squared torques."""
    return (step.torque**2).sum(-1)


def jerk(step: WalkingStep) -> Tensor:
    """Squared change of the action."""
    return ((step.action - step.last_action) ** 2).sum(-1)


def posture(step: WalkingStep) -> Tensor:
    """Squared deviation from the stance: of the hips always, of all joints while standing."""
    off = (step.body.joint_pos - torch.tensor(STANCE, device=step.height.device)) ** 2
    return off[..., ::3].sum(-1) + step.standing * off.sum(-1)


def fidgeting(step: WalkingStep) -> Tensor:
    """Squared joint velocities while standing."""
    return step.standing * (step.body.joint_vel**2).sum(-1).clamp_max(100.0)


def creep(step: WalkingStep) -> Tensor:
    """Speed (m/s) plus half the turning rate (rad/s) while standing.

    Not squared, so that a slow drift counts too.
    """
    speed: Tensor = torch.linalg.vector_norm(step.body.linear_velocity[..., :2], dim=-1)
    return step.standing * (speed + 0.5 * step.body.angular_velocity[..., 2].abs())


def hold(step: WalkingStep) -> Tensor:
    """exp(-d / 0.004) while standing, where d is how far the feet have drifted, m, mean of the feet.

    A speed of 3 mm/s is lost in the noise of exploration; its sum over seconds is not.
    """
    return step.standing * torch.exp(-step.foot_drift.mean(-1) / 0.004)


def fall(step: WalkingStep) -> Tensor:
    """1 on the step on which the robot has fallen."""
    return step.fallen.to(step.height.dtype)


WEIGHTS: Dict[Callable[[WalkingStep], Tensor], float] = {
    velocity: 1.0,
    velocity_fine: 0.8,
    yaw_rate: 0.5,
    yaw_rate_fine: 0.4,
    velocity_mean: 0.6,
    bounce: -1.0,
    rocking: -0.05,
    tilt: -2.0,
    height: -1.0,
    trot: -0.6,
    slip: -0.1,
    effort: -2e-4,
    jerk: -0.01,
    posture: -0.5,
    fidgeting: -0.02,
    creep: -4.0,
    hold: 1.0,
    fall: -100.0,
}
"""Every term and its weight, per second."""


def terms(step: WalkingStep, seconds: float) -> Dict[str, Tensor]:
    """Every term times its weight over a step of so many seconds, `[...]`, by name."""
    return {term.__name__: weight * seconds * term(step) for term, weight in WEIGHTS.items()}
