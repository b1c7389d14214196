"""Learners by name."""

from __future__ import annotations

import torch

from ..device.process_group import ALONE, World
from .config import LearnerConfig
from .native.happo import HAPPO
from .native.mappo import MAPPO
from .native.ppo import EnvSpec, MultiAgentPPO

_LEARNERS = {"happo": HAPPO, "mappo": MAPPO}


def make_learner(
    config: LearnerConfig, spec: EnvSpec, device: torch.device, seed: int, world: World = ALONE
) -> MultiAgentPPO:
    """The learner that `config.algorithm` names."""
    return _LEARNERS[config.algorithm](config, spec, device, seed, world)
