"""The learners by name; a plug-in registers its own in the same way."""

from __future__ import annotations

from ..registry import Registry
from .contract import LearnerKind
from .harl.kind import HarlKind
from .native.kind import NativeKind
from .openrl.kind import OpenRLKind

LEARNERS: Registry[LearnerKind] = Registry("learner")
"""What `learner.library` can be."""
LEARNERS.register("native", NativeKind())
LEARNERS.register("harl", HarlKind())
LEARNERS.register("openrl", OpenRLKind())
