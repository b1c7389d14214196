"""Tests; the tree mirrors mapush_stack/."""

from . import isaacgym_standin

isaacgym_standin.import_before_torch()
